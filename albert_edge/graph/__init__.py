"""What ALBERT is, as ONNX: modules authored with onnxscript.nn, written under a plan."""
