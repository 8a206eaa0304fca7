"""Models without documents: the files under `models/` as functions of tensors (spec 5)."""
