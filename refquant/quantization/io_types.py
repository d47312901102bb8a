"""Other types for the inputs and outputs of a quantized model: what the converter does after its quantizers.

The model has float32 at its border, a QUANTIZE behind each input and a DEQUANTIZE in front of each output. These give
way, for int8 and int16, or take uint8. Source: modify_model_io_type in lite/python/util.py of tensorflow 2.21.0.
"""

from __future__ import annotations

from refquant.errors import InvalidInputError
from refquant.quantization.draft import Draft, Graph, Node
from refquant.quantization.legacy.tensors import affine, parameters
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType

#: which types the border may have, by the type inside
_CHOICE = {
    TensorType.INT8: (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8),
    TensorType.INT16: (TensorType.FLOAT32, TensorType.INT16),
}
_INTEGERS = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


def modify_io_type(
    model: Model, input_type: TensorType = TensorType.FLOAT32, output_type: TensorType = TensorType.FLOAT32
) -> Model:
    """A copy of a quantized model with inputs and outputs of other types; the model itself for float32 and float32.

    Works on the subgraphs that have signatures, on the first one where the model has none. Inputs and outputs that are
    not next to a QUANTIZE or DEQUANTIZE stay as they are. Of two QUANTIZE in a row one remains; a QUANTIZE and a
    DEQUANTIZE in a row in front of an output go.

    Raises `InvalidInputError` for a type that does not go with the type inside, or a model that has no QUANTIZE or
    DEQUANTIZE but float inputs or outputs.
    """
    if input_type == output_type == TensorType.FLOAT32:
        return model
    draft = Draft(model)
    borders: list[tuple[Graph, schema.SignatureDef | None]] = [
        (draft.graphs[signature.subgraph_index], signature) for signature in draft.signatures
    ] or [(draft.graphs[0], None)]
    for graph, signature in borders:
        _change_inputs(draft, graph, signature, input_type)
    for graph, signature in borders:
        _change_outputs(draft, graph, signature, output_type)
    for graph, signature in borders:
        _join_quantizes(draft, graph)
        _drop_round_trips(draft, graph, signature)
    return draft.model()


def _change_inputs(draft: Draft, graph: Graph, signature: schema.SignatureDef | None, type: TensorType) -> None:
    if type == TensorType.FLOAT32 or not _has(draft, graph, "QUANTIZE", graph.inputs, "input"):
        return
    found = [
        node
        for node in graph.nodes
        if draft.name(node) == "QUANTIZE"
        and node.inputs[0] in graph.inputs
        and _is_float(graph, node.inputs[0], node.outputs[0], type, "input")
    ]
    if type == TensorType.UINT8:
        for node in found:
            _make_uint8(graph, node.inputs[0], node.outputs[0])
    else:
        entries = signature.inputs if signature else None
        for node in found:
            _replace(graph.inputs, entries, node.inputs[0], node.outputs[0])
            graph.nodes.remove(node)
        _remove_tensors(draft, {node.inputs[0] for node in found})


def _change_outputs(draft: Draft, graph: Graph, signature: schema.SignatureDef | None, type: TensorType) -> None:
    if type == TensorType.FLOAT32 or not _has(draft, graph, "DEQUANTIZE", graph.outputs, "output"):
        return
    found = [
        node
        for node in graph.nodes
        if draft.name(node) == "DEQUANTIZE"
        and node.outputs[0] in graph.outputs
        and _is_float(graph, node.outputs[0], node.inputs[0], type, "output")
    ]
    if type == TensorType.UINT8:
        code = draft.code(BuiltinOperator.QUANTIZE, 1)
        for node in found:
            node.table.opcode_index = code
            _make_uint8(graph, node.outputs[0], node.inputs[0])
    else:
        entries = signature.outputs if signature else None
        for node in found:
            _replace(graph.outputs, entries, node.outputs[0], node.inputs[0])
            graph.nodes.remove(node)
        _remove_tensors(draft, {node.outputs[0] for node in found})


def _has(draft: Draft, graph: Graph, name: str, border: list[int], what: str) -> bool:
    """Whether the model has an operator of this name; it must where its border is float32."""
    numbers = [max(int(code.deprecated_builtin_code), int(code.builtin_code)) for code in draft.codes]
    if BuiltinOperator[name] in numbers or not graph.nodes:
        return True
    for index in border:
        if graph.tensors[index].type == TensorType.FLOAT32:
            raise InvalidInputError(
                f"{what} {graph.tensors[index].name!r} is float32 and the model has no {name}: it is not quantized, so "
                f"its {what}s stay float32"
            )
    return False


