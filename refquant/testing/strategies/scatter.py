"""Numbers sent to places, and sums of those that belong together."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, constant_or_input, generators, numbers
from refquant.tflite.schema import SparseToDenseOptions, TensorType

FLOAT32, INT32, INT64, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, TensorType.BOOL
INT8, UINT8 = TensorType.INT8, TensorType.UINT8
_sides = st.integers(1, 4)
_rows = st.integers(0, 4)


def _given(tensors: list[tuple[TensorSpec, list[Array]]]) -> tuple[list[TensorSpec | None], list[Array]]:
    return [spec for spec, _ in tensors], [array for _, given in tensors for array in given]


@strategy("SCATTER_ND", [FLOAT32, INT8, UINT8, INT32, INT64, BOOL])
def scatter_nd(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers, whole slices or all into 1 to 5 dimensions, some to the same place."""
    shape = draw(st.lists(_sides, min_size=1, max_size=5))
    depth = draw(st.integers(0, len(shape)))
    outer = draw(st.lists(_rows, min_size=0 if depth < len(shape) else 1, max_size=2))
    rng = draw(generators)
    indices = rng.integers(0, shape[:depth], (*outer, depth)).astype(np.int32)
    updates = numbers(rng, type, (*outer, *shape[depth:]))
    tensors = [constant_or_input(draw, *pair) for pair in ((INT32, indices), (type, updates), (INT32, shape))]
    inputs, given = _given(tensors)
    return Case(single_operator_model(operator, inputs, [TensorSpec(type)]), [given])


@strategy("SPARSE_TO_DENSE", [FLOAT32, INT8, UINT8, INT32, INT64])
def sparse_to_dense(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Indices of 1 or 2 dimensions, a value for each, or more values, into 1 to 4 dimensions."""
    rng = draw(generators)
    shape = draw(st.lists(_sides, min_size=1, max_size=4))
    count = draw(st.integers(1, 5))
    indices = rng.integers(0, shape, (count, len(shape)))
    if len(shape) == 1 and draw(st.booleans()):
        indices = indices[:, 0]
    alone = count == 1 and draw(st.booleans())
    values = numbers(rng, type, () if alone else (count + draw(st.sampled_from([0, 0, 1])),))
    index, size = (draw(st.sampled_from([INT32, INT64])) for _ in range(2))
    pairs = ((index, indices), (size, shape), (type, values), (type, numbers(rng, type, ())))
    inputs, given = _given([constant_or_input(draw, *pair) for pair in pairs])
    options = SparseToDenseOptions(validate_indices=draw(st.booleans()))
    return Case(single_operator_model(operator, inputs, [TensorSpec(type)], options), [given])


@strategy(
    ["UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN"], [FLOAT32, INT32]
)
def unsorted_segments(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers of segments for the first dimensions of the data, negative ones among them."""
    shape = draw(st.lists(_rows, min_size=1, max_size=5))
    rank = draw(st.integers(1, len(shape)))
    rng = draw(generators)
    count = draw(st.integers(0, 5))
    ids = rng.integers(-1, count, shape[:rank]).astype(np.int32)
    number = np.array(count if draw(st.booleans()) else [count], np.int32)
    pairs = ((type, numbers(rng, type, shape)), (INT32, ids), (INT32, number))
    inputs, given = _given([constant_or_input(draw, *pair) for pair in pairs])
    return Case(single_operator_model(operator, inputs, [TensorSpec(type)]), [given])


@strategy("SEGMENT_SUM", [FLOAT32, INT32], oracle="optimized")
def segment_sum(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows of 0 to 3 dimensions, segments of 1 to 3 rows."""
    ids = np.repeat(np.arange(4), draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)))
    ids = ids[: draw(st.integers(1, len(ids)))]
    x = numbers(draw(generators), type, (len(ids), *draw(st.lists(_rows, max_size=3))))
    inputs, given = _given([constant_or_input(draw, *pair) for pair in ((type, x), (INT32, ids))])
    return Case(single_operator_model(operator, inputs, [TensorSpec(type)]), [given])
