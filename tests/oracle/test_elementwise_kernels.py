"""Elementwise, activation, quantization, shape, resizing and reduction kernels against BUILTIN_REF, bit for bit.

Functions of one 8-bit or 16-bit tensor are asked for every value of the type, functions of two 8-bit tensors for
every pair; hypothesis chooses scales, zero points, shapes and options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

from refquant.errors import RefquantError, RuntimeFailedError
from refquant.interpreter import Interpreter
from refquant.kernels import profiles
from refquant.kernels.profiles import Rounding
from refquant.numerics import fixed_point
from refquant.numerics.lookup import every_value
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import bits
from refquant.testing.strategies.drawing import numbers
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT32, INT64, BOOL, UINT32 = TensorType.INT32, TensorType.INT64, TensorType.BOOL, TensorType.UINT32
QUANTIZED = (INT8, UINT8, INT16)


def examples(count: int) -> settings:
    return settings(
        max_examples=count, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    )


def of_types(*types: TensorType) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("type", types, ids=lambda t: t.name)


def run(model: Model, inputs: Sequence[Array], kernels: str = "reference") -> list[Array]:
    interpreter = Interpreter(model=model, kernels=kernels)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def assert_same_bits(reference: Runtime, model: Model, *inputs: Array) -> None:
    expected = reference.run(model, inputs)
    actual = run(model, inputs)
    assert [(a.dtype, a.shape) for a in actual] == [(e.dtype, e.shape) for e in expected]
    for ours, theirs in zip(actual, expected):
        np.testing.assert_array_equal(bits(ours), bits(theirs))


def assert_both_refuse(reference: Runtime, model: Model, *inputs: Array) -> None:
    with pytest.raises(RuntimeFailedError):
        reference.run(model, inputs)
    with pytest.raises(RefquantError):
        run(model, inputs)


def every_pair(type: TensorType) -> tuple[Array, Array]:
    """Two vectors that together, broadcast, make every pair of 8-bit values; many pairs of 16-bit ones."""
    values = every_value(numpy_dtype(type))
    if values.size > 256:
        values = np.unique(np.concatenate([values[::251], values[:5], values[-5:], values[32763:32773]]))
    return values[:, None], values[None, :]


# --- functions of two tensors ---------------------------------------------------------------------------------------

SUMS: dict[str, Any] = {"ADD": schema.AddOptions, "SUB": schema.SubOptions, "MUL": schema.MulOptions}


# --- the table of rounding rules ------------------------------------------------------------------------------------

RULES = (
    fixed_point.double_rounding,
    fixed_point.double_rounding_by_sixteens,
    fixed_point.single_rounding,
    fixed_point.float64_rounding,
)
ONLY_TIES = {
    ("ADD", INT8),
    ("ADD", UINT8),
    ("SUB", INT8),
    ("SUB", UINT8),
    ("SOFTMAX", INT16),
    ("ADD", INT16),
    ("SUB", INT16),
}


def model_of_row(row: Rounding, rng: np.random.Generator) -> tuple[Model, list[Array]]:
    """A model of the row's operator with random scales, and inputs that make every accumulator or very many."""
    x_scale, y_scale = (float(np.float32(2.0 ** rng.uniform(-3, 0))) for _ in range(2))
    dtype = numpy_dtype(row.type)
    if row.operator in SUMS:
        x, y = every_pair(row.type)
        options = SUMS[row.operator]()
        if row.operator != "MUL":
            options.pot_scale_int16 = False
        out_scale = 20 * x_scale
        if row.operator != "MUL":  # sums with many ties, on the negative ones of which the rules disagree
            x_scale = y_scale = 0.5
            out_scale = 1.0
        zero = 128 if row.type == UINT8 else 0
        specs = [TensorSpec(row.type, x.shape, x_scale, zero), TensorSpec(row.type, y.shape, y_scale, zero)]
        return single_operator_model(row.operator, specs, [TensorSpec(row.type, (), out_scale, zero)], options), [x, y]
    if row.operator == "QUANTIZE":
        out = row.type if row.type != INT32 else INT16
        x = rng.integers(-40000, 40000, 50000).astype(np.int32) if row.type == INT32 else every_value(dtype)
        x = np.concatenate([x, x[:9]])  # numbers that fill no group of sixteen
        scale = 2.0 ** rng.integers(-6, -2) * (1 if rng.random() < 0.5 else 1.1)
        specs = [TensorSpec(row.type, x.shape, scale)]
        return single_operator_model("QUANTIZE", specs, [TensorSpec(out, (), 1.0)], schema.QuantizeOptions()), [x]
    if row.operator in ("MEAN", "SUM"):
        x = numbers(rng, row.type, (5000, 8))
        specs = [TensorSpec(row.type, x.shape, 1.0), TensorSpec(INT32, data=np.array([1], np.int32))]
        out = TensorSpec(row.type, (), 2.0 if row.operator == "MEAN" else 16.0)
        return single_operator_model(row.operator, specs, [out], schema.ReducerOptions()), [x]
    if row.operator == "BATCH_MATMUL":
        x, y = numbers(rng, row.type, (500, 8)), numbers(rng, row.type, (8, 9))
        out_scale = 4.0 * np.iinfo(dtype).max
        specs = [TensorSpec(row.type, x.shape, x_scale), TensorSpec(row.type, data=y, scale=1.0)]
        options = schema.BatchMatMulOptions()
        return single_operator_model("BATCH_MATMUL", specs, [TensorSpec(row.type, (), out_scale)], options), [x]
    x = rng.integers(-32768, 32768, (500, 30)).astype(np.int16)
    specs = [TensorSpec(INT16, x.shape, 2.0 ** rng.integers(-11, -8) * 5)]
    options = schema.SoftmaxOptions(beta=1.0)
    return single_operator_model("SOFTMAX", specs, [TensorSpec(INT16, (), 1 / 32768)], options), [x]


@pytest.mark.parametrize(
    "row",
    [row for row in profiles.ROUNDING if row.experiment.startswith("tests/oracle/test_elementwise_kernels.py")],
    ids=lambda row: f"{row.profile}-{row.operator}-{row.type.name}",
)
def test_rounding_rule(reference: Runtime, optimized: Runtime, row: Rounding, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole kernel gives the real bits with the table's rule, and not with the rules that it could be told from.

    After the left shift of 20 bits in ADD and SUB of 8-bit numbers, and for the differences of int16 SOFTMAX, double
    rounding shows itself only on ties: there it rounds as float64 does, or as single rounding does.
    """
    disproved = set()
    for seed in range(8):
        model, inputs = model_of_row(row, np.random.default_rng(seed))
        (expected,) = (optimized if row.profile == "optimized" else reference).run(model, inputs)
        for rule in RULES:
            monkeypatch.setitem(profiles._ROUNDING, (row.profile, row.operator, row.type, row.bits), rule)
            if not np.array_equal(run(model, inputs, row.profile)[0], expected):
                disproved.add(rule)
    assert row.rule not in disproved
    assert len(disproved) >= (1 if (row.operator, row.type) in ONLY_TIES else 2)
