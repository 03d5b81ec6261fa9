"""The formats of files of answers: rows in, the bytes of a segment out."""
