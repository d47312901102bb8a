"""Weights with many zeros stored without them, where and how TensorFlow's converter does with EXPERIMENTAL_SPARSITY.

The converter looks at the weights of CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED, also behind the
DEQUANTIZE of float16 weights. Where at least three tenths are zeros it leaves out those of the last dimension, and a
DENSIFY operator puts them back before the weights are used. FULLY_CONNECTED can use its weights as they are stored if
the zeros come in blocks along the row, of 4 in floats and of 16 in int8: if nearly all are in such blocks, these are
left out, and there is no DENSIFY. Source: transforms/dense_to_sparse_pass.cc and flatbuffer_export.cc of the converter.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType
from refquant.tflite.sparsity import sparsify

Array = npt.NDArray[Any]

#: the operators whose input 1 can be encoded
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

#: the least share of zeros
_LEAST_SPARSITY = np.float32(0.3)

#: by type: how many places FULLY_CONNECTED's blocks have, and which share of the zeros must lie in such blocks
_BLOCKS = {
    TensorType.FLOAT32: (4, np.float32(0.9)),
    TensorType.FLOAT16: (4, np.float32(0.9)),
    TensorType.INT8: (16, np.float32(0.8)),
}

#: the first version of FULLY_CONNECTED that takes sparse weights
_SPARSE_VERSION = 8


class SparseChoice(NamedTuple):
    """What becomes of one weight: `encoded` or not and the `reason`, its share of zeros, and how it is stored.

    `block` is the number of places of a block along the last dimension, 1 without blocks. With `densify` a DENSIFY
    operator stands before the first use.
    """

    subgraph: int
    tensor: int
    name: str
    sparsity: float
    encoded: bool
    block: int
    densify: bool
    reason: str


def sparse_choices(model: Model) -> list[SparseChoice]:
    """What `encode_sparse` makes of each weight, in the order of the operators that use them.

    Raises `InvalidModelError` where the data of a weight do not fit its shape.
    """
    return [
        _choose(model, number, *use) for number, graph in enumerate(model.subgraphs) for use in _weights(model, graph)
    ]


def encode_sparse(model: Model) -> Model:
    """The model with its sparse weights (float32, float16, int8) encoded as the converter encodes them.

    The outputs stay the same, except where FULLY_CONNECTED uses blocks as they are stored: its sums of floats are
    added in another order, and TensorFlow Lite's kernel for them rounds its sums of int8 otherwise. Weights with
    less than three tenths of zeros stay dense, and so do those of nothing but zeros, those that are an output of the
    graph, and those that are sparse already: `sparse_choices` tells which and why. A model that has no others comes
    back as it is.

    It differs from the converter where what that writes cannot run. Rows that are not whole blocks are never cut into
    blocks, because the rest of the row would be lost. Neither are float16 weights behind DEQUANTIZE, which knows
    nothing of sparse inputs: its output would not be a number. Weights that others also use get a DENSIFY.

    Raises `InvalidModelError` where the data of a weight do not fit its shape.
    """
    choices = [choice for choice in sparse_choices(model) if choice.encoded]
    if not choices:
        return model
    root = _copied(model)
    result = model.with_root(root)
    stored: dict[tuple[int, int, tuple[int, ...]], tuple[int, schema.SparsityParameters]] = {}
    for choice in choices:
        graph = result.subgraphs[choice.subgraph]
        tensors = graph.tensors or []
        tensor = tensors[choice.tensor]
        shape = tuple(_list(tensor.shape))
        key = (tensor.buffer, choice.block, shape)
        if key not in stored:
            dense = model.constant(tensor)
            assert dense is not None
            values, sparsity = _encode(dense, choice.block)
            root.buffers = [*(root.buffers or []), schema.Buffer(data=values.view(np.uint8))]
            stored[key] = len(root.buffers) - 1, sparsity
        tensors[choice.tensor] = sparse = copy(tensor)
        sparse.buffer, sparse.sparsity = stored[key]
        if choice.densify:
            _insert_densify(root, graph, choice.tensor)
        else:
            _raise_version(result, graph, choice.tensor)
    _empty_unused_buffers(root, {buffer for buffer, _, _ in stored})
    return result


def decode_sparse(model: Model) -> Model:
    """The model with all its sparse constants dense, and without the DENSIFY operators that made them so.

    The places of the tensors stay; what a DENSIFY made is a tensor that nothing uses, and is dropped at the end of the
    list only. Raises `InvalidModelError` where a sparse constant contradicts itself.
    """
    root = _copied(model)
    result = model.with_root(root)
    emptied: set[int] = set()
    for graph in result.subgraphs:
        tensors = graph.tensors or []
        constants: set[int] = set()
        for index, tensor in enumerate(tensors):
            if tensor.sparsity is None:
                continue
            dense = model.constant(tensor)
            if dense is None:  # all zeros: nothing is stored
                continue
            emptied.add(tensor.buffer)
            constants.add(index)
            root.buffers = [*(root.buffers or []), schema.Buffer(data=dense.reshape(-1).view(np.uint8))]
            tensors[index] = tensor = copy(tensor)
            tensor.buffer, tensor.sparsity = len(root.buffers) - 1, None
        replaced: dict[int, int] = {}
        kept = []
        outputs = set(_list(graph.outputs))
        for operator in graph.operators or ():
            inputs = [replaced.get(i, i) for i in _list(operator.inputs)]
            is_densify = result.operator_name(operator) == "DENSIFY" and inputs and inputs[0] in constants
            if is_densify and _list(operator.outputs)[0] not in outputs:
                replaced[_list(operator.outputs)[0]] = inputs[0]
                continue
            operator.inputs = np.asarray(inputs, np.int32)
            kept.append(operator)
        graph.operators = kept
        while tensors and len(tensors) - 1 in replaced:
            tensors.pop()
    _empty_unused_buffers(root, emptied)
    return result


def _weights(model: Model, graph: schema.SubGraph) -> list[tuple[int, bool]]:
    """The constants that are weights, in the order of their operators, and whether they can be used as stored."""
    tensors = graph.tensors or []
    operators = graph.operators or []
    dequantized = {
        _list(operator.outputs)[0]: _list(operator.inputs)[0]
        for operator in operators
        if model.operator_name(operator) == "DEQUANTIZE"
    }
    direct: dict[int, bool] = {}
    for operator in operators:
        inputs = _list(operator.inputs)
        if model.operator_name(operator) not in _WEIGHTED or len(inputs) < 2:
            continue
        index = dequantized.get(inputs[1], inputs[1])
        if 0 <= index < len(tensors) and model.buffer(tensors[index].buffer).size:
            own = index == inputs[1] and model.operator_name(operator) == "FULLY_CONNECTED"
            direct[index] = direct.get(index, True) and own
    uses = [i for operator in operators for i in _list(operator.inputs)]
    return [(index, own and uses.count(index) == 1) for index, own in direct.items()]


def _choose(model: Model, subgraph: int, index: int, direct: bool) -> SparseChoice:
    graph = model.subgraphs[subgraph]
    tensor = (graph.tensors or [])[index]

    def dense(reason: str, sparsity: float = 0.0) -> SparseChoice:
        return SparseChoice(subgraph, index, tensor.name or "", sparsity, False, 1, False, reason)

    if tensor.sparsity is not None:
        return dense("it is sparse already")
    quantized = tensor.quantization is not None and tensor.quantization.scale is not None
    if tensor.type not in _BLOCKS or (tensor.type == TensorType.INT8) != quantized:
        return dense(f"only float32, float16 and quantized int8 are encoded, not {TensorType(tensor.type).name}")
    if index in _list(graph.outputs):
        return dense("it is an output of the graph")
    values = model.constant(tensor)
    if values is None or values.ndim not in (2, 4):
        return dense("only weights of 2 or 4 dimensions are encoded")
    sparsity = _share(np.count_nonzero(values == 0), values.size)
    if sparsity < _LEAST_SPARSITY:
        return dense("less than three tenths of it are zeros", float(sparsity))
    if not values.any():
        return dense("all its values are zeros: nothing would be stored", 1.0)
    block, ratio = _BLOCKS[tensor.type]
    if direct and values.ndim == 2 and values.shape[1] % block == 0:
        empty = ~(values != 0).reshape(-1, block).any(1)
        if _share(np.count_nonzero(empty) * block, values.size) / sparsity > ratio:
            why = f"its zeros come in blocks of {block}"
            return SparseChoice(subgraph, index, tensor.name or "", float(sparsity), True, block, False, why)
    why = "three tenths or more of it are zeros"
    return SparseChoice(subgraph, index, tensor.name or "", float(sparsity), True, 1, True, why)


def _share(zeros: Any, elements: int) -> np.float32:
    return np.float32(zeros / elements)


def _encode(dense: Array, block: int) -> tuple[Array, schema.SparsityParameters]:
    """The last dimension, or its blocks, without the zeros; all before it as it is."""
    last = dense.ndim - 1
    order = list(range(dense.ndim + (block > 1)))
    sparse = [dimension == last for dimension in order]
    return sparsify(dense, order, sparse, {last: block} if block > 1 else {})


def _insert_densify(root: schema.Model, graph: schema.SubGraph, index: int) -> None:
    """A DENSIFY before the first operator that uses a tensor, for all that do."""
    tensors, operators = graph.tensors or [], graph.operators or []
    dense = copy(tensors[index])
    dense.name = f"{dense.name or ''}_dense"
    dense.buffer, dense.sparsity = 0, None
    tensors.append(dense)
    first = next(i for i, operator in enumerate(operators) if index in _list(operator.inputs))
    for operator in operators[first:]:
        inputs = [len(tensors) - 1 if i == index else i for i in _list(operator.inputs)]
        operator.inputs = np.asarray(inputs, np.int32)
    densify = schema.Operator(
        opcode_index=_code(root, BuiltinOperator.DENSIFY, 1),
        inputs=np.asarray([index], np.int32),
        outputs=np.asarray([len(tensors) - 1], np.int32),
    )
    operators.insert(first, densify)


def _raise_version(model: Model, graph: schema.SubGraph, index: int) -> None:
    for operator in graph.operators or ():
        if index in _list(operator.inputs):
            version = max(model.operator_version(operator), _SPARSE_VERSION)
            operator.opcode_index = _code(model.root, BuiltinOperator.FULLY_CONNECTED, version)


def _code(root: schema.Model, number: BuiltinOperator, version: int) -> int:
    """The place of an operator in the table of operator codes, appended where it is not there."""
    codes = root.operator_codes = root.operator_codes or []
    for place, code in enumerate(codes):
        if max(code.deprecated_builtin_code, code.builtin_code) == number and code.version == version:
            return place
    deprecated = min(int(number), 127)
    codes.append(schema.OperatorCode(deprecated_builtin_code=deprecated, builtin_code=number, version=version))
    return len(codes) - 1


def _copied(model: Model) -> schema.Model:
    """The tables that change, copied."""
    root = copy(model.root)
    root.buffers = list(root.buffers or ())
    root.operator_codes = list(root.operator_codes or ())
    root.subgraphs = [copy(graph) for graph in root.subgraphs or ()]
    for graph in root.subgraphs:
        graph.tensors = list(graph.tensors or ())
        graph.operators = [copy(operator) for operator in graph.operators or ()]
    return root


def _empty_unused_buffers(root: schema.Model, candidates: set[int]) -> None:
    used = {tensor.buffer for graph in root.subgraphs or () for tensor in graph.tensors or ()}
    used |= {entry.buffer for entry in root.metadata or ()}
    for buffer in candidates - used:
        (root.buffers or [])[buffer] = schema.Buffer()


def _list(indices: Any) -> list[int]:
    return [] if indices is None else np.asarray(indices).tolist()
