"""Pruning of whole filters by their L1 norm (Li et al. 2016, "Pruning Filters for Efficient ConvNets")."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.weights import Skipped, replace_constants
from refquant.errors import InvalidInputError
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]

#: operators that work on each channel by itself and have one input that is no constant
_CHANNELWISE = {"RELU", "RELU6", "LOGISTIC", "TANH", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "DEQUANTIZE"}
_TYPES = {schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT32}


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


def prune_filters(model: Model, fraction: float) -> FilterPruned:
    """The model without the filters of CONV_2D and neurons of FULLY_CONNECTED that have the smallest L1 norms.

    Of n filters floor(n * fraction) go, `fraction` being in [0, 1), so that one stays at least; of equal norms the
    higher index goes first. Norms are float64 sums of the weights' magnitudes, dequantized. Operators whose outputs
    are added lose the same filters, those of the smallest sums of norms. Channels are followed through depthwise
    convolutions with a multiplier of one, activations, pooling, ADD, QUANTIZE and DEQUANTIZE to the convolutions
    and FULLY_CONNECTED that read them; any other reader, or a model output, keeps all filters.

    Raises `InvalidInputError` for a fraction out of range, NaN in a weight, and a model of several subgraphs.
    """
    if not isinstance(fraction, int | float | np.floating) or not 0 <= fraction < 1:
        raise InvalidInputError(f"fraction must be in [0, 1), not {fraction!r}")
    if len(model.subgraphs) != 1:
        raise InvalidInputError("filters are pruned in models of one subgraph only")
    graph = _Channels(model)
    removed, filters = graph.choose(float(fraction))
    skipped = [
        Skipped(graph.name(weight), operator, graph.reason(ids) or "")
        for weight, (operator, ids) in graph.producers.items()
        if graph.reason(ids)
    ]
    return FilterPruned(graph.without(removed), filters, skipped)


class _Channels:
    """Which channel each entry of a tensor's axis belongs to; channels that must go together are one.

    A channel is a number; `parent` joins those that are added to each other, and `kept` has the reasons of those
    that must stay.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self.tensors = list(self.graph.tensors or ())
        self.parent: list[int] = []
        self.kept: dict[int, str] = {}
        self.labels: dict[int, Array] = {}  # of an activation's last axis
        self.cuts: dict[int, list[tuple[int, Array]]] = {}  # of a constant's axes
        self.producers: dict[int, tuple[str, Array]] = {}  # by weight
        self.uses: dict[int, int] = {}
        operators = list(self.graph.operators or ())
        for operator in operators:
            for index in set(indices_of(operator.inputs)):
                self.uses[index] = self.uses.get(index, 0) + 1
        for operator in operators:
            self._follow(operator)
        for index in indices_of(self.graph.outputs):
            self._keep(index, "it reaches a model output")

    def name(self, index: int) -> str:
        return str(self.tensors[index].name or "")

    def reason(self, ids: Array) -> str | None:
        """Why these channels stay, or None."""
        roots = {self._root(int(i)) for i in ids}
        return next((why for i, why in self.kept.items() if self._root(i) in roots), None)

    def choose(self, fraction: float) -> tuple[set[int], list[PrunedFilters]]:
        """The channels that go, and the filters that are theirs."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for weight, (_, ids) in self.producers.items():
            if self.reason(ids) is None:
                groups.setdefault(tuple(self._root(int(i)) for i in ids), []).append(weight)
        removed: set[int] = set()
        filters = []
        for roots, weights in groups.items():
            norms = {weight: self._norms(weight) for weight in weights}
            total = np.sum(list(norms.values()), axis=0)
            count = math.floor(len(roots) * fraction)
            order = np.lexsort((-np.arange(len(roots)), total))[:count]
            gone = tuple(sorted(int(i) for i in order))
            removed.update(roots[i] for i in gone)
            for weight in weights:
                own = tuple(float(norms[weight][i]) for i in gone)
                operator, n = self.producers[weight][0], len(roots)
                filters.append(PrunedFilters(self.name(weight), operator, n, n - count, gone, own))
        return removed, filters

    def without(self, removed: set[int]) -> Model:
        """The model without these channels."""
        staying = {
            index: [(axis, np.array([self._root(int(i)) not in removed for i in ids])) for axis, ids in cuts]
            for index, cuts in self.cuts.items()
        }
        staying = {index: cuts for index, cuts in staying.items() if not all(stay.all() for _, stay in cuts)}
        arrays: dict[tuple[int, int], Array] = {}
        for index, cuts in staying.items():
            array = self.model.constant(self.tensors[index])
            assert array is not None
            for axis, stay in cuts:
                array = np.compress(stay, array, axis)
            arrays[0, index] = array
        model = replace_constants(self.model, arrays)
        subgraph = model.subgraphs[0]
        tensors = subgraph.tensors = list(subgraph.tensors or ())
        for index, ids in self.labels.items():
            staying[index] = [(-1, np.array([self._root(int(i)) not in removed for i in ids]))]
        for index, cuts in staying.items():
            tensors[index] = _smaller(tensors[index], cuts)
        return model

    def _follow(self, operator: schema.Operator) -> None:
        kind = self.model.operator_name(operator)
        inputs, outputs = indices_of(operator.inputs), indices_of(operator.outputs)
        source = inputs[0] if len(inputs) else -1
        if kind in ("CONV_2D", "FULLY_CONNECTED") and self._produce(kind, inputs, outputs[0]):
            return
        if source in self.labels and (
            kind in _CHANNELWISE
            or (kind == "DEPTHWISE_CONV_2D" and self._depthwise(inputs))
            or (kind == "ADD" and self._add(inputs))
        ):
            self.labels[outputs[0]] = self.labels[source]
        else:
            for index in inputs:
                self._keep(index, f"its channels reach {kind}, through which they are not followed")

    def _produce(self, kind: str, inputs: list[int], output: int) -> bool:
        source, weight, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else -1
        shape = self._constant(weight)
        if shape is None or (bias >= 0 and self._constant(bias) is None):
            return False
        if self.tensors[source].type != self.tensors[weight].type or weight == source:
            return False
        if len(shape) != (4 if kind == "CONV_2D" else 2) or self._shape(output)[-1:] != shape[:1]:
            return False
        labels = self.labels.get(source)
        if self._shape(source)[-1:] != shape[-1:]:  # grouped, or flattened by FULLY_CONNECTED
            return False
        ids = np.arange(len(self.parent), len(self.parent) + shape[0])
        self.parent.extend(ids.tolist())
        self.producers[weight] = kind, ids
        self.labels[output] = ids
        self.cuts[weight] = [(0, ids)] if labels is None else [(0, ids), (len(shape) - 1, labels)]
        if bias >= 0:
            self.cuts[bias] = [(0, ids)]
        return True

    def _depthwise(self, inputs: list[int]) -> bool:
        labels = self.labels[inputs[0]]
        constants = [index for index in inputs[1:] if index >= 0]
        for index in constants:
            shape = self._constant(index)
            if shape is None or shape[-1] != len(labels):
                return False
        if self.tensors[inputs[0]].type != self.tensors[inputs[1]].type:
            return False
        for index in constants:
            self.cuts[index] = [(len(self._shape(index)) - 1, labels)]
        return True

    def _add(self, inputs: list[int]) -> bool:
        first, second = inputs
        if first not in self.labels or second not in self.labels or self._shape(first) != self._shape(second):
            return False
        for a, b in zip(self.labels[first].tolist(), self.labels[second].tolist(), strict=True):
            self.parent[self._root(a)] = self._root(b)
        return True

    def _constant(self, index: int) -> tuple[int, ...] | None:
        """The shape of a constant that one operator reads and that can be cut, else None."""
        tensor = self.tensors[index] if index >= 0 else None
        if tensor is None or tensor.sparsity is not None or tensor.type not in _TYPES or self.uses[index] > 1:
            return None
        array = self.model.constant(tensor)
        return None if array is None or not array.ndim else array.shape

    def _shape(self, index: int) -> tuple[int, ...]:
        return tuple(indices_of(self.tensors[index].shape))

    def _keep(self, index: int, why: str) -> None:
        for i in self.labels.get(index, np.zeros(0, int)).tolist():
            self.kept.setdefault(i, why)

    def _root(self, channel: int) -> int:
        while self.parent[channel] != channel:
            channel = self.parent[channel]
        return channel

    def _norms(self, weight: int) -> Array:
        tensor = self.tensors[weight]
        array = self.model.constant(tensor)
        assert array is not None
        real = array.astype(np.float64).reshape(len(array), -1)
        if tensor.type != schema.TensorType.FLOAT32 and tensor.quantization is not None:
            scale = np.asarray(tensor.quantization.scale, np.float64).reshape(-1, 1)
            zero = tensor.quantization.zero_point
            real = (real - (0 if zero is None else np.asarray(zero).reshape(-1, 1))) * scale
        if np.isnan(real).any():
            raise InvalidInputError(f"weight {self.name(weight)!r} has NaN, which has no rank")
        return np.abs(real).sum(1)


def _smaller(tensor: schema.Tensor, cuts: list[tuple[int, Array]]) -> schema.Tensor:
    """A copy of a tensor with the shape, signature, scales and zero points of what stays."""
    tensor = copy(tensor)
    shape = np.array(tensor.shape, np.int32)
    signature = None if tensor.shape_signature is None else np.array(tensor.shape_signature, np.int32)
    for axis, stay in cuts:
        shape[axis] = stay.sum()
        if signature is not None and len(signature) and signature[axis] >= 0:
            signature[axis] = stay.sum()
        q = tensor.quantization
        if q is not None and q.scale is not None and len(q.scale) > 1 and q.quantized_dimension == axis % len(shape):
            q = tensor.quantization = copy(q)
            q.scale = np.asarray(q.scale)[stay]
            if q.zero_point is not None and len(q.zero_point) == len(stay):
                q.zero_point = np.asarray(q.zero_point)[stay]
    tensor.shape = shape
    if signature is not None:
        tensor.shape_signature = signature
    return tensor
