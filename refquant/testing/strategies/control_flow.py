"""Operators that call subgraphs: what their subgraphs pass on, compute, resize; nested; over several samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, arrays, generators, numbers
from refquant.testing.strategies.state import VARIABLES
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

FLOAT32, INT32, BOOL, STRING = TensorType.FLOAT32, TensorType.INT32, TensorType.BOOL, TensorType.STRING
TYPES = [*VARIABLES, STRING]
ADDED = (FLOAT32, INT32)
REPEATED = (FLOAT32, INT32, TensorType.INT64, BOOL, STRING)
#: the shapes of one number
sides = st.sampled_from([(), (1,)])


class _Graph:
    """A subgraph in the making."""

    def __init__(self, *inputs: TensorSpec) -> None:
        self.tensors = list(inputs)
        self.operators: list[OperatorSpec] = []
        self.inputs = list(range(len(inputs)))

    def tensor(self, type: TensorType, shape: Sequence[int] = (), data: Any = None) -> int:
        """The index of a new tensor."""
        self.tensors.append(TensorSpec(type, shape, data=data))
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: Sequence[int], out: TensorType, options: Any) -> int:
        """The index of the output of a new operator."""
        index = self.tensor(out)
        self.operators.append(OperatorSpec(name, inputs, [index], options))
        return index

    def finished(self, outputs: Sequence[int]) -> SubgraphSpec:
        """The subgraph with these outputs."""
        return SubgraphSpec(self.tensors, self.operators, self.inputs, outputs)


def _reshaped(draw: st.DrawFn, graph: _Graph, x: int, shape: Sequence[int]) -> int:
    """x in another shape, or the same."""
    shapes = [(-1,), tuple(shape), (1, *shape)] if 0 not in shape else [tuple(shape), (1, *shape)]
    new = np.array(draw(st.sampled_from(shapes)), np.int32)
    options = schema.ReshapeOptions(new_shape=new)
    return graph.operator("RESHAPE", [x, graph.tensor(INT32, data=new)], graph.tensors[x].type, options)


def _gathered(draw: st.DrawFn, graph: _Graph, x: int) -> int:
    """Elements of the vector x, as many as it has or more; for strings, whose constants TensorFlow does not give."""
    size = graph.tensors[x].shape[0]
    places = draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size + 1))
    indices = graph.tensor(INT32, data=np.array(places, np.int32))
    return graph.operator("GATHER", [x, indices], graph.tensors[x].type, schema.GatherOptions())


def _result(draw: st.DrawFn, graph: _Graph, called: list[SubgraphSpec] | None, first: int) -> int:
    """What a branch makes of its inputs: x (0), and how often to repeat x (1), so that the shape depends on data.

    `called` are the subgraphs that branches call, numbered from `first`; None where they must not.
    """
    type, shape = graph.tensors[0].type, graph.tensors[0].shape
    kinds = ["input", "reshaped", *(["constant"] if type != STRING else ["gathered"] * (len(shape) == 1))]
    kinds += ["called"] if called is not None else []
    kinds += (["sum"] if type in ADDED else []) + (["repeated"] if type in REPEATED and shape else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "input":
        return 0
    if kind == "constant":
        return graph.tensor(type, data=draw(arrays(type, max_rank=2, max_side=3)))
    if kind == "gathered":
        return _gathered(draw, graph, 0)
    if kind == "sum":
        return graph.operator("ADD", [0, 0], type, schema.AddOptions())
    if kind == "repeated":
        return graph.operator("TILE", [0, 1], type, schema.TileOptions())
    if kind == "called" and called is not None:
        inner = _Graph(TensorSpec(type, shape))
        called.append(inner.finished([_reshaped(draw, inner, 0, shape)]))
        options = schema.StableHLOCompositeOptions(name="inner", decomposition_subgraph_index=first + len(called) - 1)
        return graph.operator("STABLEHLO_COMPOSITE", [0], type, options)
    return _reshaped(draw, graph, 0, shape)


def _branches(draw: st.DrawFn, x: Array, type: TensorType, count: int, nested: bool = True) -> list[SubgraphSpec]:
    """Subgraphs 1 to `count` with the same number of outputs, and those that they call themselves."""
    outputs = draw(st.integers(1, 3))
    called: list[SubgraphSpec] | None = [] if nested else None
    ways = []
    for _ in range(count):
        graph = _Graph(TensorSpec(type, x.shape), TensorSpec(INT32, (x.ndim,)))
        ways.append(graph.finished([_result(draw, graph, called, 1 + count) for _ in range(outputs)]))
    return ways + (called or [])


def _main(operator: str, options: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorType]) -> SubgraphSpec:
    """The main subgraph, of that one operator."""
    graph = _Graph(*inputs)
    made = [graph.tensor(type) for type in outputs]
    graph.operators.append(OperatorSpec(operator, graph.inputs, made, options))
    return graph.finished(made)


def _sample(draw: st.DrawFn, x: Array, type: TensorType) -> list[Array]:
    rng = draw(generators)
    return [numbers(rng, type, x.shape), rng.integers(0, 4, x.ndim, np.int32)]


def _case(draw: st.DrawFn, main: SubgraphSpec, others: Sequence[SubgraphSpec], samples: list[list[Array]]) -> Case:
    """The case, in which some inputs of the main subgraph may be constants instead, with the first sample's values."""
    fixed = [draw(st.integers(0, 3)) == 0 for _ in main.inputs]
    if any(fixed):
        tensors = list(main.tensors)
        for i, value in zip(main.inputs, samples[0]):
            if fixed[i]:
                tensors[i] = TensorSpec(tensors[i].type, data=value)
        open_inputs = [i for i in main.inputs if not fixed[i]]
        main = SubgraphSpec(tensors, main.operators, open_inputs, main.outputs)
        samples = [[sample[i] for i in open_inputs] for sample in samples]
    return Case(model_of(main, *others), samples)


