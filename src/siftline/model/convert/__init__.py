"""Conversion of model files to ONNX, and of ONNX between int8 and float weights."""
