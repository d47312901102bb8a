"""Places of numbers: the largest, those not zero, boxes that do not overlap; sums along an axis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import constant_or_input, generators, numbers
from refquant.tflite.schema import (
    TensorType,
)

FLOAT32, FLOAT64, BOOL = TensorType.FLOAT32, TensorType.FLOAT64, TensorType.BOOL
INT8, UINT8, INT16, INT32, INT64 = (
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
)


@strategy(["NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"], [FLOAT32])
def non_max_suppression(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Up to 12 boxes on a grid or anywhere, many of them alike, with equal scores; soft (V5) with any sigma from 0."""
    rng = draw(generators)
    count = draw(st.integers(1, 12))
    if draw(st.booleans()):
        boxes = rng.integers(0, 4, (count, 4)).astype(np.float32)
    else:
        boxes = rng.random((count, 4)).astype(np.float32)
    scores = rng.integers(-1, 4, count).astype(np.float32) / 2 if draw(st.booleans()) else rng.random(count)
    if draw(st.integers(0, 5)) == 0:
        boxes, scores = numbers(rng, type, (count, 4)), numbers(rng, type, (count,))
    thresholds = [draw(st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5])), draw(st.sampled_from([-1.0, 0.0, 0.2, 0.5]))]
    single = [(INT32, draw(st.integers(1, count + 2))), *((type, number) for number in thresholds)]
    outputs = [TensorSpec(INT32), TensorSpec(INT32)]
    if operator == "NON_MAX_SUPPRESSION_V5":
        single.append((type, draw(st.sampled_from([0.0, 0.1, 0.5, 3.0]) | st.floats(0, 4, width=32))))
        outputs.insert(1, TensorSpec(type))
    tensors = [constant_or_input(draw, kind, number) for kind, number in single]
    inputs = [TensorSpec(type, boxes.shape), TensorSpec(type, scores.shape), *(spec for spec, _ in tensors)]
    sample = [boxes, scores.astype(np.float32), *(array for _, given in tensors for array in given)]
    return Case(single_operator_model(operator, inputs, outputs), [sample])
