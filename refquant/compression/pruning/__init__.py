"""Pruning as tensorflow_model_optimization does it (its `sparsity.keras`), to the bit, and of whole filters.

The public names are those of `tfmot.sparsity.keras`; each is imported when it is first used, so that a training
framework is imported only by those who train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refquant.compression.public_names import lookup

if TYPE_CHECKING:
    from refquant.compression.pruning.filters import FilterPruned, PrunedFilters, prune_filters
    from refquant.compression.pruning.m_by_n import is_pruned_m_by_n, m_by_n_mask
    from refquant.compression.pruning.masks import Mask, magnitude_mask, sparsity_of
    from refquant.compression.pruning.model import Pruned, PrunedTensor, prune_model
    from refquant.compression.pruning.policies import PruneForLatencyOnXNNPack, PruningPolicy
    from refquant.compression.pruning.prunable_layers import PrunableLayer
    from refquant.compression.pruning.pruner import Pruner
    from refquant.compression.pruning.schedules import ConstantSparsity, PolynomialDecay, PruningSchedule
    from refquant.compression.pruning.sparse_encoding import SparseChoice, decode_sparse, encode_sparse, sparse_choices
    from refquant.compression.pruning.training import (
        PruneLowMagnitude,
        PruningSummaries,
        UpdatePruningStep,
        prune_low_magnitude,
        prune_scope,
        strip_pruning,
    )

#: public name: the module that has it
_HOMES: dict[str, str] = {
    "ConstantSparsity": "refquant.compression.pruning.schedules",
    "FilterPruned": "refquant.compression.pruning.filters",
    "Mask": "refquant.compression.pruning.masks",
    "PolynomialDecay": "refquant.compression.pruning.schedules",
    "PrunableLayer": "refquant.compression.pruning.prunable_layers",
    "PruneForLatencyOnXNNPack": "refquant.compression.pruning.policies",
    "PruneLowMagnitude": "refquant.compression.pruning.training",
    "Pruned": "refquant.compression.pruning.model",
    "PrunedFilters": "refquant.compression.pruning.filters",
    "PrunedTensor": "refquant.compression.pruning.model",
    "Pruner": "refquant.compression.pruning.pruner",
    "PruningPolicy": "refquant.compression.pruning.policies",
    "PruningSchedule": "refquant.compression.pruning.schedules",
    "PruningSummaries": "refquant.compression.pruning.training",
    "SparseChoice": "refquant.compression.pruning.sparse_encoding",
    "UpdatePruningStep": "refquant.compression.pruning.training",
    "decode_sparse": "refquant.compression.pruning.sparse_encoding",
    "encode_sparse": "refquant.compression.pruning.sparse_encoding",
    "is_pruned_m_by_n": "refquant.compression.pruning.m_by_n",
    "m_by_n_mask": "refquant.compression.pruning.m_by_n",
    "magnitude_mask": "refquant.compression.pruning.masks",
    "prune_filters": "refquant.compression.pruning.filters",
    "prune_low_magnitude": "refquant.compression.pruning.training",
    "prune_model": "refquant.compression.pruning.model",
    "prune_scope": "refquant.compression.pruning.training",
    "sparse_choices": "refquant.compression.pruning.sparse_encoding",
    "sparsity_of": "refquant.compression.pruning.masks",
    "strip_pruning": "refquant.compression.pruning.training",
}

__all__ = [
    "ConstantSparsity",
    "FilterPruned",
    "Mask",
    "PolynomialDecay",
    "PrunableLayer",
    "PruneForLatencyOnXNNPack",
    "PruneLowMagnitude",
    "Pruned",
    "PrunedFilters",
    "PrunedTensor",
    "Pruner",
    "PruningPolicy",
    "PruningSchedule",
    "PruningSummaries",
    "SparseChoice",
    "UpdatePruningStep",
    "decode_sparse",
    "encode_sparse",
    "is_pruned_m_by_n",
    "m_by_n_mask",
    "magnitude_mask",
    "prune_filters",
    "prune_low_magnitude",
    "prune_model",
    "prune_scope",
    "sparse_choices",
    "sparsity_of",
    "strip_pruning",
]


def __getattr__(name: str) -> Any:
    return lookup(name, _HOMES, "refquant.pruning")


def __dir__() -> list[str]:
    return __all__
