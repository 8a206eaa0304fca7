"""Training rows from a corpus: questions, what answers them, and what only looks like it."""
