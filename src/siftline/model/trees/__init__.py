"""Gradient-boosted trees: XGBoost and LightGBM files as arrays, evaluated for many rows at once."""
