"""Documents and vectors on disk and in memory, as searchable segments."""
