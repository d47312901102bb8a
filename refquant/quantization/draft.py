"""A model taken apart, to be changed and put together again.

Lists can be changed in place and tables are copies, so the model that it came from stays as it is; arrays are shared
with it and are replaced, never written to. Data outside the FlatBuffer come inside, and what the schema does not know
is dropped.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidModelError
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType
from refquant.tflite.table import Kind, Table, UnknownMember
from refquant.tflite.vectors import indices_of

T = TypeVar("T", bound=Table)
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(eq=False, slots=True)
class Node:
    """An operator; the indices of its tensors as lists, -1 for an optional input that is absent."""

    table: schema.Operator
    inputs: list[int]
    outputs: list[int]
    intermediates: list[int]


@dataclass(eq=False, slots=True)
class Graph:
    """A subgraph."""

    table: schema.SubGraph
    tensors: list[schema.Tensor]
    nodes: list[Node]
    inputs: list[int]
    outputs: list[int]

    def add(self, tensor: schema.Tensor) -> int:
        """Adds a tensor; its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def output_name(self, node: Node) -> str:
        """The name of the first output, by which the converter calls an operator."""
        return self.tensors[node.outputs[0]].name or ""


class Draft:
    """A model that can be changed; `model` puts it together again."""

    def __init__(self, model: Model) -> None:
        self.root = _copy(model.root)
        self.codes: list[schema.OperatorCode] = self.root.operator_codes or []
        self.signatures: list[schema.SignatureDef] = self.root.signature_defs or []
        self.buffers: list[schema.Buffer] = self.root.buffers or []
        for index, buffer in enumerate(self.buffers):
            if buffer.data is None and buffer.offset > 1:
                self.buffers[index] = schema.Buffer(data=model.buffer(index))
        self.graphs = [_graph(model, table) for table in self.root.subgraphs or ()]

    def model(self) -> Model:
        """The model as it is now."""
        root = copy(self.root)
        root.operator_codes = self.codes or root.operator_codes
        root.buffers = self.buffers or root.buffers
        root.subgraphs = [_subgraph(graph) for graph in self.graphs]
        return Model(_copy(root))

    def name(self, node: Node) -> str:
        """The name of a builtin operator, such as CONV_2D; CUSTOM for any custom one."""
        number = _number(self.codes[node.table.opcode_index])
        try:
            return BuiltinOperator(number).name
        except ValueError:
            return f"BUILTIN_{number}"

    def code(self, operator: BuiltinOperator, version: int) -> int:
        """The index of the first operator code of `operator`; one of this version is added where there is none."""
        for index, code in enumerate(self.codes):
            if _number(code) == operator:
                return index
        self.codes.append(
            schema.OperatorCode(
                deprecated_builtin_code=min(int(operator), BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES),
                builtin_code=operator,
                version=version,
            )
        )
        return len(self.codes) - 1

    def new_node(self, operator: BuiltinOperator, version: int, input: int, output: int) -> Node:
        """A new operator without options, of one input and one output, yet to be put in its place."""
        return Node(schema.Operator(opcode_index=self.code(operator, version)), [input], [output], [])

    def is_constant(self, tensor: schema.Tensor) -> bool:
        """Whether the tensor has data in the file."""
        return self.data(tensor).size > 0

    def data(self, tensor: schema.Tensor) -> Bytes:
        """The bytes of a constant, none for another tensor."""
        data = self.buffers[tensor.buffer].data
        return np.asarray(() if data is None else data, np.uint8)

    def floats(self, tensor: schema.Tensor) -> Floats:
        """The numbers of a float32 constant, in its shape. Raises InvalidModelError where it is none, or not finite."""
        data = self.data(tensor)
        shape = tuple(shape_of(tensor))
        if tensor.type != TensorType.FLOAT32 or data.size != 4 * np.prod(shape, dtype=np.int64):
            raise InvalidModelError(
                f"tensor {tensor.name!r} must be a float32 constant of shape {shape} to be quantized, it is "
                f"{TensorType(tensor.type).name} with {data.size} bytes of data"
            )
        values = data.view(np.float32).reshape(shape)
        if not np.isfinite(values).all():
            raise InvalidModelError(f"constant {tensor.name!r} holds NaN or infinity, which no scale can represent")
        return values

    def store(self, tensor: schema.Tensor, values: npt.NDArray[Any]) -> None:
        """Replaces the data of a constant; raises InvalidModelError where another tensor has the same buffer."""
        owners = [t for graph in self.graphs for t in graph.tensors if t.buffer == tensor.buffer and t is not tensor]
        if owners:
            raise InvalidModelError(
                f"constants {tensor.name!r} and {owners[0].name!r} share buffer {tensor.buffer}, so they cannot be "
                "quantized on their own: see refquant.quantization.buffers.own_buffers"
            )
        self.buffers[tensor.buffer].data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)

    def add_buffer(self, data: Bytes) -> int:
        """Adds a buffer; its index."""
        self.buffers.append(schema.Buffer(data=data))
        return len(self.buffers) - 1


