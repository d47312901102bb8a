"""What each `TensorType` is in NumPy.

NumPy has no bfloat16, float8, int4, uint4 or int2: bfloat16 and float8 are read as the integers that hold their bits.
The packed types lie in a file several elements to a byte (`PACKED_BITS` tells how many bits an element takes) and are
int8 when they run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refquant.errors import InvalidModelError
from refquant.tflite.schema import TensorType

_DTYPES: dict[TensorType, Any] = {
    TensorType.FLOAT32: np.float32,
    TensorType.FLOAT16: np.float16,
    TensorType.INT32: np.int32,
    TensorType.UINT8: np.uint8,
    TensorType.INT64: np.int64,
    TensorType.STRING: object,
    TensorType.BOOL: np.bool_,
    TensorType.INT16: np.int16,
    TensorType.COMPLEX64: np.complex64,
    TensorType.INT8: np.int8,
    TensorType.FLOAT64: np.float64,
    TensorType.COMPLEX128: np.complex128,
    TensorType.UINT64: np.uint64,
    TensorType.RESOURCE: np.int32,
    TensorType.VARIANT: object,
    TensorType.UINT32: np.uint32,
    TensorType.UINT16: np.uint16,
    TensorType.INT4: np.int8,
    TensorType.BFLOAT16: np.uint16,
    TensorType.INT2: np.int8,
    TensorType.UINT4: np.int8,
    TensorType.FLOAT8_E4M3FN: np.uint8,
    TensorType.FLOAT8_E5M2: np.uint8,
}

#: bits of an element, for the types that are packed several to a byte
PACKED_BITS = {TensorType.INT4: 4, TensorType.UINT4: 4, TensorType.INT2: 2}


def numpy_dtype(kind: TensorType | int) -> np.dtype[Any]:
    """The dtype of the arrays of a tensor type; raises `InvalidModelError` for a number that is no type.

    >>> numpy_dtype(TensorType.INT8)
    dtype('int8')
    """
    if kind not in _DTYPES:
        raise InvalidModelError(f"tensor type {int(kind)} is not one that this schema knows")
    dtype: np.dtype[Any] = np.dtype(_DTYPES[TensorType(kind)])
    return dtype


def stored_bytes(kind: TensorType, elements: int) -> int:
    """How many bytes so many elements of a type take in a buffer (not for strings).

    >>> stored_bytes(TensorType.INT4, 5), stored_bytes(TensorType.FLOAT32, 5)
    (3, 20)
    """
    bits = PACKED_BITS.get(kind)
    return elements * numpy_dtype(kind).itemsize if bits is None else -(-elements * bits // 8)
