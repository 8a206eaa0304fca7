"""Dense vectors: the exact matrix and a faiss graph over it."""
