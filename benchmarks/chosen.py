"""Which models are measured, and with what inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import refquant as rq
from benchmarks.models import files
from refquant.errors import UnsupportedOperatorError
from refquant.kernels.registry import find
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_QUANTIZED = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


def chosen(words: Iterable[str]) -> list[Path]:
    """The files that the words of a command name, all that are at hand without words.

    A word is a path, or a part or a pattern (``*``) of the names of the models at hand.
    """
    words = list(words)
    at_hand = files() or [Path(str(resources("refquant.data") / "digits_int8.tflite"))]
    if not words:
        return at_hand
    named = [Path(word) for word in words if Path(word).is_file()]
    patterns = [f"*{word}*" for word in words if not Path(word).is_file()]
    return named + [path for path in at_hand if any(fnmatchcase(path.stem, pattern) for pattern in patterns)]


def sample_for(model: rq.Model, kernels: str = "reference") -> list[Array]:
    """One array for each input: normal floats, the whole range of small integers, 0 and 1 of wide ones.

    Wide integers may be indices or sizes. Raises `UnsupportedOperatorError` where an input is of strings.
    """
    generator = np.random.default_rng(0)
    return [_draw(generator, detail) for detail in rq.Interpreter(model=model, kernels=kernels).get_input_details()]


def _draw(generator: np.random.Generator, detail: dict[str, Any]) -> Array:
    dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype == np.bool_ or (dtype.kind in "iu" and dtype.itemsize >= 4):
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    raise UnsupportedOperatorError(f"no random inputs of {dtype}")


def is_convolutional(model: rq.Model) -> bool:
    """Whether there is any CONV_2D or DEPTHWISE_CONV_2D."""
    return any(name in _CONVOLUTIONS for name, _ in _operators(model))


def modes_of(model: rq.Model) -> Sequence[str]:
    """The rows of a model: "integer", or "exact"; where sums of floats may be BLAS's, "exact" and "fast"."""
    floats = {name for name, types in _operators(model) if TensorType.FLOAT32 in types}
    if any(_has_fast_kernel(name) for name in floats):
        return "exact", "fast"
    quantized = any(type in _QUANTIZED for _, types in _operators(model) for type in types)
    return ("integer",) if quantized else ("exact",)


def _has_fast_kernel(name: str) -> bool:
    kernels = [find(name, custom=False, profile="reference", fast=fast) for fast in (False, True)]
    return kernels[0] is not kernels[1]


def _operators(model: rq.Model) -> list[tuple[str, list[TensorType]]]:
    """Names of all operators, with the types that they write."""
    return [
        (model.operator_name(operator), [TensorType((subgraph.tensors or [])[int(i)].type) for i in outputs])
        for subgraph in model.subgraphs
        for operator in subgraph.operators or ()
        for outputs in [() if operator.outputs is None else operator.outputs]
    ]
