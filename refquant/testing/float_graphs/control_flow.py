"""Steps that call subgraphs: IF and WHILE."""

from __future__ import annotations

from refquant.testing.build import SubgraphSpec
from refquant.testing.float_graphs.graph import BOOL, FLOAT32, INT32, Graph, step
from refquant.tflite import schema

#: what a branch or the body of a loop may be made of
_INNER = ["ADD", "MUL", "FULLY_CONNECTED", "TANH", "RELU", "MAXIMUM", "LOGISTIC", "SUB", "SOFTMAX", "RESHAPE", "MEAN"]


@step("IF")
def two_ways(graph: Graph, operator: str) -> None:
    """One of two subgraphs with one float input and one output of its shape."""
    if graph.depth:
        return
    x = graph.tamed(graph.any(), 100.0)
    axes = graph.integers(list(range(len(graph.shape(x)))), "axes")
    mean = graph.add("MEAN", [x, axes], (), options=schema.ReducerOptions(False), bound=graph.bounds[x])
    zero = graph.scalar(0, "zero")
    condition = graph.add("GREATER", [mean, zero], (), types=[BOOL])
    first = len(graph.shared.others) + 1
    for _ in range(2):
        graph.shared.others.append(_subgraph(graph, x))
    graph.add(operator, [condition, x], graph.shape(x), options=schema.IfOptions(first, first + 1), bound=1e3)


@step("WHILE")
def loop(graph: Graph, operator: str) -> None:
    """A few rounds of a subgraph that counts, and makes a float tensor of another of its shape."""
    if graph.depth:
        return
    x = graph.tamed(graph.any(), 100.0)
    start = graph.integers(0, "start")
    first = len(graph.shared.others) + 1
    condition, i = _child(graph, x), 0
    rounds = condition.integers(graph.number(1, 3), "rounds")
    is_less = condition.add("LESS", [i, rounds], (), types=[BOOL])
    graph.shared.others.append(condition.finished([is_less]))
    body = _child(graph, x)
    one = body.integers(1, "one")
    count = body.add("ADD", [0, one], (), options=schema.AddOptions(), types=[INT32])
    graph.shared.others.append(body.finished([count, _grown(body, 1)]))
    options = schema.WhileOptions(first, first + 1)
    shape = graph.shape(x)
    counter = graph.add(operator, [start, x], (), shape, options=options, types=[INT32, FLOAT32], bound=1e3)
    graph.used.add(counter)


def _child(graph: Graph, x: int) -> Graph:
    """A subgraph with a counter and x as inputs."""
    child = Graph(graph.draw, graph.shared, graph.depth + 1)
    child.input((), INT32)
    child.pool.pop()
    child.input(graph.shape(x))
    child.bounds[1] = 1e3
    return child


def _subgraph(graph: Graph, x: int) -> SubgraphSpec:
    """A branch: some steps on x, and one that has the shape of x again."""
    child = Graph(graph.draw, graph.shared, graph.depth + 1)
    child.input(graph.shape(x))
    child.bounds[0] = graph.bounds[x]
    return child.finished([_grown(child, 0)])


def _grown(child: Graph, x: int) -> int:
    """A result of a few steps that has the shape of x, its numbers limited."""
    child.grow([name for name in _INNER if child.allows(name)], child.number(1, 3))
    shape = child.shape(x)
    alike = [y for y in child.pool if child.type(y) == FLOAT32 and child.shape(y) == shape and y != x]
    if not alike:
        alike = [child.add("ADD", [x, child.weights(shape, "constant")], shape, options=schema.AddOptions(), bound=1e6)]
    return child.tamed(alike[-1], 1e3)
