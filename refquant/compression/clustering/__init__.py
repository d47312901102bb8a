"""Clustering of weights as tensorflow_model_optimization does it (its `clustering.keras`), to the bit.

The public names are those of `tfmot.clustering.keras`; each is imported when it is first used, so that a training
framework is imported only by those who train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refquant.compression.public_names import lookup

if TYPE_CHECKING:
    from refquant.compression.clustering.arrays import Clustered
    from refquant.compression.clustering.centroids import CentroidInitialization
    from refquant.compression.clustering.clusterable_layers import ClusterableLayer
    from refquant.compression.clustering.clusterer import Clusterer, GradientAggregation
    from refquant.compression.clustering.dispatch import cluster_weights
    from refquant.compression.clustering.model import ClusteredModel, ClusteredTensor, cluster_model
    from refquant.compression.clustering.training import (
        ClusteringAlgorithm,
        ClusteringSummaries,
        ClusterWeights,
        cluster_scope,
        strip_clustering,
    )

#: public name: the module that has it
_HOMES: dict[str, str] = {
    "CentroidInitialization": "refquant.compression.clustering.centroids",
    "ClusterWeights": "refquant.compression.clustering.training",
    "ClusterableLayer": "refquant.compression.clustering.clusterable_layers",
    "Clustered": "refquant.compression.clustering.arrays",
    "ClusteredModel": "refquant.compression.clustering.model",
    "ClusteredTensor": "refquant.compression.clustering.model",
    "cluster_model": "refquant.compression.clustering.model",
    "Clusterer": "refquant.compression.clustering.clusterer",
    "ClusteringAlgorithm": "refquant.compression.clustering.training",
    "ClusteringSummaries": "refquant.compression.clustering.training",
    "GradientAggregation": "refquant.compression.clustering.clusterer",
    "cluster_scope": "refquant.compression.clustering.training",
    "cluster_weights": "refquant.compression.clustering.dispatch",
    "strip_clustering": "refquant.compression.clustering.training",
}

__all__ = [
    "CentroidInitialization",
    "ClusterWeights",
    "ClusterableLayer",
    "Clustered",
    "ClusteredModel",
    "ClusteredTensor",
    "Clusterer",
    "ClusteringAlgorithm",
    "ClusteringSummaries",
    "GradientAggregation",
    "cluster_model",
    "cluster_scope",
    "cluster_weights",
    "strip_clustering",
]


def __getattr__(name: str) -> Any:
    return lookup(name, _HOMES, "refquant.clustering")


def __dir__() -> list[str]:
    return __all__
