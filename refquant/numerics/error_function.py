"""erfc of float32 with the bits of the GNU C library (erfcf of glibc 2.28 to 2.40).

It is the float32 version of the algorithm of Sun's fdlibm: rational functions on five intervals, and for |x| >= 1.25
an exponential whose argument is split so that its square is exact. tests/numerics/test_libm.py compares with the
library of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics import libm
from refquant.numerics.blocks import in_blocks

Float32s = npt.NDArray[np.float32]
_f = np.float32


def _constants(*values: float) -> list[Any]:
    return [_f(value) for value in values]


# erf(x) = x + x * P(x**2) / Q(x**2) below 0.84375
_P0 = _constants(1.2837916613e-01, -3.2504209876e-01, -2.8481749818e-02, -5.7702702470e-03, -2.3763017452e-05)
_Q0 = _constants(1, 3.9791721106e-01, 6.5022252500e-02, 5.0813062117e-03, 1.3249473704e-04, -3.9602282413e-06)
# erf(x) = 0.845… + P(|x| - 1) / Q(|x| - 1) below 1.25
_ERF_OF_ONE = _f(8.4506291151e-01)
_P1 = _constants(
    -2.3621185683e-03, 4.1485610604e-01, -3.7220788002e-01, 3.1834661961e-01, -1.1089469492e-01, 3.5478305072e-02,
    -2.1663755178e-03,
)  # fmt: skip
_Q1 = _constants(
    1, 1.0642088205e-01, 5.4039794207e-01, 7.1828655899e-02, 1.2617121637e-01, 1.3637083583e-02, 1.1984500103e-02
)
# erfc(x) = exp(-x**2 - 0.5625 + P(1/x**2) / Q(1/x**2)) / x, below 1/0.35 and beyond
_P2 = _constants(
    -9.8649440333e-03, -6.9385856390e-01, -1.0558626175e01, -6.2375331879e01, -1.6239666748e02, -1.8460508728e02,
    -8.1287437439e01, -9.8143291473e00,
)  # fmt: skip
_Q2 = _constants(
    1, 1.9651271820e01, 1.3765776062e02, 4.3456588745e02, 6.4538726807e02, 4.2900814819e02, 1.0863500214e02,
    6.5702495575e00, -6.0424413532e-02,
)  # fmt: skip
_P3 = _constants(
    -9.8649431020e-03, -7.9928326607e-01, -1.7757955551e01, -1.6063638306e02, -6.3756646729e02, -1.0250950928e03,
    -4.8351919556e02,
)  # fmt: skip
_Q3 = _constants(
    1, 3.0338060379e01, 3.2579251099e02, 1.5367296143e03, 3.1998581543e03, 2.5530502930e03, 4.7452853394e02,
    -2.2440952301e01,
)  # fmt: skip


@in_blocks
@np.errstate(all="ignore")
def erfc(x: Float32s) -> Float32s:
    """1 - erf(x) of float32 numbers, as erfcf.

    >>> float(erfc(np.float32(0))), float(erfc(np.float32(30)))
    (1.0, 0.0)
    """
    magnitude = np.abs(x)
    one, two = _f(1), _f(2)
    z = x * x
    y = _horner(z, _P0) / _horner(z, _Q0)
    near = np.where(x < _f(0.25), one - (x + x * y), _f(0.5) - (x * y + (x - _f(0.5))))
    near = np.where(magnitude < _f(2.0**-56), one - x, near)
    s = magnitude - one
    quotient = _horner(s, _P1) / _horner(s, _Q1)
    middle = np.where(x >= 0, (one - _ERF_OF_ONE) - quotient, one + (_ERF_OF_ONE + quotient))
    tail = _tail(magnitude)
    far = np.where(x > 0, tail, two - tail)
    far = np.where((x < -6) & (magnitude >= _f(1 / 0.35)), two, far)
    beyond = np.where(x > 0, _f(0), two)
    steps = [magnitude < _f(0.84375), magnitude < _f(1.25), magnitude < _f(28)]
    result: Float32s = np.where(np.isnan(x), x, np.select(steps, [near, middle, far], beyond)).astype(np.float32)
    return result


def _tail(x: Float32s) -> Float32s:
    """erfc of x >= 1.25."""
    s = _f(1) / (x * x)
    ratio = np.where(x < _f(1 / 0.35), _horner(s, _P2) / _horner(s, _Q2), _horner(s, _P3) / _horner(s, _Q3))
    z = (x.view(np.int32) & -0x2000).view(np.float32)  # so few bits that its square is exact
    result: Float32s = libm.exp(-z * z - _f(0.5625)) * libm.exp((z - x) * (z + x) + ratio) / x
    return result


def _horner(x: Float32s, coefficients: Sequence[Any]) -> Float32s:
    """c0 + x * (c1 + x * (c2 + …))."""
    total = np.broadcast_to(coefficients[-1], x.shape)
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + x * total
    return total
