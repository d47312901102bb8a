"""Operators that take parts, repeat and rearrange, against TensorFlow's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.errors import RefquantError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.drawing import numbers
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from tests.oracle.test_elementwise_kernels import assert_both_refuse, assert_same_bits

pytestmark = pytest.mark.oracle


def tensor(type: TensorType, shape: Any = ()) -> TensorSpec:
    return TensorSpec(type, shape, 0.5 if type in (TensorType.INT8, TensorType.UINT8) else None)


def constant(values: Any, type: TensorType = TensorType.INT32) -> TensorSpec:
    return TensorSpec(type, data=np.array(values, np.int64 if type == TensorType.INT64 else np.int32))


@pytest.mark.parametrize(("begin", "size"), [([2, 0], [3, 1]), ([0, 0], [-2, 1])])
def test_slice_outside(reference: Runtime, begin: list[int], size: list[int]) -> None:
    inputs = [tensor(TensorType.FLOAT32, (4, 2)), constant(begin), constant(size)]
    model = single_operator_model("SLICE", inputs, [tensor(TensorType.FLOAT32)], schema.SliceOptions())
    assert_both_refuse(reference, model, np.zeros((4, 2), np.float32))


@pytest.mark.parametrize(
    ("shape", "slices", "options"),
    [
        ((3, 4), [(7, 0, 1), (2, 2, 1)], {"shrink_axis_mask": 1}),
        ((3, 4), [(1, 0, -1), (2, 2, 1)], {"shrink_axis_mask": 1}),
        ((3, 0), [(5, 6, 1)], {"shrink_axis_mask": 1}),
        ((3, 4, 0), [(-1, 7, 2), (1, 1, 1), (0, 0, 1)], {"offset": True}),
    ],
)
def test_strided_slice_outside_takes_nothing_for_an_empty_output(
    reference: Runtime, shape: tuple[int, ...], slices: list[tuple[int, int, int]], options: dict[str, Any]
) -> None:
    parameters = [constant(values) for values in zip(*slices)]
    inputs = [tensor(TensorType.FLOAT32, shape), *parameters]
    options_of_model = schema.StridedSliceOptions(**options)
    model = single_operator_model("STRIDED_SLICE", inputs, [tensor(TensorType.FLOAT32)], options_of_model)
    assert_same_bits(reference, model, np.zeros(shape, np.float32))


def test_strided_slice_outside() -> None:
    inputs = [tensor(TensorType.FLOAT32, (3, 4)), constant([3]), constant([4]), constant([1])]
    options = schema.StridedSliceOptions(shrink_axis_mask=1)
    model = single_operator_model("STRIDED_SLICE", inputs, [tensor(TensorType.FLOAT32)], options)
    with pytest.raises(RefquantError, match="index 3 with stride 1 takes no element of a dimension of 3"):
        Interpreter(model=model).allocate_tensors()


@pytest.mark.parametrize("index", [-1, 3])
def test_gather_outside(reference: Runtime, index: int) -> None:
    inputs = [tensor(TensorType.FLOAT32, (3,)), TensorSpec(TensorType.INT32, (1,))]
    model = single_operator_model("GATHER", inputs, [tensor(TensorType.FLOAT32)], schema.GatherOptions())
    assert_both_refuse(reference, model, np.zeros(3, np.float32), np.array([index], np.int32))


@pytest.mark.parametrize("type", [TensorType.FLOAT32, TensorType.INT32, TensorType.INT64], ids=lambda t: t.name)
def test_zeros_like(reference: Runtime, type: TensorType) -> None:
    x = numbers(np.random.default_rng(0), type, (3, 2))
    model = single_operator_model("ZEROS_LIKE", [tensor(type, x.shape)], [tensor(type)], schema.ZerosLikeOptions())
    assert_same_bits(reference, model, x)


INVALID: dict[str, tuple[str, list[Any], Any]] = {
    "split unequal": ("SPLIT", [constant(0), (5,)], schema.SplitOptions(num_splits=2)),
    "split axis": ("SPLIT", [constant(3), (4,)], schema.SplitOptions(num_splits=2)),
    "split sizes": ("SPLIT_V", [(5,), constant([2, 2]), constant(0)], schema.SplitVOptions(num_splits=2)),
    "unpack": ("UNPACK", [(3, 2)], schema.UnpackOptions(num=3, axis=0)),
    "tile": ("TILE", [(3, 2), constant([1, -1])], schema.TileOptions()),
    "tile huge": ("TILE", [(3, 2), constant([2**30, 2**30])], schema.TileOptions()),
    "broadcast": ("BROADCAST_TO", [(3, 2), constant([4, 2])], schema.BroadcastToOptions()),
    "space": ("SPACE_TO_DEPTH", [(1, 3, 3, 1)], schema.SpaceToDepthOptions(block_size=2)),
    "depth": ("DEPTH_TO_SPACE", [(1, 3, 3, 1)], schema.DepthToSpaceOptions(block_size=2)),
    "block": ("DEPTH_TO_SPACE", [(1, 3, 3, 1)], schema.DepthToSpaceOptions(block_size=0)),
    "mirror": ("MIRROR_PAD", [(3,), constant([[3, 0]])], schema.MirrorPadOptions()),
    "slice": ("SLICE", [(3, 2), constant([-1, 0]), constant([1, 1])], schema.SliceOptions()),
    "gather axis": ("GATHER", [(3,), constant([0])], schema.GatherOptions(axis=4)),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_does_not_fit_is_named(name: str) -> None:
    operator, inputs, options = INVALID[name]
    specs = [tensor(TensorType.FLOAT32, part) if isinstance(part, tuple) else part for part in inputs]
    model = single_operator_model(operator, specs, [tensor(TensorType.FLOAT32) for _ in range(2)], options)
    with pytest.raises(RefquantError, match=rf"operator 0 \({operator}\) of subgraph 0"):
        Interpreter(model=model).allocate_tensors()


def test_concatenation_rescales_every_value(reference: Runtime) -> None:
    """All 256 numbers with 40 quantizations of the input, for five of the output."""
    rng = np.random.default_rng(5)
    x = np.arange(256, dtype=np.uint8)
    for out_scale, out_zero in [(1.0, 0), (0.5, 128), (0.0123, 255), (3.7, 17), (2.0**-9, 64)]:
        ratios = [*2.0 ** np.arange(-6, 7), *rng.uniform(0.01, 5, 27)]
        inputs = [TensorSpec(TensorType.UINT8, (256,), out_scale * r, int(rng.integers(0, 256))) for r in ratios]
        output = TensorSpec(TensorType.UINT8, (), out_scale, out_zero)
        model = single_operator_model("CONCATENATION", inputs, [output], schema.ConcatenationOptions())
        assert_same_bits(reference, model, *[x] * len(inputs))
