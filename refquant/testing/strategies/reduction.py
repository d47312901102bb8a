"""One number from many: reductions over axes, and the place of the largest or smallest along one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import (
    constant_or_input,
    generators,
    numbers,
    quantized,
)
from refquant.tflite.schema import ArgMaxOptions, ArgMinOptions, ReducerOptions, TensorType

FLOAT32, INT32, INT64, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, TensorType.BOOL
INT8, UINT8, INT16 = TensorType.INT8, TensorType.UINT8, TensorType.INT16

#: ranks 0 to 8 of few elements, sometimes none
_shapes = st.one_of(
    st.lists(st.integers(1, 5), max_size=4),
    st.lists(st.integers(0, 3), max_size=4),
    st.lists(st.integers(1, 2), min_size=5, max_size=8),
    st.lists(st.sampled_from([1, 3, 40]), min_size=1, max_size=2),
)


def _reduction(draw: st.DrawFn, operator: str, x: TensorSpec, out: TensorSpec, shape: list[int]) -> Case:
    """Any axes, counted from either end, named once or more; constants or inputs, the latter sometimes resized."""
    rank = len(shape)
    axes: Any = draw(st.lists(st.integers(-rank, rank - 1), max_size=rank + 1)) if rank else []
    count = math.prod(shape[i] for i in {i % rank for i in axes})
    if len(axes) == 1 and draw(st.booleans()):
        axes = axes[0]
    # Python cannot read an output whose shape was unknown and that has no elements
    constant = TensorSpec(INT32, data=np.array(axes, np.int32))
    axis, given = (constant, []) if 0 in shape else constant_or_input(draw, INT32, axes)
    rng = draw(generators)
    options = ReducerOptions(keep_dims=draw(st.booleans()))
    # the real kernel cannot multiply constants of bool, or of one quantized number each
    folded = operator != "REDUCE_PROD" or (x.type != BOOL and (x.scale is None or count > 1))
    if folded and 0 not in shape and draw(st.integers(0, 4)) == 0:
        x.data = numbers(rng, x.type, shape)
        return Case(single_operator_model(operator, [x, axis], [out], options), [given])
    x.shape = [n if draw(st.integers(0, 9)) else 1 for n in shape]
    model = single_operator_model(operator, [x, axis], [out], options)
    return Case(model, [[numbers(rng, x.type, shape), *given] for _ in range(draw(st.integers(1, 2)))])


@strategy("MEAN", [FLOAT32, INT32, INT64])
@strategy("SUM", [FLOAT32, INT32, INT64, BOOL])
@strategy("REDUCE_PROD", [FLOAT32, INT32, INT64, BOOL])
@strategy(["REDUCE_MAX", "REDUCE_MIN"], [FLOAT32, INT32, INT64, BOOL])
@strategy(["REDUCE_ANY", "REDUCE_ALL"], [BOOL])
@strategy("REDUCE_PROD", {"INT8 without scale": INT8, "UINT8 without scale": UINT8, "INT16 without scale": INT16})
def reduction(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers that stand for themselves, of ranks 0 to 8."""
    return _reduction(draw, operator, TensorSpec(type), TensorSpec(type), draw(_shapes))


@strategy("MEAN", [INT8, UINT8, INT16])
@strategy("SUM", [INT8, UINT8])
@strategy("SUM", [INT16], oracle="optimized")
@strategy("REDUCE_PROD", [INT8, INT16])
def quantized_reduction(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers of any scale and zero point to another scale and zero point."""
    shape = draw(_shapes)
    if operator == "REDUCE_PROD" or type == INT16:  # of nothing the real kernels leave their output as it was in memory
        shape = [max(n, 1) for n in shape]
    return _reduction(draw, operator, draw(quantized(type)), draw(quantized(type)), shape)


@strategy(["REDUCE_MAX", "REDUCE_MIN"], [INT8, UINT8, INT16])
def quantized_extreme(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers of any scale and zero point, which the output shares, or of none."""
    x = draw(quantized(type) | st.builds(TensorSpec, st.just(type)))
    return _reduction(draw, operator, x, TensorSpec(type, (), x.scale, x.zero_point), draw(_shapes))


@strategy(["ARG_MAX", "ARG_MIN"], [FLOAT32, INT8, UINT8, INT32, BOOL])
def position(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any axis, of int32 or int64, constant or not, of 1 to 6 dimensions; places of int32 or int64."""
    shape = draw(
        st.lists(st.integers(0, 5), min_size=1, max_size=6) | st.lists(st.integers(1, 40), min_size=1, max_size=2)
    )
    if not any(shape):
        shape = [1]
    along = draw(st.sampled_from([i for i, n in enumerate(shape) if n])) - draw(st.sampled_from([0, len(shape)]))
    axis, given = constant_or_input(draw, draw(st.sampled_from([INT32, INT64])), along)
    x = draw(quantized(type, shape)) if type in (INT8, UINT8) else TensorSpec(type, shape)
    index = draw(st.sampled_from([INT32, INT64]))
    options = (ArgMaxOptions if operator == "ARG_MAX" else ArgMinOptions)(output_type=index)
    numbers_ = numbers(draw(generators), type, shape)
    return Case(single_operator_model(operator, [x, axis], [TensorSpec(index)], options), [[numbers_, *given]])
