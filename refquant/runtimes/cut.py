"""Models rewritten so that a runtime shows what it would keep to itself: with other outputs, or cut down to a part."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refquant.errors import InvalidInputError
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of

#: what no input or output of a model can hold
_HANDLES = (TensorType.RESOURCE, TensorType.VARIANT)
#: entries of the metadata that runtimes obey and that hold for any part of a model
_LASTING_METADATA = ("reduced_precision_support",)


def with_outputs(model: Model, outputs: Sequence[int]) -> Model:
    """The same model, but with these tensors (indices in subgraph 0) as its outputs, and without signatures.

    Constants are shared with `model`, not copied.
    """
    root = copy.copy(model.root)
    root.subgraphs = list(model.subgraphs)
    root.subgraphs[0] = copy.copy(root.subgraphs[0])
    root.subgraphs[0].outputs = np.asarray(outputs, np.int32)
    root.signature_defs = None
    return model.with_root(root)


def with_all_outputs(model: Model) -> tuple[Model, list[int]]:
    """The model with every tensor that an operator of subgraph 0 writes as an output, and their indices in order.

    Without resources, which no runtime shows.
    """
    indices = Graph(model).shown
    return with_outputs(model, indices), indices


class Graph:
    """Which operator of subgraph 0 reads and writes which tensor; all are indices.

    `reads[i]` and `writes[i]` are the tensors of operator i, `writer[t]` is the operator that writes tensor t. `folded`
    are operators that compute from constants alone, such as a DEQUANTIZE of weights. `shown` are the tensors that
    operators write and that can be outputs, in order; `asked` those of them that any runtime can be asked for: one that
    folds constants shows what it does not use in place of a folded tensor, or nothing.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        table = model.subgraphs[0]
        operators = table.operators or []
        self.tensors = table.tensors or []
        self.inputs, self.outputs = indices_of(table.inputs), indices_of(table.outputs)
        self.reads = [[i for i in indices_of(operator.inputs) if i >= 0] for operator in operators]
        self.writes = [indices_of(operator.outputs) for operator in operators]
        self.writer = {tensor: i for i, written in enumerate(self.writes) for tensor in written}
        self.folded = self._folded()
        self.shown = [t for t in dict.fromkeys(t for ts in self.writes for t in ts) if not self.is_handle(t)]
        self.asked = [t for t in self.shown if self.writer[t] not in self.folded or t in self.outputs]

    def is_handle(self, tensor: int) -> bool:
        """Whether a tensor is a resource or the like, which only its own interpreter understands."""
        return self.tensors[tensor].type in _HANDLES

    @property
    def has_handles(self) -> bool:
        """Whether operators have effects that the tensors do not tell of."""
        return any(self.is_handle(t) for t in self.writer)

    @property
    def has_state(self) -> bool:
        """Whether a sample can leave something behind for the next."""
        tables = self.model.subgraphs
        return self.has_handles or any(t.is_variable for table in tables for t in table.tensors or ())

    def leading_to(self, operators: Iterable[int]) -> list[int]:
        """These operators and all whose results they need, in order; with handles, all that come before them."""
        wanted = set(operators)
        if self.has_handles:
            return list(range(max(wanted, default=-1) + 1))
        for i in range(max(wanted, default=-1), -1, -1):
            if i in wanted:
                wanted.update(self.writer[t] for t in self.reads[i] if t in self.writer)
        return sorted(wanted)

    def frontier(self, last: int) -> list[int]:
        """What operators up to `last` have written and others, or the user of the model, still read."""
        read_later = {t for reads in self.reads[last + 1 :] for t in reads} | set(self.outputs)
        return [t for t in self.asked if t in read_later and self.writer[t] <= last]

    def _folded(self) -> set[int]:
        found: set[int] = set()
        for i, reads in enumerate(self.reads):
            if reads and all(self.writer.get(t) in found or self._is_constant(t) for t in reads):
                found.add(i)
        return found

    def _is_constant(self, tensor: int) -> bool:
        table = self.tensors[tensor]
        filled = tensor in self.writer or tensor in self.inputs
        return not filled and not table.is_variable and not self.is_handle(tensor)


@dataclass(frozen=True)
class Cut:
    """A part of a model as a model of its own. `operators`, `inputs` and `outputs` are indices in the whole one."""

    model: Model
    operators: Sequence[int]
    inputs: Sequence[int]
    outputs: Sequence[int]


def cut_out(model: Model, operators: Iterable[int], outputs: Sequence[int]) -> Cut:
    """A model of these operators of subgraph 0 alone, with these of its tensors as outputs.

    Its inputs are the tensors that the operators read and none of them writes. Operators that compute from constants
    alone come along with those that read their results, so that weights stay weights. Tensors, buffers and operator
    codes that are not needed are left out, and so is metadata that tells of the whole model.

    Raises InvalidInputError where an operator reads a resource that another one has made: no input can hold it.
    """
    graph = Graph(model)
    chosen = set(operators)
    for i in range(max(chosen, default=-1), -1, -1):
        if i in chosen:
            chosen.update({graph.writer[t] for t in graph.reads[i] if graph.writer.get(t) in graph.folded})
    order = sorted(chosen)
    written = {t for i in order for t in graph.writes[i]}
    read = dict.fromkeys(t for i in order for t in graph.reads[i])
    inputs = [t for t in read if t not in written and (t in graph.writer or t in graph.inputs)]
    inputs.sort(key=lambda t: graph.inputs.index(t) if t in graph.inputs else len(graph.inputs))
    for t in inputs:
        if graph.is_handle(t):
            raise InvalidInputError(f"tensor {t} is a {graph.tensors[t].type.name}, which no input of a model can hold")
    return Cut(_part(graph, order, inputs, outputs), order, inputs, outputs)


