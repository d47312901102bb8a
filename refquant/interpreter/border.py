"""What arrays are outside the interpreter, where that is not what they are inside.

| type | `set_tensor` takes | inside | `get_tensor` gives |
|---|---|---|---|
| STRING | bytes or str, in arrays of dtype object, "S" or "U" | bytes, in object arrays | the same |
| BFLOAT16 | `ml_dtypes.bfloat16`, or the bits as uint16 | the bits as uint16 | `ml_dtypes.bfloat16` where that package is installed, else uint16 |
| INT4, INT2 | int8, one to an element | int8 | int8 |
| UINT4 | uint8 or int8, one to an element | int8 | int8 |
| RESOURCE | int32, its number | int32 | int32 |

All as `tf.lite.Interpreter` does, but for these: it knows bfloat16 by `ml_dtypes` only, takes no int8 for UINT4 and
nothing at all for INT2, stores a pointer where a string tensor of rank 0 is set, and shows no resource.
"""  # noqa: E501 - a table

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from refquant.errors import InvalidInputError
from refquant.kernels.registry import Array, TensorInfo
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS


@cache
def _bfloat16() -> np.dtype[Any] | None:
    """NumPy's dtype of bfloat16, where the package that has it is installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


def reported_dtype(tensor: TensorInfo) -> Any:
    """The dtype in a tensor's details."""
    if tensor.type == TensorType.STRING:
        return np.bytes_
    if tensor.type in (TensorType.RESOURCE, TensorType.VARIANT):
        return np.object_
    bfloat16 = _bfloat16() if tensor.type == TensorType.BFLOAT16 else None
    return tensor.dtype.type if bfloat16 is None else bfloat16.type


def outward(tensor: TensorInfo, array: Array) -> Array:
    """An array from inside as the caller is to see it; a view where it can be one."""
    bfloat16 = _bfloat16() if tensor.type == TensorType.BFLOAT16 else None
    return array if bfloat16 is None else array.view(bfloat16)


def inward(tensor: TensorInfo, value: Any) -> Array:
    """A copy of the caller's array as the interpreter holds it; raises InvalidInputError for another type or shape."""
    array = np.asarray(value, None if isinstance(value, np.ndarray) or tensor.dtype != object else object)
    if array.shape != tensor.shape:
        raise InvalidInputError(
            f"{tensor.place} takes shape {tensor.shape}, got {array.shape}; "
            "resize_tensor_input changes the shape of an input"
        )
    if tensor.type == TensorType.STRING and array.dtype.kind in "OSU":
        return _strings(tensor, array)
    if array.dtype.name == "bfloat16" and tensor.type == TensorType.BFLOAT16:
        return array.view(np.uint16).copy()
    if array.dtype == np.uint8 and tensor.type == TensorType.UINT4:
        array = array.astype(np.int16)
    elif array.dtype != tensor.dtype:
        raise InvalidInputError(f"{tensor.place} takes {_wanted(tensor)}, got {array.dtype}")
    if tensor.type in PACKED_BITS:
        _check_range(tensor, array)
    return array.astype(tensor.dtype)


def _strings(tensor: TensorInfo, array: Array) -> Array:
    result = np.empty(array.shape, object)
    for place, item in np.ndenumerate(array):
        if not isinstance(item, (bytes, str)):
            raise InvalidInputError(f"{tensor.place} takes bytes or str, got {item!r} at {list(place)}")
        result[place] = item.encode() if isinstance(item, str) else bytes(item)
    return result


def _check_range(tensor: TensorInfo, array: Array) -> None:
    bits, unsigned = PACKED_BITS[tensor.type], tensor.type == TensorType.UINT4
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if array.size and not low <= array.min() <= array.max() <= high:
        raise InvalidInputError(f"{tensor.place} of type {tensor.type.name} takes numbers from {low} to {high}")


def _wanted(tensor: TensorInfo) -> str:
    if tensor.type == TensorType.STRING:
        return "bytes or str"
    return "bfloat16 or uint16" if tensor.type == TensorType.BFLOAT16 else str(tensor.dtype)
