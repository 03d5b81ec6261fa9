"""onnxruntime.print_debug_info names the versions of other frameworks, which no answer needs."""

excludedimports = ["cpuinfo", "psutil", "py3nvml", "tensorflow", "torch"]
