"""Which tensors share a buffer: each its own for the quantizers, equal constants one between them in the end."""

from __future__ import annotations

import hashlib

import numpy as np

from refquant.quantization.draft import Draft
from refquant.tflite import schema
from refquant.tflite.model import Model


def own_buffers(model: Model) -> Model:
    """A copy of the model where no two tensors share a constant's buffer, as the converter hands it to its quantizers.

    The quantizers change constants where they stand. In the converter's files the buffer of the n-th tensor is n + 1,
    and `deduplicate_buffers` leaves those empty that it does not need; they are filled again. Anything else is added at
    the end.
    """
    draft = Draft(model)
    tensors = [tensor for graph in draft.graphs for tensor in graph.tensors]
    used = {tensor.buffer for tensor in tensors} | {entry.buffer for entry in draft.root.metadata or ()}
    owners = {tensor.buffer: tensor for tensor in reversed(tensors)}
    owners |= {number: tensor for number, tensor in enumerate(tensors, 1) if tensor.buffer == number}
    for number, tensor in enumerate(tensors, 1):
        if not draft.is_constant(tensor) or owners[tensor.buffer] is tensor:
            continue
        if number < len(draft.buffers) and number not in used:
            draft.buffers[number] = schema.Buffer(data=draft.data(tensor))
            tensor.buffer = number
        else:
            tensor.buffer = draft.add_buffer(draft.data(tensor))
    return draft.model()


def deduplicate_buffers(model: Model) -> Model:
    """A copy of the model where constants of the same bytes share one buffer; the other buffers are left empty.

    Constants are what operators read and nothing writes. Of equal buffers the one remains that comes first in the order
    of the real function, which walks sets of numbers; so this one walks the same sets, filled in the same order.
    Source: deduplicate_readonly_buffers in lite/python/convert.py of tensorflow 2.21.0, the converter's last step but
    one.
    """
    draft = Draft(model)
    read_only: set[int] = set()
    for graph in draft.graphs:
        constants: set[int] = set()
        for node in graph.nodes:
            mutated = node.table.mutating_variable_inputs
            for position, index in enumerate(node.inputs):
                is_mutated = mutated is not None and position < len(mutated) and mutated[position]
                if not is_mutated and not graph.tensors[index].is_variable:  # an absent input, -1, is the last tensor
                    constants.add(index)
        for index in [index for node in graph.nodes for index in (*node.outputs, *node.intermediates)]:
            constants.discard(index)
        for index in (*graph.inputs, *graph.outputs):
            constants.discard(index)
        for index in constants:
            read_only.add(graph.tensors[index].buffer)
    first: dict[tuple[int, str], int] = {}
    replaced: dict[int, int] = {}
    for buffer in read_only:
        data = draft.buffers[buffer].data
        if data is not None and len(data):
            key = len(data), hashlib.md5(np.asarray(data, np.uint8).tobytes(), usedforsecurity=False).hexdigest()
            kept = first.setdefault(key, buffer)
            if kept != buffer:
                replaced[buffer] = kept
    for graph in draft.graphs:
        for node in graph.nodes:
            for index in node.inputs:
                tensor = graph.tensors[index]
                tensor.buffer = replaced.get(tensor.buffer, tensor.buffer)
    for buffer in replaced:
        draft.buffers[buffer].data = None
    return draft.model()
