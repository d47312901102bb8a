"""Convolutions, fully connected layers and pools against TensorFlow's reference kernels, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.interpreter import Interpreter
from refquant.kernels import profiles
from refquant.kernels.profiles import Rounding
from refquant.numerics import fixed_point
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    ActivationFunctionType,
    BatchMatMulOptions,
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


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Numbers:
    """One combination of types: activations, weights, bias; `quantized_bias_type` is what the options say of it."""

    activations: TensorType
    weights: TensorType
    bias: TensorType
    quantized_bias_type: TensorType = FLOAT32


FLOAT = Numbers(FLOAT32, FLOAT32, FLOAT32)
HYBRID = Numbers(FLOAT32, INT8, FLOAT32)
QUANTIZED = (
    Numbers(INT8, INT8, INT32),
    Numbers(UINT8, UINT8, INT32),
    Numbers(INT16, INT8, INT64, INT64),
    Numbers(INT16, INT8, INT32, INT32),
)


def run(model: Model, inputs: Sequence[Array]) -> list[Array]:
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def assert_same_bits(reference: Runtime, model: Model, inputs: Sequence[Array]) -> None:
    (expected,) = reference.run(model, inputs)
    (actual,) = run(model, inputs)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if actual.dtype == np.float32:  # NaN is NaN, whatever its sign and payload
        nan = np.isnan(expected)
        assert np.array_equal(nan, np.isnan(actual))
        actual, expected = actual[~nan].view(np.uint32), expected[~nan].view(np.uint32)
    np.testing.assert_array_equal(actual, expected)


def integers(rng: np.random.Generator, type: TensorType, shape: Sequence[int], extreme: bool = False) -> Array:
    """Integers from all of the type, or only its two ends."""
    limits = np.iinfo(DTYPES[type])
    if extreme:
        return rng.choice([limits.min, limits.max], shape).astype(DTYPES[type])
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(DTYPES[type])


def activations(
    rng: np.random.Generator, type: TensorType, shape: Sequence[int], extreme: bool, finite: bool = False
) -> Array:
    """Integers of all of the type or of its ends, or normal floats, some of them zero, tiny, huge or infinite."""
    if type != FLOAT32:
        return integers(rng, type, shape, extreme)
    x = rng.standard_normal(shape).astype(np.float32)
    huge = 1e30 if finite else np.inf
    special = rng.choice(np.float32([-0.0, 0.0, huge, -huge, 1e30, -1e30, 1e-45]), shape)
    return np.where(rng.random(shape) < 0.1, special, x).astype(np.float32) if extreme else x


def zero_points(type: TensorType) -> st.SearchStrategy[int]:
    """Any integer of the type, often one of its ends; int16 must be symmetric."""
    if type in (INT16, FLOAT32):
        return st.just(0)
    low, high = int(np.iinfo(DTYPES[type]).min), int(np.iinfo(DTYPES[type]).max)
    return st.sampled_from([low, high]) | st.integers(low, high)


@st.composite
def quantized_tensors(
    draw: st.DrawFn, numbers: Numbers, x_shape: Sequence[int], w_shape: Sequence[int], channels: int, axis: int
) -> tuple[list[TensorSpec | None], TensorSpec, Array]:
    """Inputs (x, weights, bias), the output, and data for x, with scales that let outputs use their range.

    A third of the cases has powers of two for scales, so that many accumulators lie on ties.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extreme = draw(st.booleans())
    x = activations(rng, numbers.activations, x_shape, extreme, finite=numbers == HYBRID)
    if numbers.activations == FLOAT32 and numbers.weights == FLOAT32:
        weights = rng.standard_normal(w_shape).astype(np.float32)
        bias = rng.standard_normal(channels).astype(np.float32)
        specs: list[TensorSpec | None] = [
            TensorSpec(FLOAT32, x_shape),
            TensorSpec(FLOAT32, data=weights),
            TensorSpec(FLOAT32, data=bias),
        ]
        return specs, TensorSpec(FLOAT32), x
    weights = integers(rng, numbers.weights, w_shape, draw(st.booleans()))
    per_channel = numbers.weights == INT8 and draw(st.booleans())
    count = channels if per_channel else 1
    powers_of_two = draw(st.sampled_from([True, False, False]))
    exponents = rng.uniform(-20, 10, count) if draw(st.booleans()) else rng.uniform(-3, 3, count)
    w_scales = (2.0 ** (np.round(exponents) if powers_of_two else exponents)).astype(np.float32)
    if numbers.activations == FLOAT32:
        x *= np.float32(2.0 ** draw(st.integers(-10, 10)))
        bias = rng.standard_normal(channels).astype(np.float32)
        return (
            [
                TensorSpec(FLOAT32, x_shape),
                TensorSpec(INT8, data=weights, scale=w_scales, quantized_dimension=axis),
                TensorSpec(FLOAT32, data=bias),
            ],
            TensorSpec(FLOAT32),
            x,
        )
    x_scale = np.float32(2.0 ** draw(st.integers(-12, 4)) * (1 if powers_of_two else rng.uniform(1, 2)))
    terms = weights.size / channels
    typical = float(np.sqrt(terms) * 40 * np.iinfo(DTYPES[numbers.activations]).max)
    steps = typical * float(x_scale * w_scales.max()) / (np.iinfo(DTYPES[numbers.activations]).max / 3)
    y_scale = np.float32(2.0 ** round(np.log2(steps)) if powers_of_two else steps * 2.0 ** rng.uniform(-2, 2))
    bias = rng.integers(-int(typical), int(typical), channels, endpoint=True).astype(DTYPES[numbers.bias])
    w_zero = draw(zero_points(UINT8)) if numbers.weights == UINT8 else 0
    return (
        [
            TensorSpec(numbers.activations, x_shape, x_scale, draw(zero_points(numbers.activations))),
            TensorSpec(numbers.weights, (), w_scales, w_zero, axis, weights),
            TensorSpec(numbers.bias, (), x_scale * w_scales, data=bias),
        ],
        TensorSpec(numbers.activations, (), y_scale, draw(zero_points(numbers.activations))),
        x,
    )


