"""Attribute values by document."""
