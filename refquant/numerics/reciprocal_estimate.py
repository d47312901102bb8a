"""The reciprocal that the processor estimates: RCPPS, which x86-64 leaves to each maker.

Intel and AMD promise 1/x within 1.5 * 2**-12 and have different tables, so a float32 result that goes through it
depends on the processor. TensorFlow Lite's float GELU does, by way of Eigen. Both tables here were measured for all
2**23 mantissas:

* `ZEN`, AMD's EPYC of Zen 4: the estimate depends on the first 12 bits after the point, read as three digits a, b, c of
  4 bits, and is P[a, b] + N[a, c] in units of 2**-13, a bipartite table (Das Sarma and Matula, 1995,
  https://doi.org/10.1109/ARITH.1995.465381).
* `INTEL`, a Xeon of Cascade Lake: it depends on the first 11 bits, and is the reciprocal of the middle of the numbers
  that begin with them, rounded to the nearest unit of 2**-13.

Both have the same at the ends: an infinity for subnormal numbers, a zero where the reciprocal would be one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]
_SMALLEST_NORMAL, _LARGE = np.float32(2.0**-126), np.float32(2.0**126)

# By how much each entry is lower than the one before it, a digit of base 36 each.
_P_STEPS = (
    "wvwuvvuuuutttttussrsrrrrrqqqqqprpppopoooononnnnomnmmmmmlmlllllkmkkkkkkjkjkjjjjijijiiiiiihihihhhihghh"
    "gghgggggfgggfgfffffffefefefeefedeeedeeddeddedddcdddcdcdccdccccccccbccbcbcbbcbbbbbbbbbbababbbaabaaaab"
    "aaa9aaaa9aa9a9a9a999a99a9999989999899898989889888988888"
)
_N_STEPS = (
    "212222222122222",
    "122122122122122",
    "121121212121212",
    "112112112112112",
    "111121112111121",
    "112111111112111",
    "111111111111111",
    "111110111111111",
    "110111111011111",
    "101111011110111",
    "110110111011101",
    "101101101101101",
    "011010110110101",
    "011010110101101",
    "010101011010101",
    "010101101010101",
)


def _bipartite() -> Float32s:
    p = 8190 - np.cumsum([0, *(int(step, 36) for step in _P_STEPS)])
    n = -np.cumsum([[0, *(int(step, 36) for step in row)] for row in _N_STEPS], axis=1)
    return np.ldexp((p.reshape(16, 16, 1) + n[:, None, :]).reshape(-1).astype(np.float32), -13)


def _of_middles() -> Float32s:
    middle = 1 + (np.arange(2048) + 0.5) / 2048
    return np.repeat(np.ldexp(np.rint(2**13 / middle).astype(np.float32), -13), 2)


#: the estimates of 1 + i / 4096 for i from 0 to 4095, each also that of all numbers up to the next
ZEN, INTEL = _bipartite(), _of_middles()


def reciprocal_estimate(x: Float32s, estimates: Float32s) -> Float32s:
    """About 1 / x by a table like `ZEN`; zero from 2**126 on and infinite for subnormal numbers, with the sign of x.

    >>> x = np.array([2.0], np.float32)
    >>> float(reciprocal_estimate(x, ZEN)[0]), float(reciprocal_estimate(x, INTEL)[0])
    (0.499877..., 0.499877...)
    """
    magnitude = np.abs(x)
    fraction, exponent = np.frexp(magnitude)
    place = np.where(np.isfinite(x), fraction * np.float32(8192), np.float32(4096)).astype(np.int32) - 4096
    estimate = np.ldexp(estimates[np.maximum(place, 0)], 1 - exponent)
    estimate = np.where(magnitude < _SMALLEST_NORMAL, np.float32(np.inf), estimate)
    estimate = np.where(magnitude >= _LARGE, np.float32(0), estimate)
    result: Float32s = np.where(np.isnan(x), x, np.copysign(estimate, x))
    return result


@np.errstate(all="ignore")
def reciprocal(x: Float32s, estimates: Float32s) -> Float32s:
    """1 / x, by one step of Newton's method from the table's estimate: y + y * (1 - x * y), as Eigen's preciprocal.

    Source: generic_reciprocal_newton_step in Eigen/src/Core/MathFunctionsImpl.h.
    """
    y = reciprocal_estimate(x, estimates)
    error = np.float32(1) - x * y
    result: Float32s = np.where(np.isnan(error), y, y + y * error)
    return result
