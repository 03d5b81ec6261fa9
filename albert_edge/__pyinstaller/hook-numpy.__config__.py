"""numpy prints its configuration as YAML if it can; only huggingface_hub brings a YAML library."""

excludedimports = ["yaml"]
