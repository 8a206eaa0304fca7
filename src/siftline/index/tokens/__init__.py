"""Several vectors for each document, one for each token: ragged arrays."""
