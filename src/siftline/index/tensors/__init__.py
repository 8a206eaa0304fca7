"""Tensors of any other type, kept whole."""
