"""Which operators are quantized, and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from refquant.errors import InvalidModelError
from refquant.quantization.draft import Draft, Graph, Node
from refquant.quantization.operator_property import OperatorProperty, TensorProperty, operator_property
from refquant.tflite.schema import TensorType

_NOT_QUANTIZABLE = OperatorProperty(version=1)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of the quantizer, see `refquant.quantization.legacy.quantize`."""

    activations_type: TensorType
    bias_type: TensorType
    allow_float: bool
    disable_per_channel: bool
    disable_per_channel_for_dense_layers: bool
    operators: frozenset[str] | None

    @property
    def suffix(self) -> str:
        """What is added to the name of a tensor whose float namesake stays in the model."""
        return "_int16" if self.activations_type == TensorType.INT16 else "_int8"


class Plan:
    """The draft, the settings, and the names of the operators that touch real numbers.

    The converter knows operators by the name of their first output (ASSIGN_VARIABLE by that of its first input), so
    operators of the same name share their fate.
    """

    def __init__(self, draft: Draft, settings: Settings) -> None:
        self.draft = draft
        self.settings = settings
        self._real: set[str] = set()
        for graph in draft.graphs:
            for node in graph.nodes:
                name = self.name(graph, node)
                if name is not None and self._touches_floats(graph, node):
                    self._real.add(name)

    def name(self, graph: Graph, node: Node) -> str | None:
        """The name by which the converter knows an operator, None for one without outputs."""
        if self.draft.name(node) == "ASSIGN_VARIABLE":
            return graph.tensors[node.inputs[0]].name or ""
        return graph.output_name(node) if node.outputs else None

    def is_real(self, graph: Graph, node: Node) -> bool:
        """Whether the operator touches real numbers, or stays float: then the quantizer looks after it."""
        return self.name(graph, node) in self._real

    def is_known(self, node: Node) -> bool:
        """Whether the table of properties has the operator."""
        return self._lookup(node) is not None

    def properties(self, node: Node) -> OperatorProperty:
        """The operator's properties, without any input or output where the table does not have it."""
        return self._lookup(node) or _NOT_QUANTIZABLE

    def is_quantizable(self, graph: Graph, node: Node) -> bool:
        """Whether the operator is to be quantized, in these settings."""
        rule = self._lookup(node)
        if rule is None or (self.settings.activations_type == TensorType.INT16 and not rule.int16):
            return False
        chosen = self.settings.operators
        return chosen is None or self.draft.name(node) == "QUANTIZE" or self.name(graph, node) in chosen

    def axis(self, node: Node, tensor: TensorProperty) -> int | None:
        """The dimension of the channels that get a scale each, None for one scale."""
        dense = self.draft.name(node) == "FULLY_CONNECTED" and self.settings.disable_per_channel_for_dense_layers
        return None if dense or self.settings.disable_per_channel else tensor.axis

    def place(self, graph: Graph, node: Node) -> str:
        """Where an operator stands, for messages."""
        return (
            f"{self.draft.name(node)} (output {graph.output_name(node)!r})" if node.outputs else self.draft.name(node)
        )

    def input(self, graph: Graph, node: Node, position: int) -> int:
        """The index of the tensor at an input that the operator must have; -1 where it is left out."""
        if position >= len(node.inputs):
            raise InvalidModelError(f"{self.place(graph, node)}: input {position} is missing")
        return node.inputs[position]

    def output(self, graph: Graph, node: Node, position: int) -> int:
        """The index of the tensor at an output that the operator must have."""
        if position >= len(node.outputs):
            raise InvalidModelError(f"{self.place(graph, node)}: output {position} is missing")
        return node.outputs[position]

    def _lookup(self, node: Node) -> OperatorProperty | None:
        return operator_property(self.draft.name(node), node.inputs)

    def _touches_floats(self, graph: Graph, node: Node) -> bool:
        if not self.is_quantizable(graph, node):
            return True
        rule = self.properties(node)
        indices = [self.input(graph, node, position) for position in rule.inputs]
        indices += [self.output(graph, node, position) for position in rule.outputs]
        indices += node.inputs[:1] if rule.all_inputs else []
        indices += node.outputs[:1] if rule.all_outputs else []
        return any(index >= 0 and graph.tensors[index].type == TensorType.FLOAT32 for index in indices)
