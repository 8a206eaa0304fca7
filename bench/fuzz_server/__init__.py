"""Requests of every kind of nonsense to a running server: none may break it, hang or leak."""
