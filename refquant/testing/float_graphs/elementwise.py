"""Steps that go number by number, or along one axis: arithmetic, activations, comparisons, normalization."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refquant.testing.float_graphs.graph import BOOL, FLOAT32, INT32, Graph, step
from refquant.tflite import schema

#: operators of one input: the largest input that they are given, and the bound of their result
_UNARY: dict[str, tuple[float, Callable[[float], float]]] = {
    "ABS": (math.inf, lambda x: x),
    "COS": (1e4, lambda x: 1),
    "ELU": (math.inf, lambda x: x),
    "EXP": (10, math.exp),
    "FLOOR": (math.inf, lambda x: x + 1),
    "GELU": (1e4, lambda x: x),
    "HARD_SWISH": (1e6, lambda x: x),
    "LEAKY_RELU": (1e6, lambda x: 2 * x),
    "LOGISTIC": (math.inf, lambda x: 1),
    "NEG": (math.inf, lambda x: x),
    "RELU": (math.inf, lambda x: x),
    "RELU6": (math.inf, lambda x: 6),
    "RELU_0_TO_1": (math.inf, lambda x: 1),
    "RELU_N1_TO_1": (math.inf, lambda x: 1),
    "ROUND": (math.inf, lambda x: x + 1),
    "SIN": (1e4, lambda x: 1),
    "SQUARE": (1e6, lambda x: x * x),
    "TANH": (math.inf, lambda x: 1),
}


@step(*_UNARY)
def unary(graph: Graph, operator: str) -> None:
    """One input, one output of the same shape."""
    most, bound = _UNARY[operator]
    x = graph.tamed(graph.any(), most)
    options = {
        "LEAKY_RELU": lambda: schema.LeakyReluOptions(graph.pick([0.2, 0.01, 1.5, -0.5, 0.0])),
        "GELU": lambda: schema.GeluOptions(graph.chance(2)),
    }.get(operator, lambda: None)()
    graph.add(operator, [x], graph.shape(x), options=options, bound=bound(graph.bounds[x]))


@step("SQRT", "RSQRT", "LOG")
def of_positive(graph: Graph, operator: str) -> None:
    """A function of positive numbers, of something made positive first."""
    x = graph.positive(graph.tamed(graph.any(), 1e12))
    graph.add(operator, [x], graph.shape(x), bound=max(10.0, math.sqrt(graph.bounds[x])))


def operand(graph: Graph, x: int) -> int:
    """Something that broadcasts with x, to the shape of x: constant or not, or x itself."""
    shape = graph.shape(x)
    kind = graph.pick(["tensor", "constant", "vector", "scalar", "sides of one", "itself"])
    if kind == "tensor":
        found = [y for y in graph.pool if graph.type(y) == FLOAT32 and _broadcasts(graph.shape(y), shape)]
        return graph.pick(found[::-1])
    if kind == "itself":
        return x
    sides: Sequence[int] = shape
    if kind == "vector":
        sides = shape[-1:]
    elif kind == "scalar":
        sides = graph.pick([(), (1,)]) if shape else ()
    elif kind == "sides of one":
        sides = [n if graph.chance(2) else 1 for n in shape]
    return graph.weights(sides, "constant", axis=-1)


def _broadcasts(small: Sequence[int], large: Sequence[int]) -> bool:
    return len(small) <= len(large) and all(m in (1, n) for m, n in zip(small[::-1], large[::-1]))


def _both_ways(graph: Graph, x: int, y: int) -> list[int]:
    return [y, x] if graph.chance(4) else [x, y]


#: options of the operators that take an activation
_FUSED = {"ADD": schema.AddOptions, "SUB": schema.SubOptions, "MUL": schema.MulOptions, "DIV": schema.DivOptions}


@step("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
def binary(graph: Graph, operator: str) -> None:
    """Two tensors, or a tensor and a constant on either side, of the same shape or broadcast."""
    x = graph.tamed(graph.any())
    y = operand(graph, x)
    if y not in graph.constants:
        y = graph.tamed(y)
    a, b = graph.bounds[x], graph.bounds[y]
    bound = {"MUL": a * b, "SQUARED_DIFFERENCE": (a + b) ** 2}.get(operator, a + b)
    options = None
    if operator in _FUSED:
        options = _FUSED[operator](fused_activation_function=graph.activation())
    graph.add(operator, _both_ways(graph, x, y), graph.shape(x), options=options, bound=bound)


@step("DIV", "FLOOR_DIV", "FLOOR_MOD", "POW")
def binary_of_positive(graph: Graph, operator: str) -> None:
    """A quotient by, or a power of, something that is not zero: a constant, or made positive first."""
    x = graph.tamed(graph.any(), 6.0 if operator == "POW" else 1e6)
    shape = graph.shape(x)
    if operator == "POW":
        exponent = graph.scalar(graph.pick([2.0, 0.5, 3.0, -1.0]), "exponent")
        graph.add(operator, [graph.positive(x), exponent], shape, bound=3e3)
        return
    if graph.chance(2):
        divisor = graph.positive(x)
    else:
        sides = graph.pick([shape[-1:], shape, ()])
        divisor = graph.constant(
            np.abs(graph.rng.standard_normal(sides)).astype(np.float32) + np.float32(0.1), "divisor"
        )
    options = schema.DivOptions(fused_activation_function=graph.activation()) if operator == "DIV" else None
    graph.add(operator, [x, divisor], shape, options=options, bound=10 * graph.bounds[x] + 10)


@step("ADD_N")
def sum_of_many(graph: Graph, operator: str) -> None:
    """A sum of several tensors of one shape."""
    x = graph.tamed(graph.any())
    alike = [y for y in graph.pool if graph.shape(y) == graph.shape(x) and graph.type(y) == FLOAT32]
    terms = [x, *(graph.tamed(graph.pick(alike)) for _ in range(graph.number(1, 2)))]
    graph.add(operator, terms, graph.shape(x), bound=sum(graph.bounds[t] for t in terms))


@step("PRELU")
def prelu(graph: Graph, operator: str) -> None:
    """Slopes for each channel, or for each number."""
    x = graph.tamed(graph.floats(lambda shape: len(shape) >= 2, lambda: graph.sides(graph.number(2, 4))))
    shape = graph.shape(x)
    sides = graph.pick([[*[1] * (len(shape) - 2), shape[-1]], list(shape[1:])])
    slopes = graph.weights(sides, "slopes", axis=-1)
    graph.add(operator, [x, slopes], shape, bound=graph.bounds[x] * max(1.0, graph.bounds[slopes]))


@step("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION", "CUMSUM")
def along_an_axis(graph: Graph, operator: str) -> None:
    """What takes the numbers of one axis together."""
    if operator == "L2_NORMALIZATION":  # zero divided by zero otherwise
        x = graph.positive(graph.any())
        graph.add(operator, [x], graph.shape(x))
    elif operator == "LOCAL_RESPONSE_NORMALIZATION":
        x = graph.tamed(graph.image())
        normalization = schema.LocalResponseNormalizationOptions(graph.number(1, 3), 1.0, 0.5, 0.5)
        graph.add(operator, [x], graph.shape(x), options=normalization, bound=graph.bounds[x])
    elif operator == "CUMSUM":
        x = graph.tamed(graph.any())
        axis = graph.integers(graph.number(0, len(graph.shape(x)) - 1), "axis")
        options = schema.CumsumOptions(graph.chance(2), graph.chance(2))
        graph.add(operator, [x, axis], graph.shape(x), options=options, bound=graph.bounds[x] * 2000)
    else:
        x = graph.any()
        bound, beta = (1.0, graph.pick([1.0, 0.5])) if operator == "SOFTMAX" else (2 * graph.bounds[x] + 20, 0.0)
        options_of_softmax = schema.SoftmaxOptions(beta) if operator == "SOFTMAX" else None
        graph.add(operator, [x], graph.shape(x), options=options_of_softmax, bound=bound)


@step("FAKE_QUANT")
def fake_quantized(graph: Graph, operator: str) -> None:
    """Rounding as training for quantization leaves it in a graph."""
    x = graph.any()
    low, high = graph.pick([(-6.0, 6.0), (0.0, 6.0), (-1.0, 0.5)])
    options = schema.FakeQuantOptions(low, high, graph.pick([8, 16]))
    graph.add(operator, [x], graph.shape(x), options=options, bound=8.0)


@step("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")
def comparison(graph: Graph, operator: str) -> None:
    """A comparison of two tensors, or of one with a constant."""
    x = graph.any()
    y = operand(graph, x)
    graph.add(operator, _both_ways(graph, x, y), graph.shape(x), types=[BOOL])


def _condition(graph: Graph, x: int) -> int:
    """A boolean tensor of the shape of x."""
    found = [c for c in graph.pool if graph.type(c) == BOOL and graph.shape(c) == graph.shape(x)]
    if found:
        return graph.pick(found)
    return graph.add("GREATER", [x, operand(graph, x)], graph.shape(x), types=[BOOL])


@step("SELECT", "SELECT_V2")
def selection(graph: Graph, operator: str) -> None:
    """One of two tensors, number by number; in SELECT_V2 broadcast."""
    x = graph.any()
    condition = _condition(graph, x)
    if operator == "SELECT_V2":
        y = operand(graph, x)
    else:
        alike = [t for t in graph.pool if graph.shape(t) == graph.shape(x) and graph.type(t) == FLOAT32]
        y = graph.weights(graph.shape(x), "constant", axis=-1) if graph.chance(2) else graph.pick(alike)
    bound = max(graph.bounds[x], graph.bounds[y])
    graph.add(operator, [condition, *_both_ways(graph, x, y)], graph.shape(x), bound=bound)


@step("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")
def logic(graph: Graph, operator: str) -> None:
    """Booleans of booleans."""
    x = graph.any()
    inputs = [_condition(graph, x) for _ in range(1 if operator == "LOGICAL_NOT" else 2)]
    graph.add(operator, inputs, graph.shape(x), types=[BOOL])


@step("CAST")
def cast(graph: Graph, operator: str) -> None:
    """Booleans and integers to floats, floats to integers and back."""
    others = [x for x in graph.pool if graph.type(x) != FLOAT32]
    if others and graph.chance(2):
        x = graph.pick(others)
        options = schema.CastOptions(graph.type(x), FLOAT32)
        graph.add(operator, [x], graph.shape(x), options=options, bound=float(graph.limits.get(x, 0) or 2000))
        return
    x = graph.tamed(graph.any())
    whole = graph.add(operator, [x], graph.shape(x), options=schema.CastOptions(FLOAT32, INT32), types=[INT32])
    if graph.chance(2):
        options = schema.CastOptions(INT32, FLOAT32)
        graph.add(operator, [whole], graph.shape(x), options=options, bound=graph.bounds[x])
