"""Operators of StableHLO on two tensors of one shape, element by element; they know no scales and no activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.tflite.schema import TensorType

Function = Callable[[Array, Array], Array]

_SIGNED = (TensorType.INT8, TensorType.INT16, TensorType.INT32)
_INTEGERS = (
    *_SIGNED, TensorType.INT64, TensorType.UINT8, TensorType.UINT16, TensorType.UINT32, TensorType.UINT64,
    TensorType.BOOL,
)  # fmt: skip
_NUMBERS = (*_INTEGERS, TensorType.FLOAT16, TensorType.FLOAT32, TensorType.FLOAT64)


_FLAW = "with tensors of no elements tensorflow 2.21.0 dies; refquant gives the empty result"


def _of_one_shape(op: Operator, function: Function, *types: TensorType) -> Run:
    x, y, out = op.input(0), op.input(1), op.output()
    if not x.type == y.type == out.type or x.type not in types:
        raise op.unsupported()
    if x.dims != y.dims:
        raise op.invalid(f"shapes {x.dims} and {y.dims} differ, and are not broadcast here")
    out.shape = x.dims
    return function


@kernel("STABLEHLO_ADD", flaw=_FLAW)
def add(op: Operator) -> Run:
    """x + y; integers wrap, of truth values either.

    Source: kernels/stablehlo_elementwise.h, as of all but the shift.
    """
    return _of_one_shape(op, np.add, *_NUMBERS)


@kernel("STABLEHLO_MULTIPLY", flaw=_FLAW)
def multiply(op: Operator) -> Run:
    """x * y; integers wrap, of truth values both."""
    return _of_one_shape(op, np.multiply, *_NUMBERS)


@kernel("STABLEHLO_MAXIMUM", flaw=_FLAW)
def maximum(op: Operator) -> Run:
    """The larger of x and y; x where they cannot be compared."""
    return _of_one_shape(op, lambda x, y: np.where(x < y, y, x), *_NUMBERS)


@kernel("STABLEHLO_MINIMUM", flaw=_FLAW)
def minimum(op: Operator) -> Run:
    """The smaller of x and y; x where they cannot be compared."""
    return _of_one_shape(op, lambda x, y: np.where(y < x, y, x), *_NUMBERS)


@kernel("STABLEHLO_AND", flaw=_FLAW)
def and_(op: Operator) -> Run:
    """x & y of integers and of truth values."""
    return _of_one_shape(op, np.bitwise_and, *_INTEGERS)


@kernel(
    "STABLEHLO_SHIFT_LEFT",
    flaw="by less than 0 or more than 31 bits, what tensorflow 2.21.0 gives depends on the place in the tensor; "
    "refquant shifts by the count modulo 32",
)
def shift_left(op: Operator) -> Run:
    """x << y in 32 bits, of which those of the type stay; the count is taken modulo 32.

    Source: kernels/stablehlo_shift_left.cc.
    """
    x = op.input(0)
    return _of_one_shape(op, lambda a, b: (a.astype(np.int32) << (b.astype(np.int32) & 31)).astype(x.dtype), *_SIGNED)
