"""Variables that operators read and assign: all that is read from one and assigned to it gets one range.

Source: QuantizeResources in tools/optimize/quantize_model.cc.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refquant.numerics.symmetric import INT16_STEPS, largest, quantize_int8, quantize_int16
from refquant.quantization.draft import Graph, Node
from refquant.quantization.legacy.plan import Plan
from refquant.quantization.legacy.tensors import (
    has_range,
    parameters,
    quantization_of,
    quantize_activation,
    ranges,
    store_quantized,
)
from refquant.tflite import schema
from refquant.tflite.schema import TensorType


def share_ranges_of_variables(plan: Plan) -> None:
    """Gives what is read from a variable and assigned to it the range of all of it and 0; quantizes constants."""
    names = _names(plan)
    low = dict.fromkeys(names.values(), np.float32(0))
    high = dict.fromkeys(names.values(), np.float32(0))
    for name, tensor in _values(plan, names):
        if has_range(tensor):
            lows, highs = ranges(tensor)
            low[name], high[name] = min(low[name], lows[0]), max(high[name], highs[0])
    for name, tensor in _values(plan, names):
        quantization = quantization_of(tensor)
        quantization.min, quantization.max = np.array([low[name]]), np.array([high[name]])
        if plan.draft.is_constant(tensor):
            _quantize_constant(plan, tensor)


def _names(plan: Plan) -> dict[tuple[int, int], str]:
    """The names of variables by subgraph and tensor of their handles."""
    return {
        (number, node.outputs[0]): node.table.builtin_options.shared_name or ""
        for number, graph in enumerate(plan.draft.graphs)
        for node in graph.nodes
        if plan.draft.name(node) == "VAR_HANDLE" and isinstance(node.table.builtin_options, schema.VarHandleOptions)
    }


def _values(plan: Plan, names: dict[tuple[int, int], str]) -> Iterator[tuple[str, schema.Tensor]]:
    """Each tensor that is assigned to a variable or read from it, with the variable's name."""
    for number, graph in enumerate(plan.draft.graphs):
        for node in graph.nodes:
            index = _value(plan, graph, node)
            if index is not None and (number, node.inputs[0]) in names:
                yield names[number, node.inputs[0]], graph.tensors[index]


def _value(plan: Plan, graph: Graph, node: Node) -> int | None:
    if plan.draft.name(node) == "ASSIGN_VARIABLE":
        return plan.input(graph, node, 1)
    return plan.output(graph, node, 0) if plan.draft.name(node) == "READ_VARIABLE" else None


def _quantize_constant(plan: Plan, tensor: schema.Tensor) -> None:
    values = plan.draft.floats(tensor)
    if plan.settings.activations_type == TensorType.INT16:
        low, high = ranges(tensor)
        scale = largest(low[0], high[0]) / np.float32(INT16_STEPS)
        store_quantized(plan.draft, tensor, quantize_int16(values, scale), np.array([scale]))
    else:
        quantize_activation(tensor, TensorType.INT8)
        plan.draft.store(tensor, quantize_int8(values, *parameters(tensor), group=8))
