"""Reductions and searches where every number can be tried, and what both runtimes refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8, INT16, INT32 = (
    TensorType.FLOAT32,
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
)


@pytest.mark.parametrize(
    ("operator", "type"),
    [
        *(("MEAN", type) for type in (INT8, UINT8, INT16)),
        *(("SUM", type) for type in (INT8, UINT8)),  # for int16 the reference kernel gives nothing of use
        *(("REDUCE_PROD", type) for type in (INT8, INT16)),  # and it refuses quantized products of uint8
    ],
)
def test_every_number(reference: Runtime, operator: str, type: TensorType) -> None:
    """Every number alone, and for 8 bits every pair, with scales and zero points that are random, ties among them."""
    limits = np.iinfo(numpy_dtype(type))
    every = np.arange(limits.min, limits.max + 1, dtype=numpy_dtype(type))
    pairs = np.stack(np.meshgrid(every, every), axis=-1).reshape(-1, 2) if every.size == 256 else every[:, None]
    rng = np.random.default_rng(0)
    for number in range(12):
        scales = 2.0 ** rng.integers(-3, 4, 2) * (1 if number % 2 else rng.uniform(1, 2, 2))
        zeros = (0, 0) if type == INT16 else rng.integers(limits.min, limits.max + 1, 2).tolist()
        for x in (every[:, None], pairs):
            spec = TensorSpec(type, x.shape, scales[0], zeros[0])
            axis = TensorSpec(INT32, data=np.array([1], np.int32))
            out = TensorSpec(type, (), scales[1], zeros[1])
            result = compare(
                single_operator_model(operator, [spec, axis], [out], schema.ReducerOptions()), [[x]], reference
            )
            assert result.outcome is Outcome.EQUAL, result.details


def _constant(value: Any, type: TensorType = INT32) -> TensorSpec:
    return TensorSpec(type, data=np.array(value, numpy_dtype(type)))


ARG = schema.ArgMaxOptions(output_type=INT32)
NMS = schema.NonMaxSuppressionV4Options()
BOXES = [TensorSpec(FLOAT32, (3, 4)), TensorSpec(FLOAT32, (3,))]
#: operator, inputs, outputs, options
INVALID: dict[str, tuple[str, list[TensorSpec], list[TensorType], Any]] = {
    "axis beyond": ("SUM", [TensorSpec(FLOAT32, (2, 3)), _constant(2)], [FLOAT32], schema.ReducerOptions()),
    "axes of int64": (
        "SUM",
        [TensorSpec(FLOAT32, (2, 3)), _constant(1, TensorType.INT64)],
        [FLOAT32],
        schema.ReducerOptions(),
    ),
    "largest of other scale": (
        "REDUCE_MAX",
        [TensorSpec(INT8, (2, 3), 0.5), _constant(1)],
        [INT8],
        schema.ReducerOptions(),
    ),
    "any of int32": ("REDUCE_ANY", [TensorSpec(INT32, (2, 3)), _constant(1)], [INT32], schema.ReducerOptions()),
    "place in a number": ("ARG_MAX", [TensorSpec(FLOAT32, ()), _constant(0)], [INT32], ARG),
    "place in int16": ("ARG_MAX", [TensorSpec(INT16, (3,)), _constant(0)], [INT32], ARG),
    "too many": ("TOPK_V2", [TensorSpec(FLOAT32, (3,)), _constant(4)], [FLOAT32, INT32], schema.TopKV2Options()),
    "fewer than none": (
        "TOPK_V2",
        [TensorSpec(FLOAT32, (3,)), _constant(-1)],
        [FLOAT32, INT32],
        schema.TopKV2Options(),
    ),
    "unsorted": (
        "BUCKETIZE",
        [TensorSpec(FLOAT32, (3,))],
        [INT32],
        schema.BucketizeOptions(boundaries=np.float32([2, 1])),
    ),
    "no boundaries": ("BUCKETIZE", [TensorSpec(FLOAT32, (3,))], [INT32], schema.BucketizeOptions()),
    "one hot of int16": (
        "ONE_HOT",
        [TensorSpec(INT32, (3,)), _constant(3), _constant(1, INT16), _constant(0, INT16)],
        [INT16],
        schema.OneHotOptions(axis=-1),
    ),
    "unlike scatter": (
        "SCATTER_ND",
        [_constant([[0], [1]]), TensorSpec(FLOAT32, (2, 3)), _constant([4, 2])],
        [FLOAT32],
        schema.ScatterNdOptions(),
    ),
    "scatter outside": (
        "SCATTER_ND",
        [_constant([[4]]), TensorSpec(FLOAT32, (1,)), _constant([4])],
        [FLOAT32],
        schema.ScatterNdOptions(),
    ),
    "one value for two places": (
        "SPARSE_TO_DENSE",
        [_constant([0, 1]), _constant([2]), TensorSpec(FLOAT32, ()), _constant(0, FLOAT32)],
        [FLOAT32],
        schema.SparseToDenseOptions(),
    ),
    "segment beyond": (
        "UNSORTED_SEGMENT_SUM",
        [TensorSpec(FLOAT32, (2,)), _constant([0, 3]), _constant(2)],
        [FLOAT32],
        schema.UnsortedSegmentSumOptions(),
    ),
    "fewer than no boxes": (
        "NON_MAX_SUPPRESSION_V4",
        [*BOXES, _constant(-1), _constant(0.5, FLOAT32), _constant(0.0, FLOAT32)],
        [INT32, INT32],
        NMS,
    ),
    "id beyond": ("EMBEDDING_LOOKUP", [_constant([3]), TensorSpec(FLOAT32, (3, 2))], [FLOAT32], None),
    "zero point": ("EMBEDDING_LOOKUP", [_constant([0]), TensorSpec(INT8, (3, 2), 0.5, 1)], [FLOAT32], None),
    "no keys": (
        "HASHTABLE_LOOKUP",
        [_constant([3]), TensorSpec(INT32, (0,)), TensorSpec(FLOAT32, (0,))],
        [FLOAT32, UINT8],
        None,
    ),
    "neither sparse nor dense": (
        "LSH_PROJECTION",
        [TensorSpec(FLOAT32, (2, 3)), TensorSpec(FLOAT32, (2,))],
        [INT32],
        schema.LSHProjectionOptions(),
    ),
    "window of float16": (
        "REDUCE_WINDOW",
        [
            TensorSpec(TensorType.FLOAT16, (4,)),
            _constant(0, TensorType.FLOAT16),
            *(_constant([1], TensorType.INT64) for _ in range(3)),
        ],
        [TensorType.FLOAT16],
        schema.ReduceWindowOptions(reduce_function=schema.ReduceWindowFunction.ADD),
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_both_refuse(reference: Runtime, case: str) -> None:
    operator, inputs, outputs, options = INVALID[case]
    model = single_operator_model(operator, inputs, [TensorSpec(type) for type in outputs], options)
    sample = [np.zeros(spec.shape, numpy_dtype(spec.type)) for spec in inputs if spec.data is None]
    result = compare(model, [sample], reference)
    assert result.outcome is Outcome.BOTH_REFUSE, result
