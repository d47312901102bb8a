"""FarmHash's 64-bit fingerprint of strings of bytes, many of one length at a time.

The function is fixed for all time by its authors (Pike, Google, 2014, https://github.com/google/farmhash). Strings of
up to 16, 32 and 64 bytes have a formula each, longer ones are eaten in blocks of 64. All sums and products wrap.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]
_Fetch = Callable[[int], UInt64s]
_Pair = tuple[UInt64s, UInt64s]

_K0, _K1, _K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
_SEED = 81


def fingerprint64(strings: npt.NDArray[np.uint8]) -> UInt64s:
    """The fingerprint of each row of bytes.

    >>> [hex(n) for n in fingerprint64(np.frombuffer(b"refquant", np.uint8)[None])]
    ['0x858082ef71d5e0d0']
    """
    length = strings.shape[1]

    def fetch(at: int) -> UInt64s:
        return np.ascontiguousarray(strings[:, at : at + 8]).view("<u8")[:, 0].astype(np.uint64)

    with np.errstate(over="ignore"):
        if length < 8:
            return _up_to_7(strings, length)
        if length <= 16:
            return _up_to_16(fetch, length)
        if length <= 32:
            return _mix(*_halves(fetch, length), _multiplier(length))
        if length <= 64:
            return _up_to_64(fetch, length)
        return _longer(fetch, length)


def _multiplier(length: int) -> np.uint64:
    return _K2 + np.uint64(2 * length)


def _rotate(x: UInt64s, by: int) -> UInt64s:
    return (x >> np.uint64(by)) | (x << np.uint64(64 - by))


def _fold(x: UInt64s) -> UInt64s:
    return x ^ (x >> np.uint64(47))


def _mix(u: UInt64s, v: UInt64s, multiplier: UInt64s | np.uint64) -> UInt64s:
    a = _fold((u ^ v) * multiplier)
    return _fold((v ^ a) * multiplier) * multiplier


def _up_to_7(strings: npt.NDArray[np.uint8], length: int) -> UInt64s:
    if length == 0:
        return np.full(len(strings), _K2)
    s = strings.astype(np.uint64)
    if length < 4:
        y = s[:, 0] + (s[:, length >> 1] << np.uint64(8))
        z = np.uint64(length) + (s[:, length - 1] << np.uint64(2))
        return _fold(y * _K2 ^ z * _K0) * _K2
    powers = np.uint64(256) ** np.arange(4, dtype=np.uint64)
    first, last = s[:, :4] @ powers, s[:, length - 4 :] @ powers
    return _mix(np.uint64(length) + (first << np.uint64(3)), last, _multiplier(length))


def _up_to_16(fetch: _Fetch, length: int) -> UInt64s:
    multiplier = _multiplier(length)
    a, b = fetch(0) + _K2, fetch(length - 8)
    return _mix(_rotate(b, 37) * multiplier + a, (_rotate(a, 25) + b) * multiplier, multiplier)


def _halves(fetch: _Fetch, length: int) -> _Pair:
    a, b = fetch(0) * _K1, fetch(8)
    c, d = fetch(length - 8) * _multiplier(length), fetch(length - 16) * _K2
    return _rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c


def _up_to_64(fetch: _Fetch, length: int) -> UInt64s:
    multiplier = _multiplier(length)
    a, b = fetch(0) * _K2, fetch(8)
    c, d = fetch(length - 8) * multiplier, fetch(length - 16) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _mix(y, a + _rotate(b + _K2, 18) + c, multiplier)
    e, f = fetch(16) * multiplier, fetch(24)
    g, h = (y + fetch(length - 32)) * multiplier, (z + fetch(length - 24)) * multiplier
    return _mix(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, multiplier)


def _weak(fetch: _Fetch, at: int, a: UInt64s, b: UInt64s) -> _Pair:
    w, x, y, z = (fetch(at + 8 * i) for i in range(4))
    a = a + w
    b = _rotate(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotate(total, 44) + a


def _longer(fetch: _Fetch, length: int) -> UInt64s:
    zero = np.zeros_like(fetch(0))
    x, y = np.uint64(_SEED) * _K2 + fetch(0), zero + np.uint64(_SEED) * _K1 + np.uint64(113)
    z = _fold(y * _K2 + np.uint64(113)) * _K2
    v: _Pair = (zero, zero)
    w: _Pair = (zero, zero)
    nine = np.uint64(9)

    def block(at: int, k: UInt64s | np.uint64, more: np.uint64) -> tuple[UInt64s, UInt64s, UInt64s, _Pair, _Pair]:
        x_ = _rotate(x + y + v[0] + fetch(at + 8), 37) * k ^ (w[1] * more)
        y_ = _rotate(y + v[1] + fetch(at + 48), 42) * k + v[0] * more + fetch(at + 40)
        z_ = _rotate(z + w[0], 33) * k
        v_ = _weak(fetch, at, v[1] * k, x_ + w[0])
        w_ = _weak(fetch, at + 32, z_ + w[1], y_ + fetch(at + 16))
        return z_, y_, x_, v_, w_  # x and z change places

    for at in range(0, (length - 1) // 64 * 64, 64):
        x, y, z, v, w = block(at, _K1, np.uint64(1))
    k = _K1 + ((z & np.uint64(255)) << np.uint64(1))
    w = (w[0] + np.uint64((length - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = block(length - 64, k, nine)
    return _mix(_mix(v[0], w[0], k) + _fold(y) * _K0 + z, _mix(v[1], w[1], k) + x, k)
