"""log and pow of float32 with the bits of the GNU C library (logf, powf of glibc 2.28 to 2.40).

Both write x = 2**k * z with z near 1, look up c near 1/z in a table of 16 and have r = z * c - 1, so small that a
polynomial of few terms gives log(1 + r): log(x) = k * ln 2 - log(c) + log(1 + r). All in float64, in the order of the
library, which fuses products with sums, rounded once to float32 (`refquant.numerics.fused`). `pow` is
exp2(y * log2(x)), where `exp2` is as in `refquant.numerics.libm`. tests/numerics/test_libm.py compares with the
library of the machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.blocks import in_blocks
from refquant.numerics.fused import MultiplyAdd, rounded

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]


def _numbers(hexadecimal: str) -> Float64s:
    return np.array([float.fromhex(number) for number in hexadecimal.split()])


_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_RECIPROCALS = _numbers("""
        0x1.661ec79f8f3bep+0 0x1.571ed4aaf883dp+0 0x1.49539f0f010b0p+0 0x1.3c995b0b80385p+0
        0x1.30d190c8864a5p+0 0x1.25e227b0b8ea0p+0 0x1.1bb4a4a1a343fp+0 0x1.12358f08ae5bap+0
        0x1.0953f419900a7p+0 0x1.0000000000000p+0 0x1.e608cfd9a47acp-1 0x1.ca4b31f026aa0p-1
        0x1.b2036576afce6p-1 0x1.9c2d163a1aa2dp-1 0x1.886e6037841edp-1 0x1.767dcf5534862p-1
        """)
_NATURAL = _numbers("""
        -0x1.57bf7808caadep-2 -0x1.2bef0a7c06ddbp-2 -0x1.01eae7f513a67p-2 -0x1.b31d8a68224e9p-3
        -0x1.6574f0ac07758p-3 -0x1.1aa2bc79c8100p-3 -0x1.a4e76ce8c0e5ep-4 -0x1.1973c5a611cccp-4
        -0x1.252f438e10c1ep-5 0x0p+0 0x1.aa5aa5df25984p-5 0x1.c5e53aa362eb4p-4
        0x1.526e57720db08p-3 0x1.bc2860d224770p-3 0x1.1058bc8a07ee1p-2 0x1.4043057b6ee09p-2
        """)
_BINARY = _numbers("""
        -0x1.efec65b963019p-2 -0x1.b0b6832d4fca4p-2 -0x1.7418b0a1fb77bp-2 -0x1.39de91a6dcf7bp-2
        -0x1.01d9bf3f2b631p-2 -0x1.97c1d1b3b7af0p-3 -0x1.2f9e393af3c9fp-3 -0x1.960cbbf788d5cp-4
        -0x1.a6f9db6475fcep-5 0x0p+0 0x1.338ca9f24f53dp-4 0x1.476a9543891bap-3
        0x1.e840b4ac4e4d2p-3 0x1.40645f0c6651cp-2 0x1.88e9c2c1b9ff8p-2 0x1.ce0a44eb17bccp-2
        """)
_LOG = _numbers("-0x1.00ea348b88334p-2 0x1.5575b0be00b6ap-2 -0x1.ffffef20a4123p-2")
_LOG2 = _numbers(
    "0x1.27616c9496e0bp-2 -0x1.71969a075c67ap-2 0x1.ec70a6ca7baddp-2 -0x1.7154748bef6c8p-1 0x1.71547652ab82bp+0"
)
_EXP2 = _numbers("0x1.c6af84b912394p-5 0x1.ebfce50fac4f3p-3 0x1.62e42ff0c52d6p-1")
_POWERS = np.exp2(np.arange(32) / 32)
_LARGEST_POWER = float.fromhex("0x1.fffffffd1d571p+6")


@in_blocks
@np.errstate(all="ignore")
def log(x: Float32s) -> Float32s:
    """log(x) of float32 numbers, as logf: -infinity of zeros, NaN below.

    >>> float(log(np.float32(2))).hex()
    '0x1.62e4300000000p-1'
    """
    entry, z, k = _reduced(x)
    result = rounded(_log, z, _RECIPROCALS[entry], _NATURAL[entry], k)
    result = np.where(x == 0, np.float32(-np.inf), np.where(x < 0, np.float32(np.nan), result))
    special: Float32s = np.where(np.isnan(x) | (x == np.inf), x, result)
    return special


def _log(multiply_add: MultiplyAdd, z: Any, reciprocal: Any, natural: Any, k: Any) -> Any:
    """log(2**k * z), with the tabulated reciprocal near 1/z and its logarithm with the other sign."""
    a0, a1, a2 = _LOG
    r = multiply_add(z, reciprocal, -1.0)
    r2 = r * r
    y0 = multiply_add(k, _LN2, natural)
    return multiply_add(multiply_add(r2, a0, multiply_add(r, a1, a2)), r2, y0 + r)


@np.errstate(all="ignore")
def pow(x: npt.ArrayLike, y: npt.ArrayLike) -> Float32s:
    """x to the power y of float32 numbers, as powf, with all the special cases of the C standard.

    >>> float(pow(np.float32(-2), np.float32(3))), float(pow(np.float32(0), np.float32(-1)))
    (-8.0, inf)
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    wide = y.astype(np.float64)
    whole = np.isfinite(y) & (np.trunc(wide) == wide)
    odd = whole & (np.abs(wide) < 2**24) & (np.fmod(np.where(whole, wide, 0), 2) != 0)
    magnitude = np.abs(x)
    entry, z, k = _reduced(np.where(np.isfinite(x), magnitude, np.float32(1)))
    finite = np.where(np.isfinite(y), wide, 0)
    result = rounded(_pow, z, _RECIPROCALS[entry], _BINARY[entry], k, finite)
    # What a zero, an infinity, or an infinite power makes of it: 0, 1 or infinity, by the size of both.
    vanishes = ((magnitude == 0) & (y > 0)) | ((magnitude == np.inf) & (y < 0))
    vanishes |= ((magnitude < 1) & (y == np.inf)) | ((magnitude > 1) & (y == -np.inf))
    explodes = ((magnitude == 0) & (y < 0)) | ((magnitude == np.inf) & (y > 0))
    explodes |= ((magnitude < 1) & (y == -np.inf)) | ((magnitude > 1) & (y == np.inf))
    result = np.where(vanishes, np.float32(0), np.where(explodes, np.float32(np.inf), result))
    result = np.where((magnitude == 1) & np.isinf(y), np.float32(1), result)
    result = np.where(odd & np.signbit(x), -result, result)
    undefined = (x < 0) & np.isfinite(x) & np.isfinite(y) & ~whole
    result = np.where(np.isnan(x) | np.isnan(y) | undefined, np.float32(np.nan), result)
    final: Float32s = np.where((y == 0) | (x == 1), np.float32(1), result)
    return final


