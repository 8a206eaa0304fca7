"""Clients that feed, read and ask one server for minutes, and check every answer."""
