"""A function of an 8-bit or 16-bit integer is a table of 256 or 65,536 entries.

`tabulate` makes such a table by asking the function for every value of the type, so that what is written as a
formula over arrays is computed once, when planning. The tables that the runtimes themselves make, with roundings of
their own, are `int8_table` (one entry for each value) and `Int16Table` (513 entries, and interpolation in between).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, is_heard, noted

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]

_BLOCK = 1 << 15


def every_value(dtype: npt.DTypeLike) -> Array:
    """Every value of an 8-bit or 16-bit integer type, in the order of its bits read as unsigned.

    >>> every_value(np.int8)[[0, 1, 127, 128, 255]]
    array([   0,    1,  127, -128,   -1], dtype=int8)
    """
    dtype = np.dtype(dtype)
    return np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)


def tabulate(function: Function, dtype: npt.DTypeLike) -> Function:
    """The function as a table: what it returns does what `function` does, for arrays of `dtype`.

    Where somebody listens to the steps of the function, it is the function itself that computes.

    >>> tabulate(lambda x: x * 2.0, np.int8)(np.int8([-3, 5]))
    array([-6., 10.])
    """
    table = function(every_value(dtype))
    unsigned = f"u{np.dtype(dtype).itemsize}"
    if np.dtype(dtype).itemsize == table.dtype.itemsize == 1:
        translate = _translation(table)
        return lambda x: function(x) if is_heard() else translate(x)
    return lambda x: function(x) if is_heard() else _look_up(table, x.view(unsigned))


def tabulate_pairs(function: Callable[[Array, Array], Array], dtype: npt.DTypeLike) -> Callable[[Array, Array], Array]:
    """As `tabulate`, for a function of two arrays of an 8-bit `dtype`, which are broadcast: 65,536 entries.

    >>> tabulate_pairs(np.maximum, np.int8)(np.int8([[-3], [5]]), np.int8([0, 9]))
    array([[0, 9],
           [5, 9]], dtype=int8)
    """
    values = every_value(dtype)
    table = function(np.repeat(values, 256), np.tile(values, 256))

    def look_up(x: Array, y: Array) -> Array:
        high, low = (array.view(np.uint8).astype(np.uint16) for array in (x, y))
        high <<= 8
        return _look_up(table, high | low)

    return look_up


def _translation(table: Array) -> Function:
    """Bytes by a table of 256 bytes, for which Python has the quickest loop."""
    entries = table.tobytes()

    def translate(x: Array) -> Array:
        numbers = np.frombuffer(bytearray(np.ascontiguousarray(x)).translate(entries), table.dtype)
        return numbers.reshape(x.shape)

    return translate


def _look_up(table: Array, index: Array) -> Array:
    """table[index], in blocks: NumPy makes 64-bit numbers of the indices, which are to stay in the cache."""
    if index.size <= _BLOCK:
        return table.take(index, mode="clip")
    result = np.empty(index.shape, table.dtype)
    places, numbers = index.reshape(-1), result.reshape(-1)
    for begin in range(0, places.size, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        np.take(table, places[block], out=numbers[block], mode="clip")  # no index is out of range, and this is quicker
    return result


def int8_table(
    function: Function, dtype: npt.DTypeLike, scale: np.float32, zero_point: int, out_scale: np.float32, out_zero: int
) -> Function:
    """A float32 function of int8 or uint8 numbers: dequantized, computed, quantized, all in float32.

    y = clamp(round(f(scale * (x - zero_point)) * (1 / out_scale)) + out_zero), halves away from zero. NaN becomes 0;
    for uint8 also what is beyond int32, as the conversion of x86-64 processors has it.
    Source: LUTPopulate in kernels/internal/common.h.
    """
    limits = np.iinfo(dtype)

    def entry(x: Array) -> Array:
        real = noted("input, dequantized", scale * (x.astype(np.int32) - zero_point).astype(np.float32))
        with np.errstate(over="ignore"):
            value = noted("function in float32", function(real))
            scaled = noted("times 1 / output scale", value * (np.float32(1) / out_scale))
            rescaled = noted(ZERO_POINT_ADDED, noted(ROUNDED, round_half_away(scaled)) + np.float32(out_zero))
        becomes_0 = np.isnan(rescaled) | ((rescaled >= 2.0**31) & (limits.min == 0))
        limited = np.where(becomes_0, 0, np.clip(rescaled, limits.min, limits.max)).astype(dtype)
        return noted(f"limited to {limits.min} … {limits.max}", limited)

    return tabulate(entry, dtype)


class Int16Table:
    """A function on an interval, as 513 int16 entries with straight lines between them.

    Entry i stands for low + i * (high - low) / 512. Each entry is moved by half of the error that interpolation
    makes in the middle of its interval. Computed in the precision of `low`, which must be a NumPy float (or Python's,
    which is float64). Source: LUTPopulate and LUTLookup in kernels/internal/common.h.

    The index is a number of 16 bits: its upper nine choose the entry, its lower seven the place up to the next.
    """

    def __init__(self, function: Function, low: Any, high: Any, out_low: Any, out_high: Any) -> None:
        real = np.asarray(low).dtype.type
        step = (high - low) / real(512)
        scale = real(65536) / (out_high - out_low)
        i = np.arange(512).astype(real)
        with np.errstate(over="ignore", invalid="ignore"):
            value = function(low + i * step)
            middle = function(low + i * step + step / real(2))
            following = function(low + (i + real(1)) * step)
            sample = round_half_away(value * scale)
            interpolated = round_half_away((following * scale + sample) / real(2))
            correction = round_half_away((interpolated - round_half_away(middle * scale)) / real(2))
            last = round_half_away(function(np.array([high])) * scale)
            entries = np.clip(np.append(sample - correction, last), -32768, 32767)
        self.entries = np.where(np.isnan(entries), 0, entries).astype(np.int64)

    @classmethod
    def of_scales(
        cls, function: Function, scale: np.float32, zero_point: int, out_scale: np.float32, out_zero: int
    ) -> Int16Table:
        """The table of a float32 function of all int16 numbers with this scale and zero point, in float32."""

        def real(scale: np.float32, zero_point: int) -> list[np.float32]:
            return [scale * np.float32(np.int64(end - zero_point).astype(np.int32)) for end in (-32768, 32767)]

        return cls(function, *real(scale, zero_point), *real(out_scale, out_zero))

    def __call__(self, x: Array) -> Array:
        """The values at `x`, integers from -32768 to 32767, as int64."""
        index = 256 + (x >> 7)
        base = noted("entry of the table", self.entries[index])
        slope = (self.entries[index + 1] - base).astype(np.int16).astype(np.int64)  # a steeper one wraps
        noted("slope to the next entry", slope), noted("128ths of the way there", x & 127)
        return noted("interpolated", base + ((slope * (x & 127) + 64) >> 7))


def round_half_away(x: Any) -> Any:
    """The nearest whole number, halves away from zero, in the precision of `x`, as C's round.

    >>> round_half_away(np.array([0.5, -0.5, 2.5, 0.49999999999999994]))
    array([ 1., -1.,  3.,  0.])
    """
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is no half
        up = np.abs(x - whole) >= 0.5
    return whole + np.where(up, np.sign(x), 0).astype(np.asarray(x).dtype)
