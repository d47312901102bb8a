"""Vectors of the file as plain values: absent ones are empty."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.tflite import schema


def indices_of(vector: Any) -> list[int]:
    """The indices of a vector, none where it is absent."""
    return [] if vector is None else [int(index) for index in vector]


def scales_of(tensor: schema.Tensor | None) -> npt.NDArray[np.float32]:
    """The scales of a tensor, none where it is absent or not quantized."""
    quantization = None if tensor is None else tensor.quantization
    return np.asarray(() if quantization is None or quantization.scale is None else quantization.scale, np.float32)
