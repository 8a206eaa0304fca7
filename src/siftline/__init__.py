"""Siftline: neural search in one process."""
