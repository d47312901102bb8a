"""What a kernel of profile "optimized" computes for a whole register of a vector unit, and for what is left at the end.

Such kernels go through a tensor, or through a row of it, in groups of as many numbers as their registers hold, and
through the last numbers, which fill none, one by one. The two often differ: in a rounding, in what becomes of NaN.
Of two tensors that are broadcast to one shape a row is a run of results for which both, or one, move on by one number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.steps import told_of_part

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """How a kernel goes through two tensors that are broadcast: `length` results at a time, for which one of the two
    stands still if `of_scalar`."""

    shape: Shape
    length: int
    of_scalar: bool

    def in_groups(self, size: int) -> npt.NDArray[np.bool_]:
        """Of the results, which are in whole groups of `size` of their run; of the output's shape."""
        place = np.arange(prod(self.shape)) % max(1, self.length)
        return (place < self.length // size * size).reshape(self.shape)


def runs_of(x: Shape, y: Shape) -> Runs | None:
    """Those of two tensors of such shapes; None where the kernels have no runs but go from one result to the next.

    Source: kernels/internal/reference/process_broadcast_shapes.h.

    >>> runs_of((2, 3, 4), (3, 4)), runs_of((2, 3, 4), (2, 3, 1))
    (Runs(shape=(2, 3, 4), length=12, of_scalar=False), Runs(shape=(2, 3, 4), length=4, of_scalar=True))
    """
    shape = np.broadcast_shapes(x, y)
    rank = max(len(x), len(y))
    a, b = ((1,) * (rank - len(sides)) + sides for sides in (x, y))
    if a == b:
        return Runs(shape, prod(shape), False)
    pairs = list(zip(reversed(a), reversed(b)))
    if next(one for one, other in pairs if one != other) != 1:  # the first of the two is the one that stands still
        pairs = [(other, one) for one, other in pairs]
    lengths = []
    for goes_on in (_same, _stands_still, _same, _moves_alone, _same):
        taken = list(takewhile(goes_on, pairs))
        lengths.append(prod(max(pair) for pair in taken))
        pairs = pairs[len(taken) :]
    if pairs:
        return None
    return Runs(shape, lengths[0], False) if lengths[0] > 1 else Runs(shape, lengths[1], True)


def _same(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


def _stands_still(pair: tuple[int, int]) -> bool:
    return pair[0] == 1


def _moves_alone(pair: tuple[int, int]) -> bool:
    return pair[1] == 1


def split(array: Array, size: int) -> tuple[Array, Array]:
    """The elements of an array that fill groups of `size`, and those that are left."""
    whole = array.size // size * size
    return array.reshape(-1)[:whole], array.reshape(-1)[whole:]


def in_groups(size: int, groups: Callable[..., Array], rest: Callable[..., Array]) -> Callable[..., Array]:
    """A function of arrays of one shape: `groups` of the elements that fill groups of `size`, `rest` of the others.

    >>> in_groups(4, np.negative, np.positive)(np.arange(6))
    array([ 0, -1, -2, -3,  4,  5])
    """

    def run(*arrays: Array) -> Array:
        parts = [split(array, size) for array in arrays]
        shape, size_of_whole = arrays[0].shape, parts[0][0].size
        with told_of_part(shape, slice(0, size_of_whole)):
            whole = groups(*(whole for whole, _ in parts))
        with told_of_part(shape, slice(size_of_whole, arrays[0].size)):
            left = rest(*(left for _, left in parts))
        return np.concatenate([whole, left]).reshape(shape)

    return run
