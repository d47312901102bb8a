"""Functions of one tensor over whole domains: every number of 8 and 16 bits, a million floats of all exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refquant.numerics.lookup import every_value
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies import Case, Family, families
from refquant.testing.strategies.drawing import numbers, scales, zero_points
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

FLOAT32, FLOAT16, BFLOAT16 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16
INT8, UINT8, INT16, INT32 = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

#: operators on one tensor that there are in BUILTIN_REF, and those that only the optimized kernels have
REFERENCE: dict[str, Any] = {
    **dict.fromkeys(("ABS", "NEG", "SIGN", "SQUARE", "SQRT", "RSQRT", "FLOOR", "EXP", "LOG", "SIN", "COS")),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "HARD_SWISH", "LOGISTIC", "TANH", "ZEROS_LIKE")),
    "LEAKY_RELU": schema.LeakyReluOptions(alpha=0.1),
    "GELU": schema.GeluOptions(approximate=False),
    "SOFTMAX": schema.SoftmaxOptions(beta=1.0),
    "LOG_SOFTMAX": None,
    "L2_NORMALIZATION": schema.L2NormOptions(),
    "LOCAL_RESPONSE_NORMALIZATION": schema.LocalResponseNormalizationOptions(radius=1, bias=1.0, alpha=1.0, beta=0.5),
}
OPTIMIZED: dict[str, Any] = dict.fromkeys(("CEIL", "ROUND", "ELU"))


def assert_equal(runtime: Runtime, model: Model, *inputs: Any) -> None:
    result = compare(model, [inputs], runtime)
    assert result.outcome is Outcome.EQUAL, f"{result.outcome.value}: {result.details}"


def peer(request: pytest.FixtureRequest, operator: str) -> Runtime:
    runtime: Runtime = request.getfixturevalue("optimized" if operator in OPTIMIZED else "reference")
    return runtime


@pytest.mark.parametrize("type", [FLOAT16, BFLOAT16], ids=lambda t: t.name)
@pytest.mark.parametrize("operator", ["NEG", "FLOOR", "ROUND", "LOGISTIC", "TANH"])
def test_every_half(request: pytest.FixtureRequest, operator: str, type: TensorType) -> None:
    x = every_value(numpy_dtype(type))
    model = single_operator_model(operator, [TensorSpec(type, x.shape)], [TensorSpec(type)])
    assert_equal(peer(request, operator), model, x)


def test_every_float16_dequantized(reference: Runtime) -> None:
    x = every_value(np.float16)
    assert_equal(
        reference, single_operator_model("DEQUANTIZE", [TensorSpec(FLOAT16, x.shape)], [TensorSpec(FLOAT32)]), x
    )


_BY_ELEMENT = (
    "ABS", "EXP", "LOG", "SQRT", "RSQRT", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "ELU",
    "HARD_SWISH", "GELU", "LOGISTIC", "TANH", "QUANTIZE", "DEQUANTIZE",
)  # fmt: skip


def _of_small_integers(family: Family) -> bool:
    if (family.operator, "oddly" in family.variant) == ("DEQUANTIZE", True):  # some with a scale for each channel
        return False
    return family.operator in _BY_ELEMENT and family.variant.split(" ")[0] in ("INT8", "UINT8", "INT16")


@pytest.mark.parametrize(
    "family",
    [f for f in families() if _of_small_integers(f) and "per channel" not in f.variant],
    ids=lambda f: f"{f.operator}-{f.variant}",
)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=CHECKS)
def test_every_integer(request: pytest.FixtureRequest, family: Family, data: st.DataObject) -> None:
    """All numbers of the type, with scales, zero points and options of the operator's strategy."""
    case: Case = data.draw(family.cases)
    assume(case.samples[0])
    x = every_value(case.samples[0][0].dtype)
    if family.operator in ("SQRT", "RSQRT"):
        (quantization,) = [t.quantization for t in case.model.subgraphs[0].tensors or () if t.name == "input0"]
        assert quantization is not None and quantization.zero_point is not None
        x = x[x >= quantization.zero_point[0]]
    assert_equal(request.getfixturevalue(family.oracle), case.model, x)


FLOATS = [
    *((operator, REFERENCE[operator]) for operator in ("EXP", "LOG", "SIN", "COS", "TANH", "LOGISTIC", "GELU")),
    ("GELU", schema.GeluOptions(approximate=True)),
    *((operator, REFERENCE[operator]) for operator in ("SQRT", "RSQRT", "SQUARE", "FLOOR", "HARD_SWISH")),
    *OPTIMIZED.items(),
]


@pytest.mark.parametrize(("operator", "options"), FLOATS, ids=lambda p: p if isinstance(p, str) else "")
def test_floats_of_all_exponents(request: pytest.FixtureRequest, operator: str, options: Any) -> None:
    x = np.arange(0, 2**32, 4093, dtype=np.uint64).astype(np.uint32).view(np.float32)
    model = single_operator_model(operator, [TensorSpec(FLOAT32, x.shape)], [TensorSpec(FLOAT32)], options)
    assert_equal(peer(request, operator), model, x)


@pytest.mark.parametrize("operator", ["SIN", "COS"])
def test_angles_near_multiples_of_a_right_angle(reference: Runtime, operator: str) -> None:
    """What is left of the angle is so small there that float32 shows how the multiple was taken away."""
    multiples = (np.arange(1, 200) * np.pi / 2).astype(np.float32).view(np.int32)
    x = (multiples[:, None] + np.arange(-500, 501, dtype=np.int32)).view(np.float32)
    model = single_operator_model(operator, [TensorSpec(FLOAT32, x.shape)], [TensorSpec(FLOAT32)])
    assert_equal(reference, model, x)


