"""Clustering of the weights of a `.tflite` model, as tfmot clusters the kernels of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.choice import choose
from refquant.compression.clustering.arrays import check_clusters, cluster_weights
from refquant.compression.clustering.centroids import CentroidInitialization
from refquant.compression.pruning.masks import sparsity_of
from refquant.compression.weights import Skipped, Weight, find_weights, replace_constants
from refquant.errors import InvalidInputError
from refquant.tflite.model import Model

Array = npt.NDArray[Any]

_PER_CHANNEL = ("CONV_2D",)  # what tfmot clusters by channels


@dataclass(frozen=True)
class ClusteredTensor:
    """A weight that was clustered: its centroids, float32 [number] or [channels, number] in the order of their indices,
    how many distinct values it has now (in the channel that has most), and the share of zeros."""

    name: str
    operator: str
    shape: tuple[int, ...]
    centroids: Array
    values: int
    sparsity: float


@dataclass(frozen=True)
class ClusteredModel:
    """The model with few values in its weights, what was clustered, and what was left alone and why."""

    model: Model
    tensors: list[ClusteredTensor]
    skipped: list[Skipped]


def cluster_model(
    model: Model,
    number_of_clusters: int,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    *,
    operators: Sequence[str] | None = None,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
    seed: int | None = None,
    to_convergence: bool = False,
    progress: Callable[[list[Any], int], Iterable[Any]] | None = None,
) -> ClusteredModel:
    """The model with `number_of_clusters` values in each weight of CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, CONV_3D.

    `operators` chooses weights by patterns of their names or by kinds of operators, as in `prune_model`; the other
    arguments are those of `cluster_weights`, and each weight is clustered as its kernel in Keras is. With
    `cluster_per_channel` a CONV_2D has centroids for each of its outputs; other weights have one set, as in tfmot. A
    weight with fewer distinct values than clusters is left alone, as is a CONV_2D without more weights than clusters,
    which tfmot leaves alone. `progress` wraps the list of weights and takes its length.

    Raises `InvalidInputError` for what `cluster_weights` refuses, a pattern that fits no weight, and a model in which
    no weight can be clustered.
    """
    check_clusters(number_of_clusters, preserve_sparsity)
    weights, skipped = find_weights(model)
    chosen = [weight for weight, _ in choose(weights, skipped, operators, None, "cluster")]
    arrays: dict[tuple[int, int], Array] = {}
    report: list[ClusteredTensor] = []
    for weight in chosen if progress is None else progress(chosen, len(chosen)):
        per_channel = cluster_per_channel and weight.operator in _PER_CHANNEL
        kernel, name = weight.to_keras(weight.array), f"weight {weight.name!r} of {weight.operator}"
        reason = _too_few(kernel, number_of_clusters, per_channel, weight)
        if reason is not None:
            skipped.append(Skipped(weight.name, weight.operator, reason))
            continue
        result = cluster_weights(
            kernel,
            number_of_clusters,
            cluster_centroids_init,
            preserve_sparsity=preserve_sparsity,
            cluster_per_channel=per_channel,
            seed=seed,
            to_convergence=to_convergence,
            name=name,
        )
        arrays[weight.subgraph, weight.index] = weight.from_keras(result.clustered)
        channels = np.moveaxis(result.clustered, -1, 0) if per_channel else [result.clustered]
        values = max(np.unique(channel).size for channel in channels)
        zeros = sparsity_of(result.clustered)
        report.append(
            ClusteredTensor(weight.name, weight.operator, weight.array.shape, result.centroids, values, zeros)
        )
    if not report:
        reasons = "; ".join(f"{s.name!r}: {s.reason}" for s in skipped if s.reason != "not chosen")
        raise InvalidInputError(f"no weight can have {number_of_clusters} clusters: {reasons}")
    return ClusteredModel(replace_constants(model, arrays), report, skipped)


def _too_few(kernel: Array, number: int, per_channel: bool, weight: Weight) -> str | None:
    """Why a weight is left alone, or None."""
    channels = np.moveaxis(kernel, -1, 0) if per_channel else kernel[None]
    if weight.operator == "CONV_2D" and channels[0].size <= number:
        return f"{channels[0].size} weights{' of a channel' * per_channel} are not more than {number} clusters"
    distinct = min(np.unique(channel).size for channel in channels)
    if distinct < number:
        return f"{distinct} distinct values{' of a channel' * per_channel} are fewer than {number} clusters"
    return None
