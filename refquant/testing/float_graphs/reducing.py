"""Steps that make less of much: reductions, pools, positions of extremes."""

from __future__ import annotations

import numpy as np

from refquant.testing.float_graphs.graph import INT32, INT64, Graph, step
from refquant.testing.float_graphs.products import output_size
from refquant.tflite import schema
from refquant.tflite.schema import Padding


@step("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
def reduction(graph: Graph, operator: str) -> None:
    """Over any axes, which stay or go."""
    x = graph.tamed(graph.any(), 1.0 if operator == "REDUCE_PROD" else 1e6)
    shape = graph.shape(x)
    axes = [i for i in range(len(shape)) if graph.chance(2)] or [len(shape) - 1]
    keep = graph.chance(2)
    sides = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    given = [i - len(shape) for i in axes] if graph.chance(3) else axes
    axis = graph.integers(given[0] if len(given) == 1 and graph.chance(3) else given, "axes")
    count = int(np.prod([shape[i] for i in axes]))
    bound = graph.bounds[x] * (count if operator == "SUM" else 1)
    graph.add(operator, [x, axis], sides, options=schema.ReducerOptions(keep), bound=bound)


@step("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def pool(graph: Graph, operator: str) -> None:
    """Windows of any size, either padding."""
    x = graph.tamed(graph.image())
    batch, height, width, depth = graph.shape(x)
    h, w = graph.number(1, min(3, height)), graph.number(1, min(3, width))
    stride_h, stride_w = graph.pick([1, 2]), graph.pick([1, 2])
    padding = graph.pick(list(Padding))
    sides = output_size(height, h, stride_h, 1, padding), output_size(width, w, stride_w, 1, padding)
    options = schema.Pool2DOptions(padding, stride_w, stride_h, w, h, graph.activation())
    graph.add(operator, [x], (batch, *sides, depth), options=options, bound=graph.bounds[x])


@step("ARG_MAX", "ARG_MIN")
def position(graph: Graph, operator: str) -> None:
    """Where the largest or smallest is."""
    x = graph.any()
    shape = list(graph.shape(x))
    axis = graph.number(0, len(shape) - 1)
    count = shape.pop(axis)
    type = graph.pick([INT32, INT64])
    table = schema.ArgMaxOptions if operator == "ARG_MAX" else schema.ArgMinOptions
    inputs = [x, graph.integers(axis, "axis")]
    graph.add(operator, inputs, shape, options=table(type), types=[type], limit=count)


@step("TOPK_V2")
def largest(graph: Graph, operator: str) -> None:
    """The largest numbers of each row, and where they are."""
    x = graph.any()
    *rows, width = graph.shape(x)
    k = graph.number(1, width)
    values = (*rows, k)
    graph.add(
        operator,
        [x, graph.integers(k, "k")],
        values,
        values,
        types=[graph.type(x), INT32],
        bound=graph.bounds[x],
        limit=width,
    )


@step("SHAPE", "RANK")
def about_the_shape(graph: Graph, operator: str) -> None:
    """The shape, or how many dimensions it has."""
    x = graph.any()
    if operator == "RANK":
        graph.add(operator, [x], (), types=[INT32])
    else:
        graph.add(operator, [x], (len(graph.shape(x)),), options=schema.ShapeOptions(INT32), types=[INT32])