def _is_float(graph: Graph, outer: int, inner: int, type: TensorType, what: str) -> bool:
    """Whether a tensor at the border is float32, and may become `type`; one that is of this type already may not."""
    tensor, inside = graph.tensors[outer], graph.tensors[inner].type
    if tensor.type == type:
        return False
    if tensor.type != TensorType.FLOAT32:
        raise InvalidInputError(f"{what} {tensor.name!r} is {tensor.type.name}: only float32 can become {type.name}")
    if type not in _CHOICE.get(inside, ()):
        choice = " or ".join(kind.name for kind in _CHOICE.get(inside, (TensorType.FLOAT32,)))
        raise InvalidInputError(
            f"{what} {tensor.name!r} is {inside.name} inside the model, so its type is {choice}, not {type.name}"
        )
    return True


def _make_uint8(graph: Graph, outer: int, inner: int) -> None:
    scale, zero_point = parameters(graph.tensors[inner])
    graph.tensors[outer].type = TensorType.UINT8
    graph.tensors[outer].quantization = affine(scale, zero_point + 128)


def _replace(border: list[int], entries: list[schema.TensorMap] | None, old: int, new: int) -> None:
    """Has the border of a subgraph and its signature name another tensor."""
    border[:] = [new if index == old else index for index in border]
    for entry in entries or ():
        if entry.tensor_index == old:
            entry.tensor_index = new


def _remove_tensors(draft: Draft, unused: set[int]) -> None:
    """Takes tensors out of a model that has one subgraph; where there are more they stay."""
    if len(draft.graphs) > 1 or not unused:
        return
    graph = draft.graphs[0]
    kept = [index for index in range(len(graph.tensors)) if index not in unused]
    moved = {old: new for new, old in enumerate(kept)}
    graph.tensors[:] = [graph.tensors[index] for index in kept]
    for indices in [graph.inputs, graph.outputs]:
        indices[:] = [moved.get(index, -1) for index in indices]
    for node in graph.nodes:
        for indices in (node.inputs, node.outputs, node.intermediates):
            indices[:] = [moved.get(index, -1) for index in indices]
    for signature in draft.signatures[:1]:
        for entry in [*(signature.inputs or ()), *(signature.outputs or ())]:
            entry.tensor_index = moved.get(entry.tensor_index, entry.tensor_index)


def _join_quantizes(draft: Draft, graph: Graph) -> None:
    """Of two QUANTIZE in a row, takes out the first; who else reads what was between them reads the end."""
    quantizes = [node for node in graph.nodes if draft.name(node) == "QUANTIZE"]
    second = {
        node.inputs[0]: node
        for node in quantizes
        if TensorType.FLOAT32 not in (graph.tensors[node.inputs[0]].type, graph.tensors[node.outputs[0]].type)
    }
    for node in quantizes:
        between = node.outputs[0]
        if between not in second:
            continue
        for signature in draft.signatures[:1]:
            _replace([], signature.outputs, between, node.inputs[0])
        last = second[between]
        dropped = last.inputs[0]
        last.inputs[0] = node.inputs[0]
        for user in graph.nodes:
            if user is not last:
                user.inputs[:] = [last.outputs[0] if index == dropped else index for index in user.inputs]
        graph.nodes.remove(node)


def _drop_round_trips(draft: Draft, graph: Graph, signature: schema.SignatureDef | None) -> None:
    """Takes out a QUANTIZE and a DEQUANTIZE in a row in front of an output, which then is what went in."""
    last = {
        node.inputs[0]: node
        for node in graph.nodes
        if draft.name(node) == "DEQUANTIZE" and node.outputs[0] in graph.outputs
    }
    for node in [node for node in graph.nodes if draft.name(node) == "QUANTIZE"]:
        dequantize: Node | None = last.get(node.outputs[0])
        if dequantize is not None:
            _replace(graph.outputs, signature.outputs if signature else None, dequantize.outputs[0], node.inputs[0])
            graph.nodes.remove(node)
            graph.nodes.remove(dequantize)
