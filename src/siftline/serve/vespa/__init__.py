"""Vespa's HTTP API, one module for each group of paths; each has `routes(host)`."""
