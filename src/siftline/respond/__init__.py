"""An order to an answer: hits, summaries, trace."""
