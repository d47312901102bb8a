"""Counter-based random bits: Philox 4x32 with ten rounds, Threefry 2x32 with twenty, and numbers made of them.

A counter-based generator has no state but a counter: the n-th block of random words is a fixed scramble of the counter
with a key. Both scramblers are those of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(2011).

Sources: kernels/rng_util.cc, kernels/random_ops.cc of TensorFlow Lite; random_distributions_utils.h of TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.logarithm import log
from refquant.numerics.trigonometry import cos, sin

Words = npt.NDArray[np.uint32]

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)  # what the two words of the key grow by in each round
_LOW = np.uint64(0xFFFFFFFF)
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def words_of(number: int, count: int) -> Words:
    """The lowest `count` words of a number, lowest first.

    >>> words_of(2**32 + 5, 2).tolist()
    [5, 1]
    """
    return np.array([(number >> 32 * i) & 0xFFFFFFFF for i in range(count)], np.uint32)


def philox(key: Words, counters: Words) -> Words:
    """The four random words of each counter: key [2], counters [n, 4], all uint32.

    >>> [hex(word) for word in philox(np.zeros(2, np.uint32), np.zeros((1, 4), np.uint32))[0].tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = np.moveaxis(counters, -1, 0)
    k0, k1 = np.uint32(key[0]), np.uint32(key[1])
    with np.errstate(over="ignore"):
        for _ in range(10):
            p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
            c0, c1, c2, c3 = _high(p1) ^ c1 ^ k0, _word(p1), _high(p0) ^ c3 ^ k1, _word(p0)
            k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return np.stack([c0, c1, c2, c3], axis=-1)


def threefry(key: Words, counters: Words) -> Words:
    """The two random words of each counter: key [2], counters [n, 2], all uint32.

    >>> [hex(word) for word in threefry(np.zeros(2, np.uint32), np.zeros((1, 2), np.uint32))[0].tolist()]
    ['0x6b200159', '0x99ba4efe']
    """
    keys = np.array([key[0], key[1], key[0] ^ key[1] ^ np.uint32(_PARITY)], np.uint32)
    with np.errstate(over="ignore"):
        a, b = counters[..., 0] + keys[0], counters[..., 1] + keys[1]
        for number in range(5):
            for distance in _ROTATIONS[number % 2]:
                a = a + b
                b = ((b << np.uint32(distance)) | (b >> np.uint32(32 - distance))) ^ a
            a = a + keys[(number + 1) % 3]
            b = b + keys[(number + 2) % 3] + np.uint32(number + 1)
    return np.stack([a, b], axis=-1)


class Philox:
    """A stream of random words: key and counter from two 64-bit seeds, one more of the counter for each block.

    >>> Philox(5, 7).words(6).tolist()[4:] == Philox(5, 7).words(8).tolist()[4:6]
    True
    """

    def __init__(self, seed: int, seed2: int) -> None:
        self._key = words_of(seed, 2)
        self._counter = (seed2 & 0xFFFFFFFFFFFFFFFF) << 64

    def words(self, count: int) -> Words:
        """The next `count` words; what is left of the last block of four is lost."""
        blocks = -(-count // 4)
        result = philox(self._key, counters_from(self._counter, blocks, 4)).reshape(-1)[:count]
        self.skip(blocks)
        return result

    def copy(self) -> Philox:
        """A stream of its own that stands where this one does."""
        stream = Philox(0, 0)
        stream._key, stream._counter = self._key, self._counter
        return stream

    def skip(self, blocks: int) -> None:
        """Goes on by so many blocks."""
        self._counter = (self._counter + blocks) % 2**128


def counters_from(first: int, count: int, words: int) -> Words:
    """The counters first, first + 1, …, as [count, words], lowest word first.

    >>> counters_from(2**32 - 1, 2, 2).tolist()
    [[4294967295, 0], [0, 1]]
    """
    low = np.uint64(first & 0xFFFFFFFFFFFFFFFF) + np.arange(count, dtype=np.uint64)
    high = np.full(count, (first >> 64) & 0xFFFFFFFFFFFFFFFF, np.uint64) + (low < np.uint64(first & 0xFFFFFFFFFFFFFFFF))
    parts = [low & _LOW, low >> np.uint64(32), high & _LOW, high >> np.uint64(32)]
    return np.stack(parts[:words], axis=-1).astype(np.uint32)


def uniform(words: Words) -> npt.NDArray[np.float32]:
    """A float32 from 0 up to 1 of each word: its low 23 bits as the fraction of a number from 1 to 2, minus 1.

    >>> float(uniform(np.uint32(0x400000)))
    0.5
    """
    fraction = np.asarray(words, np.uint32) & np.uint32(0x7FFFFF)
    return (fraction | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def uniform_double(words: Words) -> npt.NDArray[np.float64]:
    """A float64 from 0 up to 1 of each two words [..., 2]: 20 bits of the first and all of the second.

    >>> float(uniform_double(np.uint32([0x80000, 0])))
    0.5
    """
    high = (words[..., 0] & np.uint32(0xFFFFF)).astype(np.uint64) << np.uint64(32)
    bits = np.asarray(high | words[..., 1] | np.uint64(1023 << 52))
    return bits.view(np.float64) - 1.0


def standard_normal(words: Words) -> npt.NDArray[np.float32]:
    """Two normally distributed float32 of each two words [..., 2], by the method of Box and Muller."""
    radius = np.sqrt(np.float32(-2) * log(np.maximum(uniform(words[..., 0]), np.float32(1e-7))))
    angle = (2 * np.pi * uniform(words[..., 1]).astype(np.float64)).astype(np.float32)
    return np.stack([sin(angle) * radius, cos(angle) * radius], axis=-1)


def _word(product: Any) -> Any:
    return (product & _LOW).astype(np.uint32)


def _high(product: Any) -> Any:
    return (product >> np.uint64(32)).astype(np.uint32)
