"""Plain functions of one tensor of float32: ABS, NEG, SQUARE, SQRT, RSQRT, FLOOR.

IEEE 754 defines every bit of these. Source: kernels/elementwise.cc, kernels/neg.cc, kernels/floor.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.tflite.schema import TensorType


def _function(op: Operator, function: Callable[[Array], Array], *more: TensorType) -> Run:
    """`function` of each element of a tensor of float32, or of a type among `more`."""
    x, out = op.input(0), op.output()
    if x.type != out.type or x.type not in (TensorType.FLOAT32, *more):
        raise op.unsupported()
    out.shape = x.dims
    return function


@kernel("ABS")
def abs_(op: Operator) -> Run:
    """|x|; also of int32, where the smallest number stays as it is."""
    return _function(op, np.abs, TensorType.INT32)


@kernel("NEG")
def neg(op: Operator) -> Run:
    """-x; also of int32 and int64, where the smallest number stays as it is."""
    return _function(op, np.negative, TensorType.INT32, TensorType.INT64)


@kernel("SQUARE")
def square(op: Operator) -> Run:
    """x * x."""
    return _function(op, np.square)


@kernel("SQRT")
def sqrt(op: Operator) -> Run:
    """The square root."""
    return _function(op, np.sqrt)


@kernel("RSQRT")
def rsqrt(op: Operator) -> Run:
    """1 / sqrt(x), both steps rounded."""
    return _function(op, lambda x: np.float32(1) / np.sqrt(x))


@kernel("FLOOR")
def floor(op: Operator) -> Run:
    """The largest whole number that is not larger."""
    return _function(op, np.floor)
