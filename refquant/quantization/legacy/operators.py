"""Quantizing operator by operator, in the order of the graph.

Source: tools/optimize/quantize_model.cc, whose functions are named below.
"""

from __future__ import annotations

import numpy as np

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.numerics.affine import dequantize
from refquant.numerics.symmetric import asymmetric_int8, quantize_bias, quantize_int8, quantize_int16
from refquant.quantization.draft import Graph, Node
from refquant.quantization.legacy.plan import Plan
from refquant.quantization.legacy.tensors import (
    affine,
    has_range,
    is_quantized,
    parameters,
    quantization_of,
    quantize_activation,
    quantize_activation_to_int16,
    quantize_to_int16,
    quantize_weights,
    ranges,
    record_range,
    scales_of,
    store_quantized,
)
from refquant.quantization.operator_property import Derived, OperatorProperty, TensorProperty
from refquant.tflite import schema
from refquant.tflite.schema import BuiltinOperator, TensorType

#: operators whose options tell the type of the bias, and those whose options tell of int16 scales
_PRODUCTS: dict[
    BuiltinOperator,
    type[schema.Conv2DOptions] | type[schema.FullyConnectedOptions] | type[schema.TransposeConvOptions],
] = {
    BuiltinOperator.CONV_2D: schema.Conv2DOptions,
    BuiltinOperator.FULLY_CONNECTED: schema.FullyConnectedOptions,
    BuiltinOperator.TRANSPOSE_CONV: schema.TransposeConvOptions,
}
_SUMS: dict[BuiltinOperator, type[schema.AddOptions] | type[schema.SubOptions]] = {
    BuiltinOperator.ADD: schema.AddOptions,
    BuiltinOperator.SUB: schema.SubOptions,
}

_TINY = 1e-8  # the range of a gate below which nothing can be said of it


def record_ranges_of_constants(plan: Plan) -> None:
    """Gives constants their ranges, also those of operators that stay float. Source: FillQuantizationParams."""
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            if node.outputs and not plan.is_real(graph, node):
                continue
            for position, rule in plan.properties(node).inputs.items():
                index = plan.input(graph, node, position)
                if index >= 0:
                    _record_range(plan, graph, node, graph.tensors[index], rule)


def _record_range(plan: Plan, graph: Graph, node: Node, tensor: schema.Tensor, rule: TensorProperty) -> None:
    if is_quantized(tensor):
        raise InvalidModelError(
            f"tensor {tensor.name!r}, an input of {plan.place(graph, node)}, is quantized already: start from the "
            "float model"
        )
    if not has_range(tensor):
        if not plan.draft.is_constant(tensor):
            raise InvalidModelError(
                f"tensor {tensor.name!r}, an input of {plan.place(graph, node)}, has no min and max: calibrate the "
                "model with samples that reach it"
            )
        record_range(tensor, plan.draft.floats(tensor), plan.axis(node, rule))
        if quantization_of(tensor).quantized_dimension != (rule.axis or 0):
            raise InvalidModelError(
                f"{plan.place(graph, node)}: this quantizer knows its weights {tensor.name!r} with a scale for each "
                f"index of dimension {rule.axis} only: leave disable_per_channel out"
            )


def quantize_intermediates(plan: Plan) -> None:
    """Quantizes the intermediate tensors of LSTMs. Source: QuantizeIntermediateTensors."""
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            for position, rule in plan.properties(node).intermediates.items():
                if position >= len(node.intermediates):
                    raise InvalidModelError(
                        f"{plan.place(graph, node)} has no intermediate tensors: calibrate the model"
                    )
                index = node.intermediates[position]
                if index < 0 or graph.tensors[index].quantization is None:
                    continue
                tensor = graph.tensors[index]
                low, high = ranges(tensor)
                if rule.bits == 8:
                    quantize_activation(tensor, plan.settings.activations_type)
                elif max(abs(low[0]), abs(high[0])) < _TINY:
                    raise InvalidModelError(f"intermediate tensor {tensor.name!r} was always 0 in the calibration")
                else:
                    quantize_activation_to_int16(tensor)


def share_ranges(plan: Plan) -> None:
    """Gives the output of an LSTM and its state, which are one, the range of both. Source: QuantizeSharedRange."""
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            shared = plan.properties(node).shared_range
            if shared is None:
                continue
            state, output = plan.input(graph, node, shared[0]), plan.output(graph, node, shared[1])
            pair = [graph.tensors[state], graph.tensors[output]]
            lows, highs = zip(*(ranges(tensor) for tensor in pair))
            low, high = min(bound[0] for bound in lows), max(bound[0] for bound in highs)
            if low == high == 0:
                raise InvalidModelError(f"{plan.place(graph, node)}: its output was always 0 in the calibration")
            scale, zero_point, _, _ = asymmetric_int8(low, high)
            for tensor in pair:
                tensor.quantization, tensor.type = affine(scale, zero_point), TensorType.INT8


