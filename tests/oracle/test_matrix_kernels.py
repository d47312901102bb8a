"""How convolutions and fully connected layers round, and their peculiarities, in TensorFlow's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.kernels import profiles
from refquant.kernels.profiles import Rounding
from refquant.numerics import fixed_point
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare, run
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    TensorType,
    TransposeConvOptions,
)

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT32, INT64 = TensorType.INT32, TensorType.INT64
DTYPES: dict[TensorType, type[np.generic]] = {
    FLOAT32: np.float32, INT8: np.int8, UINT8: np.uint8, INT16: np.int16, INT32: np.int32, INT64: np.int64,
}  # fmt: skip


@pytest.fixture(scope="module")
def kernels(reference: Runtime, optimized: Runtime) -> dict[str, Runtime]:
    """The kernel sets by their names."""
    return {"reference": reference, "optimized": optimized}


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow])


def assert_same_bits(runtime: Runtime, model: Model, inputs: Sequence[Array], profile: str = "reference") -> None:
    result = compare(model, [inputs], runtime, profile)
    assert result.outcome is Outcome.EQUAL, result.details


def integers(rng: np.random.Generator, type: TensorType, shape: Sequence[int]) -> Array:
    limits = np.iinfo(DTYPES[type])
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(DTYPES[type])


def accumulator_model(
    row: Rounding, accumulators: Array, real: Array, x_scale: float = 1.0
) -> tuple[Model, list[Array]]:
    """A model of the row's operator whose accumulators are its biases: one for each channel, its input being zero.

    `real` is the scale of the filters, one number or one for each channel; that of the output is 1.
    """
    channels = len(accumulators)
    bias_type = INT32 if row.bits == 32 else INT64
    scale = np.asarray(real, np.float32)
    weights = TensorType.UINT8 if row.type == UINT8 else INT8
    quantized_bias_type = bias_type if row.type == INT16 else FLOAT32
    options: Any
    if row.operator == "FULLY_CONNECTED":
        x_shape, w_shape, axis = (1, 1), (channels, 1), 0
        options = FullyConnectedOptions(quantized_bias_type=quantized_bias_type)
    elif row.operator == "CONV_2D":
        x_shape, w_shape, axis = (1, 1, 1, 1), (channels, 1, 1, 1), 0
        options = Conv2DOptions(stride_h=1, stride_w=1, quantized_bias_type=quantized_bias_type)
    elif row.operator == "TRANSPOSE_CONV":
        x_shape, w_shape, axis = (1, 1, 1, 1), (channels, 1, 1, 1), 0
        options = TransposeConvOptions(stride_h=1, stride_w=1, quantized_bias_type=quantized_bias_type)
    else:
        x_shape, w_shape, axis = (1, 1, 1, channels), (1, 1, 1, channels), 3
        options = DepthwiseConv2DOptions(stride_h=1, stride_w=1, depth_multiplier=1)
    x = TensorSpec(row.type, x_shape, x_scale, 0)
    w = TensorSpec(weights, (), scale, 0, axis, np.zeros(w_shape, DTYPES[weights]))
    bias = TensorSpec(bias_type, (), scale * x_scale, data=accumulators.astype(DTYPES[bias_type]))
    out_shape = TensorSpec(INT32, data=np.array([1, 1, 1, channels], np.int32))
    model = single_operator_model(
        row.operator,
        [out_shape, w, x, bias] if row.operator == "TRANSPOSE_CONV" else [x, w, bias],
        [TensorSpec(row.type, (), 1.0, 128 if row.type == UINT8 else 0)],
        options,
    )
    return model, [np.zeros(x_shape, DTYPES[row.type])]


def float32_rounding(x: Array, real: Array) -> Array:
    """A rule that no row has: the product in float32, halves to even (XNNPACK's)."""
    return np.rint(x.astype(np.float32) * np.float32(real)).astype(np.int64)


RULES = (
    fixed_point.double_rounding,
    fixed_point.double_rounding_upwards,
    fixed_point.double_rounding_by_eights,
    fixed_point.double_rounding_by_sixteens,
    fixed_point.single_rounding,
    fixed_point.wide,
    fixed_point.float64_rounding,
)
MATRIX_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


every_row = pytest.mark.parametrize(
    "row",
    [
        row
        for row in profiles.ROUNDING
        if row.profile in ("reference", "optimized") and row.operator in MATRIX_OPERATORS
    ],
    ids=lambda row: f"{row.profile}-{row.operator}-{row.type.name}-{row.bits}",
)


@every_row
def test_rounding_rule(kernels: dict[str, Runtime], row: Rounding) -> None:
    """On accumulators where the rules disagree, ties among them, the kernel follows the table's rule and no other."""
    ties = np.full(22, -24)  # at the end, where no sixteen channels are left, and no eight
    accumulators = np.concatenate([np.arange(-1500, 1500), np.arange(-(2**20), 2**20, 701), ties])
    low, high = np.iinfo(DTYPES[row.type]).min, np.iinfo(DTYPES[row.type]).max
    zero_point = 128 if row.type == UINT8 else 0
    disproved = set()
    for real in (2.0**-4, 2.0**-13, float(np.float32(0.0371)), float(np.float32(0.00011777))):
        (actual,) = kernels[row.profile].run(*accumulator_model(row, accumulators, np.float32(real)))
        rules = {rule.__name__: rule(accumulators, *fixed_point.multiplier_for(rule, real)) for rule in RULES}
        rules["float32"] = float32_rounding(accumulators, np.float32(real))
        for name, rounded in rules.items():
            if np.any(np.clip(rounded.astype(np.int64) + zero_point, low, high) != actual.reshape(-1)):
                disproved.add(name)
    assert disproved == {rule.__name__ for rule in RULES if rule is not row.rule} | {"float32"}


@pytest.mark.parametrize("type", [UINT8, INT8], ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("profile", "operator"),
    [
        ("reference", "CONV_2D"),
        ("reference", "DEPTHWISE_CONV_2D"),
        ("optimized", "CONV_2D"),
        ("optimized", "FULLY_CONNECTED"),
    ],
)
def test_precision_of_the_multiplier(
    kernels: dict[str, Runtime], profile: str, operator: str, type: TensorType
) -> None:
    """uint8 kernels round input_scale * filter_scale to float32, the others keep it in float64; but optimized ones of
    fully connected layers with one scale round it for all types."""
    row = next(row for row in profiles.ROUNDING if (row.profile, row.operator, row.type) == (profile, operator, type))
    x_scale, w_scale = np.float32(0.12), np.float32(5e-8 / 0.12)
    narrow = fixed_point.quantize_multiplier(np.float64(x_scale * w_scale))
    full = fixed_point.quantize_multiplier(np.float64(x_scale) * np.float64(w_scale))
    candidates = np.random.default_rng(0).integers(-(2**31), 2**31, 8_000_000).astype(np.int32)
    apart = fixed_point.double_rounding(candidates, *narrow) != fixed_point.double_rounding(candidates, *full)
    accumulators = candidates[apart]
    assert len(accumulators) > 5
    model, inputs = accumulator_model(row, accumulators, w_scale, float(x_scale))
    assert_same_bits(kernels[profile], model, inputs, profile)


@every_row
@given(data=st.data())
@examples(30)
def test_extreme_multipliers(kernels: dict[str, Runtime], row: Rounding, data: st.DataObject) -> None:
    """Multipliers from 2**-60 to 2**60 and accumulators at the ends of their type: saturation, wrapping, flushing."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    exponents = rng.uniform(-60, 60, 64)
    real = 2.0 ** (np.round(exponents) if data.draw(st.booleans()) else exponents)
    limit = 2 ** (row.bits - 1)
    accumulators = rng.choice([-limit, limit - 1, 1, -1, 0, limit // 2, -limit // 2], 64).astype(np.int64)
    accumulators = np.where(rng.random(64) < 0.5, rng.integers(-limit, limit, 64), accumulators)
    if row.type == UINT8:
        real = real[:1]
    model, inputs = accumulator_model(row, accumulators, real)
    assert_same_bits(kernels[row.profile], model, inputs, row.profile)


@pytest.mark.parametrize("outputs", [3, 4])
@pytest.mark.parametrize("operator", ["CONV_2D", "FULLY_CONNECTED"])
def test_hybrid_weights_of_minus_128(reference: Runtime, operator: str, outputs: int) -> None:
    """A weight of -128 and a negative input: the x86-64 kernels give the product the wrong sign, in groups of 16."""
    rng = np.random.default_rng(0)
    x = -np.abs(rng.standard_normal((2, 1, 1, 40))).astype(np.float32)
    weights = rng.choice([-128, 127], (outputs, 1, 1, 40)).astype(np.int8)
    options: Any = Conv2DOptions(stride_h=1, stride_w=1)
    if operator == "FULLY_CONNECTED":
        x, weights, options = x.reshape(2, 40), weights.reshape(outputs, 40), FullyConnectedOptions()
    bias = np.zeros(outputs, np.float32)
    specs = [TensorSpec(FLOAT32, x.shape), TensorSpec(INT8, scale=0.5, data=weights), TensorSpec(FLOAT32, data=bias)]
    model = single_operator_model(operator, specs, [TensorSpec(FLOAT32)], options)
    assert_same_bits(reference, model, [x])


def test_hybrid_weights_of_minus_128_beyond_the_image(reference: Runtime) -> None:
    """Taps that never meet the image still count where the groups of 16 begin."""
    rng = np.random.default_rng(0)
    weights = rng.choice([-128, 127], (2, 3, 3, 2)).astype(np.int8)
    x = -np.abs(rng.standard_normal((1, 1, 2, 2))).astype(np.float32)
    bias = np.zeros(2, np.float32)
    specs = [TensorSpec(FLOAT32, x.shape), TensorSpec(INT8, scale=2.0, data=weights), TensorSpec(FLOAT32, data=bias)]
    model = single_operator_model("CONV_2D", specs, [TensorSpec(FLOAT32)], Conv2DOptions(stride_h=1, stride_w=1))
    assert_same_bits(reference, model, [x])


def test_depthwise_disregards_the_zero_point_of_int8_filters(reference: Runtime) -> None:
    rng = np.random.default_rng(0)
    weights = TensorSpec(INT8, (), 0.1, 3, 3, integers(rng, INT8, (1, 3, 3, 4)))
    specs = [TensorSpec(INT8, (1, 3, 3, 4), 0.1), weights, TensorSpec(INT32, scale=0.01, data=np.zeros(4, np.int32))]
    options = DepthwiseConv2DOptions(stride_h=1, stride_w=1, depth_multiplier=1)
    model = single_operator_model("DEPTHWISE_CONV_2D", specs, [TensorSpec(INT8, (), 2.0)], options)
    assert_same_bits(reference, model, [integers(rng, INT8, (1, 3, 3, 4))])


@pytest.mark.parametrize("weight", [np.inf, np.nan, -np.inf])
def test_padding_is_skipped_not_added(reference: Runtime, weight: float) -> None:
    """Infinite weights outside the image do not make NaN: taps there are left out."""
    weights = np.full((1, 3, 3, 1), 0.5, np.float32)
    weights[0, 0, 0, 0] = weight
    bias = TensorSpec(FLOAT32, data=np.zeros(1, np.float32))
    specs = [TensorSpec(FLOAT32, (1, 4, 4, 1)), TensorSpec(FLOAT32, data=weights), bias]
    for name, options in (
        ("CONV_2D", Conv2DOptions(stride_h=1, stride_w=1)),
        ("DEPTHWISE_CONV_2D", DepthwiseConv2DOptions(stride_h=1, stride_w=1, depth_multiplier=1)),
    ):
        model = single_operator_model(name, specs, [TensorSpec(FLOAT32)], options)
        x = np.arange(-8, 8, dtype=np.float32).reshape(1, 4, 4, 1)
        ((actual,),) = run(model, [[x]])
        (expected,) = reference.run(model, [x])
        np.testing.assert_array_equal(actual, expected)
        assert np.isfinite(actual).any()
