"""All facts of a model as plain dictionaries and lists: what `refquant inspect` shows."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.options import name_of, options_of

Facts = dict[str, Any]

#: where the operators that multiply and accumulate have their weights and their bias
WEIGHTS_AND_BIAS = {
    "CONV_2D": (1, 2),
    "CONV_3D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}


def describe(model: Model, content: bytes) -> Facts:
    """The facts of a model; `content` holds the bytes of its file."""
    root = model.root
    graphs = [_subgraph(model, i, graph) for i, graph in enumerate(model.subgraphs)]
    sizes = [len(model.buffer(i)) for i in range(len(root.buffers or ()))]
    owners = _buffer_owners(graphs, root.metadata or [])
    parts = dict.fromkeys(("weights", "biases", "other constants", "metadata", "unused buffers"), 0)
    for i, size in enumerate(sizes):
        parts[owners.get(i, ("unused buffers", ""))[0]] += size
    parts["structure"] = max(0, len(content) - sum(parts.values()))
    largest = sorted((i for i, size in enumerate(sizes) if size), key=lambda i: (-sizes[i], i))
    macs = [op["macs"] for graph in graphs for op in graph["operators"] if op["macs"] is not None]
    return {
        "version": root.version,
        "description": root.description or "",
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "macs": sum(macs),
        "bytes_by_kind": parts,
        "buffers": [
            {"index": i, "bytes": sizes[i], "kind": kind, "of": of}
            for i in largest
            for kind, of in [owners.get(i, ("unused buffers", ""))]
        ],
        "metadata": [
            {"name": entry.name or "", "buffer": entry.buffer, "bytes": sizes[entry.buffer]}
            for entry in root.metadata or ()
        ],
        "signatures": [_signature(signature) for signature in root.signature_defs or ()],
        "subgraphs": graphs,
    }


def _signature(signature: schema.SignatureDef) -> Facts:
    return {
        "key": signature.signature_key or "",
        "subgraph": signature.subgraph_index,
        "inputs": {entry.name or "": entry.tensor_index for entry in signature.inputs or ()},
        "outputs": {entry.name or "": entry.tensor_index for entry in signature.outputs or ()},
    }


def _subgraph(model: Model, index: int, graph: schema.SubGraph) -> Facts:
    tensors = [_tensor(model, i, tensor) for i, tensor in enumerate(graph.tensors or ())]
    operators = []
    for i, table in enumerate(graph.operators or ()):
        operator: Facts = {
            "index": i,
            "name": model.operator_name(table),
            "custom": model.is_custom(table),
            "version": model.operator_version(table),
            "inputs": _list(table.inputs),
            "outputs": _list(table.outputs),
            "intermediates": _list(table.intermediates),
            "options": options_of(table),
            "custom_options_bytes": len(model.custom_options(table)),
        }
        operator["macs"] = _macs(operator, tensors)
        operators.append(operator)
    return {
        "index": index,
        "name": graph.name or "",
        "inputs": _list(graph.inputs),
        "outputs": _list(graph.outputs),
        "operators": operators,
        "tensors": tensors,
    }


def _tensor(model: Model, index: int, tensor: schema.Tensor) -> Facts:
    quantization = tensor.quantization or schema.QuantizationParameters()
    return {
        "index": index,
        "name": tensor.name or "",
        "type": name_of(tensor.type),
        "shape": _list(tensor.shape),
        "shape_signature": None if tensor.shape_signature is None else _list(tensor.shape_signature),
        "scale": _list(quantization.scale),
        "zero_point": _list(quantization.zero_point),
        "quantized_dimension": quantization.quantized_dimension,
        "variable": bool(tensor.is_variable),
        "sparse": tensor.sparsity is not None,
        "buffer": tensor.buffer,
        "bytes": len(model.buffer(tensor.buffer)) if model.root.buffers else 0,
    }


def _macs(operator: Facts, tensors: list[Facts]) -> int | None:
    """Multiplications and additions of one operator, where its shapes tell: None for all other operators."""

    def shape(indices: list[int], position: int) -> list[int]:
        index = indices[position] if position < len(indices) else -1
        return tensors[index]["shape"] if 0 <= index < len(tensors) else []

    name, inputs, output = operator["name"], operator["inputs"], shape(operator["outputs"], 0)
    first, second = shape(inputs, 0), shape(inputs, 1)
    if name in ("CONV_2D", "CONV_3D") and len(second) > 1:
        depth = second[1:] if name == "CONV_2D" else second[:-1]
        return math.prod(output) * math.prod(depth)
    if name == "DEPTHWISE_CONV_2D" and len(second) == 4:
        return math.prod(output) * second[1] * second[2]
    if name == "FULLY_CONNECTED" and len(second) == 2 and second[0]:
        return math.prod(output) * second[1]
    if name == "TRANSPOSE_CONV" and len(second) == 4:
        return math.prod(shape(inputs, 2)) * math.prod(second[:3])
    if name == "BATCH_MATMUL" and first:
        return math.prod(output) * first[-2 if operator["options"].get("adj_x") and len(first) > 1 else -1]
    return None


def _buffer_owners(graphs: list[Facts], metadata: list[schema.Metadata]) -> dict[int, tuple[str, str]]:
    """What each buffer holds, and for whom: the first claim counts, weights first."""
    claims: dict[str, list[tuple[int, str]]] = {"weights": [], "biases": [], "other constants": [], "metadata": []}
    for graph in graphs:
        tensors = graph["tensors"]
        for operator in graph["operators"]:
            for kind, position in zip(("weights", "biases"), WEIGHTS_AND_BIAS.get(operator["name"], ())):
                index = operator["inputs"][position] if position < len(operator["inputs"]) else -1
                if 0 <= index < len(tensors):
                    claims[kind].append((tensors[index]["buffer"], tensors[index]["name"]))
        claims["other constants"] += [(tensor["buffer"], tensor["name"]) for tensor in tensors]
    claims["metadata"] = [(entry.buffer, entry.name or "") for entry in metadata]
    owners: dict[int, tuple[str, str]] = {}
    for kind, claimed in claims.items():
        for buffer, name in claimed:
            owners.setdefault(buffer, (kind, name))
    return owners


def _list(vector: Iterable[Any] | None) -> list[Any]:
    return [] if vector is None else list(np.asarray(vector).tolist())
