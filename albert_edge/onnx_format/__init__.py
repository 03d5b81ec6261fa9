"""Read and write ONNX files field by field, without the onnx package."""
