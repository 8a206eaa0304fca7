"""A query to candidate documents."""
