"""Steps with weights: dense layers, convolutions, matrix products, embeddings."""

from __future__ import annotations

import numpy as np

from refquant.testing.float_graphs.graph import FLOAT32, LARGE, Graph, step
from refquant.tflite import schema
from refquant.tflite.schema import Padding

#: numbers of elements from which on TensorFlow quantizes weights for float activations
_SMALLEST_QUANTIZED = 1024


def bound_of(graph: Graph, x: int, weights: int, bias: int = -1) -> float:
    """How large sums of products can become."""
    terms = float(np.prod(graph.shape(weights)))
    return graph.bounds[x] * graph.bounds[weights] * terms + (graph.bounds[bias] if bias >= 0 else 0)


def outputs_for(graph: Graph, inputs: int) -> int:
    """How many outputs a layer with so many inputs to each has: a few, or as many as 1024 weights need, or so."""
    if inputs >= 8 and graph.chance(3):
        return max(1, _SMALLEST_QUANTIZED // inputs + graph.pick([0, 1, -1]))
    return graph.pick([4, 1, 2, 3, 8, 16])


@step("FULLY_CONNECTED")
def fully_connected(graph: Graph, operator: str) -> None:
    """Weights constant or not, a bias or none, the other dimensions kept or not."""
    x = graph.tamed(graph.matrix() if graph.chance(2) else graph.any())
    shape = graph.shape(x)
    depth = shape[-1]
    units = outputs_for(graph, depth)
    computed = [w for w in graph.pool if len(graph.shape(w)) == 2 and graph.shape(w)[1] == depth and w != x]
    computed = [w for w in computed if graph.type(w) == FLOAT32]
    if computed and graph.chance(6):
        weights = graph.tamed(graph.pick(computed))
        units = graph.shape(weights)[0]
    else:
        weights = graph.weights((units, depth), "weights")
    keep = len(shape) > 2 and graph.chance(2)
    bias = graph.bias(units, optional=True)
    inputs = [x, weights] if bias < 0 and graph.chance(3) else [x, weights, bias]
    options = schema.FullyConnectedOptions(graph.activation(), keep_num_dims=keep)
    rows = shape[:-1] if keep else (int(np.prod(shape[:-1])),)
    graph.add(operator, inputs, (*rows, units), options=options, bound=bound_of(graph, x, weights, bias))


def window(graph: Graph, size: int, most: int = 3) -> tuple[int, int, int]:
    """Size of a filter that fits, stride and dilation along one axis."""
    taps = graph.number(1, min(most, size))
    dilation = 2 if taps > 1 and 2 * (taps - 1) + 1 <= size and graph.chance(4) else 1
    stride = 1 if dilation > 1 else graph.pick([1, 1, 2])
    return taps, stride, dilation


def output_size(size: int, taps: int, stride: int, dilation: int, padding: Padding) -> int:
    """How many windows there are."""
    covered = 1 if padding == Padding.SAME else (taps - 1) * dilation + 1
    return (size - covered) // stride + 1


@step("CONV_2D")
def convolution(graph: Graph, operator: str) -> None:
    """Strides, dilations, groups, either padding."""
    x = graph.tamed(graph.image())
    batch, height, width, depth = graph.shape(x)
    (h, stride_h, dilation_h), (w, stride_w, dilation_w) = window(graph, height), window(graph, width)
    groups = 2 if depth % 2 == 0 and graph.chance(6) else 1
    channels = outputs_for(graph, h * w * depth // groups)
    channels += channels % groups
    filter = graph.weights((channels, h, w, depth // groups), "filter")
    bias = graph.bias(channels)
    padding = graph.pick(list(Padding))
    sides = (
        output_size(height, h, stride_h, dilation_h, padding),
        output_size(width, w, stride_w, dilation_w, padding),
    )
    options = schema.Conv2DOptions(padding, stride_w, stride_h, graph.activation(), dilation_w, dilation_h)
    bound = bound_of(graph, x, filter, bias)
    graph.add(operator, [x, filter, bias], (batch, *sides, channels), options=options, bound=bound)


@step("DEPTHWISE_CONV_2D")
def depthwise_convolution(graph: Graph, operator: str) -> None:
    """Multipliers, strides, dilations, either padding."""
    x = graph.tamed(graph.image())
    batch, height, width, depth = graph.shape(x)
    (h, stride_h, dilation_h), (w, stride_w, dilation_w) = window(graph, height), window(graph, width)
    stride_h = stride_w = min(stride_h, stride_w)
    multiplier = graph.pick([1, 1, 2, 3])
    if graph.chance(6):
        multiplier = -(-_SMALLEST_QUANTIZED // (h * w * depth)) if h * w * depth >= 32 else multiplier
    channels = depth * multiplier
    filter = graph.weights((1, h, w, channels), "filter", axis=3)
    bias = graph.bias(channels)
    padding = graph.pick(list(Padding))
    sides = (
        output_size(height, h, stride_h, dilation_h, padding),
        output_size(width, w, stride_w, dilation_w, padding),
    )
    options = schema.DepthwiseConv2DOptions(
        padding, stride_w, stride_h, multiplier, graph.activation(), dilation_w, dilation_h
    )
    bound = bound_of(graph, x, filter, bias)
    graph.add(operator, [x, filter, bias], (batch, *sides, channels), options=options, bound=bound)


@step("TRANSPOSE_CONV")
def transposed_convolution(graph: Graph, operator: str) -> None:
    """With a bias or without, either padding."""
    x = graph.tamed(graph.image())
    batch, height, width, depth = graph.shape(x)
    taps = graph.number(1, 3), graph.number(1, 3)
    stride = graph.pick([1, 2])
    padding = graph.pick(list(Padding))
    channels = outputs_for(graph, taps[0] * taps[1] * depth)
    filter = graph.weights((channels, *taps, depth), "filter")
    bias = graph.bias(channels, optional=True)
    sides = [n * stride if padding == Padding.SAME else (n - 1) * stride + k for n, k in zip((height, width), taps)]
    shape = (batch, *sides, channels)
    inputs = [graph.integers(shape, "shape"), filter, x, *([bias] if bias >= 0 else [])]
    options = schema.TransposeConvOptions(padding, stride, stride)
    graph.add(operator, inputs, shape, options=options, bound=bound_of(graph, x, filter, bias))


@step("CONV_3D")
def volume_convolution(graph: Graph, operator: str) -> None:
    """A convolution in three dimensions."""
    x = graph.tamed(graph.floats(lambda shape: len(shape) == 5, lambda: (1, *(graph.number(2, 4) for _ in range(4)))))
    shape = graph.shape(x)
    taps = [graph.number(1, 2) for _ in range(3)]
    padding = graph.pick(list(Padding))
    channels = graph.number(1, 4)
    sides = [output_size(n, min(k, n), 1, 1, padding) for n, k in zip(shape[1:4], taps)]
    taps = [min(k, n) for n, k in zip(shape[1:4], taps)]
    filter = graph.weights((*taps, shape[4], channels), "filter", axis=4)
    bias = graph.bias(channels, optional=True)
    options = schema.Conv3DOptions(padding, 1, 1, 1, graph.activation())
    inputs = [x, filter, *([bias] if bias >= 0 else [])]
    bound = bound_of(graph, x, filter, bias)
    graph.add(operator, inputs, (shape[0], *sides, channels), options=options, bound=bound)


@step("BATCH_MATMUL")
def matrix_product(graph: Graph, operator: str) -> None:
    """A tensor by a constant on either side, by another tensor or by itself, either transposed."""
    x = graph.tamed(graph.floats(lambda shape: len(shape) in (2, 3, 4), lambda: graph.sides(graph.pick([3, 2, 4]))))
    *batch, rows, columns = graph.shape(x)
    kind = graph.pick(["constant right", "itself", "constant left", "other"])
    units = outputs_for(graph, columns)
    if kind == "constant left":
        left, adj_y = graph.weights((*batch, units, rows), "left", axis=-2), False
        if graph.chance(3):
            left, adj_y = graph.weights((*batch, units, columns), "left", axis=-2), True
        options = schema.BatchMatMulOptions(False, adj_y)
        shape = (*batch, units, rows if adj_y else columns)
        graph.add(operator, [left, x], shape, options=options, bound=bound_of(graph, x, left))
        return
    adj_x, adj_y = graph.chance(4), graph.chance(2)
    left_rows, inner = (columns, rows) if adj_x else (rows, columns)
    if kind == "itself":
        x = graph.tamed(x, LARGE if graph.bounds[x] < 1e3 else 6.0)
        adj_y = not adj_x
        shape = (*batch, left_rows, left_rows)
        bound = graph.bounds[x] ** 2 * inner
        graph.add(operator, [x, x], shape, options=schema.BatchMatMulOptions(adj_x, adj_y), bound=bound)
        return
    wanted = (*batch, units, inner) if adj_y else (*batch, inner, units)
    right = graph.weights(wanted if graph.chance(2) else wanted[len(batch) :], "right", axis=-2 if adj_y else -1)
    if kind == "other":
        others = [y for y in graph.pool if graph.type(y) == FLOAT32 and graph.shape(y)[:-2] == tuple(batch)]
        others = [y for y in others if len(graph.shape(y)) >= 2 and graph.shape(y)[-1 if adj_y else -2] == inner]
        if others:
            right = graph.tamed(graph.pick(others))
            units = graph.shape(right)[-2 if adj_y else -1]
    options = schema.BatchMatMulOptions(adj_x, adj_y)
    graph.add(operator, [x, right], (*batch, left_rows, units), options=options, bound=bound_of(graph, x, right))


@step("EMBEDDING_LOOKUP")
def embedding(graph: Graph, operator: str) -> None:
    """Rows of a table of weights."""
    rows, width = graph.pick([(5, 4), (9, 7), (64, 16), (128, 8)])
    table = graph.weights((rows, width), "table")
    if graph.depth == 0 and graph.chance(2):
        ids = graph.input((graph.number(1, 4),), limit=rows, type=schema.TensorType.INT32)
    else:
        ids = graph.integers(graph.rng.integers(0, rows, graph.number(1, 4)), "ids")
    graph.add(operator, [ids, table], (*graph.shape(ids), width), bound=graph.bounds[table])
