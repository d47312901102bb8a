"""The Fourier transform in float64 in the order of operations of Ooura's split-radix routines, bit for bit.

The transform of n complex numbers is X[k] = sum over j of x[j] * exp(2 pi i j k / n), with the sign of Ooura's forward
direction. A pass takes the four quarters of the numbers apart into those that make up the frequencies 4k, 4k + 2,
4k + 1 and 4k + 3. The second of them would have to be turned by exp(2 pi i j / (n/2)) first; split radix leaves that
to a second kind of pass ("turned"), which multiplies only where it must. Blocks of 8 or 16 numbers are done in one
piece. The frequencies come out in bit-reversed order.

A complex number is a pair of arrays here, real and imaginary part: NumPy's own complex product may fuse.

Source: cftfsub, rftfsub and their parts in fftsg.c, rdft2d in fftsg2d.c of Takuya Ooura's package "fft2d", which
TensorFlow Lite builds.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]
Complex = tuple[Float64s, Float64s]

_QUARTER_PI = math.atan(1.0)
_HALF_ROOT = math.cos(_QUARTER_PI)  # cos and sin of pi/4


# --- complex numbers ------------------------------------------------------------------------------------------------


def _add(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def _sub(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]


def _add_i(a: Complex, b: Complex) -> Complex:
    """a + i b"""
    return a[0] - b[1], a[1] + b[0]


def _sub_i(a: Complex, b: Complex) -> Complex:
    """a - i b"""
    return a[0] + b[1], a[1] - b[0]


def _turn(c: Any, s: Any, x: Complex) -> Complex:
    """(c + i s) x"""
    return c * x[0] - s * x[1], c * x[1] + s * x[0]


def _turn_back(c: Any, s: Any, x: Complex) -> Complex:
    """(c - i s) x"""
    return c * x[0] + s * x[1], c * x[1] - s * x[0]


def _eighth(x: Complex) -> Complex:
    """x turned by an eighth of a circle."""
    return _HALF_ROOT * (x[0] - x[1]), _HALF_ROOT * (x[1] + x[0])


def _join(parts: list[Complex], axis: int = -1) -> Complex:
    return np.concatenate([p[0] for p in parts], axis), np.concatenate([p[1] for p in parts], axis)


# --- transforms -----------------------------------------------------------------------------------------------------


def complex_transform(x: Complex) -> Complex:
    """The transform along the last axis, whose length is a power of two.

    >>> re, im = complex_transform((np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)))
    >>> re.tolist(), im.tolist()
    ([10.0, -2.0, -2.0, -2.0], [0.0, -2.0, 0.0, 2.0])
    """
    n = x[0].shape[-1]
    if n == 1:
        return x
    if n == 2:
        a, b = _points(x)
        return _join([_add(a, b), _sub(a, b)])
    if n == 4:
        parts = _four(*_points(x))
    elif n in (8, 16):
        return _reordered(_leaf(x, turned=False))
    else:
        return _reordered(_join([_blocks(quarter, i == 1) for i, quarter in enumerate(_first_pass(x))]))
    return _reordered(_join(list(parts)))


def real_transform(x: Float64s) -> Complex:
    """Frequencies 0 to n/2 of the transform of n real numbers along the last axis, n a power of two, 2 or more.

    >>> re, im = real_transform(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> re.tolist(), im.tolist()
    ([10.0, -2.0, -2.0], [0.0, -2.0, 0.0])
    """
    packed = packed_real_transform(x)
    re, im = packed
    zero = np.zeros_like(re[..., :1])
    return _join([(re[..., :1], zero), (re[..., 1:], im[..., 1:]), (im[..., :1], zero)])


def packed_real_transform(x: Float64s) -> Complex:
    """As `real_transform`, with the real number of frequency n/2 in the imaginary place of frequency 0.

    The even numbers are real parts, the odd ones imaginary parts of one transform of half the length, which is then
    taken apart.
    """
    n = x.shape[-1]
    re, im = complex_transform((x[..., 0::2], x[..., 1::2]))
    if n > 4:
        k = np.arange(1, n // 4)
        c, s = _halves(n)
        near, far = (re[..., k], im[..., k]), (re[..., n // 2 - k], im[..., n // 2 - k])
        y = _turn(c, s, (near[0] - far[0], near[1] + far[1]))
        re, im = re.copy(), im.copy()
        re[..., k], im[..., k] = near[0] - y[0], near[1] - y[1]
        re[..., n // 2 - k], im[..., n // 2 - k] = far[0] + y[0], far[1] - y[1]
    ends = re[..., :1] + im[..., :1], re[..., :1] - im[..., :1]
    return _join([ends, (re[..., 1:], im[..., 1:])])


def _first_pass(x: Complex) -> list[Complex]:
    """The pass over all numbers; every second of its factors is the mean of two neighbours, made longer."""
    return _straight(x, _interpolated(x[0].shape[-1]))


def _blocks(x: Complex, turned: bool) -> Complex:
    """One quarter, quarter of a quarter and so on, down to blocks of 8 or 16."""
    n = x[0].shape[-1]
    if n in (8, 16):
        return _leaf(x, turned)
    quarters = _turned(x) if turned else _straight(x, _factors(n, 2))
    kinds = (False, True, False, turned)
    return _join([_blocks(quarter, kind) for quarter, kind in zip(quarters, kinds)])


def _straight(x: Complex, factors: Float64s) -> list[Complex]:
    """One pass: quarters for the frequencies 4k, 4k + 2 (not yet turned), 4k + 1 and 4k + 3 (both turned)."""
    a0, a1, a2, a3 = _quarters(x)
    x0, x1, x2, x3 = _add(a0, a2), _sub(a0, a2), _add(a1, a3), _sub(a1, a3)
    u, v = _add_i(x1, x3), _sub_i(x1, x3)
    half = a0[0].shape[-1] // 2
    c1, s1, c3, s3 = factors
    # the second half of the factors is the first in reverse, with cosine and sine exchanged
    both1 = np.concatenate([c1, [0], s1[:0:-1]]), np.concatenate([s1, [0], c1[:0:-1]])
    both3 = np.concatenate([c3, [0], s3[:0:-1]]), np.concatenate([s3, [0], c3[:0:-1]])
    plus, minus = _turn(*both1, u), _turn_back(*both3, v)
    middle_u, middle_v = (u[0][..., half], u[1][..., half]), (v[0][..., half], v[1][..., half])
    for part in (0, 1):
        plus[part][..., 0], minus[part][..., 0] = u[part][..., 0], v[part][..., 0]
        plus[part][..., half] = _eighth(middle_u)[part]
    minus[0][..., half] = -_HALF_ROOT * (middle_v[0] + middle_v[1])
    minus[1][..., half] = -_HALF_ROOT * (middle_v[1] - middle_v[0])
    return [_add(x0, x2), _sub(x0, x2), plus, minus]


def _turned(x: Complex) -> list[Complex]:
    """One pass of numbers that should have been turned by exp(2 pi i j / n / 2) before."""
    n = x[0].shape[-1]
    a0, a1, a2, a3 = _quarters(x)
    x0, x1, x2, x3 = _add_i(a0, a2), _sub_i(a0, a2), _add_i(a1, a3), _sub_i(a1, a3)
    c1, s1, c3, s3 = (np.concatenate([[1.0], part]) for part in _factors(n, 1, upto=n // 4)[:, 1:])
    mirror = np.concatenate([[0], np.arange(n // 4 - 1, 0, -1)])
    y0, y2 = _turn(c1, s1, x0), _turn(s1[mirror], c1[mirror], x2)
    z0, z2 = _turn_back(c3, s3, x1), _turn_back(s3[mirror], c3[mirror], x3)
    half = n // 8
    c, s = c1[half], s1[half]
    middle1, middle3 = (x1[0][..., half], x1[1][..., half]), (x3[0][..., half], x3[1][..., half])
    first2, first3 = (x2[0][..., 0], x2[1][..., 0]), (x3[0][..., 0], x3[1][..., 0])
    for part in (0, 1):
        y0[part][..., 0], y2[part][..., 0] = x0[part][..., 0], _eighth(first2)[part]
        z0[part][..., half], z2[part][..., half] = _turn(s, c, middle1)[part], -_turn(c, s, middle3)[part]
    z0[0][..., 0], z0[1][..., 0] = x1[0][..., 0], x1[1][..., 0]
    z2[0][..., 0], z2[1][..., 0] = -_eighth(first3)[1], _eighth(first3)[0]
    return [_add(y0, y2), _sub(y0, y2), _add(z0, z2), _sub(z0, z2)]


def _four(a0: Complex, a1: Complex, a2: Complex, a3: Complex) -> list[Complex]:
    """The transform of four numbers, in bit-reversed order."""
    x0, x1, x2, x3 = _add(a0, a2), _sub(a0, a2), _add(a1, a3), _sub(a1, a3)
    return [_add(x0, x2), _sub(x0, x2), _add_i(x1, x3), _sub_i(x1, x3)]


def _leaf(x: Complex, turned: bool) -> Complex:
    size = x[0].shape[-1]
    transform = {(8, False): _eight, (8, True): _eight_turned, (16, False): _sixteen, (16, True): _sixteen_turned}
    return _join(transform[size, turned](_points(x)))


def _eight(a: list[Complex]) -> list[Complex]:
    y0, y2, y1, y3 = _four(a[0], a[2], a[4], a[6])
    x0, x1, x2, x3 = _add(a[1], a[5]), _sub(a[1], a[5]), _add(a[3], a[7]), _sub(a[3], a[7])
    y4, y6 = _add(x0, x2), _sub(x0, x2)
    y5, y7 = _eighth(_add_i(x1, x3)), _eighth(_sub_i(x1, x3))
    return [
        *(_add(y0, y4), _sub(y0, y4), _add_i(y2, y6), _sub_i(y2, y6)),
        *(_add(y1, y5), _sub(y1, y5), _add_i(y3, y7), _sub_i(y3, y7)),
    ]


def _eight_turned(a: list[Complex]) -> list[Complex]:
    c, s = _circle(2)
    y0, y1 = _add_i(a[0], a[4]), _sub_i(a[0], a[4])
    y2, y3 = _eighth(_add_i(a[2], a[6])), _eighth(_sub_i(a[2], a[6]))
    y4, y5 = _turn(c, s, _add_i(a[1], a[5])), _turn(s, c, _sub_i(a[1], a[5]))
    y6, y7 = _turn(s, c, _add_i(a[3], a[7])), _turn(c, s, _sub_i(a[3], a[7]))
    result = _pairs(_add(y0, y2), _add(y4, y6)) + _pairs_i(_sub(y0, y2), _sub(y4, y6))
    return result + _pairs(_add_i(y1, y3), _sub(y5, y7)) + _pairs_i(_sub_i(y1, y3), _add(y5, y7))


def _sixteen(a: list[Complex]) -> list[Complex]:
    c, s = _circle(2)
    y: list[list[Complex]] = []  # for each j: sum, difference, and the two that are turned
    for j in range(4):
        x0, x1 = _add(a[j], a[j + 8]), _sub(a[j], a[j + 8])
        x2, x3 = _add(a[j + 4], a[j + 12]), _sub(a[j + 4], a[j + 12])
        y.append([_add(x0, x2), _sub(x0, x2), _add_i(x1, x3), _sub_i(x1, x3)])
    y0, y1, y2, y3 = (part[0] for part in y)
    y4, y5, y6, y7 = (part[1] for part in y)
    y8, y9, y10, y11 = y[0][2], _turn(c, s, y[1][2]), _eighth(y[2][2]), _turn(s, c, y[3][2])
    v = y[2][3]
    y12, y13, y15 = y[0][3], _turn(s, c, y[1][3]), _turn(c, s, y[3][3])
    y14 = _HALF_ROOT * (v[0] + v[1]), _HALF_ROOT * (v[1] - v[0])
    return [
        *_pairs(_add(y0, y2), _add(y1, y3)),
        *_pairs_i(_sub(y0, y2), _sub(y1, y3)),
        *_pairs(_add_i(y4, y6), _eighth(_add_i(y5, y7))),
        *_pairs_i(_sub_i(y4, y6), _eighth(_sub_i(y5, y7))),
        *_pairs(_add(y8, y10), _add(y9, y11)),
        *_pairs_i(_sub(y8, y10), _sub(y9, y11)),
        *_pairs(_sub(y12, y14), _sub(y13, y15)),
        *_pairs_i(_add(y12, y14), _add(y13, y15)),
    ]


def _sixteen_turned(a: list[Complex]) -> list[Complex]:
    (c1, s1), (c2, s2), (c3, s3) = _circle(1), _circle(2), _circle(1, 3)
    plus = [_add_i(a[j], a[j + 8]) for j in range(8)]
    minus = [_sub_i(a[j], a[j + 8]) for j in range(8)]

    def both(x: Complex, y: Complex) -> tuple[Complex, Complex]:
        return _add(x, y), _sub(x, y)

    y0, y4 = both(plus[0], _eighth(plus[4]))
    y8, y12 = _add_i(minus[0], _eighth(minus[4])), _sub_i(minus[0], _eighth(minus[4]))
    y1, y5 = both(_turn(c1, s1, plus[1]), _turn(s3, c3, plus[5]))
    y13, y9 = both(_turn(c3, s3, minus[1]), _turn_back(c1, s1, minus[5]))
    y2, y6 = both(_turn(c2, s2, plus[2]), _turn(s2, c2, plus[6]))
    y14, y10 = both(_turn(s2, c2, minus[2]), _turn(c2, s2, minus[6]))
    y3, y7 = both(_turn(c3, s3, plus[3]), _turn(s1, c1, plus[7]))
    y11, y15 = both(_turn_back(s1, c1, minus[3]), _turn(s3, c3, minus[7]))
    return [
        *_pairs(_add(y0, y2), _add(y1, y3)),
        *_pairs_i(_sub(y0, y2), _sub(y1, y3)),
        *_pairs(_add_i(y4, y6), _eighth(_add_i(y5, y7))),
        *_pairs_i(_sub_i(y4, y6), _eighth(_sub_i(y5, y7))),
        *_pairs(_add(y8, y10), _sub(y9, y11)),
        *_pairs_i(_sub(y8, y10), _add(y9, y11)),
        *_pairs(_add_i(y12, y14), _eighth(_sub_i(y13, y15))),
        *_pairs_i(_sub_i(y12, y14), _eighth(_add_i(y13, y15))),
    ]


def _pairs(x: Complex, y: Complex) -> list[Complex]:
    return [_add(x, y), _sub(x, y)]


def _pairs_i(x: Complex, y: Complex) -> list[Complex]:
    return [_add_i(x, y), _sub_i(x, y)]


# --- where numbers stand, and factors -------------------------------------------------------------------------------


def _points(x: Complex) -> list[Complex]:
    return [(x[0][..., j : j + 1], x[1][..., j : j + 1]) for j in range(x[0].shape[-1])]


def _quarters(x: Complex) -> list[Complex]:
    return [(re, im) for re, im in zip(np.split(x[0], 4, -1), np.split(x[1], 4, -1))]


def _reordered(x: Complex) -> Complex:
    """From bit-reversed order to that of the frequencies."""
    order = _bit_reversal(x[0].shape[-1])
    return x[0][..., order], x[1][..., order]


@cache
def _bit_reversal(n: int) -> npt.NDArray[np.int64]:
    order = np.zeros(1, np.int64)
    while len(order) < n:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def _circle(sixteenths: int, times: int = 1) -> tuple[float, float]:
    """Cosine and sine of so many sixteenths of pi, three times as much where `times` is 3."""
    angle = times * (_QUARTER_PI / 16) * (4 * sixteenths)
    return math.cos(angle), math.sin(angle)


@cache
def _factors(n: int, step: int, upto: int | None = None) -> Float64s:
    """Rows cos a, sin a, cos 3a, -sin 3a for the angles a of j = 0, 1, … up to n/8 (or `upto`), j * step * pi / n."""
    delta = _QUARTER_PI / (n // step)
    angles = [4.0 * j for j in range(n // 8 if upto is None else upto)]
    rows = [
        (math.cos(delta * a), math.sin(delta * a), math.cos(3 * delta * a), -math.sin(3 * delta * a)) for a in angles
    ]
    return np.array(rows).reshape(-1, 4).T


@cache
def _interpolated(n: int) -> Float64s:
    """`_factors(n, 2)`, the odd ones from their neighbours: half their sum over the cosine of the step between."""
    delta = _QUARTER_PI / (n // 4)
    result = np.empty((4, n // 8))
    result[:, 0::2] = _factors(n, 2)[:, 0::2]
    result[:, 0] = 1, 0, 1, 0
    last = np.array([[_HALF_ROOT], [_HALF_ROOT], [-_HALF_ROOT], [-_HALF_ROOT]])
    ends = np.concatenate([result[:, 2::2], last], axis=1)
    longer = np.repeat([0.5 / math.cos(delta * 2), 0.5 / math.cos(delta * 6)], 2)[:, None]
    result[:, 1::2] = longer * (result[:, 0::2] + ends)
    return result


@cache
def _halves(n: int) -> tuple[Float64s, Float64s]:
    """The factors (1 - sin a)/2 and cos(a)/2 of frequencies 1 to n/4 - 1 that take a real transform of n apart."""
    quarter = n // 4
    delta = _QUARTER_PI / (quarter / 2)
    table = [0.0] * quarter
    for j in range(1, quarter // 2):
        table[j] = 0.5 * math.cos(delta * j)
        table[quarter - j] = 0.5 * math.sin(delta * j)
    table[quarter // 2] = 0.5 * _HALF_ROOT
    wave = np.array(table)
    return 0.5 - wave[:0:-1], wave[1:]
