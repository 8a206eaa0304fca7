"""Text to tokens and vectors."""
