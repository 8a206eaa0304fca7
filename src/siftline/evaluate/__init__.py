"""Runs and judgments to figures; cannot import the engine."""
