"""ONNX files read and written field by field, without onnx."""