def test_exp_almost_in_the_middle_between_two_numbers(reference: Runtime) -> None:
    """The one number of 265,289,728 for which it shows that the C library fuses products and sums."""
    x = np.array([0x4202422F], np.uint32).view(np.float32)
    assert_equal(reference, single_operator_model("EXP", [TensorSpec(FLOAT32, x.shape)], [TensorSpec(FLOAT32)]), x)


ROWS = {
    "SOFTMAX": [(INT8, INT8), (UINT8, UINT8), (INT8, INT16), (UINT8, INT16)],
    "LOG_SOFTMAX": [(INT8, INT8), (UINT8, UINT8)],
    "L2_NORMALIZATION": [(INT8, INT8), (UINT8, UINT8)],
}


@pytest.mark.parametrize(
    ("operator", "type", "out_type"),
    [(operator, *pair) for operator, pairs in ROWS.items() for pair in pairs],
    ids=lambda p: p if isinstance(p, str) else p.name,
)
@given(data=st.data())
@settings(max_examples=8, suppress_health_check=CHECKS)
def test_every_row_of_two(
    reference: Runtime, operator: str, type: TensorType, out_type: TensorType, data: st.DataObject
) -> None:
    values = every_value(numpy_dtype(type))
    x = np.stack(np.broadcast_arrays(values[:, None], values[None, :]), axis=-1)
    scale, zero_point = _row_output(operator, out_type)
    model = single_operator_model(
        operator,
        [TensorSpec(type, x.shape, data.draw(scales), data.draw(zero_points(type)))],
        [TensorSpec(out_type, (), scale, zero_point)],
        REFERENCE[operator],
    )
    assert_equal(reference, model, x)


@pytest.mark.parametrize("length", [4095, 4096, 5000, 8191])
def test_softmax_whose_sum_wraps(reference: Runtime, length: int) -> None:
    x = np.zeros((2, length), np.int8)
    x[1, ::3] = 5
    specs = [TensorSpec(INT8, x.shape, 0.1)], [TensorSpec(INT16, (), 1 / 32768)]
    assert_equal(reference, single_operator_model("SOFTMAX", *specs, REFERENCE["SOFTMAX"]), x)


def _row_output(operator: str, type: TensorType) -> tuple[float, int]:
    """The scale and zero point that an operator demands of its output."""
    if operator == "SOFTMAX":
        return (1 / 32768, 0) if type == INT16 else (1 / 256, -128 if type == INT8 else 0)
    if operator == "LOG_SOFTMAX":
        return 1 / 16, 127 if type == INT8 else 255
    if operator == "L2_NORMALIZATION":
        return 1 / 128, 0 if type == INT8 else 128
    if operator in ("LOGISTIC", "TANH") and type in (INT8, UINT8, INT16):
        return (1 / 32768, 0) if type == INT16 else (1 / 256, 0)
    return 0.5, 0


TYPES = [
    t for t in TensorType if t < TensorType.FLOAT8_E4M3FN and t.name not in ("STRING", "RESOURCE", "VARIANT", "INT2")
]


@pytest.mark.parametrize("type", TYPES, ids=lambda t: t.name)
@pytest.mark.parametrize("operator", [*REFERENCE, *OPTIMIZED])
def test_types(request: pytest.FixtureRequest, operator: str, type: TensorType) -> None:
    """What one runs or refuses, the other does: each type, integers with a scale."""
    x = np.abs(numbers(np.random.default_rng(1), type, (1, 2, 2, 3)))
    scale, zero_point = _row_output(operator, type)
    is_integer = numpy_dtype(type).kind in "iu" and type != BFLOAT16
    model = single_operator_model(
        operator,
        [TensorSpec(type, x.shape, 0.5 if is_integer else None)],
        [TensorSpec(type, (), scale if is_integer else None, zero_point)],
        {**REFERENCE, **OPTIMIZED}[operator],
    )
    result = compare(model, [[x]], peer(request, operator))
    assert result.outcome in (Outcome.EQUAL, Outcome.BOTH_REFUSE), f"{result.outcome.value}: {result.details}"


@pytest.mark.parametrize("out_type", TYPES, ids=lambda t: t.name)
@pytest.mark.parametrize("type", TYPES, ids=lambda t: t.name)
def test_types_of_quantize(reference: Runtime, type: TensorType, out_type: TensorType) -> None:
    x = numbers(np.random.default_rng(1), type, (5, 3))
    specs = [TensorSpec(type, x.shape, 0.5)], [TensorSpec(out_type, (), 0.25)]
    result = compare(single_operator_model("QUANTIZE", *specs, schema.QuantizeOptions()), [[x]], reference)
    assert result.outcome in (Outcome.EQUAL, Outcome.BOTH_REFUSE), f"{result.outcome.value}: {result.details}"


@pytest.mark.parametrize("type", TYPES, ids=lambda t: t.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_types_of_dequantize(reference: Runtime, type: TensorType, channels: int) -> None:
    x = numbers(np.random.default_rng(1), type, (3, 5))
    model = single_operator_model("DEQUANTIZE", [TensorSpec(type, x.shape, [0.5] * channels)], [TensorSpec(FLOAT32)])
    result = compare(model, [[x]], reference)
    assert result.outcome in (Outcome.EQUAL, Outcome.BOTH_REFUSE), f"{result.outcome.value}: {result.details}"
