"""The real Fourier transform of 16-bit fixed-point numbers, as kissfft computes it with FIXED_POINT 16.

A transform of N real numbers is one of N/2 complex ones (even samples real, odd imaginary), and a last pass that takes
the two apart. The complex one is decimation in time, four subsequences at a time, then two. Before each pass all
numbers are divided by its radix, so nothing overflows; every product of Q15 numbers is rounded once. The result is
the transform divided by N.

Source: kiss_fft.c and tools/kiss_fftr.c of kissfft, as TensorFlow Lite Micro builds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Complex16 = tuple[Array, Array]  # real and imaginary part, int16

_LARGEST = 32767  # 1 in Q15


def real_fft(x: Array) -> Array:
    """The N/2 + 1 complex numbers of the transform of N int16 ones along the last axis, real and imaginary in turn.

    N must be a power of two from 4 on. A constant signal gives its value at frequency 0:

    >>> real_fft(np.full(8, 1000, np.int16)).tolist()
    [1000, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    half = x.shape[-1] // 2
    spectrum = _complex_fft((x[..., 0::2], x[..., 1::2]))
    real, imaginary = (_divided(part, 2) for part in spectrum)
    k = np.arange(1, half // 2 + 1)
    forward = real[..., k], imaginary[..., k]
    mirrored = _divided(spectrum[0][..., half - k], 2), _divided(-spectrum[1][..., half - k], 2)
    even, odd = _add(forward, mirrored), _subtract(forward, mirrored)
    odd = _multiply(odd, _twiddles(-np.pi * (k / half + 0.5)))
    wide = [part.astype(np.int32) for part in (*even, *odd)]
    result = np.zeros((*x.shape[:-1], half + 1, 2), np.int16)
    result[..., 0, 0] = real[..., 0] + imaginary[..., 0]
    result[..., half, 0] = real[..., 0] - imaginary[..., 0]
    result[..., k, 0] = (wide[0] + wide[2]) >> 1
    result[..., k, 1] = (wide[1] + wide[3]) >> 1
    result[..., half - k, 0] = (wide[0] - wide[2]) >> 1
    result[..., half - k, 1] = (wide[3] - wide[1]) >> 1
    return result.reshape(*x.shape[:-1], 2 * (half + 1))


def _complex_fft(x: Complex16) -> Complex16:
    """The transform along the last axis: subsequences of every fourth number (or second, where four do not divide)."""
    size = x[0].shape[-1]
    if size == 1:
        return x
    radix = 4 if size % 4 == 0 else 2
    parts = _complex_fft((_subsequences(x[0], radix), _subsequences(x[1], radix)))
    parts = _divided(parts[0], radix), _divided(parts[1], radix)
    steps = np.arange(size // radix)

    def turned(k: int) -> Complex16:
        return _multiply((parts[0][..., k, :], parts[1][..., k, :]), _twiddles(-2 * np.pi * (steps * k) / size))

    first = parts[0][..., 0, :], parts[1][..., 0, :]
    if radix == 2:
        second = turned(1)
        quarters = [_add(first, second), _subtract(first, second)]
    else:
        a, b, c = turned(1), turned(2), turned(3)
        with_b, without_b = _add(first, b), _subtract(first, b)
        total, difference = _add(a, c), _subtract(a, c)
        turned_difference = difference[1], -difference[0]  # times -i
        quarters = [
            _add(with_b, total),
            _add(without_b, turned_difference),
            _subtract(with_b, total),
            _subtract(without_b, turned_difference),
        ]
    return np.concatenate([q[0] for q in quarters], axis=-1), np.concatenate([q[1] for q in quarters], axis=-1)


def _subsequences(x: Array, radix: int) -> Array:
    """Row k holds the numbers k, k + radix, k + 2 radix, …"""
    return np.moveaxis(x.reshape(*x.shape[:-1], -1, radix), -1, -2)


def _twiddles(phase: Array) -> Complex16:
    """cos and sin in Q15."""
    parts = (np.floor(0.5 + _LARGEST * f(phase)).astype(np.int16) for f in (np.cos, np.sin))
    return next(parts), next(parts)


def _rounded(q30: Array) -> Array:
    return ((q30 + (1 << 14)) >> 15).astype(np.int16)


def _divided(x: Array, divisor: int) -> Array:
    return _rounded(x.astype(np.int64) * (_LARGEST // divisor))


def _multiply(a: Complex16, b: Complex16) -> Complex16:
    ar, ai, br, bi = (part.astype(np.int64) for part in (*a, *b))
    return _rounded(ar * br - ai * bi), _rounded(ar * bi + ai * br)


def _add(a: Complex16, b: Complex16) -> Complex16:
    return a[0] + b[0], a[1] + b[1]


def _subtract(a: Complex16, b: Complex16) -> Complex16:
    return a[0] - b[0], a[1] - b[1]