small_activations = st.sampled_from(list(ActivationFunctionType)[:4])


@st.composite
def batch_products(draw: st.DrawFn, types: tuple[TensorType, TensorType, TensorType]) -> tuple[Model, list[Array]]:
    lead = draw(st.lists(st.integers(1, 3), max_size=3))
    rows, depth, columns = draw(st.integers(1, 5)), draw(st.integers(1, 20)), draw(st.integers(1, 5))
    options = BatchMatMulOptions(adj_x=draw(st.booleans()), adj_y=draw(st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extreme = draw(st.booleans())
    specs, arrays = [], []
    for type, sides, turned in ((types[0], (rows, depth), options.adj_x), (types[1], (depth, columns), options.adj_y)):
        # with adj_x and a second tensor that is repeated the real kernel reads memory that is not its own
        may_be_one = len(specs) == 0 or not options.adj_x
        shared = [1 if may_be_one and draw(st.integers(0, 2)) == 0 else n for n in lead]
        if may_be_one:
            shared = shared[draw(st.integers(0, len(lead))) :]
        shape = (*shared, *(sides[::-1] if turned else sides))
        zero_point = 0 if INT16 in types else draw(zero_points(type))
        specs.append(TensorSpec(type, shape, None if type == FLOAT32 else 2.0 ** rng.uniform(-9, -3), zero_point))
        arrays.append(activations(rng, type, shape, extreme))
    scale = None if types[2] == FLOAT32 else 2.0 ** rng.uniform(-9, 2)
    output = TensorSpec(types[2], (), scale, 0 if types[2] == INT32 else draw(zero_points(types[2])))
    model: list[TensorSpec | None] = [*specs]
    if draw(st.booleans()):
        specs[1].data = arrays.pop()
    return single_operator_model("BATCH_MATMUL", model, [output], options), arrays


def every_type() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "numbers",
        (FLOAT, HYBRID, *QUANTIZED),
        ids=lambda n: f"{n.activations.name}-{n.weights.name}-{n.bias.name}",
    )


@pytest.mark.parametrize(
    "types",
    [(FLOAT32,) * 3, (INT8,) * 3, (INT8, INT8, INT32), (INT16,) * 3],
    ids=lambda types: "-".join(t.name for t in types),
)
@given(data=st.data())
@examples(60)
def test_batch_matmul(
    reference: Runtime, types: tuple[TensorType, TensorType, TensorType], data: st.DataObject
) -> None:
    assert_same_bits(reference, *data.draw(batch_products(types)))


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
    fixed_point.single_rounding,
    fixed_point.wide,
    fixed_point.float64_rounding,
)
MATRIX_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


