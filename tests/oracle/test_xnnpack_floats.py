"""Float32 operators in profile "xnnpack", against TensorFlow with its delegate. Equal means every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.interpreter import Interpreter
from refquant.kernels.profiles import INEXACT_IN_XNNPACK
from refquant.numerics.square_root_estimate import reciprocal_square_root_estimate
from refquant.runtimes import Runtime
from refquant.runtimes.machine import root_estimates_of
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.conformance import first_difference, run
from refquant.testing.strategies import Family, families
from refquant.testing.sweep import check
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import Padding, TensorType
from tests.oracle.test_models import MORE, assert_every_tensor, inputs_of

pytestmark = pytest.mark.oracle

F32 = TensorType.FLOAT32
OPERATORS = (
    "ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONV_2D COS DEPTHWISE_CONV_2D DIV ELU EXP FLOOR FULLY_CONNECTED GELU "
    "HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG PRELU REDUCE_MAX REDUCE_MIN RELU RELU6 "
    "RELU_N1_TO_1 RESIZE_BILINEAR ROUND RSQRT SIN SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE SUB SUM TANH TRANSPOSE_CONV"
).split()
FAMILIES = [family for family in families("xnnpack") if family.operator in OPERATORS and family.variant == "FLOAT32"]


def skip_unless_roots_are_known(operator: str) -> None:
    """SQRT and RSQRT begin with an estimate of the processor's, of which refquant has Zen 4's alone."""
    x = (2.0 ** np.repeat([0, 1], 4096) * (1 + np.tile(np.arange(4096), 2) / 4096)).astype(np.float32)
    if operator in INEXACT_IN_XNNPACK and not np.array_equal(root_estimates_of(x), reciprocal_square_root_estimate(x)):
        pytest.skip(f"{operator}: the instruction VRSQRT14PS of this processor is not that of AMD's Zen 4")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.operator)
def test_family(family: Family, xnnpack: Runtime) -> None:
    skip_unless_roots_are_known(family.operator)
    assert check(family, xnnpack, 2)


def equal(model: Any, xnnpack: Runtime, *inputs: Any) -> None:
    (ours,), theirs = run(model, [inputs], "xnnpack"), xnnpack.run(model, inputs)
    assert not [found for pair in zip(ours, theirs, strict=True) if (found := first_difference(*pair))]


FUNCTIONS = {
    "COS": schema.CosOptions(),
    "ELU": None,
    "EXP": schema.ExpOptions(),
    "GELU": schema.GeluOptions(),
    "HARD_SWISH": schema.HardSwishOptions(),
    "LOGISTIC": None,
    "RSQRT": None,
    "SIN": None,
    "SQRT": None,
    "TANH": None,
}


@pytest.mark.parametrize("operator", FUNCTIONS)
def test_functions_of_any_bits(operator: str, xnnpack: Runtime) -> None:
    skip_unless_roots_are_known(operator)
    rng = np.random.default_rng(1)
    any_bits = rng.integers(0, 2**32, 4000, np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([any_bits, *(rng.normal(0, scale, 2000).astype(np.float32) for scale in (0.01, 1, 10, 100))])
    tensors = [TensorSpec(F32, x.shape)]
    equal(single_operator_model(operator, tensors, tensors, FUNCTIONS[operator]), xnnpack, x)


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).standard_normal(shape, np.float32)


@pytest.mark.parametrize("size", [1, 15, 16, 31, 33, 64, 200, 1000])
def test_rows_of_any_length(size: int, xnnpack: Runtime) -> None:
    x = normal(3, size)
    x[1, size // 2] = np.nan
    tensors = [TensorSpec(F32, x.shape)]
    equal(single_operator_model("SOFTMAX", tensors, tensors, schema.SoftmaxOptions(beta=1)), xnnpack, x)
    axis = TensorSpec(TensorType.INT32, data=np.array([1], np.int32))
    for operator in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"):
        model = single_operator_model(operator, [*tensors, axis], [TensorSpec(F32)], schema.ReducerOptions())
        equal(model, xnnpack, x)


@pytest.mark.parametrize("axes", [(1, 3), (0, 2), (1, 2)])
def test_axes_apart(axes: tuple[int, ...], xnnpack: Runtime) -> None:
    x = normal(3, 5, 4, 70)
    inputs = [TensorSpec(F32, x.shape), TensorSpec(TensorType.INT32, data=np.array(axes, np.int32))]
    for operator in ("MEAN", "REDUCE_MAX"):
        equal(single_operator_model(operator, inputs, [TensorSpec(F32)], schema.ReducerOptions()), xnnpack, x)


@pytest.mark.parametrize("names", [("SQUARE", "SUM"), ("MUL", "MEAN"), ("MUL", "SUM", "DIV"), ("ABS", "SUM", "MUL")])
def test_operators_computed_as_one(names: tuple[str, ...], xnnpack: Runtime) -> None:
    x = normal(4, 203)
    factor = np.float32(203) if names[-1] == "DIV" else np.float32(1) / np.float32(203)
    tensors = [
        TensorSpec(F32, x.shape),
        TensorSpec(TensorType.INT32, data=np.array([1], np.int32)),
        TensorSpec(F32, data=factor),
        *(TensorSpec(F32, shape) for shape in (x.shape, (4, 1), (4, 1))),
    ]
    inputs = {"SQUARE": [0], "ABS": [0], "SUM": [3, 1], "MEAN": [3, 1], "DIV": [4, 2]}
    options = {
        "SUM": schema.ReducerOptions(keep_dims=True),
        "MEAN": schema.ReducerOptions(keep_dims=True),
        "MUL": schema.MulOptions(),
        "DIV": schema.DivOptions(),
    }
    operators = [
        OperatorSpec(name, inputs.get(name, [0, 0] if i == 0 else [4, 2]), [3 + i], options.get(name))
        for i, name in enumerate(names)
    ]
    equal(model_of(SubgraphSpec(tensors, operators, [0], [2 + len(names)])), xnnpack, x)


@pytest.mark.parametrize("outputs", [[2], [1, 2]])
def test_bounds_after_a_pool(outputs: list[int], xnnpack: Runtime) -> None:
    """Where nobody else reads the pool they are its own, and then -0 becomes 0."""
    x = np.full((1, 3, 3, 2), -0.0, np.float32)
    pool = schema.Pool2DOptions(filter_height=2, filter_width=2, stride_h=1, stride_w=1, padding=Padding.VALID)
    tensors = [TensorSpec(F32, shape) for shape in (x.shape, (1, 2, 2, 2), (1, 2, 2, 2))]
    operators = [OperatorSpec("MAX_POOL_2D", [0], [1], pool), OperatorSpec("RELU", [1], [2])]
    equal(model_of(SubgraphSpec(tensors, operators, [0], outputs)), xnnpack, x)


@pytest.mark.parametrize(
    ("image", "filter", "stride"),
    [
        ((5, 6, 3), (1, 3), 3),
        ((9, 8, 3), (5, 5), 2),
        ((6, 7, 3), (6, 7), 1),
        ((8, 8, 17), (2, 2), 2),
        ((5, 7, 3), (1, 1), 1),
    ],
)
def test_convolutions(image: tuple[int, ...], filter: tuple[int, int], stride: int, xnnpack: Runtime) -> None:
    """Among them one whose SAME padding would be negative, and sums of small numbers, infinities and NaN."""
    x = normal(2, *image)
    x[0] *= np.float32(1e-20)
    x[1, 0, 0] = np.inf
    for name, shape, options in (
        ("DEPTHWISE_CONV_2D", (1, *filter, image[2]), schema.DepthwiseConv2DOptions(depth_multiplier=1)),
        ("CONV_2D", (33, *filter, image[2]), schema.Conv2DOptions()),
    ):
        options.stride_h = options.stride_w = stride
        w, bias = normal(*shape), np.zeros(shape[0] if name == "CONV_2D" else shape[3], np.float32)
        w[..., 1] *= np.float32(1e-19)
        constants = [TensorSpec(F32, data=w), TensorSpec(F32, data=bias)]
        model = single_operator_model(
            name, [TensorSpec(F32, x.shape), *constants], [TensorSpec(F32, (1,) * 4)], options
        )
        equal(model, xnnpack, x)


@pytest.mark.parametrize("height", [3, 4, 12])
def test_windows_higher_than_the_image(height: int, xnnpack: Runtime) -> None:
    x = normal(1, height, 5, 3)
    options = schema.Pool2DOptions(filter_height=6, filter_width=3, stride_h=1, stride_w=2)
    for operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        tensors = [TensorSpec(F32, x.shape)], [TensorSpec(F32, (1, 1, 1, 3))]
        equal(single_operator_model(operator, *tensors, options), xnnpack, x)


FACES = [path for path in MORE if path.stem in ("face_detection_short_range", "iris_landmark")]


@pytest.mark.parametrize("path", FACES, ids=lambda path: path.stem)
def test_every_tensor_of_a_model(path: Path, xnnpack: Runtime) -> None:
    """But for those that XNNPACK makes of constants when it is applied, which the runtime does not show."""
    model = Model.read(path)
    interpreter = Interpreter(model=model, kernels="xnnpack")
    interpreter.allocate_tensors()
    samples = inputs_of(interpreter.get_input_details(), seed=5)[:1]
    made = {int(o.outputs[0]) for o in model.subgraphs[0].operators if model.operator_name(o) == "DEQUANTIZE"}
    expected = [
        {index: array for index, array in tensors.items() if index not in made}
        for tensors in xnnpack.run_all_sequence(model, samples)
    ]
    assert_every_tensor(interpreter, samples, expected)
