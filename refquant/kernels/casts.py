"""Numbers of one type as numbers of another: CAST converts each, BITCAST reads their bytes anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.numerics.half import from_bfloat16, to_bfloat16
from refquant.tflite.schema import CastOptions, TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Float64s = npt.NDArray[np.float64]

_FLOAT32, _FLOAT64, _FLOAT16 = TensorType.FLOAT32, TensorType.FLOAT64, TensorType.FLOAT16
_BFLOAT16, _COMPLEX64, _BOOL = TensorType.BFLOAT16, TensorType.COMPLEX64, TensorType.BOOL
_INT8, _INT16, _INT32, _INT64 = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64
_UINT8, _UINT16, _UINT32 = TensorType.UINT8, TensorType.UINT16, TensorType.UINT32

_NUMBERS = (
    _FLOAT32, _FLOAT64, _FLOAT16, _BFLOAT16, _COMPLEX64, _BOOL,
    _INT8, _INT16, _INT32, _INT64, _UINT8, _UINT16, _UINT32,
)  # fmt: skip

#: the lowest and highest number of the packed types, which CAST takes from float32 and to float32 only
_PACKED = {TensorType.INT4: (-8, 7), TensorType.INT2: (-2, 1), TensorType.UINT4: (0, 15)}

#: the casts from float32 that saturate, and what becomes of NaN
_SATURATING = {_INT32: 2**31 - 1, _INT16: 0, _UINT8: 0}

# (from, to): how many numbers are converted at once, and how many there must be for that to begin
_AT_ONCE = {
    **{(_FLOAT32, out): (32, 32) for out in (_INT8, _INT16, _UINT16, _UINT32)},
    **{(source, out): (16, 24) for source in (_FLOAT16, _FLOAT64) for out in (_INT8, _UINT8)},
    **{(source, out): (16, 16) for source in (_FLOAT16, _FLOAT64) for out in (_INT16, _UINT16)},
    **{(_BFLOAT16, out): (8, 8) for out in (_INT8, _UINT8, _INT16, _UINT16)},
    (_FLOAT16, _UINT32): (16, 28),
    (_BFLOAT16, _UINT32): (16, 20),
    (_FLOAT64, _UINT32): (16, 16),
}


@kernel("CAST")
def cast(op: Operator) -> Run:
    """Numbers from one type to another, whatever their quantization.

    Integers wrap, anything but zero is True, complex numbers lose their imaginary part, floats of 16 bits are made from
    float32 and a float becomes the whole number towards zero. What the type of integers cannot hold is undefined in
    C++: here it becomes what the x86-64 build of tensorflow 2.21.0 makes of it, see `_one_by_one` and `_at_once`. To
    packed types float32 saturates, and NaN becomes the highest number. What types the options name changes nothing.
    Source: kernels/cast.cc.
    """
    x, out = op.input(0), op.output()
    out.shape = x.dims
    source, target = x.type, out.type
    options = op.options if isinstance(op.options, CastOptions) else CastOptions()
    if not {options.in_data_type, options.out_data_type} <= set(TensorType):
        raise op.invalid("its options name a type that does not exist")
    if source in _PACKED and target == _FLOAT32:
        return lambda x: x.astype(np.float32)
    if source == _FLOAT32 and target in _PACKED:
        low, high = _PACKED[target]
        return lambda x: np.where(np.isnan(x), high, np.clip(np.trunc(x), low, high)).astype(out.dtype)
    if source not in _NUMBERS or target not in _NUMBERS:
        raise op.unsupported()
    if source == target:
        return lambda x: x
    return lambda x: _converted(_real(x, source), source, target)


@kernel("CAST", profile="micro")
def micro_cast(op: Operator) -> Run:
    """As CAST, but floats saturate to every type of integers, and NaN becomes 0.

    Source: tensorflow/lite/micro/kernels/cast.cc; C++ leaves it undefined, this is what the Python package does.
    """
    run = cast(op)
    if op.input(0).type != _FLOAT32 or op.output().type in (_FLOAT32, _BOOL):
        return run
    dtype = op.output().dtype
    return lambda x: _saturated(np.trunc(np.nan_to_num(x.astype(np.float64), nan=0)), dtype)


def _real(x: Array, source: TensorType) -> Array:
    """The numbers in a type that NumPy has, complex ones by their real part."""
    if source == _BFLOAT16:
        return from_bfloat16(x)
    return x.real if source == _COMPLEX64 else x


def _converted(x: Array, source: TensorType, target: TensorType) -> Array:
    if target == _BFLOAT16:
        return to_bfloat16(x.astype(np.float32))
    if target in (_FLOAT16, _COMPLEX64):
        return x.astype(np.float32).astype(numpy_dtype(target))
    if target == _BOOL:
        return x != 0
    if x.dtype.kind != "f" or target in (_FLOAT32, _FLOAT64):
        return x.astype(numpy_dtype(target))
    whole = np.trunc(x.reshape(-1).astype(np.float64))
    block, fewest = _AT_ONCE.get((source, target), (1, np.inf))
    count = whole.size // block * block if whole.size >= fewest else 0
    together, rest = _at_once(whole[:count], source, target), _one_by_one(whole[count:], source, target)
    return np.concatenate([together, rest]).reshape(x.shape)


def _one_by_one(whole: Float64s, source: TensorType, target: TensorType) -> Array:
    """The low bits of the number as int32, for types of 8 and 16 bits, and as int64, for uint32.

    What does not fit that one either is its lowest number. Only some casts from float32 saturate.
    """
    dtype = numpy_dtype(target)
    if source == _FLOAT32 and target in _SATURATING:
        return _saturated(np.where(np.isnan(whole), _SATURATING[target], whole), dtype)
    through = np.dtype(np.int64 if target in (_UINT32, _INT64) else np.int32)
    return _or_lowest(whole, through).astype(dtype)


def _at_once(whole: Float64s, source: TensorType, target: TensorType) -> Array:
    """As instructions for several numbers have it: as int32, the lowest one for what does not fit, then saturated."""
    dtype = numpy_dtype(target)
    if target == _UINT32:
        fits = (whole >= -(2.0**31)) & (whole < 2.0**32)
        return np.where(fits, whole, 2.0**31).astype(np.int64).astype(dtype)
    if source == _FLOAT32 and target == _INT16:
        return _saturated(np.where(np.isnan(whole), -np.inf, whole), dtype)
    integers = _or_lowest(whole, np.dtype(np.int32))
    if source in (_FLOAT64, _FLOAT16) and target == _UINT8:  # saturated to uint16, read as int16, saturated to uint8
        integers = np.where(integers > 32767, 0, integers)
    return _saturated(integers, dtype)


def _saturated(x: Array, dtype: np.dtype[Any]) -> Array:
    limits = np.iinfo(dtype)
    return np.clip(x, limits.min, limits.max).astype(dtype)


def _or_lowest(whole: Float64s, dtype: np.dtype[Any]) -> Array:
    """Whole numbers as signed integers; those beyond the type, and NaN, as the lowest of it."""
    bound = 2.0 ** (8 * dtype.itemsize - 1)
    return np.where((whole >= -bound) & (whole < bound), whole, -bound).astype(dtype)


@kernel("BITCAST")
def bitcast(op: Operator) -> Run:
    """The same bytes as another type; a smaller type adds a dimension, a larger one takes the last away.

    For packed types the real kernel copies beyond the end of its output. Source: kernels/bitcast.cc.
    """
    x, out = op.input(0), op.output()
    before, after = x.dtype.itemsize, out.dtype.itemsize
    if object in (x.dtype, out.dtype) or x.type in PACKED_BITS or out.type in PACKED_BITS:
        raise op.unsupported()
    if before > after:
        out.shape = (*x.dims, before // after)
    elif before == after:
        out.shape = x.dims
    elif not x.dims or x.dims[-1] != after // before:
        raise op.invalid(f"the last dimension of shape {x.dims} must be {after // before}")
    else:
        out.shape = x.dims[:-1]
    shape, dtype = out.shape, out.dtype
    return lambda x: np.ascontiguousarray(x).reshape(-1).view(dtype).reshape(shape)
