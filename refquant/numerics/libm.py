"""The C library's float32 functions, with the C library's bits.

The float kernels of TensorFlow Lite call expf and tanhf of the system they run on; NumPy's own float32 functions
round differently. These are the algorithms of the GNU C library (glibc 2.28 to 2.40), in the order in which it
computes:

* `exp` works in float64: x / ln 2 = k / 32 + r, and exp(x) = 2**(k/32) * p(r) with a tabulated 2**(k/32) and a cubic
  p, whose products the library fuses with its sums; one rounding to float32 at the end (`refquant.numerics.fused`).
* `expm1` and `tanh` are the float32 versions of the algorithms of Sun's fdlibm.

All three had the bits of glibc 2.36 on an x86-64 processor with fused multiply-add for every 257th of the 2**32 bit
patterns (16,711,936 numbers each, none different); tests/numerics/test_libm.py compares a part of them again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.blocks import in_blocks
from refquant.numerics.fused import MultiplyAdd, rounded

Float32s = npt.NDArray[np.float32]

_STEPS = 32  # entries of the table of 2**(k/32)
_POWERS = np.exp2(np.arange(_STEPS) / _STEPS).view(np.int64)  # as bits, of which the upper 12 are the exponent
_STEPS_OVER_LN2 = float.fromhex("0x1.71547652b82fep+0") * _STEPS
_CUBIC = (
    float.fromhex("0x1.c6af84b912394p-5") / _STEPS**3,
    float.fromhex("0x1.ebfce50fac4f3p-3") / _STEPS**2,
    float.fromhex("0x1.62e42ff0c52d6p-1") / _STEPS,
)
_OVERFLOW, _UNDERFLOW = float.fromhex("0x1.62e42ep6"), float.fromhex("-0x1.9fe368p6")


@in_blocks
def exp(x: Float32s) -> Float32s:
    """exp(x) of float32 numbers, as expf of glibc.

    >>> float(exp(np.float32(1))).hex()                     # e = 2.718281828…, rounded to float32
    '0x1.5bf0a80000000p+1'
    """
    is_within = bool(x.min(initial=0) >= _UNDERFLOW and x.max(initial=0) <= _OVERFLOW)  # no NaN either
    wide = (x if is_within else np.clip(np.where(np.isnan(x), np.float32(0), x), -200, 200)).astype(np.float64)
    k = np.rint(wide * _STEPS_OVER_LN2)
    whole = k.astype(np.int64)
    power = (_POWERS.take(whole & (_STEPS - 1)) + ((whole >> 5) << 52)).view(np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = rounded(_exp, wide, k, power)
        if is_within:
            return result
        result = np.where(x > _OVERFLOW, np.float32(np.inf), np.where(x < _UNDERFLOW, np.float32(0), result))
        return np.where(np.isnan(x), x + x, result)


def _exp(multiply_add: MultiplyAdd, x: Any, k: Any, power: Any) -> Any:
    """exp(x) with the k nearest to 32 x / ln 2, and power = 2**(k / 32)."""
    r = multiply_add(x, _STEPS_OVER_LN2, -k)
    c3, c2, c1 = _CUBIC
    return multiply_add(multiply_add(r, c3, c2), r * r, multiply_add(r, c1, 1.0)) * power


@in_blocks
def expm1(x: Float32s) -> Float32s:
    """exp(x) - 1 of float32 numbers, as expm1f of glibc.

    >>> float(expm1(np.float32(0.5)))                       # 0.6487212707…
    0.6487212777137756
    """
    f = np.float32
    magnitude = np.abs(x)
    with np.errstate(all="ignore"):
        # x = k ln 2 + reduced, with what rounding lost of `reduced` in `lost`; ln 2 in two parts
        near = magnitude < _float_of(0x3F851592)  # 1.5 ln 2
        k = np.where(near, np.sign(x), np.trunc(_INVERSE_LN2 * x + np.copysign(f(0.5), x))).astype(np.int64)
        k = np.where(magnitude > _float_of(0x3EB17218), np.where(np.isfinite(x), k, 0), 0)  # above 0.5 ln 2
        k = _limited(k, -400, 400)
        high = x - k.astype(f) * _LN2_HIGH
        low = k.astype(f) * _LN2_LOW
        reduced = high - low
        lost = (high - reduced) - low
        reduced, lost = np.where(k == 0, x, reduced), np.where(k == 0, f(0), lost)

        half = f(0.5) * reduced
        square = reduced * half
        q1, q2, q3, q4, q5 = _EXPM1
        series = f(1) + square * (q1 + square * (q2 + square * (q3 + square * (q4 + square * q5))))
        t = f(3) - series * half
        e = square * ((series - t) / (f(6) - reduced * t))
        simple = reduced - (reduced * e - square)
        e = reduced * (e - lost) - lost - square

        def scale(y: Float32s) -> Float32s:
            """y * 2**k by adding to the exponent, as the C code does."""
            return (y.view(np.int32) + (k << 23).astype(np.int32)).view(f)

        one_minus = (0x3F800000 - (0x1000000 >> _limited(k, 0, 31))).astype(np.int32).view(f)  # 1 - 2**-k
        small = ((0x7F - _limited(k, -100, 126)) << 23).astype(np.int32).view(f)  # 2**-k
        result = np.select(
            [
                k == 0,
                k == -1,
                (k == 1) & (reduced < f(-0.25)),
                k == 1,
                (k <= -2) | (k > 56),
                k < 23,
            ],
            [
                simple,
                f(0.5) * (reduced - e) - f(0.5),
                f(-2) * (e - (reduced + f(0.5))),
                f(1) + f(2) * (reduced - e),
                scale(f(1) - (e - reduced)) - f(1),
                scale(one_minus - (e - reduced)),
            ],
            scale((reduced - (e + small)) + f(1)),
        )
        result = np.where(magnitude < _float_of(0x33000000), x, result)  # below 2**-25
        result = np.where((x < 0) & (magnitude >= _float_of(0x4195B844)), f(-1), result)  # 27 ln 2
        result = np.where(x >= _float_of(0x42B17218), f(np.inf), result)  # overflow
        return np.where(np.isnan(x), x + x, result)


@in_blocks
def tanh(x: Float32s) -> Float32s:
    """tanh(x) of float32 numbers, as tanhf of glibc.

    >>> float(tanh(np.float32(0.5)))                        # 0.4621171572…
    0.46211716532707214
    """
    f = np.float32
    magnitude = np.abs(x)
    with np.errstate(all="ignore"):
        is_large = magnitude >= 1
        t = expm1(np.where(is_large, f(2), f(-2)) * magnitude)
        result = np.where(is_large, f(1) - f(2) / (t + f(2)), -t / (t + f(2)))
        result = np.where(magnitude >= 22, f(1), result)
        result = np.where(x < 0, -result, result)
        result = np.where(magnitude < _float_of(0x24000000), x * (f(1) + x), result)  # below 2**-55
        return np.where(np.isnan(x), x + x, result)


@in_blocks
def logistic(x: Float32s) -> Float32s:
    """1 / (1 + exp(-x)) in float32, as the kernels write it.

    >>> float(logistic(np.float32(0)))
    0.5
    """
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + exp(-x))


def _limited(k: Any, low: int, high: int) -> Any:
    """Integers from `low` to `high`: what np.clip does, which asks for the limits of the type each time."""
    return np.minimum(np.maximum(k, low), high)


def _float_of(bits: int) -> Any:
    """The float32 with these bits."""
    return np.uint32(bits).view(np.float32)


_LN2_HIGH, _LN2_LOW = _float_of(0x3F317180), _float_of(0x3717F7D1)
_INVERSE_LN2 = _float_of(0x3FB8AA3B)
_EXPM1 = tuple(_float_of(b) for b in (0xBD088889, 0x3AD00D01, 0xB8A670CD, 0x36867E54, 0xB457EDBB))
