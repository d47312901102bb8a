"""`cluster_weights` for arrays and for Keras: what is given decides which is meant, and arrays import no Keras."""

from __future__ import annotations

import sys
from typing import Any, overload

import numpy.typing as npt

from refquant.compression.clustering import arrays
from refquant.compression.clustering.arrays import Clustered
from refquant.compression.clustering.centroids import CentroidInitialization
from refquant.errors import InvalidInputError


@overload
def cluster_weights(
    to_cluster: npt.ArrayLike,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = ...,
    *,
    preserve_sparsity: bool = ...,
    cluster_per_channel: bool = ...,
    data_format: str = ...,
    seed: int | None = ...,
    to_convergence: bool = ...,
    name: str = ...,
) -> Clustered: ...


@overload
def cluster_weights(
    to_cluster: Any, number_of_clusters: int, cluster_centroids_init: CentroidInitialization = ..., **options: Any
) -> Any: ...


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    **options: Any,
) -> Any:
    """An array with `number_of_clusters` values; or a Keras 3 model, layer or list of layers that trains clustered.

    Of an array the options and result are those of `arrays.cluster_weights`: a `Clustered`. Of a Keras object they are
    those of `training.cluster_weights`: the same kind of object, its layers wrapped.

    Raises `InvalidInputError` as they do, and for a layer of tf_keras, which tensorflow_model_optimization clusters.

    >>> cluster_weights([0.0, 0.1, 0.9, 1.0], 2, CentroidInitialization.LINEAR).centroids
    array([0., 1.], dtype=float32)
    """
    if _is_of("tf_keras", to_cluster):
        raise InvalidInputError("to_cluster is of tf_keras: refquant clusters Keras 3 models, and arrays")
    if _is_of("keras", to_cluster):
        from refquant.compression.clustering import training

        return training.cluster_weights(to_cluster, number_of_clusters, cluster_centroids_init, **options)
    return arrays.cluster_weights(to_cluster, number_of_clusters, cluster_centroids_init, **options)


def _is_of(keras: str, to_cluster: Any) -> bool:
    """Whether it is a layer (a model is one) of that Keras, or a list that begins with one."""
    first = to_cluster[0] if isinstance(to_cluster, list) and to_cluster else to_cluster
    return keras in sys.modules and isinstance(first, sys.modules[keras].layers.Layer)
