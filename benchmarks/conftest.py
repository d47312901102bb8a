"""BLAS on one thread, which has to be said before NumPy is imported."""

from __future__ import annotations

import os
import sys

if "numpy" not in sys.modules:
    for _library in ("OPENBLAS", "MKL", "OMP"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
