"""Operators of profile "micro" against TFLite Micro itself, bit for bit: what `COMPARED_WITH_MICRO` promises.

Whole models are compared in test_models; here are the operators and types that those hardly use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.errors import UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import bits
from refquant.testing.strategies.drawing import generators, numbers, scales, zero_points
from refquant.tflite import schema
from refquant.tflite.schema import Padding, TensorType
from refquant.tflite.tensor_types import numpy_dtype

pytestmark = pytest.mark.oracle

FLOAT32, INT8, UINT8, INT16, INT32 = (
    TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32,
)  # fmt: skip
SHAPE = (1, 7, 6, 5)

BINARY = {
    "ADD": schema.AddOptions(),
    "SUB": schema.SubOptions(),
    "MUL": schema.MulOptions(),
    "MAXIMUM": schema.MaximumMinimumOptions(),
    "MINIMUM": schema.MaximumMinimumOptions(),
}
POOL = schema.Pool2DOptions(padding=Padding.VALID, stride_w=2, stride_h=2, filter_width=3, filter_height=3)
UNARY: dict[str, Any] = {
    "RELU": None,
    "LOGISTIC": None,
    "TANH": None,
    "SOFTMAX": schema.SoftmaxOptions(beta=1.0),
    "AVERAGE_POOL_2D": POOL,
    "MAX_POOL_2D": POOL,
    "DEQUANTIZE": None,
    "MEAN": schema.ReducerOptions(),
}
#: operators whose output scale is fixed: range of the output, divided by its 256 or 65,536 values
FIXED = {"LOGISTIC": (0, 1), "SOFTMAX": (0, 1), "TANH": (-1, 1)}
QUANTIZES = [
    *((FLOAT32, b) for b in (INT8, INT16)),
    *((INT8, b) for b in (INT8, UINT8, INT16)),
    *((INT16, b) for b in (INT8, INT16, INT32)),
    *((INT32, b) for b in (INT8, INT16)),
    (UINT8, INT8),
]
#: Micro has no float DEQUANTIZE, its 8-bit logistic and tanh saturate early, its int16 softmax has other tables
DIFFERENT = {("DEQUANTIZE", FLOAT32), ("LOGISTIC", INT8), ("TANH", INT8), ("SOFTMAX", INT16)}
CASES = [
    *(
        (operator, type, type)
        for operator in BINARY
        for type in (FLOAT32, INT8, INT16)
        if (operator, type) not in (("ADD", INT16), ("SUB", INT16))  # Micro has no path for scales of powers of two
    ),
    *(
        (operator, type, FLOAT32 if operator == "DEQUANTIZE" else type)
        for operator in UNARY
        for type in (FLOAT32, INT8, INT16)
        if (operator, type) not in DIFFERENT
    ),
    ("DEQUANTIZE", UINT8, FLOAT32),
    *(("QUANTIZE", a, b) for a, b in QUANTIZES),
]


def quantized(type: TensorType, shape: tuple[int, ...]) -> st.SearchStrategy[TensorSpec]:
    if type == FLOAT32:
        return st.just(TensorSpec(type, shape))
    return st.builds(lambda s, z: TensorSpec(type, shape, s, z), scales, zero_points(type))


def output(draw: st.DrawFn, operator: str, type: TensorType, x: TensorSpec) -> TensorSpec:
    shape = SHAPE
    if operator.endswith("POOL_2D"):
        shape = (1, 3, 2, 5)
    elif operator == "MEAN":
        shape = (1, 5)
    if type != FLOAT32 and operator in FIXED:
        low, high = FIXED[operator]
        scale = (high - low) / 256 if type == INT8 else 1 / 32768
        return TensorSpec(type, shape, scale, -128 if type == INT8 and low == 0 else 0)
    if operator.endswith("POOL_2D") or operator in ("MAXIMUM", "MINIMUM"):
        return TensorSpec(type, shape, x.scale, x.zero_point)
    return draw(quantized(type, shape))


@pytest.mark.parametrize(("operator", "type", "out_type"), CASES, ids=lambda p: getattr(p, "name", p))
@given(data=st.data(), rng=generators)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_operator(
    micro: Runtime,
    operator: str,
    type: TensorType,
    out_type: TensorType,
    data: st.DataObject,
    rng: np.random.Generator,
) -> None:
    x = data.draw(quantized(type, SHAPE))
    inputs = [x]
    if operator in BINARY:
        inputs.append(x if operator in ("MAXIMUM", "MINIMUM") else data.draw(quantized(type, SHAPE)))
    arrays = [numbers(rng, type, SHAPE) for _ in inputs]
    if type == FLOAT32:  # what a NaN or an infinity becomes differs from compiler to compiler
        arrays = [np.nan_to_num(a, nan=1.0, posinf=9.0, neginf=-9.0) for a in arrays]
    if operator == "MEAN":
        inputs.append(TensorSpec(INT32, data=np.array([1, 2], np.int32)))
    out = data.draw(st.composite(output)(operator, out_type, x))
    if operator in ("ADD", "SUB") and type == INT8:  # Micro aborts where the last multiplier reaches 1
        out.scale = max(float(out.scale), *(float(i.scale) / 2**18 for i in inputs))  # type: ignore[arg-type]
    model = single_operator_model(operator, inputs, [out], (UNARY | BINARY).get(operator))
    (expected,) = micro.run(model, arrays)
    interpreter = Interpreter(model=model, kernels="micro")
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert actual.dtype == numpy_dtype(out_type)
    np.testing.assert_array_equal(bits(actual), bits(expected))


def test_what_was_not_compared_is_refused() -> None:
    tensor = TensorSpec(INT8, (2,), 0.1)
    model = single_operator_model("RELU6", [tensor], [tensor])  # which differs in Micro
    with pytest.raises(UnsupportedOperatorError, match=r"RELU6.*INT8.*not been compared.*'micro'"):
        Interpreter(model=model, kernels="micro").allocate_tensors()
