"""The E5 experiment of Vespa's "Accelerating Transformer-based Embedding Retrieval".

One embedding model as float32, int8 and bf16, measured through the server: size, nDCG@10, documents
and queries a second; then the int8 model with more and more clients, for embedding alone, the exact
scan, the scan with several threads, and the HNSW graph. `python -m bench.e5 --help`.
"""