every_row = pytest.mark.parametrize(
    "row",
    [row for row in profiles.ROUNDING if row.profile == "reference" and row.operator in MATRIX_OPERATORS],
    ids=lambda row: f"{row.operator}-{row.type.name}-{row.bits}",
)


@every_row
def test_rounding_rule(reference: Runtime, row: Rounding) -> None:
    """On accumulators where the rules disagree, ties among them, the kernel follows the table's rule and no other."""
    accumulators = np.concatenate([np.arange(-1500, 1500), np.arange(-(2**20), 2**20, 701)])
    low, high = np.iinfo(DTYPES[row.type]).min, np.iinfo(DTYPES[row.type]).max
    zero_point = 128 if row.type == UINT8 else 0
    disproved = set()
    for real in (2.0**-4, 2.0**-13, float(np.float32(0.0371)), float(np.float32(0.00011777))):
        (actual,) = reference.run(*accumulator_model(row, accumulators, np.float32(real)))
        rules = {rule.__name__: rule(accumulators, *fixed_point.multiplier_for(rule, real)) for rule in RULES}
        rules["float32"] = float32_rounding(accumulators, np.float32(real))
        for name, rounded in rules.items():
            if np.any(np.clip(rounded.astype(np.int64) + zero_point, low, high) != actual.reshape(-1)):
                disproved.add(name)
    assert disproved == {rule.__name__ for rule in RULES if rule is not row.rule} | {"float32"}


@pytest.mark.parametrize("type", [UINT8, INT8], ids=lambda t: t.name)
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_precision_of_the_multiplier(reference: Runtime, operator: str, type: TensorType) -> None:
    """uint8 kernels round input_scale * filter_scale to float32, the others keep it in float64."""
    row = next(
        row for row in profiles.ROUNDING if (row.profile, row.operator, row.type) == ("reference", operator, type)
    )
    x_scale, w_scale = np.float32(0.12), np.float32(5e-8 / 0.12)
    narrow = fixed_point.quantize_multiplier(np.float64(x_scale * w_scale))
    full = fixed_point.quantize_multiplier(np.float64(x_scale) * np.float64(w_scale))
    candidates = np.random.default_rng(0).integers(-(2**31), 2**31, 8_000_000).astype(np.int32)
    apart = fixed_point.double_rounding(candidates, *narrow) != fixed_point.double_rounding(candidates, *full)
    accumulators = candidates[apart]
    assert len(accumulators) > 5
    model, inputs = accumulator_model(row, accumulators, w_scale, float(x_scale))
    assert_same_bits(reference, model, inputs)


@every_row
@given(data=st.data())
@examples(30)
def test_extreme_multipliers(reference: Runtime, row: Rounding, data: st.DataObject) -> None:
    """Multipliers from 2**-60 to 2**60 and accumulators at the ends of their type: saturation, wrapping, flushing."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    exponents = rng.uniform(-60, 60, 64)
    real = 2.0 ** (np.round(exponents) if data.draw(st.booleans()) else exponents)
    limit = 2 ** (row.bits - 1)
    accumulators = rng.choice([-limit, limit - 1, 1, -1, 0, limit // 2, -limit // 2], 64).astype(np.int64)
    accumulators = np.where(rng.random(64) < 0.5, rng.integers(-limit, limit, 64), accumulators)
    if row.type == UINT8:
        real = real[:1]
    assert_same_bits(reference, *accumulator_model(row, accumulators, real))


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
        (expected,), (actual,) = reference.run(model, [x]), run(model, [x])
        np.testing.assert_array_equal(actual, expected)
        assert np.isfinite(actual).any()
