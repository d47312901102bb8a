"""The patterns that the converter looks for after quantization, one small function each, by family."""
