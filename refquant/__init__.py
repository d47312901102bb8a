"""refquant: the executable specification of TensorFlow Lite, in NumPy, bit for bit.

The public names live here; each is imported when it is first used, so ``import refquant`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from refquant.version import __version__ as __version__

if TYPE_CHECKING:
    from refquant.audit import bisect, compare
    from refquant.audit.explain import explain
    from refquant.compression import clustering, pruning
    from refquant.errors import (
        InvalidInputError,
        InvalidModelError,
        RefquantError,
        RuntimeDiedError,
        RuntimeFailedError,
        RuntimeUnavailableError,
        UnsupportedOperatorError,
    )
    from refquant.interpreter import Interpreter
    from refquant.kernels.registry import register_custom_operator
    from refquant.quantization.calibration import Statistics, calibrate
    from refquant.quantization.converter import Converter, OpsSet, Optimize, RepresentativeDataset, TargetSpec
    from refquant.tflite.model import Model

__all__ = [
    "Converter",
    "Interpreter",
    "InvalidInputError",
    "InvalidModelError",
    "Model",
    "OpsSet",
    "Optimize",
    "RefquantError",
    "RepresentativeDataset",
    "RuntimeDiedError",
    "RuntimeFailedError",
    "RuntimeUnavailableError",
    "Statistics",
    "TargetSpec",
    "UnsupportedOperatorError",
    "bisect",
    "calibrate",
    "clustering",
    "compare",
    "explain",
    "pruning",
    "register_custom_operator",
]

_HOMES = {
    "Converter": "refquant.quantization.converter",
    "Interpreter": "refquant.interpreter",
    "Model": "refquant.tflite.model",
    "OpsSet": "refquant.quantization.converter",
    "Optimize": "refquant.quantization.converter",
    "RepresentativeDataset": "refquant.quantization.converter",
    "Statistics": "refquant.quantization.calibration",
    "TargetSpec": "refquant.quantization.converter",
    "bisect": "refquant.audit",
    "calibrate": "refquant.quantization.calibration",
    "compare": "refquant.audit",
    "explain": "refquant.audit.explain",
    "register_custom_operator": "refquant.kernels.registry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'refquant' has no attribute {name!r}")
    if name in ("clustering", "pruning"):
        return import_module(f"refquant.compression.{name}")
    return getattr(import_module(_HOMES.get(name, "refquant.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
