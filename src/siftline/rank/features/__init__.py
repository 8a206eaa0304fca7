"""Rank features: what expressions may refer to, computed for all hits of a phase at once."""
