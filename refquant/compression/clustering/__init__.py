"""Clustering of weights as tensorflow_model_optimization does it (its `clustering.keras`), to the bit.

The public names are those of `tfmot.clustering.keras`; each is imported when it is first used, so that a training
framework is imported only by those who train.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refquant.compression.clustering.arrays import Clustered, cluster_weights
    from refquant.compression.clustering.centroids import CentroidInitialization
    from refquant.compression.clustering.model import ClusteredModel, ClusteredTensor, cluster_model

#: public name: the module that has it
_HOMES: dict[str, str] = {
    "CentroidInitialization": "refquant.compression.clustering.centroids",
    "Clustered": "refquant.compression.clustering.arrays",
    "ClusteredModel": "refquant.compression.clustering.model",
    "ClusteredTensor": "refquant.compression.clustering.model",
    "cluster_model": "refquant.compression.clustering.model",
    "cluster_weights": "refquant.compression.clustering.arrays",
}

__all__ = [
    "CentroidInitialization",
    "Clustered",
    "ClusteredModel",
    "ClusteredTensor",
    "cluster_model",
    "cluster_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'refquant.clustering' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