def shape_of(tensor: schema.Tensor) -> list[int]:
    """The shape of a tensor, [] for a scalar."""
    return [] if tensor.shape is None else np.asarray(tensor.shape).tolist()


def _number(code: schema.OperatorCode) -> int:
    return max(int(code.deprecated_builtin_code), int(code.builtin_code))


def without_empty(model: Model) -> Model:
    """The model as the converter's C++ code writes it: without vectors, texts and lists that are empty.

    A number equal to its default is left out too, so that -0 becomes 0.
    """

    def strip(table: Table) -> None:
        for name, _, kind, _, default, *_ in table.FIELDS:
            value = getattr(table, name)
            if kind is Kind.SCALAR:
                setattr(table, name, default if value == default else value)
            elif kind in (Kind.VECTOR, Kind.STRING, Kind.TABLES) and value is not None and len(value) == 0:
                setattr(table, name, None)
            for item in value or () if kind is Kind.TABLES else [value]:
                if isinstance(item, Table):
                    strip(item)

    result = Model(_copy(model.root))
    strip(result.root)
    return result


def _graph(model: Model, table: schema.SubGraph) -> Graph:
    nodes = []
    for operator in table.operators or ():
        if operator.large_custom_options_offset > 1:
            operator.custom_options = model.custom_options(operator)
            operator.large_custom_options_offset = operator.large_custom_options_size = 0
        tensors = (operator.inputs, operator.outputs, operator.intermediates)
        nodes.append(Node(operator, *map(indices_of, tensors)))
    return Graph(table, table.tensors or [], nodes, indices_of(table.inputs), indices_of(table.outputs))


def _subgraph(graph: Graph) -> schema.SubGraph:
    table = copy(graph.table)
    table.tensors = graph.tensors or table.tensors
    table.operators = [_operator(node) for node in graph.nodes] if graph.nodes else table.operators and []
    table.inputs, table.outputs = _vector(graph.inputs, table.inputs), _vector(graph.outputs, table.outputs)
    return table


def _operator(node: Node) -> schema.Operator:
    table = copy(node.table)
    table.inputs, table.outputs = _vector(node.inputs, table.inputs), _vector(node.outputs, table.outputs)
    table.intermediates = _vector(node.intermediates, table.intermediates)
    return table


def _vector(indices: list[int], before: Any) -> Any:
    """Indices as the file holds them; what was not there stays away while there are none."""
    return np.array(indices, np.int32) if indices or before is not None else None


def _copy(table: T) -> T:
    """A copy of a table and of all tables below it, without what the schema does not know."""
    result = copy(table)
    result.unknown_fields = ()
    for name, _, kind, *_ in table.FIELDS:
        value = getattr(table, name)
        if kind is Kind.TABLES and value is not None:
            setattr(result, name, [_copy(item) for item in value])
        elif isinstance(value, Table):
            setattr(result, name, _copy(value))
        elif isinstance(value, UnknownMember):
            setattr(result, name, None)
    return result