def inputs_alone(model: Model) -> Model:
    """The inputs of subgraph 0 without any operator: to learn of them nobody needs to know those."""
    graph = Graph(model)
    part = _part(graph, [], graph.inputs, [])
    signatures = model.root.signature_defs or []
    if len(signatures) == 1 and signatures[0].subgraph_index == 0:  # the names of inputs
        number = {t: n for n, t in enumerate(sorted(set(graph.inputs)))}
        signature = copy.copy(signatures[0])
        entries = [e for e in signature.inputs or () if e.tensor_index in number]
        signature.inputs = [schema.TensorMap(e.name, number[e.tensor_index]) for e in entries]
        signature.outputs = []
        part.root.signature_defs = [signature]
    return part


def _part(graph: Graph, operators: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> Model:
    """The tables of a cut: copies with new numbers, over the same data."""
    model = graph.model
    main = copy.copy(model.subgraphs[0])
    tables = [(main.operators or [])[i] for i in operators]
    used = {t for table in tables for t in _tensors_of(table)} | set(inputs) | set(outputs)
    for t in sorted(used):
        used.update(_scales_in_blocks(graph.tensors[t]))
    number = {t: n for n, t in enumerate(sorted(used))}
    main.tensors = [_renumbered(graph.tensors[t], number) for t in sorted(used)]
    main.operators = [_moved(table, number) for table in tables]
    main.inputs = np.array([number[t] for t in inputs], np.int32)
    main.outputs = np.array([number[t] for t in outputs], np.int32)
    rest = model.subgraphs[1:] if any(_calls_subgraphs(table) for table in tables) else []
    root = copy.copy(model.root)
    root.subgraphs = [main, *(_copied(subgraph) for subgraph in rest)]
    root.signature_defs = root.metadata_buffer = None
    root.metadata = [copy.copy(m) for m in root.metadata or () if m.name in _LASTING_METADATA] or None
    _drop_unused(root)
    return model.with_root(root)


def _tensors_of(operator: schema.Operator) -> list[int]:
    vectors = (operator.inputs, operator.outputs, operator.intermediates)
    return [i for vector in vectors for i in indices_of(vector) if i >= 0]


def _scales_in_blocks(tensor: schema.Tensor) -> list[int]:
    """The tensors that hold the scales and zero points of one that is quantized in blocks."""
    details = None if tensor.quantization is None else tensor.quantization.details
    if not isinstance(details, schema.BlockwiseQuantization):
        return []
    return [i for i in (details.scales, details.zero_points) if i >= 0]


def _renumbered(tensor: schema.Tensor, number: dict[int, int]) -> schema.Tensor:
    tensor = copy.copy(tensor)
    quantization = tensor.quantization
    if quantization is not None and isinstance(quantization.details, schema.BlockwiseQuantization):
        details = copy.copy(quantization.details)
        details.scales, details.zero_points = (number.get(i, -1) for i in (details.scales, details.zero_points))
        tensor.quantization = copy.copy(quantization)
        tensor.quantization.details = details
    return tensor


def _moved(operator: schema.Operator, number: dict[int, int]) -> schema.Operator:
    operator = copy.copy(operator)
    for field in ("inputs", "outputs", "intermediates"):
        vector = getattr(operator, field)
        if vector is not None:
            setattr(operator, field, np.array([number.get(i, -1) for i in indices_of(vector)], np.int32))
    return operator


def _calls_subgraphs(operator: schema.Operator) -> bool:
    options: Any = operator.builtin_options if operator.builtin_options is not None else operator.builtin_options_2
    return any("subgraph" in field.name for field in getattr(options, "FIELDS", ()))


def _copied(subgraph: schema.SubGraph) -> schema.SubGraph:
    subgraph = copy.copy(subgraph)
    subgraph.tensors = [copy.copy(tensor) for tensor in subgraph.tensors or ()]
    subgraph.operators = [copy.copy(operator) for operator in subgraph.operators or ()]
    return subgraph


def _drop_unused(root: schema.Model) -> None:
    """Leaves out the buffers and operator codes that nothing refers to; the tables that refer to them are copies."""
    subgraphs = root.subgraphs or []
    tensors = [tensor for subgraph in subgraphs for tensor in subgraph.tensors or ()]
    operators = [operator for subgraph in subgraphs for operator in subgraph.operators or ()]
    referring: list[tuple[Any, str]] = [(table, "buffer") for table in (*tensors, *(root.metadata or ()))]
    root.buffers = _kept(root.buffers or [], referring, always=(0,))
    root.operator_codes = _kept(root.operator_codes or [], [(o, "opcode_index") for o in operators])


def _kept(tables: list[Any], referring: list[tuple[Any, str]], always: Iterable[int] = ()) -> list[Any]:
    kept = sorted({*always, *(getattr(table, field) for table, field in referring)} & set(range(len(tables))))
    position = {old: new for new, old in enumerate(kept)}
    for table, field in referring:
        setattr(table, field, position[getattr(table, field)])
    return [tables[i] for i in kept]
