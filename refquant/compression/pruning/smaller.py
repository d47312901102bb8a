"""A model without some of its channels: its constants cut, and every shape, scale and option that speaks of them."""

from __future__ import annotations

from collections.abc import Set
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.compression.pruning.channels import Channels
from refquant.compression.weights import replace_constants
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]


def without(channels: Channels, roots: Array, removed: Set[int]) -> Model:
    """The model without the channels whose `roots` are removed."""
    stays = ~np.isin(roots, np.fromiter(removed, np.int64, len(removed)))
    cuts = {index: [(axis, stays[ids]) for axis, ids in axes.items()] for index, axes in channels.cuts.items()}
    cuts.update({index: [(-1, stays[ids])] for index, ids in channels.labels.items() if index not in cuts})
    cuts = {index: sides for index, sides in cuts.items() if not all(stay.all() for _, stay in sides)}
    arrays: dict[tuple[int, int], Array] = {}
    for index, sides in cuts.items():
        array = channels.constant(index)
        if array is not None:
            for axis, stay in sides:
                array = np.compress(stay, array, axis)
            arrays[0, index] = array
    shapes, others = _stated_shapes(channels, cuts)
    model = replace_constants(channels.model, arrays | shapes)
    subgraph = model.subgraphs[0]
    tensors = subgraph.tensors = list(subgraph.tensors or ())
    operators = subgraph.operators = list(subgraph.operators or ())
    for index, sides in cuts.items():
        tensors[index] = _smaller(tensors[index], sides)
    for position, slot, array in others:
        _state_anew(model, position, slot, array)
    for position, _, output in channels.shapes:
        stated = getattr(operators[position].builtin_options, "new_shape", None)
        if output in cuts and stated is not None and len(stated) and stated[-1] >= 0:
            stated = np.array(stated, np.int32)
            stated[-1] = indices_of(tensors[output].shape)[-1]
            operators[position] = _with_option(operators[position], "new_shape", stated)
    for step in channels.multipliers:
        filters = indices_of(tensors[step.output].shape)[-1]
        operators[step.position] = _with_option(operators[step.position], "depth_multiplier", filters)
    return model


def _stated_shapes(
    channels: Channels, cuts: dict[int, list[tuple[int, Array]]]
) -> tuple[dict[tuple[int, int], Array], list[tuple[int, int, Array]]]:
    """Constants that state shapes of outputs, as they are now; and those that other operators need as they were."""
    places: dict[int, set[tuple[int, int]]] = {}  # where each tensor is read
    for position, operator in enumerate(channels.graph.operators or ()):
        for slot, index in enumerate(indices_of(operator.inputs)):
            places.setdefault(index, set()).add((position, slot))
    wanted: dict[int, dict[tuple[int, int], Array]] = {}
    for position, slot, output in channels.shapes:
        inputs = indices_of((channels.graph.operators or [])[position].inputs)
        shape = channels.constant(inputs[slot]) if slot < len(inputs) else None
        if shape is not None and output in cuts and shape.size and shape.flat[-1] >= 0:
            ((_, stay),) = cuts[output]
            changed = shape.copy()
            changed.flat[-1] = stay.sum()
            wanted.setdefault(inputs[slot], {})[position, slot] = changed
    replaced, others = {}, []
    for index, uses in wanted.items():
        first, *rest = uses.values()
        same = all(np.array_equal(array, first) for array in rest)
        if same and uses.keys() == places[index] and index not in indices_of(channels.graph.outputs):
            replaced[0, index] = first
        else:
            others += [(position, slot, array) for (position, slot), array in uses.items()]
    return replaced, others


def _state_anew(model: Model, position: int, slot: int, array: Array) -> None:
    """Gives an operator a constant of its own for this input."""
    subgraph, buffers = model.subgraphs[0], model.root.buffers
    assert subgraph.operators is not None and subgraph.tensors is not None and buffers is not None
    operator = subgraph.operators[position] = copy(subgraph.operators[position])
    inputs = np.array(operator.inputs, np.int32)
    tensor = copy(subgraph.tensors[inputs[slot]])
    buffers.append(schema.Buffer(data=np.frombuffer(array.tobytes(), np.uint8)))
    tensor.buffer, tensor.name = len(buffers) - 1, f"{tensor.name or ''}_{position}"
    subgraph.tensors.append(tensor)
    inputs[slot] = len(subgraph.tensors) - 1
    operator.inputs = inputs


def _with_option(operator: schema.Operator, option: str, value: Any) -> schema.Operator:
    operator = copy(operator)
    operator.builtin_options = copy(operator.builtin_options)
    setattr(operator.builtin_options, option, value)
    return operator


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
        if q is not None and q.scale is not None and len(q.scale) > 1 and _is_along(q, axis % len(shape), len(shape)):
            q = tensor.quantization = copy(q)
            for field in ("scale", "zero_point", "min", "max"):
                values = getattr(q, field)
                if values is not None and len(values) == len(stay):
                    setattr(q, field, np.asarray(values)[stay])
    tensor.shape = shape
    if signature is not None:
        tensor.shape_signature = signature
    return tensor


def _is_along(quantization: schema.QuantizationParameters, axis: int, rank: int) -> bool:
    """Whether a tensor is quantized along an axis; old biases name one that they do not have, and mean their only."""
    return rank == 1 or quantization.quantized_dimension == axis
