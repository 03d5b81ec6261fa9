"""f2py guesses encodings if it can; only requests, of huggingface_hub, brings what it needs."""

excludedimports = ["charset_normalizer"]
