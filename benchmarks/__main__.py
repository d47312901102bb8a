"""`python -m benchmarks [speed|growth|profile] …`: see benchmarks/README.md, and `--help` of each."""

from __future__ import annotations

import os
import sys

# NumPy's BLAS reads these when it is loaded: everything here is measured on one thread of BLAS, and the threads of
# `--threads` are those of refquant and of TFLite's interpreter
for _library in ("OPENBLAS", "MKL", "OMP"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"


def main() -> None:
    """Runs the part that is named first, `speed` unless told."""
    from benchmarks import growth, profiling, speed

    parts = {"speed": speed.main, "growth": growth.main, "profile": profiling.main}
    arguments = sys.argv[1:]
    name = arguments.pop(0) if arguments and arguments[0] in parts else "speed"
    parts[name](arguments)


if __name__ == "__main__":
    main()
