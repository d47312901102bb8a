"""Operators that call subgraphs: IF, WHILE, STABLEHLO_COMPOSITE.

Their outputs have a known shape where the subgraphs' outputs have one, whichever way they go.
Sources: kernels/if.cc, kernels/while.cc, kernels/stablehlo_composite.cc.
"""

from __future__ import annotations

from collections.abc import Sequence

from refquant.kernels.registry import Array, Operator, Run, Subgraphs, TensorInfo, kernel
from refquant.tflite.schema import TensorType


def _subgraphs(op: Operator) -> Subgraphs:
    if op.subgraphs is None:
        raise op.unsupported("no subgraph to call")
    return op.subgraphs


def _given(op: Operator, first: int = 0) -> list[TensorInfo]:
    return [op.input(i) for i in range(first, len(op.inputs))]


def _set_shapes(op: Operator, *ways: Sequence[TensorInfo]) -> None:
    """The outputs get the shape that they have whichever way `op` goes, or none where that depends on data."""
    for way in ways:
        if [tensor.type for tensor in way] != [tensor.type for tensor in op.outputs]:
            raise op.invalid(
                f"a subgraph gives {[tensor.type.name for tensor in way]}, "
                f"expected {[tensor.type.name for tensor in op.outputs]}"
            )
    for out, *ends in zip(op.outputs, *ways):
        shapes = {end.shape for end in ends}
        out.shape = shapes.pop() if len(shapes) == 1 else None


def _holds(op: Operator, condition: Array) -> bool:
    if condition.size != 1:
        raise op.invalid(f"the condition must be one bool, it has shape {condition.shape}")
    return bool(condition.reshape(-1)[0])


@kernel("IF")
def if_(op: Operator) -> Run:
    """Calls one subgraph where the first input is true, another where it is false, with the other inputs."""
    subgraphs = _subgraphs(op)
    if op.input(0).type != TensorType.BOOL:
        raise op.invalid(f"the condition must be bool, it is {op.input(0).type.name}")
    ways = (op.options.then_subgraph_index, op.options.else_subgraph_index)
    _set_shapes(op, *(subgraphs.plan(op, way, _given(op, 1)) for way in ways))

    def run(condition: Array, *inputs: Array) -> tuple[Array, ...]:
        return subgraphs.call(op, ways[0] if _holds(op, condition) else ways[1], inputs)

    return run


@kernel("WHILE")
def while_(op: Operator) -> Run:
    """While the condition's subgraph says so, the inputs become what the body's subgraph makes of them."""
    subgraphs = _subgraphs(op)
    condition, body = op.options.cond_subgraph_index, op.options.body_subgraph_index
    inputs = _given(op)
    if [tensor.type for tensor in subgraphs.plan(op, condition, inputs)] != [TensorType.BOOL]:
        raise op.invalid(f"subgraph {condition}, its condition, must give one bool")
    _set_shapes(op, inputs, subgraphs.plan(op, body, inputs))

    def run(*values: Array) -> tuple[Array, ...]:
        while _holds(op, subgraphs.call(op, condition, values)[0]):
            values = subgraphs.call(op, body, values)
        return values

    return run


@kernel("STABLEHLO_COMPOSITE")
def composite(op: Operator) -> Run:
    """Calls the subgraph that spells the operator out."""
    subgraphs = _subgraphs(op)
    index = op.options.decomposition_subgraph_index
    _set_shapes(op, subgraphs.plan(op, index, _given(op)))
    return lambda *inputs: subgraphs.call(op, index, inputs)
