"""Where and with what something was measured."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import refquant
from refquant.runtimes.machine import processor_name


def facts() -> dict[str, Any]:
    """Date, processor, number of processors, versions; `blas` is what NumPy was built with."""
    return {
        "date": date.today().isoformat(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "refquant": refquant.__version__,
        "numpy": np.__version__,
        "blas": _blas(),
        "tensorflow": _version("tensorflow"),
    }


def sentence(facts: dict[str, Any]) -> str:
    """The facts in a line, for a table's head."""
    return (
        f"{facts['date']}, {facts['processor']}, {facts['cores']} cores, Python {facts['python']}, "
        f"NumPy {facts['numpy']} with {facts['blas']}, TensorFlow {facts['tensorflow']}"
    )


def _blas() -> str:
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (TypeError, KeyError):  # NumPy before 1.26 only prints it
        return "an unknown BLAS"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