def quantize_operators(plan: Plan) -> None:
    """Quantizes constants, inputs and outputs of each operator, or sees to its floats if it stays float.

    Source: QuantizeWeightsInputOutput.
    """
    unsupported: list[str] = []
    for graph in plan.draft.graphs:
        for node in list(graph.nodes):
            if not plan.is_real(graph, node):
                continue
            rule = plan.properties(node)
            if not plan.is_quantizable(graph, node):
                if not plan.settings.allow_float:
                    if _is_last_dequantize(plan, graph, node):
                        continue
                    unsupported.append(plan.place(graph, node))
                for position in range(len(node.inputs)):
                    _dequantize_input(plan, graph, node, position)
                continue
            inputs = dict.fromkeys(range(len(node.inputs)), TensorProperty()) if rule.all_inputs else rule.inputs
            outputs = dict.fromkeys(range(len(node.outputs)), TensorProperty()) if rule.all_outputs else rule.outputs
            for position, tensor_rule in inputs.items():
                _quantize_input(plan, graph, node, position, rule, tensor_rule)
            for position, tensor_rule in outputs.items():
                _quantize_output(plan, graph, node, position, rule, tensor_rule)
    if unsupported:
        kind = "int16" if plan.settings.activations_type == TensorType.INT16 else "int8"
        raise UnsupportedOperatorError(
            f"no {kind} version of {'; '.join(unsupported)}: allow float operators (TFLITE_BUILTINS among the "
            "supported_ops, allow_float=True) or build the model without them"
        )


def _is_last_dequantize(plan: Plan, graph: Graph, node: Node) -> bool:
    return (
        plan.settings.activations_type == TensorType.INT8
        and plan.draft.name(node) == "DEQUANTIZE"
        and node.outputs[0] in graph.outputs
    )


def _dequantize_input(plan: Plan, graph: Graph, node: Node, position: int) -> None:
    """Puts a DEQUANTIZE in front of an operator that stays float, where its input is quantized."""
    if node.inputs[position] < 0 or not is_quantized(graph.tensors[node.inputs[position]]):
        return
    tensor = graph.tensors[node.inputs[position]]
    new = graph.add(_like(tensor, "_float", TensorType.FLOAT32))
    dequantize_node = plan.draft.new_node(BuiltinOperator.DEQUANTIZE, 2, node.inputs[position], new)
    graph.nodes.insert(graph.nodes.index(node), dequantize_node)
    node.inputs[position] = new


def _quantize_input(
    plan: Plan, graph: Graph, node: Node, position: int, rule: OperatorProperty, tensor_rule: TensorProperty
) -> None:
    """Source: QuantizeOpInput."""
    index = plan.input(graph, node, position)
    if index < 0 or is_quantized(graph.tensors[index]):
        return
    tensor, type = graph.tensors[index], plan.settings.activations_type
    if plan.draft.is_constant(tensor):
        _quantize_constant(plan, graph, node, tensor, rule, tensor_rule)
    elif not has_range(tensor):
        raise InvalidModelError(
            f"tensor {tensor.name!r}, an input of {plan.place(graph, node)}, has no min and max: calibrate the model"
        )
    elif index in graph.inputs or tensor_rule.state:
        if tensor_rule.bits == 8:
            quantize_activation(tensor, type)
        elif tensor_rule.bits == 16:
            quantize_activation_to_int16(tensor, power_of_two=tensor_rule.power_of_two)
    else:
        low, high = ranges(tensor)
        integer = _like(tensor, plan.settings.suffix, type)
        integer.quantization = schema.QuantizationParameters(min=low[:1], max=high[:1])
        quantize_activation(integer, type)
        new = graph.add(integer)
        graph.nodes.insert(graph.nodes.index(node), plan.draft.new_node(BuiltinOperator.QUANTIZE, 1, index, new))
        node.inputs[position] = new


def _quantize_constant(
    plan: Plan, graph: Graph, node: Node, tensor: schema.Tensor, rule: OperatorProperty, tensor_rule: TensorProperty
) -> None:
    int16 = plan.settings.activations_type == TensorType.INT16
    if (int16 and (rule.same_scale or rule.constants_as_activations)) or tensor_rule.bits == 16:
        quantize_to_int16(plan.draft, tensor)
    elif tensor_rule.derived is not None:
        scale = np.array([_product_of_scales(plan, graph, node, tensor_rule.derived)])
        integers = quantize_bias(plan.draft.floats(tensor), scale, np.int32)
        store_quantized(plan.draft, tensor, integers, scale)
    elif tensor_rule.bits == 10:
        quantize_to_int16(plan.draft, tensor, bits=10)
    else:
        quantize_weights(plan.draft, tensor, plan.axis(node, tensor_rule))


def _product_of_scales(plan: Plan, graph: Graph, node: Node, derived: Derived) -> np.float32:
    """Source: GetEffectiveScale in tools/optimize/quantization_utils.cc."""
    tensors = [graph.tensors[plan.input(graph, node, position)] for position in derived.inputs]
    tensors += [graph.tensors[node.intermediates[position]] for position in derived.intermediates]
    scale = np.float32(1)
    for tensor in tensors:
        scale *= scales_of(tensor)[0]
    return scale if derived.factor is None else scale * np.float32(derived.factor)


