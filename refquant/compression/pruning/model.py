"""Pruning of a `.tflite` model, without training: the masks that tfmot would give its layers, put on their kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from refquant.compression.pruning.m_by_n import m_by_n_mask
from refquant.compression.pruning.masks import magnitude_mask, sparsity_of
from refquant.compression.pruning.schedules import check_sparsity
from refquant.compression.weights import Skipped, Weight, find_weights, replace_constants
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
    chosen = _choose(weights, skipped, sparsity, operators)
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


def _choose(
    weights: list[Weight],
    skipped: list[Skipped],
    sparsity: float | None,
    operators: Sequence[str] | Mapping[str, float] | None,
) -> list[tuple[Weight, float | None]]:
    """The weights to prune, each with its sparsity; what the patterns leave out is added to `skipped`."""
    if not weights:
        raise InvalidInputError("the model has no float32 weights to prune" + "".join(f"; {_told(s)}" for s in skipped))
    if operators is None:
        return [(weight, sparsity) for weight in weights]
    if isinstance(operators, str):
        raise InvalidInputError(f"operators must be a list of patterns: give [{operators!r}]")
    patterns: dict[str, Any] = dict(operators) if isinstance(operators, Mapping) else dict.fromkeys(operators, sparsity)
    for pattern, own in patterns.items():
        if own is not None:
            check_sparsity(own, f"the sparsity of {pattern!r}")
        if not any(_fits(weight, pattern) for weight in weights):
            known = [name for weight in weights for name in (weight.name, weight.operator)]
            close = get_close_matches(pattern, known, 3, 0.4)
            left = next((s for s in skipped if pattern in (s.name, s.operator)), None)
            why = (
                _told(left) if left else f"close are {', '.join(map(repr, close))}" if close else "see refquant inspect"
            )
            raise InvalidInputError(f"no weight fits {pattern!r}: {why}")
    chosen = []
    for weight in weights:
        fitting = [own for pattern, own in patterns.items() if _fits(weight, pattern)]
        if fitting:
            chosen.append((weight, fitting[0]))
        else:
            skipped.append(Skipped(weight.name, weight.operator, "not chosen"))
    return chosen


def _fits(weight: Weight, pattern: str) -> bool:
    return weight.operator == pattern or fnmatchcase(weight.name, pattern)


def _told(skipped: Skipped) -> str:
    return f"{skipped.name!r} of {skipped.operator}: {skipped.reason}"
