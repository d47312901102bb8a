"""refquant: the executable specification of TensorFlow Lite, in NumPy, bit for bit.

The public names live here; each is imported when it is first used, so ``import refquant`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from refquant.tflite.model import Model

__version__ = "0.2.0"

__all__ = [
    "Interpreter",
    "InvalidInputError",
    "InvalidModelError",
    "Model",
    "RefquantError",
    "RuntimeDiedError",
    "RuntimeFailedError",
    "RuntimeUnavailableError",
    "Statistics",
    "UnsupportedOperatorError",
    "calibrate",
    "register_custom_operator",
]

_HOMES = {
    "Interpreter": "refquant.interpreter",
    "Model": "refquant.tflite.model",
    "Statistics": "refquant.quantization.calibration",
    "calibrate": "refquant.quantization.calibration",
    "register_custom_operator": "refquant.kernels.registry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'refquant' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "refquant.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
