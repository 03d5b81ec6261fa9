"""What a program with a bundle needs, and nothing of what makes or measures bundles."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

hiddenimports = ["onnxruntime"]  # imported by name, after its telemetry is off
# What makes, compares or draws bundles; it stays in where the program itself imports it.
excludedimports = [
    *(
        "cryptography",
        "google_crc32c",
        "h5py",
        "huggingface_hub",
        "jinja2",
        "matplotlib",
        "ml_dtypes",
        "msgpack",
    ),
    *("nncf", "openvino", "pyarrow"),
    *("onnx", "onnx_ir", "onnxscript", "optimum", "safetensors", "torch", "transformers"),
]
datas = [
    *collect_data_files("albert_edge", excludes=["models"]),
    *copy_metadata("albert-edge"),
]
