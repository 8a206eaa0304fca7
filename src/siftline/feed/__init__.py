"""Documents in: operations, feed files, field values."""
