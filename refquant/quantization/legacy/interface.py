"""The inputs and outputs of the model: float32 or uint8 in front of and behind integers.

Source: SetInputAndOutputTypes in tools/optimize/quantize_model.cc.
"""

from __future__ import annotations

from refquant.errors import InvalidInputError
from refquant.quantization.draft import Draft, Graph
from refquant.quantization.legacy.plan import Settings
from refquant.quantization.legacy.tensors import affine, is_quantized, parameters
from refquant.tflite import schema
from refquant.tflite.schema import BuiltinOperator, TensorType


def set_interface(draft: Draft, settings: Settings, input_type: TensorType, output_type: TensorType) -> None:
    """Puts a QUANTIZE in front of each quantized input that is to be float32 or uint8, and the like behind outputs.

    The new tensor takes the name of the old one, which is called name_int8 or name_int16.
    """
    for number, graph in enumerate(draft.graphs):
        signature = next((s for s in draft.signatures if s.subgraph_index == number), None)
        for position, old in enumerate(graph.inputs):
            _require_quantized(graph, old, input_type, "input")
            graph.inputs[position] = _new_input(draft, graph, old, input_type, settings.suffix)
            _redirect(signature.inputs if signature else None, old, graph.inputs[position])
        for position, old in enumerate(graph.outputs):
            _require_quantized(graph, old, output_type, "output")
            graph.outputs[position] = _new_output(draft, graph, old, output_type, settings.suffix)
            _redirect(signature.outputs if signature else None, old, graph.outputs[position])


def _new_input(draft: Draft, graph: Graph, old: int, type: TensorType, suffix: str) -> int:
    """The index of the tensor that becomes the input, the old one where nothing changes."""
    if not _needs_change(graph.tensors[old], type):
        return old
    outer = _outer_tensor(graph.tensors[old], type, suffix)
    if _only_quantized_to_itself(draft, graph, old):
        graph.tensors[old] = outer
        return old
    new = graph.add(outer)
    graph.nodes.insert(0, draft.new_node(BuiltinOperator.QUANTIZE, 1, new, old))
    return new


def _new_output(draft: Draft, graph: Graph, old: int, type: TensorType, suffix: str) -> int:
    """The index of the tensor that becomes the output, the old one where nothing changes."""
    if not _needs_change(graph.tensors[old], type):
        return old
    new = graph.add(_outer_tensor(graph.tensors[old], type, suffix))
    if type == TensorType.FLOAT32:
        graph.nodes.append(draft.new_node(BuiltinOperator.DEQUANTIZE, 2, old, new))
    else:
        graph.nodes.append(draft.new_node(BuiltinOperator.QUANTIZE, 1, old, new))
    return new


def _needs_change(tensor: schema.Tensor, type: TensorType) -> bool:
    """Whether the tensor is quantized and another type is wanted that a QUANTIZE or DEQUANTIZE can give."""
    quantized = tensor.type in (TensorType.INT8, TensorType.INT16) and tensor.type != type and is_quantized(tensor)
    return quantized and type in (TensorType.FLOAT32, TensorType.UINT8)


def _outer_tensor(tensor: schema.Tensor, type: TensorType, suffix: str) -> schema.Tensor:
    """The new tensor at the border, under the name that `tensor` gives up; uint8 is int8 with 128 more."""
    quantization = None
    if type == TensorType.UINT8:
        scale, zero_point = parameters(tensor)
        quantization = affine(scale, zero_point + 128)
    outer = schema.Tensor(
        name=tensor.name,
        shape=tensor.shape,
        shape_signature=tensor.shape_signature,
        type=type,
        quantization=quantization,
    )
    tensor.name = (tensor.name or "") + suffix
    return outer


def _only_quantized_to_itself(draft: Draft, graph: Graph, index: int) -> bool:
    """Whether all that the tensor meets is one QUANTIZE that leaves it as it is."""
    users = [node for node in graph.nodes if index in node.inputs]
    if len(users) != 1 or draft.name(users[0]) != "QUANTIZE":
        return False
    tensor, output = graph.tensors[index], graph.tensors[users[0].outputs[0]]
    return output.type == tensor.type and parameters(output) == parameters(tensor)


def _redirect(entries: list[schema.TensorMap] | None, old: int, new: int) -> None:
    """Has the first entry of a signature that names tensor `old` name `new`."""
    for entry in entries or ():
        if entry.tensor_index == old:
            entry.tensor_index = new
            return


def _require_quantized(graph: Graph, index: int, type: TensorType, what: str) -> None:
    tensor = graph.tensors[index]
    if tensor.type == TensorType.FLOAT32 and type != TensorType.FLOAT32:
        raise InvalidInputError(
            f"{what} {tensor.name!r} stays float32, so it cannot become {type.name}: the operator next to it is not "
            f"quantized. Choose float32 as the type of {what}s"
        )
