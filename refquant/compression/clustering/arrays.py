"""Clustering of one array: every weight becomes the centroid nearest to it.

Source: clustering/keras/clustering_algorithm.py of tensorflow_model_optimization. TensorFlow takes subnormal numbers
for zero, and so it is done here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.compression.clustering.centroids import CentroidInitialization, Initializer, initialization
from refquant.compression.clustering.kmeans import lloyd
from refquant.compression.pruning.schedules import is_whole
from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]

_BLOCK = 1 << 14  # weights that stay in cache while all centroids are tried
_MOST = 1 << 16  # clusters: an index is kept in 16 bits meanwhile
_LARGE = np.float32(1e6)
_SMALL = np.float32(1e-30)  # the difference of two larger numbers is no subnormal one


class Clustered(NamedTuple):
    """The clustered weights in their shape; the centroids [number], or [channels, number]; the index of the centroid of
    each weight, int64."""

    clustered: Array
    centroids: Array
    indices: Array


def cluster_weights(
    weights: npt.ArrayLike,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    *,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
    data_format: str = "channels_last",
    seed: int | None = None,
    to_convergence: bool = False,
    name: str = "weights",
) -> Clustered:
    """Real weights of any shape, taken as float32, with `number_of_clusters` values; tfmot's, before any training.

    The centroid with the least |weight - centroid| counts, in float32, of equal ones the first. As in tfmot a weight
    below -1e6 gets its centroid's negative. Where the least or largest weight is zero, of both signs, the sign of that
    centroid may not be TensorFlow's. With `preserve_sparsity` one centroid is zero and all zeros stay.

    With `cluster_per_channel` each channel of a convolution's kernel [height, width, in, out] has its own centroids; a
    channel is a place of the last dimension, or of the second where `data_format` is "channels_first", as in tfmot.
    `seed` is that of `Initializer`. `to_convergence` moves the centroids by Lloyd's k-means until nothing changes: that
    tfmot does not offer.

    Raises `InvalidInputError` for no weights, NaN or infinities, clusters fewer than 2 (3 with `preserve_sparsity`) or
    more than there are distinct weights (of a channel), and channels of what is no kernel.

    >>> cluster_weights([0.0, 0.1, 0.9, 1.0], 2, CentroidInitialization.LINEAR).clustered
    array([0., 0., 1., 1.], dtype=float32)
    """
    array = _checked(weights, name)
    check_clusters(number_of_clusters, preserve_sparsity)
    initializer = Initializer(initialization(cluster_centroids_init), check_seed(seed))

    def cluster(part: Array, what: str) -> tuple[Array, Array]:
        distinct = np.unique(part).size
        if number_of_clusters > distinct:
            raise InvalidInputError(
                f"{what} have {distinct} distinct values: {number_of_clusters} clusters are too many"
            )
        flat = part.ravel()
        centroids = initializer.first_centroids(flat, int(number_of_clusters), preserve_sparsity)
        if to_convergence:
            centroids = lloyd(flat, centroids, preserve_sparsity)
        return centroids, nearest(part, centroids)

    if cluster_per_channel:
        axis = channel_axis(array, data_format, name)
        parts = [cluster(part, f"channel {n} of {name}") for n, part in enumerate(np.moveaxis(array, axis, 0))]
        centroids = np.stack([part for part, _ in parts])
        indices = np.stack([part for _, part in parts], axis=axis)
        channels = np.moveaxis(indices, axis, 0).reshape(len(parts), -1)
        values = np.moveaxis(
            np.take_along_axis(centroids, channels, 1).reshape(np.moveaxis(array, axis, 0).shape), 0, axis
        )
    else:
        centroids, indices = cluster(array, name)
        values = centroids[indices]
    return Clustered(flushed(values * np.sign(array + _LARGE)), centroids, indices)


def nearest(weights: Array, centroids: Array) -> Array:
    """The index of the centroid nearest to each weight, of equally near ones the first: int64.

    >>> nearest(np.array([0.5, 2.0], np.float32), np.array([0.0, 1.0], np.float32)).tolist()
    [0, 1]
    """
    flat, points = flushed(weights).ravel(), flushed(centroids)
    magnitudes = np.abs(np.concatenate([flat, points]))
    may_be_subnormal = bool(np.any((magnitudes > 0) & (magnitudes < _SMALL)))
    indices = np.zeros(flat.size, np.int64)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        index_of = np.zeros(block.size, np.uint16)
        best, distance = np.full(block.size, np.inf, np.float32), np.empty(block.size, np.float32)
        for index, point in enumerate(points):
            np.abs(np.subtract(block, point, out=distance), out=distance)
            if may_be_subnormal:
                distance = flushed(distance)
            index_of[distance < best] = index
            np.minimum(best, distance, out=best)
        indices[start : start + _BLOCK] = index_of
    return indices.reshape(weights.shape)


def channel_axis(array: Array, data_format: str, name: str) -> int:
    """The axis of the channels of a kernel; raises `InvalidInputError` where tfmot knows none."""
    if data_format not in ("channels_last", "channels_first"):
        raise InvalidInputError(f"data_format must be channels_last or channels_first, it is {data_format!r}")
    if array.ndim != 4:
        raise InvalidInputError(
            f"{name} of shape {array.shape} have no channels: a convolution's kernel has 4 dimensions"
        )
    return 1 if data_format == "channels_first" else 3


def check_seed(seed: int | None) -> int | None:
    """The seed as it came; raises `InvalidInputError` unless it is None or a whole number from 0 to 2**63 - 1."""
    if seed is None:
        return None
    if not is_whole(seed) or not 0 <= seed < 2**63:
        raise InvalidInputError(f"seed must be a whole number from 0 to 2**63 - 1, it is {seed!r}")
    return int(seed)


def _checked(weights: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name} must be real numbers, they are {array.dtype}")
    array = array.astype(np.float32)
    if not array.size:
        raise InvalidInputError(f"{name} of shape {array.shape} are empty: there is nothing to cluster")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{name} hold NaN or infinity, which no centroid is near to")
    return array


def check_clusters(number_of_clusters: int, preserve_sparsity: bool) -> None:
    """Raises `InvalidInputError` for what is no number of clusters: 2 or more, 3 with a zero among them."""
    least = 3 if preserve_sparsity else 2
    if not is_whole(number_of_clusters):
        raise InvalidInputError(f"number_of_clusters must be a whole number, it is {number_of_clusters!r}")
    if number_of_clusters < least:
        raise InvalidInputError(f"number_of_clusters must be {least} or more, it is {number_of_clusters}")
    if number_of_clusters > _MOST:
        raise InvalidInputError(f"number_of_clusters must be {_MOST} or less, it is {number_of_clusters}")
