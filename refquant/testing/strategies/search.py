"""Places of numbers: the largest, those not zero, boxes that do not overlap; sums along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, arrays, constant_or_input, generators, numbers, quantized
from refquant.tflite.schema import BucketizeOptions, CumsumOptions, OneHotOptions, TensorType, UniqueOptions
from refquant.tflite.tensor_types import numpy_dtype

FLOAT32, FLOAT64, BOOL = TensorType.FLOAT32, TensorType.FLOAT64, TensorType.BOOL
INT8, UINT8, INT16, INT32, INT64 = (
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
)


def _declared(draw: st.DrawFn, x: Array) -> list[int]:
    """The shape of an input in the model, which the sample may change."""
    return [n if draw(st.integers(0, 9)) else 1 for n in x.shape]


@strategy(["NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"], [FLOAT32])
def non_max_suppression(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """No to 12 boxes on a grid or anywhere, many of them alike, with equal scores; soft (V5) with any sigma from 0."""
    rng = draw(generators)
    count = draw(st.integers(0, 12))
    if draw(st.booleans()):
        boxes = rng.integers(0, 4, (count, 4)).astype(np.float32)
    else:
        boxes = rng.random((count, 4)).astype(np.float32)
    scores = rng.integers(-1, 4, count).astype(np.float32) / 2 if draw(st.booleans()) else rng.random(count)
    if draw(st.integers(0, 5)) == 0:
        boxes, scores = numbers(rng, type, (count, 4)), numbers(rng, type, (count,))
    thresholds = [draw(st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5])), draw(st.sampled_from([-1.0, 0.0, 0.2, 0.5]))]
    single = [(INT32, draw(st.integers(0, count + 2))), *((type, number) for number in thresholds)]
    outputs = [TensorSpec(INT32), TensorSpec(INT32)]
    if operator == "NON_MAX_SUPPRESSION_V5":
        single.append((type, draw(st.sampled_from([0.0, 0.1, 0.5, 3.0]) | st.floats(0, 4, width=32))))
        outputs.insert(1, TensorSpec(type))
    tensors = [constant_or_input(draw, kind, number) for kind, number in single]
    inputs = [TensorSpec(type, boxes.shape), TensorSpec(type, scores.shape), *(spec for spec, _ in tensors)]
    sample = [boxes, scores.astype(np.float32), *(array for _, given in tensors for array in given)]
    return Case(single_operator_model(operator, inputs, outputs), [sample])


@strategy("CUMSUM", [FLOAT32, INT32, INT64])
def cumsum(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Sums along any axis, constant or not, from either end, with the number itself or without."""
    x = draw(arrays(type, min_rank=1, max_rank=6))
    axis, given = constant_or_input(draw, INT32, draw(st.integers(-x.ndim, x.ndim - 1)))
    options = CumsumOptions(exclusive=draw(st.booleans()), reverse=draw(st.booleans()))
    model = single_operator_model(operator, [TensorSpec(type, _declared(draw, x)), axis], [TensorSpec(type)], options)
    return Case(model, [[x, *given]])


@strategy("TOPK_V2", [FLOAT32, INT8, UINT8, INT16, INT32, INT64])
def topk(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Some or all of rows of up to 40 numbers, many of them equal; k and places of int16 or int32."""
    shape = [*draw(st.lists(st.integers(0, 3), max_size=3)), draw(st.integers(0, 6) | st.integers(1, 40))]
    rng = draw(generators)
    x = numbers(rng, type, shape)
    if draw(st.booleans()):
        x = rng.integers(0, 4, shape).astype(numpy_dtype(type))
    k, given = constant_or_input(
        draw, draw(st.sampled_from([INT32, INT16])), draw(st.integers(min(1, shape[-1]), shape[-1]))
    )
    spec = draw(quantized(type)) if type in (INT8, UINT8, INT16) else TensorSpec(type)
    outputs = [TensorSpec(type, (), spec.scale, spec.zero_point), TensorSpec(draw(st.sampled_from([INT32, INT16])))]
    spec.shape = shape
    return Case(single_operator_model(operator, [spec, k], outputs), [[x, *given]])


@strategy("UNIQUE", [FLOAT32, INT8, UINT8, INT16, INT32, INT64])
def unique(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A vector of up to 20 numbers, many of them equal; places of int32 or int64."""
    rng = draw(generators)
    pool = numbers(rng, type, (draw(st.integers(1, 8)),))
    x = rng.choice(pool, draw(st.integers(0, 20)))
    index = draw(st.sampled_from([INT32, INT64]))
    outputs = [TensorSpec(type), TensorSpec(index)]
    options = UniqueOptions(idx_out_type=index)
    model = single_operator_model(operator, [TensorSpec(type, _declared(draw, x))], outputs, options)
    return Case(model, [[x]])


@strategy("WHERE", [BOOL, FLOAT32, INT8, UINT8, INT32, TensorType.UINT32, INT64])
def where(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Of 1 to 6 dimensions, zeros here and there or everywhere."""
    x = draw(arrays(type, min_rank=1, max_rank=6))
    x[draw(generators).random(x.shape) < draw(st.sampled_from([0.5, 0.9, 1.0]))] = 0
    constant = x.size > 0 and draw(st.booleans())
    spec = TensorSpec(type, data=x) if constant else TensorSpec(type, _declared(draw, x))
    return Case(single_operator_model(operator, [spec], [TensorSpec(INT64)]), [[] if constant else [x]])


@strategy("BUCKETIZE", [FLOAT32, FLOAT64, INT32, INT64])
def bucketize(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Up to 9 boundaries, among them numbers of the input and infinities."""
    x = draw(arrays(type))
    rng = draw(generators)
    with np.errstate(over="ignore"):
        pool = np.concatenate([x.ravel().astype(np.float32), numbers(rng, FLOAT32, (9,))])
    boundaries = np.sort(rng.choice(pool[~np.isnan(pool)], draw(st.integers(0, 9)) if np.any(~np.isnan(pool)) else 0))
    model = single_operator_model(
        operator, [TensorSpec(type, _declared(draw, x))], [TensorSpec(INT32)], BucketizeOptions(boundaries=boundaries)
    )
    return Case(model, [[x]])


@strategy("ONE_HOT", [FLOAT32, INT8, UINT8, INT32, INT64, BOOL])
def one_hot(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Indices of int32 or int64, of 0 to 4 dimensions, in range and out of it; any new axis; constants or inputs."""
    kind = draw(st.sampled_from([INT32, INT64]))
    shape = draw(st.lists(st.integers(0, 4), max_size=5))
    rng = draw(generators)
    indices = rng.integers(-1, 6, shape).astype(numpy_dtype(kind))
    if kind == INT64:
        indices += rng.integers(0, 2, shape) << 32  # only the low half counts
    numbers_: list[tuple[TensorType, Any]] = [(INT32, draw(st.integers(0, 5)))]
    numbers_ += [(type, numbers(rng, type, ())) for _ in range(2)]
    tensors = [constant_or_input(draw, *pair) for pair in numbers_]
    options = OneHotOptions(axis=draw(st.integers(-1, len(shape))))
    inputs = [TensorSpec(kind, _declared(draw, indices)), *(spec for spec, _ in tensors)]
    model = single_operator_model(operator, inputs, [TensorSpec(type)], options)
    return Case(model, [[indices, *(array for _, given in tensors for array in given)]])
