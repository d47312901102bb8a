"""Every operator in profile "optimized", against TensorFlow's optimized kernels.

The cases are those of `test_operators.py`, which asks the reference kernels, and floats of real sizes, as the order of
a sum and what is computed for a whole register depend on them. Float products with weights have a file of their own,
and so have integers that small models seldom show. Equal means every bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refquant.runtimes import Runtime
from refquant.testing import TensorSpec, single_operator_model
from refquant.testing.conformance import first_difference, run
from refquant.testing.strategies import Family, families
from refquant.testing.sweep import check
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, Padding, TensorType
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.oracle

F32, I32 = TensorType.FLOAT32, TensorType.INT32

PRODUCTS = {
    "BATCH_MATMUL",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CONV_2D",
    "CONV_3D",
    "CONV_3D_TRANSPOSE",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "LSTM",
    "RNN",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
}


def sums_floats(family: Family) -> bool:
    """Whether the family is one of products of float32, whose order is a matter of its own."""
    variant = family.variant
    return family.operator in PRODUCTS and variant.startswith("FLOAT32") and "hybrid" not in variant


FAMILIES = [family for family in families("optimized") if not sums_floats(family)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.operator}-{family.variant}")
def test_family(family: Family, optimized: Runtime, record_property: Callable[[str, object], None]) -> None:
    few = EXAMPLES // 4  # as most kernels are the ones that test_operators has asked
    outcomes = check(family, optimized, few, explore=bool(os.environ.get("REFQUANT_EXPLORE")))
    record_property("family", [family.operator, family.variant])
    record_property("outcomes", {outcome.name: count for outcome, count in outcomes.items()})
    assert outcomes


def normal(*shape: int) -> Any:
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * 3).astype(np.float32)


def assert_same(
    runtime: Runtime, operator: str, arrays: list[Any], options: Any = None, constant: list[int] | int | None = None
) -> None:
    """One operator on these inputs, and on one constant of int32, here and there."""
    inputs = [TensorSpec(F32, array.shape) for array in arrays]
    if constant is not None:
        inputs.append(TensorSpec(I32, data=np.array(constant, np.int32)))
    version = 3 if operator.startswith("RESIZE") else 1
    model = single_operator_model(operator, inputs, [TensorSpec(F32)], options, version=version)
    ours, theirs = run(model, [arrays], "optimized"), runtime.run(model, arrays)
    assert first_difference(ours[0][0], theirs[0]) == ""


FUNCTIONS = {
    **dict.fromkeys(("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGISTIC", "NEG", "RELU")),
    **dict.fromkeys(
        ("RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH")
    ),
    "GELU": schema.GeluOptions(),
    "LEAKY_RELU": schema.LeakyReluOptions(alpha=0.2),
}


@pytest.mark.parametrize("operator", FUNCTIONS)
def test_functions(optimized: Runtime, operator: str) -> None:
    """On every 16,411th of the 2**32 floats."""
    floats = np.arange(0, 2**32, 16411, np.uint64).astype(np.uint32).view(np.float32)
    assert_same(optimized, operator, [floats], FUNCTIONS[operator])


def test_approximate_gelu(optimized: Runtime) -> None:
    assert_same(optimized, "GELU", [normal(5003)], schema.GeluOptions(approximate=True))


PAIRS = {
    "ADD": schema.AddOptions(),
    "SUB": schema.SubOptions(),
    "MUL": schema.MulOptions(),
    "DIV": schema.DivOptions(fused_activation_function=ActivationFunctionType.RELU6),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW")),
}
SHAPES = [
    ((4, 8, 8, 32), (4, 8, 8, 32)),
    ((4, 8, 8, 32), (32,)),
    ((1,), (4, 8, 8, 32)),
    ((4, 8, 1, 32), (4, 1, 8, 32)),
    ((4, 1, 1, 32), (4, 8, 8, 32)),
    ((3, 1, 7), (5, 1)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("operator", PAIRS)
def test_pairs(optimized: Runtime, operator: str, shapes: list[Any]) -> None:
    assert_same(optimized, operator, [normal(*shape) for shape in shapes], PAIRS[operator])


@pytest.mark.parametrize("rows", [1, 3, 33])
@pytest.mark.parametrize("numbers", [1, 5, 8, 9, 15, 16, 17, 24, 33, 100, 1000, 1001])
def test_rows(optimized: Runtime, numbers: int, rows: int) -> None:
    x = normal(rows, numbers)
    assert_same(optimized, "SOFTMAX", [x], schema.SoftmaxOptions(beta=1.0))
    assert_same(optimized, "LOG_SOFTMAX", [x])
    assert_same(optimized, "MEAN", [x], schema.ReducerOptions(), [1])
    assert_same(optimized, "L2_NORMALIZATION", [x], schema.L2NormOptions())


@pytest.mark.parametrize("axes", [[0], [1], [3], [1, 2], [1, 3], [2, 3], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("operator", ["MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"])
def test_reductions(optimized: Runtime, operator: str, axes: list[int]) -> None:
    assert_same(optimized, operator, [normal(2, 13, 17, 40)], schema.ReducerOptions(keep_dims=True), axes)


@pytest.mark.parametrize("filter", [2, 3, 7])
@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"])
def test_pools(optimized: Runtime, operator: str, padding: Padding, filter: int) -> None:
    options = schema.Pool2DOptions(padding=padding, stride_w=2, stride_h=1, filter_width=filter, filter_height=filter)
    assert_same(optimized, operator, [normal(2, 13, 17, 20)], options)


@pytest.mark.parametrize("flags", [(False, False), (False, True), (True, False)], ids=str)
@pytest.mark.parametrize("size", [(26, 34), (7, 9), (52, 68), (40, 50)], ids=str)
def test_sizes(optimized: Runtime, size: tuple[int, int], flags: tuple[bool, bool]) -> None:
    x = normal(2, 13, 17, 20)
    assert_same(optimized, "RESIZE_BILINEAR", [x], schema.ResizeBilinearOptions(*flags), [*size])
    assert_same(optimized, "RESIZE_NEAREST_NEIGHBOR", [x], schema.ResizeNearestNeighborOptions(*flags), [*size])


@pytest.mark.parametrize("beta", [0.75, 1.0, 0.5, 2.0, 8.0, 0.3, -0.7, 7.0, -9.0])
def test_powers(optimized: Runtime, beta: float) -> None:
    options = schema.LocalResponseNormalizationOptions(radius=5, bias=1.0, alpha=0.3, beta=beta)
    assert_same(optimized, "LOCAL_RESPONSE_NORMALIZATION", [normal(1, 7, 9, 64)], options)
