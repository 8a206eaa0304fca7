"""Speed measurements: one module `case_NAME.py` for each subject, run by `make bench`."""
