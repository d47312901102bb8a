"""Pruning of a `.tflite` model, without training: the masks that tfmot would give its layers, put on their kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.choice import choose
from refquant.compression.pruning.m_by_n import m_by_n_mask
from refquant.compression.pruning.masks import magnitude_mask, sparsity_of
from refquant.compression.pruning.schedules import PruningSchedule, check_sparsity
from refquant.compression.weights import Skipped, find_weights, replace_constants
from refquant.errors import InvalidInputError
from refquant.tflite.model import Model

Array = npt.NDArray[Any]

_MOST_STEPS = 10_000


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
    sparsity: float | PruningSchedule | None = None,
    *,
    operators: Sequence[str] | Mapping[str, float | PruningSchedule] | None = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    sparsity_m_by_n: tuple[int, int] | None = None,
) -> Pruned:
    """The model with the smallest weights set to zero: of CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, CONV_3D, and of the
    tables of EMBEDDING_LOOKUP and GATHER.

    `sparsity`, in [0, 1), is each weight's own; a schedule goes through its steps, and each prunes what the one before
    left, as in a training that changes nothing (a schedule without an end prunes once). With `sparsity_m_by_n` it is
    not used. `operators` chooses weights by patterns ("*dense*") of their names or by kind of operator ("CONV_2D"); as
    a mapping it gives each pattern its own sparsity, and the first that fits counts. Blocks and m-by-n groups are those
    of the kernel in Keras, as tfmot has them: of a FULLY_CONNECTED a block is inputs by outputs.

    Masks are those of `magnitude_mask` and `m_by_n_mask`; weights are multiplied by them, so that a negative weight
    becomes -0.0, as in tfmot. Raises `InvalidInputError` for a sparsity out of range, a pattern that fits no weight,
    NaN in a weight, a block that does not fit, and a model without weights.
    """
    weights, skipped = find_weights(model)
    if sparsity is None and sparsity_m_by_n is None and not isinstance(operators, Mapping):
        raise InvalidInputError("give a sparsity, or sparsity_m_by_n")
    named = {"sparsity": sparsity}
    if isinstance(operators, Mapping):
        named |= {f"the sparsity of {pattern!r}": own for pattern, own in operators.items()}
    steps = {id(own): _sparsities(own, what) for what, own in named.items() if own is not None}
    chosen = choose(weights, skipped, operators, sparsity, "prune")
    arrays, report = {}, []
    for weight, wanted in chosen:
        kernel, name = weight.to_keras(weight.array), f"weight {weight.name!r} of {weight.operator}"
        threshold = None
        if sparsity_m_by_n is not None:
            mask = m_by_n_mask(kernel, sparsity_m_by_n, name)
        else:
            for share in steps[id(wanted)]:
                mask, threshold = magnitude_mask(kernel, share, block_size, block_pooling_type, name)
                kernel = _masked(kernel, mask)
        array = weight.from_keras(_masked(kernel, mask))
        arrays[weight.subgraph, weight.index] = array
        report.append(
            PrunedTensor(
                weight.name,
                weight.operator,
                weight.array.shape,
                None if sparsity_m_by_n is not None else float(steps[id(wanted)][-1]),
                sparsity_of(array),
                None if threshold is None else float(threshold),
            )
        )
    return Pruned(replace_constants(model, arrays), report, skipped)


def _sparsities(sparsity: float | PruningSchedule, what: str) -> list[float]:
    """The sparsities of the steps that prune."""
    if not isinstance(sparsity, PruningSchedule):
        return [check_sparsity(sparsity, what)]
    last = max(sparsity.end_step, sparsity.begin_step)
    steps = range(sparsity.begin_step, last + 1, sparsity.frequency)
    if len(steps) > _MOST_STEPS:
        raise InvalidInputError(
            f"{what} prunes {len(steps)} times: give a frequency that makes it {_MOST_STEPS} or less"
        )
    return [float(sparsity(step)[1]) for step in steps]


def _masked(kernel: Array, mask: Array) -> Array:
    with np.errstate(invalid="ignore"):  # an infinite weight times zero is NaN, as in tfmot
        return kernel * mask