def _x(draw: st.DrawFn, type: TensorType) -> Array:
    least = 1 if type == STRING else 0  # TensorFlow sets no string of rank 0, and dies with none in a subgraph
    return draw(arrays(type, min_rank=least, max_rank=3, min_side=least))


@strategy("IF", TYPES)
def two_ways(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Branches that pass on, reshape, add or repeat their inputs, give constants, or call subgraphs themselves."""
    x = _x(draw, type)
    ways = _branches(draw, x, type, 2)
    condition = draw(st.sampled_from([(), (1,), (1, 1)]))
    options = schema.IfOptions(then_subgraph_index=1, else_subgraph_index=2)
    inputs = [TensorSpec(BOOL, condition), *ways[0].tensors[:2]]
    main = _main(operator, options, inputs, [type] * len(ways[0].outputs))
    truths = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    return _case(draw, main, ways, [[np.full(condition, t), *_sample(draw, x, type)] for t in truths])


@strategy("STABLEHLO_CASE", VARIABLES, oracle="optimized")
def many_ways(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to four branches as those of IF, which call nothing; the index may be out of range.

    No strings: TensorFlow fails when it has run a branch that gives some.
    """
    x = _x(draw, type)
    ways = _branches(draw, x, type, draw(st.integers(1, 4)), nested=False)
    shape = draw(st.sampled_from([(), (1,), (1, 1)]))
    order = draw(st.permutations(range(1, len(ways) + 1)))
    options = schema.StablehloCaseOptions(branch_subgraph_indices=np.array(order, np.int32))
    inputs = [TensorSpec(INT32, shape), *ways[0].tensors[:2]]
    main = _main(operator, options, inputs, [type] * len(ways[0].outputs))
    indices = draw(st.lists(st.integers(-1, len(ways) + 1), min_size=1, max_size=4))
    return _case(draw, main, ways, [[np.full(shape, i, np.int32), *_sample(draw, x, type)] for i in indices])


@strategy("STABLEHLO_COMPOSITE", TYPES)
def one_way(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A subgraph as a branch of IF."""
    x = _x(draw, type)
    ways = _branches(draw, x, type, 1)
    options = schema.StableHLOCompositeOptions(name="any", decomposition_subgraph_index=1)
    main = _main(operator, options, ways[0].tensors[:2], [type] * len(ways[0].outputs))
    return _case(draw, main, ways, [_sample(draw, x, type) for _ in range(2)])


def _next(draw: st.DrawFn, body: _Graph, i: int, count: int, grows: bool) -> int:
    """What value i of `count` becomes in the body of a loop. Strings are not passed on: TensorFlow loses them."""
    type, shape = body.tensors[i].type, body.tensors[i].shape
    if type == STRING:
        kinds = ["reshaped"] + ["grown"] * grows + ["gathered"] * (len(shape) == 1)
    else:
        kinds = ["kept", "replaced", "grown" if grows else "exchanged"] + ["sum"] * (type in ADDED and not grows)
    kind = draw(st.sampled_from(kinds))
    if kind == "kept":
        return i
    if kind == "exchanged":
        return draw(st.integers(1, count))
    if kind == "reshaped":
        return _reshaped(draw, body, i, shape)
    if kind == "gathered":
        return _gathered(draw, body, i)
    if kind == "sum":
        return body.operator("ADD", [i, draw(st.integers(1, count))], type, schema.AddOptions())
    if kind == "grown":
        twice = body.tensor(INT32, data=np.array([2, *[1] * (len(shape) - 1)], np.int32))
        return body.operator("TILE", [i, twice], type, schema.TileOptions())
    return body.tensor(type, data=numbers(draw(generators), type, shape))


@strategy("WHILE", TYPES)
def loop(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A counter and one to three values, which the body passes on, exchanges, adds up, replaces or lets grow.

    Strings it reshapes or gathers: TensorFlow loses those that the body passes on.
    """
    x = _x(draw, type)
    count = draw(st.integers(1, 3))
    counter, value = TensorSpec(INT32, draw(sides)), TensorSpec(type, x.shape)
    condition = _Graph(counter, *[value] * count)
    bound = condition.tensor(INT32, data=np.full(draw(sides), 1, np.int32))
    going_on = condition.operator("LESS", [bound, 0], BOOL, schema.LessOptions())
    body = _Graph(counter, *[value] * count)
    step = body.tensor(INT32, data=np.full(draw(sides), -1, np.int32))
    results = [body.operator("ADD", [0, step], INT32, schema.AddOptions())]
    grows = type in REPEATED and x.ndim > 0 and draw(st.booleans())
    results += [_next(draw, body, i, count, grows) for i in range(1, count + 1)]
    options = schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2)
    main = _main(operator, options, [counter, *[value] * count], [INT32, *[type] * count])
    has_constants = any(body.tensors[i].data is not None for i in results)
    shapes = [x.shape] * 2
    if not grows and not has_constants and type != STRING and draw(st.booleans()):
        shapes[1] = draw(arrays(type, max_rank=3)).shape
    samples = [
        [np.full(counter.shape, draw(st.integers(-1, 4)), np.int32)]
        + [numbers(draw(generators), type, shape) for _ in range(count)]
        for shape in shapes
    ]
    others = [condition.finished([going_on]), body.finished(results)]
    if shapes[1] != shapes[0]:
        return Case(model_of(main, *others), samples)
    return _case(draw, main, others, samples)
