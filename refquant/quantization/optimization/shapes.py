"""What patterns ask about types and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.ir import Constant, Type, Value
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def shape_of(value: Value) -> Shape:
    """The shape of a value whose rank is known."""
    assert value.type.shape is not None
    return value.type.shape


def rank_of(value: Value) -> int:
    """The number of dimensions, -1 where it is not known."""
    return -1 if value.type.shape is None else len(value.type.shape)


def has_rank(value: Value, least: int, most: int = 1000) -> bool:
    """Whether the rank is known and between two numbers."""
    return least <= rank_of(value) <= most


def same_element(a: Value, b: Value) -> bool:
    """Whether two values have elements of one type, quantization included."""
    return a.type.element == b.type.element


def is_tail(small: Value, large: Value) -> bool:
    """Whether the dimensions of one value are the last ones of the other."""
    a, b = small.type.shape, large.type.shape
    return a is not None and b is not None and len(a) <= len(b) and a == b[len(b) - len(a) :]


def is_reduced_tail(small: Value, large: Value) -> bool:
    """The same without the dimensions of 1 that the smaller begins with; something must be left of it."""
    a, b = small.type.shape, large.type.shape
    if a is None or b is None:
        return False
    reduced = without_leading_ones(a)
    return 0 < len(reduced) <= len(b) and reduced == b[len(b) - len(reduced) :]


def without_leading_ones(shape: Shape) -> Shape:
    """A shape from its first dimension on that is not 1."""
    first = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return shape[first:]


def ends_in_size_of(value: Value, other: Value) -> bool:
    """Whether the last dimension is the number of elements of the other value."""
    return rank_of(value) >= 1 and shape_of(value)[-1] == math.prod(shape_of(other))


def broadcast(a: Type, b: Type) -> Shape | None:
    """The shape of an operation on numbers of two types, each with each, or None."""
    if not a.is_static or not b.is_static or a.shape is None or b.shape is None:
        return None
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return None


def broadcast_type(a: Value, b: Value) -> Type:
    """The type of a sum, a product, …"""
    shape = broadcast(a.type, b.type)
    return a.type.of(a.type.element) if shape is None else Type(a.type.element, shape)  # type: ignore[arg-type]


def is_all(constant: Constant, number: float) -> bool:
    """Whether every element is the float of exactly this value (of 0 not the negative zero)."""
    array = constant.array
    return array.dtype.kind == "f" and bool(np.all((array == array.dtype.type(number)) & ~_negative_zero(array)))


def _negative_zero(array: Array) -> Array:
    negative: Array = (array == 0) & np.signbit(array)
    return negative


def is_all_of_any_type(constant: Constant, number: int) -> bool:
    """Whether every element is this number, be it integer or float."""
    if constant.array.dtype.kind == "f":
        return is_all(constant, number)
    return constant.array.dtype.kind in "iub" and bool(np.all(constant.array == number))


def is_scalar(constant: Constant, number: float) -> bool:
    """Whether it is the float32 nearest to a number, without dimensions."""
    return (
        constant.type == TensorType.FLOAT32 and constant.array.shape == () and constant.array == np.float32(number)
    ).__bool__()


def is_below(constant: Constant, limit: float) -> bool:
    """Whether it is one float whose magnitude is below a limit."""
    return constant.array.dtype.kind == "f" and constant.array.size == 1 and abs(float(constant.array.flat[0])) < limit


def is_last_axis(axes: Constant, value: Value) -> bool:
    """Whether it names the last axis of a value and no other."""
    return axes.array.size == 1 and int(axes.array.flat[0]) in (rank_of(value) - 1, -1)


def is_int32(constant: Constant) -> bool:
    """Whether the constant is of int32."""
    return constant.type == TensorType.INT32


def integers(constant: Constant) -> list[int]:
    """The integers of a constant in a row."""
    return [int(number) for number in constant.array.flat]
