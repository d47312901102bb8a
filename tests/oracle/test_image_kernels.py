"""Convolutions, pools and resizes on all there is: every product of two integers, every mean of two, every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    Pool2DOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    TensorType,
    TransposeConvOptions,
)
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]
FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT4, INT32 = TensorType.INT4, TensorType.INT32


def assert_equal(runtime: Runtime, model: Model, sample: Sequence[Array]) -> None:
    result = compare(model, [sample], runtime)
    assert result.outcome is Outcome.EQUAL, result.details


def every(type: TensorType) -> Array:
    """All integers of a type of four or eight bits."""
    dtype = numpy_dtype(type)
    bits = PACKED_BITS.get(type, 8)
    low = 0 if dtype.kind == "u" else -(2 ** (bits - 1))
    return np.arange(low, low + 2**bits).astype(dtype)


@pytest.mark.parametrize("scale", [2.0**-6, 2.0**-9, 0.0123, 1.9e-5])
@pytest.mark.parametrize(
    ("operator", "type", "weights"),
    [
        ("CONV_2D", INT8, INT8),
        ("CONV_2D", INT8, INT4),
        ("CONV_2D", UINT8, UINT8),
        ("DEPTHWISE_CONV_2D", INT8, INT8),
        ("DEPTHWISE_CONV_2D", UINT8, UINT8),
        ("TRANSPOSE_CONV", INT8, INT8),
        ("TRANSPOSE_CONV", UINT8, UINT8),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_product(reference: Runtime, operator: str, type: TensorType, weights: TensorType, scale: float) -> None:
    """Each integer of x meets each weight; products and output share a scale, or lie `scale` apart."""
    x, w = every(type), every(weights)
    zero_point, w_zero = (17, 99) if type == UINT8 else (-5, 0)
    channels = len(w)
    depthwise = operator == "DEPTHWISE_CONV_2D"
    w = w.reshape((1, 1, 1, channels) if depthwise else (channels, 1, 1, 1))
    specs: list[TensorSpec | None] = [
        TensorSpec(type, (1, len(x), 1, 1), 1.0, zero_point),
        TensorSpec(weights, (), scale, w_zero, 0, w),
        TensorSpec(INT32, (), scale, data=np.arange(channels, dtype=np.int32)),
    ]
    options: Any
    if operator == "TRANSPOSE_CONV":
        shape = TensorSpec(INT32, data=np.array([1, len(x), 1, channels], np.int32))
        specs = [shape, specs[1], specs[0], specs[2]]
        options = TransposeConvOptions(stride_h=1, stride_w=1)
    elif depthwise:
        options = DepthwiseConv2DOptions(stride_h=1, stride_w=1, depth_multiplier=channels)
    else:
        options = Conv2DOptions(stride_h=1, stride_w=1)
    model = single_operator_model(operator, specs, [TensorSpec(type, (), 1.0, 30)], options)
    assert_equal(reference, model, [x.reshape(1, -1, 1, 1)])


@pytest.mark.parametrize("type", [INT8, UINT8], ids=lambda type: type.name)
@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_every_pair_in_a_pool(reference: Runtime, operator: str, type: TensorType) -> None:
    x = np.stack(np.meshgrid(every(type), every(type)), axis=-1).reshape(1, 256, 512, 1)
    options = Pool2DOptions(stride_h=1, stride_w=2, filter_height=1, filter_width=2)
    spec = TensorSpec(type, x.shape, 1.0)
    assert_equal(reference, single_operator_model(operator, [spec], [TensorSpec(type, (), 1.0)], options), [x])


@pytest.mark.parametrize("type", [FLOAT32, INT8], ids=lambda type: type.name)
@pytest.mark.parametrize(
    ("align", "half"), [(False, False), (True, False), (False, True)], ids=["corner", "aligned", "half"]
)
@pytest.mark.parametrize(
    "table", [ResizeBilinearOptions, ResizeNearestNeighborOptions], ids=lambda table: table.__name__
)
def test_every_position(reference: Runtime, table: Any, align: bool, half: bool, type: TensorType) -> None:
    """All changes from 1..16 to 1..20 pixels: of height a to b, and of width b to a at once."""
    operator = "RESIZE_BILINEAR" if table is ResizeBilinearOptions else "RESIZE_NEAREST_NEIGHBOR"
    rng = np.random.default_rng(0)
    for old in range(1, 17):
        for new in range(1, 21):
            x = rng.integers(-128, 128, (1, old, new, 1)).astype(numpy_dtype(type))
            size = TensorSpec(INT32, data=np.array([new, old], np.int32))
            options = table(align_corners=align, half_pixel_centers=half)
            model = single_operator_model(operator, [TensorSpec(type, x.shape), size], [TensorSpec(type)], options)
            assert_equal(reference, model, [x])
