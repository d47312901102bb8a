"""What this machine can do at best, to see how far an operator is from it: products by BLAS, and copying."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

_SIDE = 512  # of the matrices that are multiplied
_BYTES = 1 << 22  # that are copied: more than the caches nearest to the processor hold
_TRIES = 20


@cache
def multiplications_per_second() -> float:
    """Products of float32 that BLAS multiplies and adds up in a second, on one thread."""
    a, b = (np.random.default_rng(i).standard_normal((_SIDE, _SIDE), np.float32) for i in range(2))
    out = np.empty_like(a)
    return _SIDE**3 / _quickest(lambda: np.matmul(a, b, out=out))


@cache
def bytes_per_second() -> float:
    """Bytes that NumPy reads and writes in a second when it copies."""
    source = np.ones(_BYTES, np.uint8)
    target = np.empty_like(source)
    return 2 * _BYTES / _quickest(lambda: np.copyto(target, source))


def _quickest(call: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
