"""One clustered weight in a training loop of any framework: clustered forward, gradients of weights and centroids.

    clusterer = Clusterer(kernel, 16)
    for each step:
        clustered = clusterer.forward()                         # the layer computes with this kernel
        d_original, d_centroids = clusterer.gradients(d_clustered)
        clusterer.original -= learning_rate * d_original        # or any optimizer
        clusterer.centroids -= learning_rate * d_centroids
    kernel = clusterer.forward()

Source: clustering/keras/clustering_algorithm.py and cluster_wrapper.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.clustering.arrays import channel_axis, cluster_weights, nearest
from refquant.compression.clustering.centroids import CentroidInitialization
from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]

_LARGE = np.float32(1e6)


class GradientAggregation(str, Enum):
    """The gradient of a centroid: the SUM or the AVG of the gradients of its weights."""

    SUM = "GradientAggregation.SUM"
    AVG = "GradientAggregation.AVG"


class Clusterer:
    """The state of one clustered weight; `original` and `centroids` are float32 arrays for the optimizer to change.

    `indices` are the centroids of the last `forward`, int64 in the shape of the weights. With `preserve_sparsity`,
    `mask` is 1 where the first clustering gives other than zero and 0 elsewhere for good; else it is None.

    The arguments, and what is raised for them, are those of `cluster_weights`; and `InvalidInputError` for an
    aggregation that there is not.
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        number_of_clusters: int,
        cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
        *,
        preserve_sparsity: bool = False,
        cluster_per_channel: bool = False,
        cluster_gradient_aggregation: GradientAggregation = GradientAggregation.SUM,
        data_format: str = "channels_last",
        seed: int | None = None,
        name: str = "weights",
    ) -> None:
        self.cluster_gradient_aggregation = aggregation(cluster_gradient_aggregation)
        first = cluster_weights(
            weights,
            number_of_clusters,
            cluster_centroids_init,
            preserve_sparsity=preserve_sparsity,
            cluster_per_channel=cluster_per_channel,
            data_format=data_format,
            seed=seed,
            name=name,
        )
        self.original: Array = np.array(weights, np.float32)
        self.centroids: Array = first.centroids
        self.indices: Array = first.indices
        self.mask: Array | None = (first.clustered != 0).astype(np.float32) if preserve_sparsity else None
        self._axis = channel_axis(self.original, data_format, name) if cluster_per_channel else None
        self._zero = nearest_to_zero(first.centroids)

    def forward(self) -> Array:
        """The clustered weight of the weights and centroids of now: float32 in the shape of the weights.

        With `preserve_sparsity` the centroid that began nearest to zero becomes zero again, and so does every other
        that has its value; then the masked weights find their centroids.

        >>> clusterer = Clusterer([0, 1, 2, 9], 2, CentroidInitialization.LINEAR)
        >>> clusterer.original[1] = 8
        >>> clusterer.forward()
        array([0., 9., 0., 9.], dtype=float32)
        """
        original = self.original
        if self.mask is not None:
            zero = np.take_along_axis(self.centroids, self._zero, -1)
            self.centroids = self.centroids * (self.centroids != zero).astype(np.float32)
            original = original * self.mask
        if self._axis is None:
            self.indices = nearest(original, self.centroids)
        else:
            channels = zip(np.moveaxis(original, self._axis, 0), self.centroids)
            self.indices = np.stack([nearest(part, centroids) for part, centroids in channels], axis=self._axis)
        return flushed(self.centroids.ravel()[self._places()] * np.sign(original + _LARGE))

    def gradients(self, d_clustered: npt.ArrayLike) -> tuple[Array, Array]:
        """The gradients of `original` and `centroids`, of that of the clustered weight of the last `forward`; float32.

        The weights get theirs straight through (times the mask), as if clustering had not been. A centroid gets the
        sum of those of its weights, in float32, one after the other in their order, which is what TensorFlow's
        unsorted_segment_sum does; with AVG it is divided by their number.

        >>> clusterer = Clusterer([0, 1, 2, 9], 2, CentroidInitialization.LINEAR)
        >>> clusterer.gradients([1, 2, 3, 4])
        (array([1., 2., 3., 4.], dtype=float32), array([6., 4.], dtype=float32))

        Raises `InvalidInputError` where the shape is not that of the weights.
        """
        gradient = np.asarray(d_clustered, np.float32)
        if gradient.shape != self.original.shape:
            raise InvalidInputError(f"d_clustered has shape {gradient.shape}, the weights have {self.original.shape}")
        places = self._places().ravel()
        d_centroids = np.zeros(self.centroids.size, np.float32)
        np.add.at(d_centroids, places, gradient.ravel())
        if self.cluster_gradient_aggregation is GradientAggregation.AVG:
            sizes = np.bincount(places, minlength=d_centroids.size).astype(np.float32)
            d_centroids = np.divide(d_centroids, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        d_original = gradient.copy() if self.mask is None else gradient * self.mask
        return d_original, d_centroids.reshape(self.centroids.shape)

    def _places(self) -> Array:
        """Of each weight, the place of its centroid among those of all channels."""
        if self._axis is None:
            return self.indices
        channels, number = self.centroids.shape
        shape = [1, 1, 1, 1]
        shape[self._axis] = channels
        return self.indices + np.arange(0, channels * number, number).reshape(shape)


def nearest_to_zero(centroids: Array) -> Array:
    """The index of the centroid nearest to zero, of equally near ones the first, of each channel: int64 [..., 1].

    >>> nearest_to_zero(np.array([-2, 0.5, 1], np.float32))
    array([1])
    """
    return np.argmin(np.abs(flushed(centroids)), axis=-1, keepdims=True)


def aggregation(value: Any) -> GradientAggregation:
    """The aggregation of that value; raises `InvalidInputError` where there is none."""
    try:
        return GradientAggregation(value)
    except ValueError:
        known = ", ".join(entry.name for entry in GradientAggregation)
        raise InvalidInputError(f"cluster_gradient_aggregation {value!r} is none: choose one of {known}") from None