def _reduced(x: Float32s) -> tuple[Any, Float64s, Float64s]:
    """The place in the tables, z and k of positive finite numbers; whatever of others."""
    subnormal = (x > 0) & (x < np.float32(2.0**-126))
    bits = np.where(subnormal, x * np.float32(2.0**23), x).astype(np.float32).view(np.int32)
    offset = bits.astype(np.int64) - 0x3F330000
    entry = (offset >> 19) & 15
    k = (offset >> 23) - np.where(subnormal, 23, 0)
    z = (bits.astype(np.int64) - ((offset >> 23) << 23)).astype(np.int32).view(np.float32)
    return entry, z.astype(np.float64), k.astype(np.float64)


def _pow(multiply_add: MultiplyAdd, z: Any, reciprocal: Any, binary: Any, k: Any, y: Any) -> Any:
    """(2**k * z)**y, in the precision that powf has: 2**(y * log2(2**k * z))."""
    a0, a1, a2, a3, a4 = _LOG2
    r = multiply_add(z, reciprocal, -1.0)
    r2 = r * r
    rest = multiply_add(multiply_add(r, a2, a3), r2, multiply_add(r, a4, binary + k))
    x = y * multiply_add(multiply_add(r, a0, a1), r2 * r2, rest)
    limited = np.clip(x, -200.0, 200.0)
    n = np.rint(limited * 32)
    whole = n.astype(np.int64)
    power = np.ldexp(_POWERS[whole % 32], whole // 32)
    r = limited - n / 32
    c0, c1, c2 = _EXP2
    result = multiply_add(multiply_add(r, c0, c1), r * r, multiply_add(r, c2, 1.0)) * power
    return np.where(x > _LARGEST_POWER, np.inf, np.where(x <= -150, 0.0, result))
