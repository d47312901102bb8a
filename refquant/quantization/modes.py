"""The modes of the converter by name, as the command line has them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refquant.quantization.converter import Converter


class ModeName(str, Enum):
    """The modes of the converter, by the names of the command line."""

    DYNAMIC = "dynamic"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT8_ONLY = "int8-only"
    INT16X8 = "int16x8"
    INT16X8_ONLY = "int16x8-only"

    @property
    def takes_samples(self) -> bool:
        """Whether a mode calibrates."""
        return self not in (ModeName.DYNAMIC, ModeName.FLOAT16)


def set_mode(converter: Converter, mode: ModeName) -> None:
    """Gives a converter the optimizations, operator sets and types that make the mode."""
    from refquant.quantization.converter import OpsSet, Optimize

    converter.optimizations = [Optimize.DEFAULT]
    spec = converter.target_spec
    if mode is ModeName.FLOAT16:
        spec.supported_types = ["float16"]
    elif mode is ModeName.INT8_ONLY:
        spec.supported_ops = [OpsSet.TFLITE_BUILTINS_INT8]
    elif mode in (ModeName.INT16X8, ModeName.INT16X8_ONLY):
        wanted = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        spec.supported_ops = [wanted] if mode is ModeName.INT16X8_ONLY else [wanted, OpsSet.TFLITE_BUILTINS]
