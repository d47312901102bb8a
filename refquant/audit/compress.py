"""Prune, cluster, quantize: the steps of the TFLite guides one after the other, and what each of them did.

Pruning makes weights zero, clustering gives each tensor few values and leaves zeros alone, quantization rounds: zero is
always one of its numbers, and one value of a channel becomes one integer, so no channel has more values than before.
A whole tensor may, where each channel has a scale of its own; the step says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit import accuracy
from refquant.compression.clustering import CentroidInitialization, cluster_model
from refquant.compression.pruning import prune_model
from refquant.compression.sizes import Sizes, sizes_of
from refquant.errors import InvalidInputError
from refquant.quantization.converter import Converter
from refquant.quantization.modes import ModeName, set_mode
from refquant.tflite.model import Model
from refquant.tflite.schema import Tensor, TensorType
from refquant.tflite.vectors import indices_of, scales_of

Array = npt.NDArray[Any]

_WEIGHTS = (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8, TensorType.UINT8, TensorType.INT4)


@dataclass(frozen=True, slots=True)
class Weight:
    """The values of one weight: share of real zeros, distinct values in all and at most in one channel."""

    name: str
    elements: int
    zeros: int
    values: int
    values_of_channel: int
    channels: int


@dataclass(frozen=True, slots=True)
class Step:
    """A model on its way: the bytes of its file, their sizes, its weights, and its accuracy where labels are known.

    `sparsity` is the share of zeros in the weights that pruning and clustering have touched, or in all of them before;
    `clusters` the most values that one of these has in a channel of its scales (in all, where there is one scale).
    """

    name: str
    content: bytes = field(repr=False)
    sizes: Sizes
    weights: list[Weight] = field(repr=False)
    sparsity: float
    clusters: int
    accuracy: float | None
    notes: list[str]


def compress(
    model: Model | str | os.PathLike[str] | bytes,
    *,
    sparsity: float | None = None,
    number_of_clusters: int | None = None,
    cluster_centroids_init: CentroidInitialization = CentroidInitialization.KMEANS_PLUS_PLUS,
    cluster_per_channel: bool = False,
    seed: int | None = None,
    mode: str | None = None,
    samples: Mapping[str, Array] | None = None,
    calibration_samples: int = 100,
    progress: accuracy.Progress | None = None,
) -> list[Step]:
    """Prunes, clusters and quantizes a float model, as far as asked, and returns the model at each step.

    `sparsity`, in [0, 1), is that of every weight that tfmot prunes. `number_of_clusters` is that of every weight that
    it clusters, with sparsity preserved after pruning; `cluster_centroids_init`, `cluster_per_channel` and `seed` are
    as in `cluster_model`. `mode` is one of the converter's by the names of `refquant quantize` ("int8", "dynamic").
    `samples` are arrays of N real samples by input name: the first `calibration_samples` of them calibrate the integer
    modes, all of them, with `labels`, give the accuracy. `progress` wraps the numbers of the samples that are run.

    Raises `InvalidInputError` where nothing is asked, a mode is unknown or lacks samples; what the steps raise.
    """
    source = model if isinstance(model, Model) else Model.read(model)
    wanted = None if mode is None else _mode(mode)
    if sparsity is None and number_of_clusters is None and wanted is None:
        raise InvalidInputError("nothing to do: give a sparsity, a number of clusters or a mode of quantization")
    if wanted is not None and wanted.takes_samples and samples is None:
        raise InvalidInputError(f"mode {wanted.value!r} needs representative samples")
    if calibration_samples < 1:
        raise InvalidInputError(f"calibration_samples must be 1 or more, it is {calibration_samples}")
    rows, labels = (None, None) if samples is None else accuracy.real_samples(source, dict(samples), None)
    touched: set[str] = set()

    def step(name: str, result: Model | bytes, notes: Iterable[str] = ()) -> Step:
        content = result if isinstance(result, bytes) else result.tobytes()
        read = Model.read(content)
        weights = weights_of(read)
        chosen = [w for w in weights if w.name in touched] or weights
        return Step(
            name,
            content,
            sizes_of(content),
            weights,
            sum(w.zeros for w in chosen) / max(1, sum(w.elements for w in chosen)),
            max((w.values_of_channel for w in chosen), default=0),
            None if rows is None or labels is None else accuracy.share_correct(read, rows, labels, progress or _silent),
            list(notes),
        )

    steps = [step("original", source)]
    if sparsity is not None:
        pruned = prune_model(source, sparsity)
        touched = _changed(source, pruned.model)
        source = pruned.model
        steps.append(step("pruned", source))
    if number_of_clusters is not None:
        clustered = cluster_model(
            source,
            number_of_clusters,
            cluster_centroids_init,
            preserve_sparsity=sparsity is not None,
            cluster_per_channel=cluster_per_channel,
            seed=seed,
        )
        touched = _changed(source, clustered.model) or touched
        source = clustered.model
        steps.append(step("clustered", source))
    if wanted is not None:
        converter = Converter(source)
        set_mode(converter, wanted)
        if wanted.takes_samples and rows is not None:
            first = rows
            converter.representative_dataset = lambda: (
                [array[n] for array in first] for n in range(min(calibration_samples, len(first[0])))
            )
        quantized = converter.convert()
        notes = list(_appeared(steps[-1].weights, weights_of(Model.read(quantized)), touched))
        steps.append(step(f"quantized, {wanted.value}", quantized, notes))
    return steps


def weights_of(model: Model) -> list[Weight]:
    """The constants of two dimensions or more in the types that weights have."""
    return [
        _weight(tensor, constant)
        for subgraph in model.subgraphs
        for tensor in subgraph.tensors or ()
        if tensor.type in _WEIGHTS and len(indices_of(tensor.shape)) > 1
        if (constant := model.constant(tensor)) is not None and constant.size
    ]


def _weight(tensor: Tensor, constant: Array) -> Weight:
    quantization = tensor.quantization
    per_channel = quantization is not None and scales_of(tensor).size > 1
    axis = quantization.quantized_dimension if per_channel and quantization is not None else 0
    channels = np.moveaxis(constant, axis, 0).reshape(constant.shape[axis] if per_channel else 1, -1)
    zero_points = np.zeros(1, np.int64)
    if scales_of(tensor).size and quantization is not None and quantization.zero_point is not None:
        zero_points = np.array(indices_of(quantization.zero_point))
    return Weight(
        str(tensor.name or ""),
        constant.size,
        int(np.count_nonzero(channels == zero_points[:, None].astype(channels.dtype))),
        np.unique(constant).size,
        max(np.unique(channel).size for channel in channels),
        len(channels),
    )


def _changed(before: Model, after: Model) -> set[str]:
    """The names of the weights that are not the same in both."""
    return {
        str(old.name or "")
        for first, second in zip(before.subgraphs, after.subgraphs)
        for old, new in zip(first.tensors or (), second.tensors or ())
        if len(indices_of(old.shape)) > 1
        if (constant := before.constant(old)) is not None
        if not np.array_equal(constant, np.asarray(after.constant(new)))
    }


def _appeared(before: list[Weight], after: list[Weight], touched: set[str]) -> Iterable[str]:
    """Where quantization made more values out of those of a tensor, and why."""
    earlier = {weight.name: weight for weight in before}
    for weight in after:
        old = earlier.get(weight.name)
        if old is not None and weight.name in touched and weight.values > old.values:
            yield (
                f"{weight.name}: {old.values} values became {weight.values} integers, since each of its "
                f"{weight.channels} channels has its own scale; at most {weight.values_of_channel} in one channel"
            )


def _mode(name: str) -> ModeName:
    try:
        return ModeName(name)
    except ValueError:
        raise InvalidInputError(
            f"there is no mode {name!r}: choose one of {', '.join(entry.value for entry in ModeName)}"
        ) from None


def _silent(items: Iterable[int], _: int) -> Iterable[int]:
    return items
