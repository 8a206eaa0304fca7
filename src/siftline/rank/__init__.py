"""Candidates to an order, phase by phase."""
