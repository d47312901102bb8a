"""Operators that call subgraphs: IF, WHILE, STABLEHLO_CASE, STABLEHLO_COMPOSITE.

Their outputs have a known shape where all outputs of the subgraphs have the same one, whichever way they go.
Sources: kernels/if.cc, kernels/while.cc, kernels/stablehlo_case.cc, kernels/stablehlo_composite.cc,
kernels/control_flow_common.h.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, Subgraphs, TensorInfo, kernel
from refquant.tflite.schema import TensorType

_TWICE = (
    "where a subgraph gives one computed tensor as two outputs, tensorflow 2.21.0 leaves the first of them "
    "uninitialized; refquant gives both"
)


def _subgraphs(op: Operator) -> Subgraphs:
    if op.subgraphs is None:
        raise op.unsupported("no subgraph to call")
    return op.subgraphs


def _given(op: Operator, first: int = 0) -> list[TensorInfo]:
    return [op.input(i) for i in range(first, len(op.inputs))]


def _check_types(op: Operator, way: Sequence[TensorInfo]) -> None:
    if [tensor.type for tensor in way] != [tensor.type for tensor in op.outputs]:
        raise op.invalid(
            f"a subgraph gives {[tensor.type.name for tensor in way]}, "
            f"expected {[tensor.type.name for tensor in op.outputs]}"
        )


def _set_shapes(op: Operator, *ways: Sequence[TensorInfo]) -> None:
    """The outputs get the shapes that they have whichever way `op` goes, or none if one of them depends on data."""
    for way in ways:
        _check_types(op, way)
    shapes = [tensor.shape for tensor in ways[0]]
    is_static = None not in shapes and all([tensor.shape for tensor in way] == shapes for way in ways)
    for out, shape in zip(op.outputs, shapes):
        out.shape = shape if is_static else None


@kernel("IF", flaw=_TWICE)
def if_(op: Operator) -> Run:
    """Calls one subgraph where the first input is true, another where it is false, with the other inputs."""
    subgraphs = _subgraphs(op)
    if op.input(0).type != TensorType.BOOL or np.prod(op.input(0).dims) != 1:
        raise op.invalid(f"the condition must be one bool, it is {op.input(0).type.name} {op.input(0).dims}")
    ways = (op.options.then_subgraph_index, op.options.else_subgraph_index)
    _set_shapes(op, *(subgraphs.plan(op, way, _given(op, 1)) for way in ways))

    def run(condition: Array, *inputs: Array) -> tuple[Array, ...]:
        return subgraphs.call(op, ways[0] if condition.item() else ways[1], inputs)

    return run


@kernel(
    "STABLEHLO_CASE",
    flaw="tensorflow 2.21.0 wants the same numbers of inputs and outputs, and outputs of one type, of all subgraphs "
    "but the main one, called or not, and fails with strings; refquant looks at the branches only, and gives strings",
)
def case(op: Operator) -> Run:
    """Calls the subgraph that the first input tells, with the other inputs; the last one for a number out of range."""
    subgraphs = _subgraphs(op)
    if op.input(0).type != TensorType.INT32 or np.prod(op.input(0).dims) != 1:
        raise op.invalid(f"the index must be one INT32, it is {op.input(0).type.name} {op.input(0).dims}")
    ways = [int(i) for i in np.asarray(op.options.branch_subgraph_indices)]
    if not ways:
        raise op.invalid("it has no branches")
    _set_shapes(op, *(subgraphs.plan(op, way, _given(op, 1)) for way in ways))

    def run(index: Array, *inputs: Array) -> tuple[Array, ...]:
        way = index.item()
        return subgraphs.call(op, ways[way] if 0 <= way < len(ways) else ways[-1], inputs)

    return run


@kernel("STABLEHLO_COMPOSITE", flaw=_TWICE)
def composite(op: Operator) -> Run:
    """Calls the subgraph that spells the operator out."""
    subgraphs = _subgraphs(op)
    index = op.options.decomposition_subgraph_index
    if not op.inputs:
        raise op.invalid("it has no inputs")
    _set_shapes(op, subgraphs.plan(op, index, _given(op)))
    return lambda *inputs: subgraphs.call(op, index, inputs)


@kernel(
    "WHILE",
    flaw="tensorflow 2.21.0 hands values that the body passes on from input i to output j > i over one after the other "
    "in place, so that output j gets what output i has just become; refquant gives the same where their sizes allow",
)
def while_(op: Operator) -> Run:
    """While the condition's subgraph says so, the inputs become what the body's subgraph makes of them.

    Where the body only makes shape (1,) of rank 0, or the reverse, it is given the shape of the inputs each time.
    """
    subgraphs = _subgraphs(op)
    condition, body = op.options.cond_subgraph_index, op.options.body_subgraph_index
    inputs = _given(op)
    if condition == body:
        raise op.invalid(f"subgraph {body} cannot be both its condition and its body")
    truth = subgraphs.plan(op, condition, inputs)
    if [tensor.type for tensor in truth] != [TensorType.BOOL]:
        raise op.invalid(f"subgraph {condition}, its condition, must give one bool")
    if truth[0].shape not in (None, (), (1,)):
        raise op.invalid(f"subgraph {condition}, its condition, must give one bool, it gives shape {truth[0].shape}")
    results = subgraphs.plan(op, body, inputs)
    _check_types(op, inputs)
    _check_types(op, results)
    is_static = all(
        result.shape is not None and (result.shape == given.shape or {result.shape, given.shape} == {(), (1,)})
        for given, result in zip(inputs, results)
    )
    for out, given, result in zip(op.outputs, inputs, results):
        out.shape = given.shape if is_static and result.shape == given.shape else None
    passed_on = subgraphs.passed_on(op, body)

    def holds(values: Sequence[Array], again: bool) -> bool:
        (truth,) = subgraphs.call(op, condition, values, again=again)
        if truth.shape not in ((), (1,)):
            raise op.invalid(f"subgraph {condition}, its condition, must give one bool, it gives shape {truth.shape}")
        return bool(truth.item())

    def handed_over(values: Sequence[Array], results: Sequence[Array]) -> list[Array]:
        after = list(values)
        for i, source in enumerate(passed_on):
            if source is None or after[source].nbytes != values[source].nbytes:
                after[i] = results[i]
            else:
                after[i] = after[source].reshape(values[source].shape)
        return after

    def run(*inputs: Array) -> tuple[Array, ...]:
        values = seen = list(inputs)  # what the operator gives and what the condition is given
        again = False
        while holds(seen, again):
            given = [x.reshape(y.shape) for x, y in zip(values, inputs)] if is_static else values
            seen = list(subgraphs.call(op, body, given, again=again))
            values = handed_over(given, seen)
            again = True
        return tuple(values)

    return run
