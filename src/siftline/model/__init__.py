"""Model files: catalogue, download, runtimes, conversion."""
