"""A trained sparse encoder in the forms that others load, each compared with its source."""
