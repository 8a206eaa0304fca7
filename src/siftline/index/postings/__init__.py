"""Inverted lists of text and of learned sparse vectors, in one shape."""
