"""The command line has progress bars, the known checkpoints, and names versions."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

hiddenimports = ["rich.console", "rich.progress"]
datas = collect_data_files("albert_edge", subdir="models")
for package in ("numpy", "onnxruntime", "tokenizers"):
    datas += copy_metadata(package)
