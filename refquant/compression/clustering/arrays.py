"""Clustering of one array: every weight becomes the centroid nearest to it.

Source: clustering/keras/clustering_algorithm.py of tensorflow_model_optimization. TensorFlow takes subnormal numbers
for zero, and so it is done here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.compression.clustering.centroids import CentroidInitialization, first_centroids, initialization
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]

_BLOCK = 1 << 14  # weights that stay in cache while all centroids are tried
_TINY = np.finfo(np.float32).tiny
_LARGE = np.float32(1e6)


class Clustered(NamedTuple):
    """The clustered weights in their shape, the centroids [number], and the index of the centroid of each weight."""

    clustered: Array
    centroids: Array
    indices: Array


def cluster_weights(
    weights: npt.ArrayLike,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.LINEAR,
    *,
    preserve_sparsity: bool = False,
    name: str = "weights",
) -> Clustered:
    """Real weights of any shape, taken as float32, with `number_of_clusters` values; tfmot's, before any training.

    The centroid with the least |weight - centroid| counts, in float32, of equal ones the first. As in tfmot a weight
    below -1e6 gets its centroid's negative. Where the least or largest weight is zero, of both signs, the sign of that
    centroid may not be TensorFlow's. With `preserve_sparsity` one centroid is zero and all zeros stay.

    Raises `InvalidInputError` for no weights, NaN or infinities, clusters fewer than 2 (3 with `preserve_sparsity`) or
    more than there are distinct weights.

    >>> cluster_weights([0.0, 0.1, 0.9, 1.0], 2).clustered
    array([0., 0., 1., 1.], dtype=float32)
    """
    init = initialization(cluster_centroids_init)
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name} must be real numbers, they are {array.dtype}")
    array = array.astype(np.float32)
    if not array.size:
        raise InvalidInputError(f"{name} of shape {array.shape} are empty: there is nothing to cluster")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{name} hold NaN or infinity, which no centroid is near to")
    least = 3 if preserve_sparsity else 2
    if isinstance(number_of_clusters, bool) or not isinstance(number_of_clusters, (int, np.integer)):
        raise InvalidInputError(f"number_of_clusters must be a whole number, it is {number_of_clusters!r}")
    if number_of_clusters < least:
        raise InvalidInputError(f"number_of_clusters must be {least} or more, it is {number_of_clusters}")
    distinct = np.unique(array).size
    if number_of_clusters > distinct:
        raise InvalidInputError(f"{name} have {distinct} distinct values: {number_of_clusters} clusters are too many")
    centroids = first_centroids(_flushed(array).ravel(), int(number_of_clusters), init, preserve_sparsity)
    indices = nearest(array, centroids)
    return Clustered(_flushed(centroids[indices] * np.sign(array + _LARGE)), centroids, indices)


def nearest(weights: Array, centroids: Array) -> Array:
    """The index of the centroid nearest to each weight, of equally near ones the first: int64.

    >>> nearest(np.array([0.5, 2.0], np.float32), np.array([0.0, 1.0], np.float32)).tolist()
    [0, 1]
    """
    flat, points = _flushed(weights).ravel(), _flushed(centroids)
    indices = np.zeros(flat.size, np.int64)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        best = _flushed(np.abs(block - points[0]))
        for index in range(1, len(points)):
            distance = _flushed(np.abs(block - points[index]))
            nearer = distance < best
            indices[start : start + _BLOCK][nearer] = index
            best = np.where(nearer, distance, best)
    return indices.reshape(weights.shape)


def _flushed(numbers: Array) -> Array:
    """Subnormal numbers as zeros of their sign."""
    return np.where(np.abs(numbers) < _TINY, np.copysign(np.float32(0), numbers), numbers)
