"""k-means of numbers: the k-means++ choice of first centroids with TensorFlow's bits, and Lloyd's steps.

k-means++ (Arthur and Vassilvitskii, 2007) takes points one after the other, each with a chance in proportion to its
squared distance from those taken. TensorFlow draws 3 + floor(log k) candidates each time, and takes the one that leaves
the least sum of distances. The random numbers are a Philox stream of the seed.

Source: kernels/clustering_ops.cc, lib/random/simple_philox.h of TensorFlow. Half the squared distance is computed as
x * x / 2 - x * y + y * y / 2, subnormal numbers are zero, and sums of distances are those of Eigen.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError
from refquant.numerics.eigen import aligned_sums
from refquant.numerics.philox import Philox, uniform

Float32s = npt.NDArray[np.float32]

_SMALL = np.float32(1e-15)


def kmeans_plus_plus(points: Float32s, number: int, seed: int) -> Float32s:
    """`number` of the points, float32 [n], as TensorFlow's `kmeans_plus_plus_initialization` takes them.

    Raises `InvalidInputError` for more than there are points.

    >>> kmeans_plus_plus(np.array([0, 0.1, 5, 5.1], np.float32), 2, seed=9)
    array([5., 0.], dtype=float32)
    """
    if number > points.size:
        raise InvalidInputError(f"k-means++ cannot take {number} centroids of {points.size} weights: ask for fewer")
    candidates = 3 + int(math.log(number))
    words = _Words(seed)
    distance_to = _HalfSquaredDistances(flushed(points))
    distances = np.full(points.size, np.inf, np.float32)
    sums = distances
    taken: list[int] = []
    for _ in range(number):
        if taken:
            sums = np.add.accumulate(distances)
        best, least, best_distances = 0, np.float32(np.inf), distances
        for _ in range(candidates):
            index = _draw(words, sums, taken)
            left = distances
            if index < points.size:
                left = distance_to(index)
                np.minimum(left, distances, out=left)
            potential = aligned_sums(left[None])[0]
            if potential < least:
                best, least, best_distances = index, potential, left
        distances = best_distances
        taken.append(min(best, points.size - 1))
    return points[taken]


def lloyd(weights: Float32s, centroids: Float32s, keep_zero: bool = False) -> Float32s:
    """Lloyd's steps until no weight changes its centroid: each centroid becomes the mean of the weights nearest to it.

    Weights and centroids are float32 [n] and [number]; sums are those of float64, so that each mean is rounded once. A
    centroid with no weights stays where it is, and with `keep_zero` one that is zero. tfmot has no such step.

    >>> lloyd(np.array([0, 1, 9, 10], np.float32), np.array([0, 1], np.float32))
    array([0.5, 9.5], dtype=float32)
    """
    ordered = np.sort(weights, axis=None).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.sort(centroids)
    zero = centroids == 0 if keep_zero else np.zeros(centroids.shape, bool)
    cuts = None
    while True:
        middles = (centroids[:-1].astype(np.float64) + centroids[1:]) / 2
        # a weight in the middle goes to the lower centroid
        new = np.concatenate([[0], np.searchsorted(ordered, middles, side="right"), [ordered.size]])
        if cuts is not None and np.array_equal(cuts, new):
            return centroids
        cuts = new
        counts = np.diff(cuts)
        means = (np.diff(sums[cuts]) / np.maximum(counts, 1)).astype(np.float32)
        centroids = np.where((counts > 0) & ~zero, means, centroids)


class _HalfSquaredDistances:
    """Half the squared distances of all points to one of them."""

    def __init__(self, points: Float32s) -> None:
        self._points = points
        # without numbers as small as this no product is subnormal, and no difference of products
        self._careful = bool(((np.abs(points) < _SMALL) & (points != 0)).any())
        self._half_squares = self._flushed(np.float32(0.5) * self._flushed(points * points))

    def __call__(self, index: int) -> Float32s:
        numbers = self._flushed(self._points * self._points[index])
        numbers = self._flushed(np.subtract(self._half_squares, numbers, out=numbers))
        return self._flushed(np.add(numbers, self._half_squares[index], out=numbers))

    def _flushed(self, numbers: Float32s) -> Float32s:
        return flushed(numbers) if self._careful else numbers


class _Words:
    """A stream of 32-bit words."""

    def __init__(self, seed: int) -> None:
        self._stream = Philox(seed, 0)
        self._left: list[int] = []

    def next(self) -> int:
        if not self._left:
            self._left = self._stream.words(4).tolist()
        return self._left.pop(0)


def _draw(words: _Words, sums: Float32s, taken: list[int]) -> int:
    """The index of a point that is not taken yet; one beyond the last where all distances are zero, as in TensorFlow,
    which then takes the last point once more."""
    while True:
        if not taken:
            index = (words.next() | words.next() << 32) % sums.size
        else:
            place = flushed(uniform(np.array(words.next(), np.uint32)) * sums[-1])
            index = int(np.searchsorted(sums, place, side="right"))
        if index not in taken:
            return index
