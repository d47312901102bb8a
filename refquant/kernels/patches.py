"""Patches of images: what a window sees at each of its places, zeros where it looks beyond the image ("im2col")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from refquant.kernels.registry import Array
from refquant.kernels.windows import Axis


def reader(axes: Sequence[Axis], batch: int, channels: int) -> Callable[[Array], Callable[[int, int], Array]]:
    """The function that takes images [batch, ..., channels] and returns the reader of their patches.

    A patch has the numbers of all taps of all `axes`, in the order of the filter, with their channels last. The reader
    gives patches begin..end, [end - begin, taps * channels], counted in the order of the output.
    """
    if all((axis.filter, axis.stride, axis.before, axis.after) == (1, 1, 0, 0) for axis in axes):
        return lambda x: lambda begin, end: x.reshape(-1, channels)[begin:end]
    sizes = [axis.before + axis.size + axis.after for axis in axes]
    padding = [(0, 0), *((axis.before, axis.after) for axis in axes), (0, 0)]
    steps = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
    places = _sums([np.arange(batch) * prod(sizes)] + [np.arange(a.out) * a.stride * n for a, n in zip(axes, steps)])
    taps = _sums([np.arange(axis.filter) * axis.dilation * n for axis, n in zip(axes, steps)])

    def read(x: Array) -> Callable[[int, int], Array]:
        pixels = (np.pad(x, padding) if any(map(any, padding)) else x).reshape(-1, channels)

        def patches(begin: int, end: int) -> Array:
            seen = np.take(pixels, places[begin:end, None] + taps, axis=0)
            return seen.reshape(len(seen), -1)

        return patches

    return read


def _sums(offsets: Sequence[Array]) -> Array:
    """All sums of one number of each array, the last array running fastest."""
    total = np.zeros(1, np.intp)
    for offset in offsets:
        total = (total[:, None] + offset).reshape(-1)
    return total
