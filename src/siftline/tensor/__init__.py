"""Tensor types, values, batches and algebra."""
