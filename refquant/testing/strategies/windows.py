"""Reductions of sliding windows over every dimension."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import constant_or_input, generators, numbers
from refquant.tflite.schema import (
    ReduceWindowFunction,
    ReduceWindowOptions,
    StablehloReduceWindowOptions,
    TensorType,
)

BOOL = TensorType.BOOL
TYPES = [
    TensorType.FLOAT32,
    TensorType.FLOAT64,
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
    BOOL,
]
_FUNCTIONS = {
    "ADD": ReduceWindowFunction.ADD,
    "STABLEHLO_ADD": ReduceWindowFunction.ADD,
    "MUL": ReduceWindowFunction.MUL,
    "STABLEHLO_MULTIPLY": ReduceWindowFunction.MUL,
    "MINIMUM": ReduceWindowFunction.MINIMUM,
    "STABLEHLO_MINIMUM": ReduceWindowFunction.MINIMUM,
    "MAXIMUM": ReduceWindowFunction.MAXIMUM,
    "STABLEHLO_MAXIMUM": ReduceWindowFunction.MAXIMUM,
}


def _along(draw: st.DrawFn, rank: int, low: int, high: int) -> list[int]:
    return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))


def _shape(draw: st.DrawFn) -> list[int]:
    many = st.lists(st.integers(1, 3), min_size=4, max_size=6)
    return draw(st.lists(st.integers(1, 6), min_size=1, max_size=3) | many)


@strategy("REDUCE_WINDOW", TYPES)
def reduce_window(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Windows of any shape, stride and dilation over 1 to 6 dimensions, with each function."""
    shape = _shape(draw)
    functions = [function for function in ReduceWindowFunction if function]
    rng = draw(generators)
    init, given = constant_or_input(draw, type, numbers(rng, type, ()))
    lowest = draw(st.sampled_from([1, 1, 1, 0]))
    window = [_along(draw, len(shape), low, high) for low, high in ((lowest, 3), (1, 3), (lowest, 2))]
    constants = [TensorSpec(TensorType.INT64, data=np.array(row, np.int64)) for row in window]
    options = ReduceWindowOptions(reduce_function=draw(st.sampled_from(functions)))
    model = single_operator_model(operator, [TensorSpec(type, shape), init, *constants], [TensorSpec(type)], options)
    return Case(model, [[numbers(rng, type, shape), *given]])


@strategy("STABLEHLO_REDUCE_WINDOW", TYPES)
def stablehlo_reduce_window(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """As REDUCE_WINDOW, dilated and padded, or cropped, first; the function is a subgraph of one operator."""
    shape = _shape(draw)
    rank = len(shape)
    bodies = ["LOGICAL_AND", "LOGICAL_OR"] if type == BOOL else list(_FUNCTIONS)
    dilations = _along(draw, rank, 1, 3) if draw(st.booleans()) else [1] * rank
    padding = _along(draw, 2 * rank, -1, 2) if draw(st.booleans()) else [0] * 2 * rank
    for i, (n, dilation) in enumerate(zip(shape, dilations)):  # at least one number is left
        left = (n - 1) * dilation + 1 + min(padding[2 * i], 0) + min(padding[2 * i + 1], 0)
        if left < 1:
            padding[2 * i] = padding[2 * i + 1] = 0
    options = StablehloReduceWindowOptions(
        window_dimensions=np.array(_along(draw, rank, 1, 3)),
        window_strides=np.array(_along(draw, rank, 1, 3)) if draw(st.booleans()) else None,
        base_dilations=np.array(dilations),
        window_dilations=np.array(_along(draw, rank, 1, 2)) if draw(st.booleans()) else None,
        padding=np.array(padding),
        body_subgraph_index=1,
    )
    main = SubgraphSpec(
        [TensorSpec(type, shape), TensorSpec(type), TensorSpec(type)],
        [OperatorSpec(operator, [0, 1], [2], options)],
        [0, 1],
        [2],
    )
    body = SubgraphSpec([TensorSpec(type)] * 3, [OperatorSpec(draw(st.sampled_from(bodies)), [0, 1], [2])], [0, 1], [2])
    rng = draw(generators)
    return Case(model_of(main, body), [[numbers(rng, type, shape), numbers(rng, type, ())]])
