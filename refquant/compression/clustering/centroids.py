"""The first centroids of a clustering, as tensorflow_model_optimization finds them, in float32.

LINEAR: evenly spaced from the least to the largest weight. DENSITY_BASED: the distribution function of the weights at
30 places, and for evenly spaced shares of it the place where it is reached; tfmot means to interpolate between two
places, but holds the distance of places that it divides by at 0.001 or more, and so it is done here.

RANDOM: evenly distributed from the least to the largest weight. KMEANS_PLUS_PLUS: weights far from each other, see
`kmeans.py`.

With sparsity preserved, one centroid is zero, and the others are shared out between negative and positive weights by
their numbers, halves to even.

Source: clustering/keras/clustering_centroids.py of tensorflow_model_optimization; `linspace` and
`random.uniform` of TensorFlow, whose seed of an operation is the next number of Python's `random.Random(seed)`.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.clustering.kmeans import kmeans_plus_plus
from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError
from refquant.numerics.philox import Philox, uniform

Float32s = npt.NDArray[np.float32]

_GAP = np.float32(0.01)  # beyond the least and the largest weight, so that the distribution begins at 0
_PLACES = 30
_LEAST_DISTANCE = np.float32(0.001)


class CentroidInitialization(str, Enum):
    """How the first centroids are found, as in `tfmot.clustering.keras.CentroidInitialization`."""

    LINEAR = "CentroidInitialization.LINEAR"
    RANDOM = "CentroidInitialization.RANDOM"
    DENSITY_BASED = "CentroidInitialization.DENSITY_BASED"
    KMEANS_PLUS_PLUS = "CentroidInitialization.KMEANS_PLUS_PLUS"


class Initializer:
    """Finds first centroids. A `seed` makes RANDOM that of tfmot after `tf.random.set_seed(seed)` (None: 0), and
    KMEANS_PLUS_PLUS that of TensorFlow with this seed (None: 9, which tfmot has). RANDOM takes the next number of the
    seed's stream for each interval that it draws from, as each call of TensorFlow does.
    """

    def __init__(self, init: CentroidInitialization, seed: int | None = None) -> None:
        self._init = init
        self._operation_seeds = random.Random(0 if seed is None else seed)
        self._seed = seed

    def first_centroids(self, weights: Float32s, number: int, preserve_sparsity: bool = False) -> Float32s:
        """The centroids, float32 [number]; with `preserve_sparsity` [1] where all weights are zero.

        >>> Initializer(CentroidInitialization.LINEAR).first_centroids(np.array([-1, 0, 3], np.float32), 3)
        array([-1.,  1.,  3.], dtype=float32)
        """
        if self._init is CentroidInitialization.KMEANS_PLUS_PLUS and not preserve_sparsity:
            return self._within(weights, number, _GAP)  # subnormal weights are taken as they are
        weights = flushed(weights)
        if not preserve_sparsity:
            return self._within(weights, number, _GAP)
        negative, positive = weights[weights < 0], weights[weights > 0]
        nonzero = negative.size + positive.size
        zero = np.zeros(1, np.float32)
        if not nonzero:
            return zero
        below = int(np.rint((number - 1) * (negative.size / nonzero)))
        shares = (negative, below), (positive, number - 1 - below)
        parts = [self._within(part, n, _half_gap(part)) if n else self._none() for part, n in shares]
        return np.concatenate([parts[0], zero, parts[1]])

    def _within(self, weights: Float32s, number: int, gap: np.float32) -> Float32s:
        match self._init:
            case CentroidInitialization.LINEAR:
                return linspace(weights.min(), weights.max(), number)
            case CentroidInitialization.DENSITY_BASED:
                return _density_based(weights, number, gap)
            case CentroidInitialization.KMEANS_PLUS_PLUS:
                return kmeans_plus_plus(weights, number, 9 if self._seed is None else self._seed)
            case CentroidInitialization.RANDOM:
                stream = Philox(self._seed or 0, self._operation_seeds.randint(0, 2**31 - 1))
                least, largest = weights.min(), weights.max()
                return flushed(flushed(uniform(stream.words(number)) * flushed(largest - least)) + least)

    def _none(self) -> Float32s:
        if self._init is CentroidInitialization.RANDOM:
            self._operation_seeds.randint(0, 2**31 - 1)  # a call for no numbers counts
        return np.zeros(0, np.float32)


def linspace(start: np.float32, end: np.float32, number: int) -> Float32s:
    """`number` places from `start` to `end`, as TensorFlow computes them: both ends exact, start + i * step between.

    >>> linspace(np.float32(0), np.float32(1), 3)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if number == 1:
        return np.array([start], np.float32)
    step = (end - start) / np.float32(number - 1)
    places = flushed(start + flushed(flushed(step) * np.arange(number, dtype=np.float32)))
    places[0], places[-1] = start, end
    return places


def _density_based(weights: Float32s, number: int, gap: np.float32) -> Float32s:
    places = linspace(flushed(weights.min() - gap), flushed(weights.max() + gap), _PLACES)
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


def _half_gap(weights: Float32s) -> np.float32:
    """No more than half the way to zero, so that no centroid crosses it."""
    return flushed(min(_GAP, min(np.abs(weights.min()), np.abs(weights.max())) / np.float32(2)))


def initialization(value: Any) -> CentroidInitialization:
    """The initialization of that value; raises `InvalidInputError` where there is none."""
    try:
        return CentroidInitialization(value)
    except ValueError:
        known = ", ".join(entry.name for entry in CentroidInitialization)
        raise InvalidInputError(f"cluster_centroids_init {value!r} is not offered: choose one of {known}") from None
