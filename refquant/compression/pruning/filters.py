"""Pruning of whole filters by their L1 norm (Li et al. 2016, "Pruning Filters for Efficient ConvNets")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.choice import choose
from refquant.compression.pruning.channels import Channels, Producer
from refquant.compression.pruning.smaller import without
from refquant.compression.weights import Skipped
from refquant.errors import InvalidInputError
from refquant.tflite.model import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PrunedFilters:
    """The filters removed from an operator, by index in the weight, and their L1 norms."""

    name: str
    operator: str
    before: int
    after: int
    removed: tuple[int, ...]
    norms: tuple[float, ...]


@dataclass(frozen=True)
class FilterPruned:
    """A smaller model, what was removed from it, and which operators keep their filters and why."""

    model: Model
    filters: list[PrunedFilters]
    skipped: list[Skipped]


def prune_filters(
    model: Model, fraction: float | None = None, *, operators: Sequence[str] | Mapping[str, float] | None = None
) -> FilterPruned:
    """The model without the filters of CONV_2D and TRANSPOSE_CONV and neurons of FULLY_CONNECTED of smallest L1 norms.

    Of n filters floor(n * fraction) go, `fraction` being in [0, 1), so that one stays at least; of equal norms the
    higher index goes first. Norms are float64 sums of the weights' magnitudes, dequantized. `operators` chooses
    weights by patterns ("*dense*") of their names or by kind of operator ("CONV_2D"); as a mapping it gives each
    pattern its own fraction, and the first that fits counts. A DEPTHWISE_CONV_2D loses the filters of the channels
    that its input loses; one that reads a single channel has filters of its own, as CONV_2D has.

    Channels are followed through what works on each of them alone (activations, pooling, resizing, padding, means over
    other axes), through arithmetic with constants and with each other, concatenations and reshapes, to the operators
    that read them; where they reach any other operator, or a model output, the filters stay. Filters whose channels
    are added to each other, or share a weight, go together: their norms are summed, and the smallest of their fractions
    counts. Of an operator that shares only some of its channels, those are ranked by themselves.

    The smaller model computes, to the bit, what the whole one does when no weight reads the removed channels. Not so
    kernels with float inputs and int8 weights: they scale their input by the largest value of all channels, and take a
    weight of one filter, with its one scale, for one that is quantized per tensor.

    Raises `InvalidInputError` for a fraction out of range, a pattern that fits no weight, NaN in a weight, a model
    without filters that can go, and one of several subgraphs.
    """
    if fraction is None and not isinstance(operators, Mapping):
        raise InvalidInputError("give a fraction, in [0, 1)")
    for given in [fraction, *(operators.values() if isinstance(operators, Mapping) else ())]:
        if given is not None:
            _check_fraction(given)
    if len(model.subgraphs) != 1:
        raise InvalidInputError("filters are pruned in models of one subgraph only")
    channels = Channels(model)
    roots = channels.roots()
    kept = {int(roots[channel]): why for channel, why in reversed(channels.kept.items())}
    skipped, free = list(channels.refused), []
    for producer in channels.producers.values():
        reasons = [kept.get(root) for root in roots[producer.ids].tolist()]
        if None not in reasons:
            skipped.append(Skipped(producer.name, producer.operator, str(reasons[0])))
        else:
            free.append(producer)
    chosen = choose(free, skipped, operators, fraction, "prune", "filters that can go")
    fractions = {producer.weight: float(own) for producer, own in chosen if own is not None}
    norms = {weight: _norms(channels, channels.producers[weight]) for weight in fractions}
    removed: set[int] = set()
    blocked: dict[int, Producer] = {}  # channels that stay, because of an operator that is not chosen
    for weights, members in _groups(free, roots, kept).items():
        stranger = next((channels.producers[weight] for weight in weights if weight not in fractions), None)
        if stranger is not None:
            blocked.update(dict.fromkeys(members, stranger))
            continue
        place = {root: position for position, root in enumerate(members)}
        total = np.zeros(len(members))
        for weight in weights:
            for root, norm in zip(roots[channels.producers[weight].ids].tolist(), norms[weight].tolist(), strict=True):
                if root in place:
                    total[place[root]] += norm
        count = math.floor(len(members) * min(fractions[weight] for weight in weights))
        order = np.lexsort((-np.arange(len(members)), total))
        removed.update(members[position] for position in order[:count].tolist())
    filters = []
    for weight in fractions:
        producer = channels.producers[weight]
        own = roots[producer.ids].tolist()
        if all(root in kept or root in blocked for root in own):
            other = next(blocked[root] for root in own if root in blocked)
            why = f"its filters go with those of {other.name!r}, which is not chosen"
            skipped.append(Skipped(producer.name, producer.operator, why))
            continue
        gone = tuple(position for position, root in enumerate(own) if root in removed)
        left = tuple(float(norms[weight][position]) for position in gone)
        filters.append(PrunedFilters(producer.name, producer.operator, len(own), len(own) - len(gone), gone, left))
    return FilterPruned(without(channels, roots, removed), filters, skipped)


def _check_fraction(fraction: Any) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, int | float | np.floating) or not 0 <= fraction < 1:
        raise InvalidInputError(f"fraction must be in [0, 1), not {fraction!r}")


def _groups(producers: list[Producer], roots: Array, kept: dict[int, str]) -> dict[tuple[int, ...], list[int]]:
    """The channels that can go, by the weights whose filters they are."""
    owners: dict[int, list[int]] = {}
    for producer in producers:
        for root in dict.fromkeys(roots[producer.ids].tolist()):
            if root not in kept:
                owners.setdefault(root, []).append(producer.weight)
    groups: dict[tuple[int, ...], list[int]] = {}
    for root, weights in owners.items():
        groups.setdefault(tuple(weights), []).append(root)
    return groups


def _norms(channels: Channels, producer: Producer) -> Array:
    """The L1 norm of each filter, of the real numbers that it stands for."""
    tensor, array = channels.tensors[producer.weight], channels.constant(producer.weight)
    assert array is not None
    real, quantization = array.astype(np.float64), tensor.quantization
    if np.issubdtype(array.dtype, np.integer) and quantization is not None and quantization.scale is not None:
        side = [1] * array.ndim
        if len(quantization.scale) > 1:
            side[quantization.quantized_dimension] = -1
        zero = 0 if quantization.zero_point is None else np.asarray(quantization.zero_point).reshape(-1)
        zero = np.broadcast_to(zero, len(quantization.scale)).reshape(side)
        real = (real - zero) * np.asarray(quantization.scale, np.float64).reshape(side)
    if np.isnan(real).any():
        raise InvalidInputError(f"weight {producer.name!r} has NaN, which has no rank")
    return np.asarray(np.abs(np.moveaxis(real, producer.axis, 0)).reshape(len(producer.ids), -1).sum(1))
