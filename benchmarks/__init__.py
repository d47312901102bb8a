"""Measurements side by side with the real tools: `python -m benchmarks.NAME`."""
