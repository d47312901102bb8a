"""Biases: copies for those that are activations elsewhere, room for them in int32, and their integers.

Source: DuplicateBiasesWithMultipleUses, EnsureBiasScaleCompatibility and QuantizeBiases in
tools/optimize/quantize_model.cc.
"""

from __future__ import annotations

import numpy as np

from refquant.errors import InvalidModelError
from refquant.numerics.symmetric import quantize_bias, range_for_bias
from refquant.quantization.draft import Graph, Node, shape_of
from refquant.quantization.legacy.plan import Plan
from refquant.quantization.legacy.tensors import (
    activation_parameters,
    is_quantized,
    quantization_of,
    ranges,
    scales_of,
    store_quantized,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType


def duplicate_shared_biases(plan: Plan) -> None:
    """Gives a bias that is also another input of some operator a copy for each of its uses as a bias.

    Tensors are compared by index, whatever their subgraph, as the converter does.
    """
    draft = plan.draft
    inputs = {
        node.inputs[position]
        for graph in draft.graphs
        for node in graph.nodes
        for position in plan.properties(node).inputs
        if _constant_at(plan, graph, node, position) is not None
    }
    copies: dict[int, int] = {}
    for graph in draft.graphs:
        for node in graph.nodes:
            position = plan.properties(node).bias
            bias = None if position is None else _constant_at(plan, graph, node, position)
            if position is None or bias is None or node.inputs[position] not in inputs:
                continue
            number = copies[node.inputs[position]] = copies.get(node.inputs[position], 0) + 1
            old = bias.quantization
            copy = schema.Tensor(
                name=f"{bias.name or ''}_duplicate_{number}",
                shape=bias.shape,
                type=bias.type,
                buffer=draft.add_buffer(draft.data(bias)),
                quantization=old and schema.QuantizationParameters(scale=old.scale, zero_point=old.zero_point),
            )
            node.inputs[position] = graph.add(copy)


def make_room_for_biases(plan: Plan) -> None:
    """Widens the ranges of weights where a bias would take more than half of int32 at the scale input * weights."""
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            bias = _bias(plan, graph, node)
            if bias is None or not plan.is_quantizable(graph, node):
                continue
            x, weights = _operands(plan, graph, node)
            if not plan.draft.is_constant(bias):
                raise InvalidModelError(
                    f"{plan.place(graph, node)}: its bias {bias.name!r} is not a constant, so it cannot be quantized"
                )
            input_scale = activation_parameters(x, plan.settings.activations_type).scale
            low, high = ranges(weights)
            values = plan.draft.floats(bias)
            if shape_of(bias) != [values.size] or low.size != high.size or low.size not in (1, values.size):
                raise InvalidModelError(
                    f"{plan.place(graph, node)}: a bias of shape {shape_of(bias)} does not fit weights with "
                    f"{low.size} ranges"
                )
            quantization = quantization_of(weights)
            quantization.min, quantization.max = range_for_bias(low, high, values, input_scale)
            if is_quantized(weights) or is_quantized(x):
                raise InvalidModelError(f"{plan.place(graph, node)}: its input or weights are quantized already")


def quantize_biases(plan: Plan) -> None:
    """Makes biases int32 or int64 at the scale input * weights, one for each channel where the weights have them."""
    wide = plan.settings.bias_type == TensorType.INT64
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            bias = _bias(plan, graph, node)
            if bias is None or not plan.is_quantizable(graph, node) or is_quantized(bias):
                continue
            x, weights = _operands(plan, graph, node)
            if x.type == TensorType.INT8 and wide:
                raise InvalidModelError(
                    f"{plan.place(graph, node)}: its input is int8 already, which does not go with an int64 bias"
                )
            with np.errstate(over="ignore", invalid="ignore"):
                scales = scales_of(x)[0] * scales_of(weights)
            values = plan.draft.floats(bias)
            if scales.size != (values.size if _has_channels(plan, node, weights) else 1):
                raise InvalidModelError(
                    f"{plan.place(graph, node)}: a bias of {values.size} numbers does not fit {scales.size} scales"
                )
            store_quantized(plan.draft, bias, quantize_bias(values, scales, np.int64 if wide else np.int32), scales)


def _bias(plan: Plan, graph: Graph, node: Node) -> schema.Tensor | None:
    """The bias of an operator that the quantizer looks after."""
    position = plan.properties(node).bias
    if position is None or not plan.is_real(graph, node):
        return None
    return graph.tensors[node.inputs[position]] if position < len(node.inputs) and node.inputs[position] >= 0 else None


def _operands(plan: Plan, graph: Graph, node: Node) -> list[schema.Tensor]:
    """The input and the weights that a bias is added to."""
    return [graph.tensors[plan.input(graph, node, position)] for position in plan.properties(node).inputs]


def _has_channels(plan: Plan, node: Node, weights: schema.Tensor) -> bool:
    """Whether the weights have a scale for each channel, which only constants can have."""
    rule = [*plan.properties(node).inputs.values()][1]
    return plan.axis(node, rule) is not None and plan.draft.is_constant(weights)


def _constant_at(plan: Plan, graph: Graph, node: Node, position: int) -> schema.Tensor | None:
    """The constant at an input, None where there is none."""
    if position >= len(node.inputs) or node.inputs[position] < 0:
        return None
    tensor = graph.tensors[node.inputs[position]]
    return tensor if plan.draft.is_constant(tensor) else None
