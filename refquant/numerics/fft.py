"""Real Fourier transforms as kissfft computes them, of fixed-point numbers of 16 and 32 bits and of float32.

A transform of N real numbers is one of N/2 complex ones (even samples real, odd imaginary), and a last pass that takes
the two apart; the inverse goes the other way. The complex one is decimation in time, four subsequences at a time, then
two. In fixed point all numbers are divided by the radix before each pass, so nothing overflows, and every product is
rounded once: the result is the transform divided by N. That of float32 is not divided, and every step is rounded.

Source: kiss_fft.c and tools/kiss_fftr.c of kissfft, as TensorFlow Lite Micro builds it.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Complex = tuple[Array, Array]  # real and imaginary part


class Arithmetic(Protocol):
    """How numbers of one type are multiplied, divided and halved."""

    def twiddles(self, phase: Array) -> Complex:
        """cos and sin."""

    def multiply(self, a: Complex, b: Complex) -> Complex:
        """a * b."""

    def divided(self, x: Array, divisor: int) -> Array:
        """x / divisor where numbers are kept small, else x."""

    def wide(self, x: Array) -> Array:
        """In a type in which two numbers are added before they are halved."""

    def half(self, x: Array) -> Array:
        """x / 2 of such numbers."""


class FixedPoint:
    """Fractions of so many bits, one of them the sign."""

    def __init__(self, bits: int) -> None:
        self.dtype = np.dtype(f"i{bits // 8}")
        self.fraction = bits - 1
        self.largest = 2 ** (bits - 1) - 1

    def twiddles(self, phase: Array) -> Complex:
        """cos and sin, rounded, halves up."""
        real, imaginary = (np.floor(0.5 + self.largest * part).astype(self.dtype) for part in _cosine_and_sine(phase))
        return real, imaginary

    def multiply(self, a: Complex, b: Complex) -> Complex:
        """Two products of 64 bits, added, rounded."""
        ar, ai, br, bi = (part.astype(np.int64) for part in (*a, *b))
        return self._rounded(ar * br - ai * bi), self._rounded(ar * bi + ai * br)

    def divided(self, x: Array, divisor: int) -> Array:
        """x times the reciprocal, rounded."""
        return self._rounded(x.astype(np.int64) * (self.largest // divisor))

    def wide(self, x: Array) -> Array:
        """int32."""
        return x.astype(np.int32)

    def half(self, x: Array) -> Array:
        """Rounded down."""
        return (x >> 1).astype(self.dtype)

    def _rounded(self, product: Array) -> Array:
        return ((product + (1 << (self.fraction - 1))) >> self.fraction).astype(self.dtype)


class Floats:
    """float32, every step rounded."""

    dtype = np.dtype(np.float32)

    def twiddles(self, phase: Array) -> Complex:
        """cos and sin of float64, rounded."""
        real, imaginary = (part.astype(np.float32) for part in _cosine_and_sine(phase))
        return real, imaginary

    def multiply(self, a: Complex, b: Complex) -> Complex:
        """Four products, a difference and a sum."""
        (ar, ai), (br, bi) = a, b
        return ar * br - ai * bi, ar * bi + ai * br

    def divided(self, x: Array, divisor: int) -> Array:
        """As it is."""
        return x

    def wide(self, x: Array) -> Array:
        """As they are."""
        return x

    def half(self, x: Array) -> Array:
        """Rounded."""
        result: Array = x * np.float32(0.5)
        return result


#: the arithmetic of each type
ARITHMETIC: dict[np.dtype[Any], Arithmetic] = {
    np.dtype(np.int16): FixedPoint(16),
    np.dtype(np.int32): FixedPoint(32),
    np.dtype(np.float32): Floats(),
}


def real_fft(x: Array) -> Array:
    """The N/2 + 1 complex numbers of the transform of N along the last axis, real and imaginary in turn.

    N must be a power of two from 4 on, the type int16, int32 or float32. A constant signal gives its value at
    frequency 0, in float32 N times that:

    >>> real_fft(np.full(8, 1000, np.int16)).tolist()
    [1000, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    of = ARITHMETIC[x.dtype]
    half = x.shape[-1] // 2
    spectrum = _complex_fft(of, (x[..., 0::2], x[..., 1::2]), -1)
    real, imaginary = (of.divided(part[..., 0], 2) for part in spectrum)
    k = np.arange(1, half // 2 + 1)
    even, odd = _even_and_odd(of, spectrum, k, half, -1)
    result = np.zeros((*x.shape[:-1], half + 1, 2), x.dtype)
    result[..., 0, 0] = real + imaginary
    result[..., half, 0] = real - imaginary
    a, b, c, d = (of.wide(part) for part in (*even, *odd))
    result[..., k, 0], result[..., k, 1] = of.half(a + c), of.half(b + d)
    result[..., half - k, 0], result[..., half - k, 1] = of.half(a - c), of.half(d - b)
    return result.reshape(*x.shape[:-1], 2 * (half + 1))


def inverse_real_fft(x: Array) -> Array:
    """The N numbers whose transform is x [..., N + 2], real and imaginary in turn; the inverse of `real_fft`.

    Of fixed-point numbers it is divided by N again, that of float32 is N times what was transformed.

    >>> inverse_real_fft(np.float32([8, 0, 0, 0, 0, 0])).tolist()
    [8.0, 8.0, 8.0, 8.0]
    """
    of = ARITHMETIC[x.dtype]
    half = x.shape[-1] // 2 - 1
    spectrum = x[..., 0::2], x[..., 1::2]
    first, last = spectrum[0][..., 0], spectrum[0][..., half]
    k = np.arange(1, half // 2 + 1)
    even, odd = _even_and_odd(of, spectrum, k, half, 1)
    packed = np.empty((2, *x.shape[:-1], half), x.dtype)
    packed[:, ..., 0] = of.divided(first + last, 2), of.divided(first - last, 2)
    packed[..., k] = _add(even, odd)
    real, imaginary = _subtract(even, odd)
    packed[..., half - k] = real, -imaginary
    result = np.empty((*x.shape[:-1], half, 2), x.dtype)
    result[..., 0], result[..., 1] = _complex_fft(of, (packed[0], packed[1]), 1)
    return result.reshape(*x.shape[:-1], 2 * half)


def _even_and_odd(of: Arithmetic, x: Complex, k: Array, half: int, sign: int) -> tuple[Complex, Complex]:
    """The sum of the numbers at k and of the conjugate ones at half - k, and their difference, turned."""
    forward = of.divided(x[0][..., k], 2), of.divided(x[1][..., k], 2)
    mirrored = of.divided(x[0][..., half - k], 2), of.divided(-x[1][..., half - k], 2)
    turned = of.multiply(_subtract(forward, mirrored), of.twiddles(sign * np.pi * (k / half + 0.5)))
    return _add(forward, mirrored), turned


def _complex_fft(of: Arithmetic, x: Complex, sign: int) -> Complex:
    """The transform along the last axis: subsequences of every fourth number (or second, where four do not divide).

    The sign is that of the exponent.
    """
    size = x[0].shape[-1]
    if size == 1:
        return x
    radix = 4 if size % 4 == 0 else 2
    parts = _complex_fft(of, (_subsequences(x[0], radix), _subsequences(x[1], radix)), sign)
    parts = of.divided(parts[0], radix), of.divided(parts[1], radix)
    steps = np.arange(size // radix)

    def turned(k: int) -> Complex:
        phase = sign * 2 * np.pi * (steps * k) / size
        return of.multiply((parts[0][..., k, :], parts[1][..., k, :]), of.twiddles(phase))

    first = parts[0][..., 0, :], parts[1][..., 0, :]
    if radix == 2:
        second = turned(1)
        quarters = [_add(first, second), _subtract(first, second)]
    else:
        a, b, c = turned(1), turned(2), turned(3)
        with_b, without_b = _add(first, b), _subtract(first, b)
        total, difference = _add(a, c), _subtract(a, c)
        quarter = (difference[1], -difference[0]) if sign < 0 else (-difference[1], difference[0])  # times -i or i
        quarters = [
            _add(with_b, total),
            _add(without_b, quarter),
            _subtract(with_b, total),
            _subtract(without_b, quarter),
        ]
    return np.concatenate([q[0] for q in quarters], axis=-1), np.concatenate([q[1] for q in quarters], axis=-1)


def _subsequences(x: Array, radix: int) -> Array:
    """Row k holds the numbers k, k + radix, k + 2 radix, …"""
    return np.moveaxis(x.reshape(*x.shape[:-1], -1, radix), -1, -2)


def _cosine_and_sine(phase: Array) -> tuple[Array, Array]:
    """Those of the C library, to which NumPy prefers functions of its own on some processors."""
    cosine, sine = (np.asarray(np.frompyfunc(f, 1, 1)(phase), np.float64) for f in (math.cos, math.sin))
    return cosine, sine


def _add(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def _subtract(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]
