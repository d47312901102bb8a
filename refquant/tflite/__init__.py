"""The file: the schema's tables as dataclasses, bytes to dataclasses and back, and `Model` on top."""
