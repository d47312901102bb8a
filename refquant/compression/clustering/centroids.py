"""The first centroids of a clustering, as tensorflow_model_optimization finds them, in float32.

LINEAR: evenly spaced from the least to the largest weight. DENSITY_BASED: the distribution function of the weights at
30 places, and for evenly spaced shares of it the place where it is reached; tfmot means to interpolate between two
places, but holds the distance of places that it divides by at 0.001 or more, and so it is done here.

With sparsity preserved, one centroid is zero, and the others are shared out between negative and positive weights by
their numbers, halves to even.

Source: clustering/keras/clustering_centroids.py of tensorflow_model_optimization; `linspace` of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError

Float32s = npt.NDArray[np.float32]

_GAP = np.float32(0.01)  # beyond the least and the largest weight, so that the distribution begins at 0
_PLACES = 30
_LEAST_DISTANCE = np.float32(0.001)


class CentroidInitialization(str, Enum):
    """How the first centroids are found. RANDOM and KMEANS_PLUS_PLUS of tfmot are not offered yet."""

    LINEAR = "CentroidInitialization.LINEAR"
    DENSITY_BASED = "CentroidInitialization.DENSITY_BASED"


def first_centroids(
    weights: Float32s, number: int, init: CentroidInitialization, preserve_sparsity: bool = False
) -> Float32s:
    """The centroids, float32 [number]; with `preserve_sparsity` in order, [1] where all weights are zero.

    >>> first_centroids(np.array([-1, 0, 3], np.float32), 3, CentroidInitialization.LINEAR)
    array([-1.,  1.,  3.], dtype=float32)
    """
    if init is CentroidInitialization.LINEAR:
        within: Callable[[Float32s, int], Float32s] = _linear
    else:
        gap = _half_gap if preserve_sparsity else _whole_gap

        def within(part: Float32s, count: int) -> Float32s:
            return _density_based(part, count, gap(part))

    if not preserve_sparsity:
        return within(weights, number)
    negative, positive = weights[weights < 0], weights[weights > 0]
    nonzero = negative.size + positive.size
    zero = np.zeros(1, np.float32)
    if not nonzero:
        return zero
    below = int(np.rint((number - 1) * (negative.size / nonzero)))
    parts = [within(part, n) if n else zero[:0] for part, n in ((negative, below), (positive, number - 1 - below))]
    return np.concatenate([parts[0], zero, parts[1]])


def linspace(start: np.float32, end: np.float32, number: int) -> Float32s:
    """`number` places from `start` to `end`, as TensorFlow computes them: both ends exact, start + i * step between.

    >>> linspace(np.float32(0), np.float32(1), 3)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if number == 1:
        return np.array([start], np.float32)
    step = (end - start) / np.float32(number - 1)
    places = start + step * np.arange(number, dtype=np.float32)
    places[0], places[-1] = start, end
    return places


def _linear(weights: Float32s, number: int) -> Float32s:
    return linspace(weights.min(), weights.max(), number)


def _density_based(weights: Float32s, number: int, gap: np.float32) -> Float32s:
    places = linspace(weights.min() - gap, weights.max() + gap, _PLACES)
    counts = np.searchsorted(np.sort(weights, axis=None), places, side="right")
    shares = counts.astype(np.float32) / np.float32(weights.size)
    wanted = linspace(np.float32(0.01), np.float32(1), number)
    at = np.minimum(np.searchsorted(shares, wanted, side="right"), _PLACES - 1)
    before = np.maximum(at - 1, 0)
    x1, x2, y1, y2 = places[at], places[before], shares[at], shares[before]
    slope = (y2 - y1) / np.maximum(x2 - x1, _LEAST_DISTANCE)
    with np.errstate(invalid="ignore", divide="ignore"):
        met = (y1 - (y1 - x1 * slope)) / slope
    return np.where(y2 == y1, x1, met)


def _whole_gap(weights: Float32s) -> np.float32:
    return _GAP


def _half_gap(weights: Float32s) -> np.float32:
    """No more than half the way to zero, so that no centroid crosses it."""
    return min(_GAP, min(np.abs(weights.min()), np.abs(weights.max())) / np.float32(2))


def initialization(value: Any) -> CentroidInitialization:
    """The initialization of that value; raises `InvalidInputError` where there is none."""
    try:
        return CentroidInitialization(value)
    except ValueError:
        known = ", ".join(entry.name for entry in CentroidInitialization)
        raise InvalidInputError(f"cluster_centroids_init {value!r} is not offered: choose one of {known}") from None
