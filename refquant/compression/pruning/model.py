"""Pruning of a `.tflite` model, without training: the masks that tfmot would give its layers, put on their kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refquant.compression.choice import choose
from refquant.compression.pruning.m_by_n import m_by_n_mask
from refquant.compression.pruning.masks import magnitude_mask, sparsity_of
from refquant.compression.pruning.schedules import check_sparsity
from refquant.compression.weights import Skipped, find_weights, replace_constants
from refquant.errors import InvalidInputError
from refquant.tflite.model import Model


@dataclass(frozen=True)
class PrunedTensor:
    """What was done to a weight: sparsity asked for (None with m-by-n) and reached, and the threshold."""

    name: str
    operator: str
    shape: tuple[int, ...]
    sparsity: float | None
    reached: float
    threshold: float | None


@dataclass(frozen=True)
class Pruned:
    """A pruned model, and what was pruned and what was left alone."""

    model: Model
    tensors: list[PrunedTensor]
    skipped: list[Skipped]


def prune_model(
    model: Model,
    sparsity: float | None = None,
    *,
    operators: Sequence[str] | Mapping[str, float] | None = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    sparsity_m_by_n: tuple[int, int] | None = None,
) -> Pruned:
    """The model with the smallest weights of CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV and CONV_3D set to zero.

    `sparsity`, in [0, 1), is each weight's own; with `sparsity_m_by_n` it is not used. `operators` chooses weights by
    patterns ("*dense*") of their names or by kind of operator ("CONV_2D"); as a mapping it gives each pattern its own
    sparsity, and the first that fits counts. Blocks and m-by-n groups are those of the kernel in Keras, as tfmot has
    them: of a FULLY_CONNECTED a block is inputs by outputs.

    Masks are those of `magnitude_mask` and `m_by_n_mask`; weights are multiplied by them, so that a negative weight
    becomes -0.0, as in tfmot. Raises `InvalidInputError` for a sparsity out of range, a pattern that fits no weight,
    NaN in a weight, a block that does not fit, and a model without weights.
    """
    weights, skipped = find_weights(model)
    if sparsity is None and sparsity_m_by_n is None and not isinstance(operators, Mapping):
        raise InvalidInputError("give a sparsity, or sparsity_m_by_n")
    if sparsity is not None:
        check_sparsity(sparsity, "sparsity")
    for pattern, own in operators.items() if isinstance(operators, Mapping) else ():
        check_sparsity(own, f"the sparsity of {pattern!r}")
    chosen = choose(weights, skipped, operators, sparsity, "prune")
    arrays, report = {}, []
    for weight, wanted in chosen:
        kernel, name = weight.to_keras(weight.array), f"weight {weight.name!r} of {weight.operator}"
        threshold = None
        if sparsity_m_by_n is not None:
            mask = m_by_n_mask(kernel, sparsity_m_by_n, name)
        else:
            assert wanted is not None
            mask, threshold = magnitude_mask(kernel, wanted, block_size, block_pooling_type, name)
        with np.errstate(invalid="ignore"):  # an infinite weight times zero is NaN, as in tfmot
            array = weight.from_keras(kernel * mask)
        arrays[weight.subgraph, weight.index] = array
        report.append(
            PrunedTensor(
                weight.name,
                weight.operator,
                weight.array.shape,
                None if sparsity_m_by_n is not None else wanted,
                sparsity_of(array),
                None if threshold is None else float(threshold),
            )
        )
    return Pruned(replace_constants(model, arrays), report, skipped)
