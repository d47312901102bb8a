"""What the optimized kernels do with integers that random small models seldom show: whole registers and what is left,
the rule that a shape chooses, and flaws. Equal means every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare, run
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]

FLOAT32, INT32, INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
INT4, INT8, UINT8, INT16 = TensorType.INT4, TensorType.INT8, TensorType.UINT8, TensorType.INT16
of_8_bits = pytest.mark.parametrize("type", [INT8, UINT8], ids=lambda type: type.name)


def assert_same(optimized: Runtime, model: Model, *inputs: Array) -> None:
    result = compare(model, [inputs], optimized, "optimized")
    assert result.outcome is Outcome.EQUAL, result.details


def integers(rng: np.random.Generator, type: TensorType, shape: tuple[int, ...]) -> Array:
    limits = np.iinfo(numpy_dtype(type))
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(numpy_dtype(type))


def zero_point(rng: np.random.Generator, type: TensorType) -> int:
    return 0 if type == INT16 else int(integers(rng, type, ()))


SHAPES = [
    ((4, 33), (4, 33)),
    ((4, 33), (33,)),
    ((1,), (4, 33)),
    ((4, 7, 19), (4, 7, 1)),
    ((3, 1, 20), (3, 5, 20)),
    ((2, 3, 1, 17), (2, 1, 5, 1)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("type", [INT8, UINT8, INT16], ids=lambda type: type.name)
@pytest.mark.parametrize("operator", ["ADD", "MUL", "SUB"])
def test_pairs(optimized: Runtime, operator: str, type: TensorType, shapes: Any) -> None:
    rng = np.random.default_rng(len(str(shapes)))
    for scale, activation in ((1e-3, 0), (1.0, 0), (30.0, ActivationFunctionType.RELU6)):
        x_scale, y_scale = (float(np.float32(10 ** rng.uniform(-3, 0))) for _ in range(2))
        options = {"ADD": schema.AddOptions(), "MUL": schema.MulOptions(), "SUB": schema.SubOptions()}[operator]
        if not isinstance(options, schema.MulOptions):
            options.pot_scale_int16 = False
        options.fused_activation_function = ActivationFunctionType(activation)
        out = scale * (x_scale * y_scale if operator == "MUL" else max(x_scale, y_scale))
        x, y = (integers(rng, type, shape) for shape in shapes)
        specs = [
            TensorSpec(type, array.shape, one, zero_point(rng, type)) for array, one in ((x, x_scale), (y, y_scale))
        ]
        model = single_operator_model(operator, specs, [TensorSpec(type, (), out, zero_point(rng, type))], options)
        assert_same(optimized, model, x, y)


def mean_model(type: TensorType, shape: tuple[int, ...], axes: list[int], scale: float, keep: bool = True) -> Model:
    specs = [TensorSpec(type, shape, scale, 3), TensorSpec(INT32, data=np.array(axes, np.int32))]
    return single_operator_model("MEAN", specs, [TensorSpec(type, (), 0.01, 5)], schema.ReducerOptions(keep_dims=keep))


@of_8_bits
@pytest.mark.parametrize("axes", [[1, 2], [2, 1], [-3, -2], [1, 2, 2], [1]], ids=str)
def test_means_of_images(optimized: Runtime, type: TensorType, axes: list[int]) -> None:
    """Axes written 1 and 2 have a kernel of their own, the same axes written otherwise have not."""
    rng = np.random.default_rng(1)
    for channels, scale in ((1, 0.013), (16, 0.0101), (37, 0.02)):
        x = integers(rng, type, (2, 7, 5, channels))
        assert_same(optimized, mean_model(type, x.shape, axes, scale), x)
        assert_same(optimized, mean_model(type, x.shape, axes, scale, keep=False), x)


def test_the_kernel_for_means_of_images_is_another_one() -> None:
    x = integers(np.random.default_rng(2), INT8, (2, 7, 5, 37))
    written, counted = (run(mean_model(INT8, x.shape, axes, 0.013), [[x]], "optimized") for axes in ([1, 2], [-3, -2]))
    assert np.any(written[0][0] != counted[0][0])


@pytest.mark.parametrize("inputs", [32, 34, 62, 64, 66, 100])
@pytest.mark.parametrize("rows", [1, 3])
def test_int4_weights_of_minus_8(optimized: Runtime, inputs: int, rows: int) -> None:
    """They do not fit the four bits in which the kernel keeps weights, and damage their neighbours."""
    rng = np.random.default_rng(inputs)
    w = rng.choice([-8, -8, -7, -3, 0, 5, 7], (9, inputs)).astype(np.int8)
    x, bias = rng.standard_normal((rows, inputs), np.float32), rng.standard_normal(9, np.float32)
    weights = TensorSpec(INT4, (), rng.uniform(0.1, 1, 9), np.zeros(9, np.int64), 0, w)
    specs = [TensorSpec(FLOAT32, x.shape), weights, TensorSpec(FLOAT32, data=bias)]
    model = single_operator_model("FULLY_CONNECTED", specs, [TensorSpec(FLOAT32)], schema.FullyConnectedOptions())
    assert_same(optimized, model, x)


@pytest.mark.parametrize(
    ("inputs", "numbers"), [(64, 64), (64, 65), (64, 66), (64, 130), (64, 131), (30, 44), (30, 45)]
)
def test_int4_weights_and_numbers_left_over(optimized: Runtime, inputs: int, numbers: int) -> None:
    """Whether the kernel for four bits is taken hangs on how many numbers there are for each row, left over or not."""
    rng = np.random.default_rng(6)
    x, weights = (
        rng.standard_normal(numbers, np.float32),
        TensorSpec(INT4, scale=0.1, data=rng.integers(-7, 8, (8, inputs), np.int8)),
    )
    specs = [TensorSpec(FLOAT32, x.shape), weights]
    output = TensorSpec(FLOAT32, (numbers // inputs, 8))
    assert_same(optimized, single_operator_model("FULLY_CONNECTED", specs, [output], schema.FullyConnectedOptions()), x)


def test_odd_rows_of_int4_weights_and_numbers_left_over_are_refused() -> None:
    weights = TensorSpec(INT4, scale=0.1, data=np.ones((8, 65), np.int8))
    specs = [TensorSpec(FLOAT32, (66,)), weights]
    model = single_operator_model(
        "FULLY_CONNECTED", specs, [TensorSpec(FLOAT32, (1, 8))], schema.FullyConnectedOptions()
    )
    with pytest.raises(UnsupportedOperatorError, match="left over"):
        Interpreter(model=model, kernels="optimized").allocate_tensors()


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("stated", [FLOAT32, INT64, INT32], ids=lambda type: type.name)
def test_int16_products_without_a_bias_have_32_bits(optimized: Runtime, stated: TensorType, scale: float) -> None:
    rng = np.random.default_rng(3)
    x, w = integers(rng, INT16, (100, 64)), integers(rng, INT8, (40, 64))
    specs = [TensorSpec(INT16, x.shape, 0.1), TensorSpec(INT8, (), scale, data=w)]
    options = schema.FullyConnectedOptions(quantized_bias_type=stated)
    assert_same(optimized, single_operator_model("FULLY_CONNECTED", specs, [TensorSpec(INT16, (), 1.0)], options), x)


@pytest.mark.parametrize("outputs", [5, 8, 21])
@pytest.mark.parametrize("groups", [1, 3])
def test_groups_of_filters_round_otherwise(optimized: Runtime, outputs: int, groups: int) -> None:
    """Sums are ties, on the negative ones of which the rules of ruy and of the reference kernel disagree."""
    outputs *= groups
    x = integers(np.random.default_rng(4), INT8, (1, 9, 9, 2 * groups))
    w = np.ones((outputs, 1, 1, 2), np.int8)
    weights = TensorSpec(INT8, (), 0.25, data=w)
    specs = [TensorSpec(INT8, x.shape, 1.0), weights, TensorSpec(INT32, (), 0.25, data=np.zeros(outputs, np.int32))]
    model = single_operator_model(
        "CONV_2D", specs, [TensorSpec(INT8, (), 1.0)], schema.Conv2DOptions(stride_h=1, stride_w=1)
    )
    assert_same(optimized, model, x)


@of_8_bits
@pytest.mark.parametrize("flags", [(False, True), (False, False), (True, False)], ids=str)
def test_eight_times_as_large(optimized: Runtime, type: TensorType, flags: tuple[bool, bool]) -> None:
    x = integers(np.random.default_rng(5), type, (2, 3, 4, 16))
    specs = [TensorSpec(type, x.shape, 0.1, 0), TensorSpec(INT32, data=np.array([24, 32], np.int32))]
    options = schema.ResizeBilinearOptions(*flags)
    model = single_operator_model("RESIZE_BILINEAR", specs, [TensorSpec(type, (), 0.1, 0)], options, version=3)
    assert_same(optimized, model, x)
