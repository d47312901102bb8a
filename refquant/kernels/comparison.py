"""Comparisons, logic and choice: EQUAL and its kin, LOGICAL_AND and its kin, SELECT, SELECT_V2."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refquant.kernels.elementwise import broadcast_shape
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.fixed_point import double_rounding_to_the_right, quantize_multiplier
from refquant.numerics.half import from_bfloat16
from refquant.numerics.lookup import tabulate
from refquant.tflite.schema import TensorType

_FLOAT32, _FLOAT16, _BFLOAT16 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16
_INT8, _UINT8, _INT16, _BOOL = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.BOOL
_PLAIN = (_FLOAT32, _FLOAT16, TensorType.INT32, TensorType.INT64)

Function = Callable[[Array, Array], Array]


def _comparison(op: Operator, function: Function, scaled: Sequence[TensorType], more: Sequence[TensorType]) -> Run:
    """`function` of x and y, broadcast, to bool; of tensors of the types `scaled` with their scales.

    Those are compared as (q - zero_point) * 2**8 * scale, by double rounding: so close numbers of different scales may
    count as equal. Sources: kernels/comparisons.cc, internal/reference/comparisons.h.
    """
    x, y, out = op.input(0), op.input(1), op.output()
    if x.type != y.type or out.type != _BOOL:
        raise op.unsupported()
    out.shape = broadcast_shape(op, x, y)
    if x.type in scaled and (x.type != _INT16 or x.is_quantized):
        left, right = _rescaled(op, x), _rescaled(op, y)
        return lambda x, y: function(left(x), right(y))
    if x.type == _BFLOAT16 and _BFLOAT16 in more:
        return lambda x, y: function(from_bfloat16(x), from_bfloat16(y))
    if x.type == TensorType.STRING and TensorType.STRING in more:
        return lambda x, y: np.asarray(function(x, y), np.bool_)
    if x.type in (*_PLAIN, *more):
        return function
    raise op.unsupported()


def _rescaled(op: Operator, tensor: TensorInfo) -> Callable[[Array], Array]:
    """The integers as which a quantized tensor is compared.

    For scales of more than 1 the real kernel shifts to the right by a negative number.
    """
    check_scales(op, tensor)
    if tensor.scale == 1:
        raise op.invalid(f"{tensor.place} has a scale of 1, at which the real kernel aborts")
    multiplier, shift = quantize_multiplier(np.float64(tensor.scale))
    zero_point = np.int32(tensor.zero_point)
    return tabulate(
        lambda q: double_rounding_to_the_right((q.astype(np.int32) - zero_point) * np.int32(256), multiplier, shift),
        tensor.dtype,
    )


def _equality(op: Operator, function: Function) -> Run:
    return _comparison(op, function, (_INT8, _UINT8, _INT16), (_BOOL, _INT16, TensorType.STRING))


def _order(op: Operator, function: Function, *more: TensorType) -> Run:
    """int16 numbers are compared without their scales here."""
    return _comparison(op, function, (_INT8, _UINT8), (_INT16, *more))


@kernel("EQUAL")
def equal(op: Operator) -> Run:
    """x == y."""
    return _equality(op, np.equal)


@kernel(
    "NOT_EQUAL",
    flaw="of int16 tensors without scale tensorflow 2.21.0 leaves the output as it was in memory; refquant compares",
)
def not_equal(op: Operator) -> Run:
    """x != y."""
    return _equality(op, np.not_equal)


@kernel("LESS")
def less(op: Operator) -> Run:
    """x < y."""
    return _order(op, np.less, _BFLOAT16)


@kernel("LESS_EQUAL")
def less_equal(op: Operator) -> Run:
    """x <= y."""
    return _order(op, np.less_equal)


@kernel("GREATER")
def greater(op: Operator) -> Run:
    """x > y."""
    return _order(op, np.greater, _BFLOAT16)


@kernel("GREATER_EQUAL")
def greater_equal(op: Operator) -> Run:
    """x >= y."""
    return _order(op, np.greater_equal)


def _logic(op: Operator, function: Function) -> Run:
    """A function of two tensors of bool, broadcast. Source: kernels/logical.cc."""
    x, y, out = op.input(0), op.input(1), op.output()
    if not x.type == y.type == out.type == _BOOL:
        raise op.unsupported()
    out.shape = broadcast_shape(op, x, y)
    return function


@kernel("LOGICAL_AND")
def logical_and(op: Operator) -> Run:
    """Both."""
    return _logic(op, np.logical_and)


@kernel("LOGICAL_OR")
def logical_or(op: Operator) -> Run:
    """Either or both."""
    return _logic(op, np.logical_or)


@kernel("LOGICAL_NOT")
def logical_not(op: Operator) -> Run:
    """The other one. Source: kernels/elementwise.cc."""
    x, out = op.input(0), op.output()
    if not x.type == out.type == _BOOL:
        raise op.unsupported()
    out.shape = x.dims
    return np.logical_not


#: the types that SELECT takes: it copies, and knows the size of these only
_CHOSEN = (
    *_PLAIN, _BFLOAT16, _INT8, _UINT8, _INT16, _BOOL, TensorType.UINT16, TensorType.UINT32, TensorType.UINT64,
)  # fmt: skip


def _chosen(op: Operator) -> tuple[TensorInfo, TensorInfo, TensorInfo, TensorInfo]:
    condition, x, y, out = op.input(0), op.input(1), op.input(2), op.output()
    if condition.type != _BOOL or not x.type == y.type == out.type or x.type not in _CHOSEN:
        raise op.unsupported()
    return condition, x, y, out


def _single_element(*tensors: TensorInfo) -> bool:
    """Whether all have one element; the output then keeps the shape that the file declares for it."""
    return all(tensor.shape is not None and math.prod(tensor.shape) == 1 for tensor in tensors)


@kernel("SELECT")
def select(op: Operator) -> Run:
    """x where the condition holds, y elsewhere; both of one shape.

    The condition has that shape, or is one number, or has one for each index of the first dimension.
    Source: kernels/select.cc.
    """
    condition, x, y, out = _chosen(op)
    if _single_element(condition, x, y, out):
        return _one_choice(out.dims)
    if x.dims != y.dims:
        raise op.invalid(f"x of shape {x.dims} and y of shape {y.dims} must be alike")
    shape = out.shape = x.dims
    if condition.dims == shape:
        return lambda c, x, y: np.where(c, x, y)
    if condition.dims == ():
        return lambda c, x, y: np.where(c, x, y)
    if condition.dims != shape[:1]:
        raise op.invalid(f"a condition of shape {condition.dims} does not fit {shape}")
    ones = (1,) * (len(shape) - 1)
    return lambda c, x, y: np.where(c.reshape(-1, *ones), x, y)


def _one_choice(shape: Shape) -> Run:
    return lambda c, x, y: (x if c.item() else y).reshape(shape)


@kernel("SELECT_V2")
def select_v2(op: Operator) -> Run:
    """x where the condition holds, y elsewhere, all three broadcast. Source: kernels/select.cc."""
    condition, x, y, out = _chosen(op)
    if _single_element(condition, x, y, out):
        return _one_choice(out.dims)
    try:
        out.shape = np.broadcast_shapes(condition.dims, x.dims, y.dims)
    except ValueError:
        raise op.invalid(f"shapes {condition.dims}, {x.dims} and {y.dims} cannot be broadcast together") from None
    if len(out.shape) > 5 and not condition.dims == x.dims == y.dims:
        raise op.unsupported("broadcasting in more than 5 dimensions")
    return lambda c, x, y: np.where(c, x, y)