def _quantize_output(
    plan: Plan, graph: Graph, node: Node, position: int, rule: OperatorProperty, tensor_rule: TensorProperty
) -> None:
    """Source: QuantizeOpOutput."""
    tensor, type = graph.tensors[plan.output(graph, node, position)], plan.settings.activations_type
    fixed = tensor_rule.fixed_int16 if type == TensorType.INT16 else tensor_rule.fixed_int8
    if is_quantized(tensor):
        return
    if rule.same_scale and not rule.all_inputs:
        _copy_quantization(plan, graph, node, tensor, next(iter(rule.inputs)))
        tensor.type = type
    elif fixed is not None:
        tensor.quantization, tensor.type = affine(*fixed), type
    elif has_range(tensor):
        quantize_activation(tensor, type)
    else:
        raise InvalidModelError(
            f"tensor {tensor.name!r}, an output of {plan.place(graph, node)}, has no min and max: calibrate the model"
        )


def _copy_quantization(plan: Plan, graph: Graph, node: Node, tensor: schema.Tensor, position: int) -> None:
    """Gives an output the scale, zero point and range of an input."""
    source = graph.tensors[plan.input(graph, node, position)]
    if scales_of(source).size != 1:
        raise InvalidModelError(f"{plan.place(graph, node)}: its input {source.name!r} has several scales")
    tensor.quantization = affine(*parameters(source))
    if has_range(source):
        low, high = ranges(source)
        tensor.quantization.min, tensor.quantization.max = low[:1], high[:1]


def requantize_joined_inputs(plan: Plan) -> None:
    """Brings the inputs of CONCATENATION and its like to the scale of the output. Source: ApplyConstraints.

    A constant that nothing else uses is quantized anew, anything else gets a QUANTIZE in front of the operator.
    """
    for graph in plan.draft.graphs:
        for node in reversed(list(graph.nodes)):
            if not plan.properties(node).all_inputs or not plan.is_real(graph, node):
                continue
            if not plan.is_quantizable(graph, node):
                continue
            scale, zero_point = parameters(graph.tensors[node.outputs[0]])
            place = graph.nodes.index(node)
            for position, index in enumerate(node.inputs):
                tensor = graph.tensors[index]
                if parameters(tensor) == (scale, zero_point):
                    continue
                if plan.draft.is_constant(tensor) and sum(index in user.inputs for user in graph.nodes) == 1:
                    _requantize_constant(plan, tensor, scale, zero_point)
                    continue
                requantized = _like(tensor, "_requantized", plan.settings.activations_type)
                requantized.quantization = affine(scale, zero_point)
                node.inputs[position] = graph.add(requantized)
                new_node = plan.draft.new_node(BuiltinOperator.QUANTIZE, 1, index, node.inputs[position])
                graph.nodes.insert(place, new_node)


def _requantize_constant(plan: Plan, tensor: schema.Tensor, scale: np.float32, zero_point: int) -> None:
    dtype = np.int16 if tensor.type == TensorType.INT16 else np.int8
    integers = plan.draft.data(tensor).view(dtype)
    floats = dequantize(integers, *parameters(tensor))
    tensor.quantization = affine(scale, zero_point)
    if tensor.type == TensorType.INT16:
        plan.draft.store(tensor, quantize_int16(floats, scale))
    else:
        plan.draft.store(tensor, quantize_int8(floats, scale, zero_point, group=16))


def set_bias_types(plan: Plan) -> None:
    """Tells the operators with a bias its type, also those without one. Source: SetOperatorPropertyBiasType."""
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            code, options = plan.draft.codes[node.table.opcode_index].builtin_code, node.table.builtin_options
            kind = _PRODUCTS.get(code)
            if kind is not None and isinstance(options, kind):
                options.quantized_bias_type = plan.settings.bias_type


def raise_versions(plan: Plan) -> None:
    """Raises the versions of operators to the least that takes quantized tensors, also of those that stay float.

    Source: SetOperatorCodeVersion in tools/optimize/model_utils.cc.
    """
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            code = plan.draft.codes[node.table.opcode_index]
            code.version = max(code.version, plan.properties(node).version if plan.is_known(node) else code.version)


def allow_any_int16_scale(plan: Plan) -> None:
    """Tells int16 ADD and SUB that scales are no powers of two. Source: SetOperatorPropertyADDSUBOperator."""
    if plan.settings.activations_type != TensorType.INT16:
        return
    for graph in plan.draft.graphs:
        for node in graph.nodes:
            code, options = plan.draft.codes[node.table.opcode_index].builtin_code, node.table.builtin_options
            kind = _SUMS.get(code)
            if kind is not None and isinstance(options, kind):
                options.pot_scale_int16 = False


def _like(tensor: schema.Tensor, suffix: str, type: TensorType) -> schema.Tensor:
    """A new tensor of the same shape, its name with a suffix."""
    return schema.Tensor(
        name=(tensor.name or "") + suffix, shape=tensor.shape, shape_signature=tensor.shape_signature, type=type
    )
