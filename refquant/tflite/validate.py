"""Does a model hang together? Every index in range, every shape possible.

What is checked here, no later room needs to check: operators refer to operator codes and tensors that exist, tensors
to buffers that exist, signatures to subgraphs and tensors that exist. Whether types and quantization make sense is
the business of the kernels and of the audit.
"""

from __future__ import annotations

import math

import numpy as np

from refquant.errors import InvalidModelError
from refquant.tflite import schema

_MAX_ELEMENTS = 2**40
_MAX_RANK = 32


def validate(model: schema.Model, file_size: int) -> None:
    """Raises `InvalidModelError`, naming the place, for the first thing that does not exist or cannot be."""
    if not model.subgraphs:
        raise InvalidModelError("the model has no subgraph: there is nothing to run")
    buffers = model.buffers or []
    for i, buffer in enumerate(buffers):
        if buffer.data is None and buffer.offset > 1 and buffer.offset + buffer.size > file_size:
            raise InvalidModelError(
                f"buffers[{i}] lies at {buffer.offset} to {buffer.offset + buffer.size}, the file has {file_size} bytes"
            )
    for i, subgraph in enumerate(model.subgraphs):
        _subgraph(model, subgraph, f"subgraphs[{i}]", len(buffers), file_size)
    for i, entry in enumerate(model.metadata or ()):
        _in_range([entry.buffer], len(buffers), f"metadata[{i}].buffer", "buffers")
    for i, signature in enumerate(model.signature_defs or ()):
        place = f"signature_defs[{i}]"
        _in_range([signature.subgraph_index], len(model.subgraphs), f"{place}.subgraph_index", "subgraphs")
        tensors = len(model.subgraphs[signature.subgraph_index].tensors or ())
        for side in ("inputs", "outputs"):
            indices = [entry.tensor_index for entry in getattr(signature, side) or ()]
            _in_range(indices, tensors, f"{place}.{side}", "tensors")


def _subgraph(model: schema.Model, subgraph: schema.SubGraph, place: str, buffers: int, file_size: int) -> None:
    tensors = subgraph.tensors or []
    for i, tensor in enumerate(tensors):
        where = f"{place}.tensors[{i}] ({tensor.name!r})"
        shape = [] if tensor.shape is None else np.asarray(tensor.shape[: _MAX_RANK + 1]).tolist()
        if any(n < 0 for n in shape) or len(shape) > _MAX_RANK or math.prod(shape) > _MAX_ELEMENTS:
            raise InvalidModelError(f"{where}: a shape of {shape} cannot be")
        _in_range([tensor.buffer], buffers, f"{where}.buffer", "buffers")
    _in_range(subgraph.inputs, len(tensors), f"{place}.inputs", "tensors")
    _in_range(subgraph.outputs, len(tensors), f"{place}.outputs", "tensors")
    codes = model.operator_codes or []
    for i, operator in enumerate(subgraph.operators or ()):
        where = f"{place}.operators[{i}]"
        _in_range([operator.opcode_index], len(codes), f"{where}.opcode_index", "operator codes")
        _in_range(operator.inputs, len(tensors), f"{where}.inputs", "tensors", lowest=-1)
        _in_range(operator.outputs, len(tensors), f"{where}.outputs", "tensors")
        _in_range(operator.intermediates, len(tensors), f"{where}.intermediates", "tensors")
        end = operator.large_custom_options_offset + operator.large_custom_options_size
        if operator.large_custom_options_offset > 1 and end > file_size:
            raise InvalidModelError(f"{where}: its custom options end at {end}, the file has {file_size} bytes")


def _in_range(indices: schema.Vector | None, count: int, place: str, what: str, lowest: int = 0) -> None:
    values = indices.tolist() if isinstance(indices, np.ndarray) else list(indices or ())
    if values and not lowest <= min(values) <= max(values) < count:
        wrong = next(value for value in values if not lowest <= value < count)
        raise InvalidModelError(f"{place}: {wrong} is out of range, there are {count} {what}")
