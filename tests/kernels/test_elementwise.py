"""Elementwise, activation, quantization, shape, resizing and reduction kernels without a real runtime: numbers that
one can check by hand, what the observer is told, and what is refused when planning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.interpreter.plan import Subgraphs
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT32, BOOL = TensorType.INT32, TensorType.BOOL


def compute(operator: str, inputs: list[TensorSpec], output: TensorSpec, options: Any, *values: Any) -> list[Any]:
    interpreter = Interpreter(model=single_operator_model(operator, inputs, [output], options))
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), values):
        interpreter.set_tensor(detail["index"], np.asarray(value, detail["dtype"]))
    interpreter.invoke()
    result: list[Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()
    return result


def ints(*values: int) -> TensorSpec:
    return TensorSpec(INT32, data=np.array(values, np.int32))


def test_add_of_int8() -> None:
    """0.5 * 3 + 0.25 * 6 = 3 is 3 steps of 1.0; half steps go away from zero."""
    specs = [TensorSpec(INT8, (3,), 0.5), TensorSpec(INT8, (3,), 0.25)]
    assert compute("ADD", specs, TensorSpec(INT8, (), 1.0), schema.AddOptions(), [3, 1, -1], [6, 0, 0]) == [3, 1, -1]


def test_mul_of_int8_with_zero_points_and_relu6() -> None:
    """(5 - 1) * 0.5 * (7 - 3) * 0.5 = 4 is 2 steps of 2.0 above -10; 60 is cut at 6, 3 steps."""
    specs = [TensorSpec(INT8, (2,), 0.5, 1), TensorSpec(INT8, (2,), 0.5, 3)]
    options = schema.MulOptions(fused_activation_function=schema.ActivationFunctionType.RELU6)
    assert compute("MUL", specs, TensorSpec(INT8, (), 2.0, -10), options, [5, 31], [7, 11]) == [-8, -7]


def test_division_of_int32_goes_towards_zero() -> None:
    specs = [TensorSpec(INT32, (4,)), TensorSpec(INT32, (4,))]
    assert compute("DIV", specs, TensorSpec(INT32), schema.DivOptions(), [7, -7, 7, -7], [2, 2, -2, -2]) == [
        3,
        -3,
        -3,
        3,
    ]


def test_minimum_with_nan_is_the_second() -> None:
    specs = [TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, (2,))]
    result = compute("MINIMUM", specs, TensorSpec(FLOAT32), schema.MaximumMinimumOptions(), [np.nan, 1], [1, np.nan])
    assert result[0] == 1 and np.isnan(result[1])


def test_softmax_of_equal_int8() -> None:
    """Four equal numbers: a quarter each, 64 steps of 1/256 above -128."""
    options = schema.SoftmaxOptions(beta=1.0)
    assert (
        compute("SOFTMAX", [TensorSpec(INT8, (4,), 0.1)], TensorSpec(INT8, (), 1 / 256, -128), options, [9] * 4)
        == [-64] * 4
    )


def test_logistic_of_int16_zero_is_a_half() -> None:
    specs = [TensorSpec(INT16, (1,), 1 / 4096)]
    assert compute("LOGISTIC", specs, TensorSpec(INT16, (), 1 / 32768), None, [0]) == [16384]


def test_cast_of_what_does_not_fit() -> None:
    specs, values = [TensorSpec(FLOAT32, (4,))], [np.nan, 1e10, -1e10, -1.9]
    assert compute("CAST", specs, TensorSpec(INT32), schema.CastOptions(), values) == [
        2**31 - 1,
        2**31 - 1,
        -(2**31),
        -1,
    ]
    assert compute("CAST", specs, TensorSpec(UINT8), schema.CastOptions(), values) == [0, 255, 0, 0]


def test_mean_of_int8() -> None:
    """(1 + 2 + 3 + 4) * 0.5 / 4 = 1.25 is 5 steps of 0.25."""
    specs = [TensorSpec(INT8, (1, 4), 0.5), ints(1)]
    assert compute("MEAN", specs, TensorSpec(INT8, (), 0.25), schema.ReducerOptions(), [[1, 2, 3, 4]]) == [5]


def test_strided_slice_backwards_with_a_dropped_dimension() -> None:
    specs = [TensorSpec(INT32, (2, 4)), ints(1, -1), ints(0, 0), ints(1, -2)]
    options = schema.StridedSliceOptions(shrink_axis_mask=1)
    assert compute("STRIDED_SLICE", specs, TensorSpec(INT32), options, [[0, 1, 2, 3], [4, 5, 6, 7]]) == [7, 5]


def test_pad_of_quantized_is_the_zero_point() -> None:
    specs = [TensorSpec(INT8, (1,), 1.0, 7), TensorSpec(INT32, data=np.array([[1, 2]], np.int32))]
    assert compute("PAD", specs, TensorSpec(INT8, (), 1.0, 7), schema.PadOptions(), [3]) == [7, 3, 7, 7]


def test_bilinear_of_int8_and_uint8() -> None:
    """Halfway between 1 and 4 lies 2.5: up in both, by a half away from zero and by adding a half."""
    for type in (INT8, UINT8):
        specs, options = [TensorSpec(type, (1, 1, 2, 1)), ints(1, 4)], schema.ResizeBilinearOptions()
        result = compute("RESIZE_BILINEAR", specs, TensorSpec(type), options, [[[[1], [4]]]])
        assert np.ravel(result).tolist() == [1, 3, 4, 4]


def test_arg_max_takes_the_first_of_equals() -> None:
    specs = [TensorSpec(UINT8, (1, 4)), TensorSpec(INT32, data=np.array(-1, np.int32))]
    assert compute("ARG_MAX", specs, TensorSpec(INT32), schema.ArgMaxOptions(output_type=INT32), [[1, 9, 9, 2]]) == [1]


def test_the_observer_sees_the_sum() -> None:
    """Scales 1 and 1: both inputs are shifted by 20 bits and halved, the sum is brought back by the multiplier."""
    model = single_operator_model(
        "ADD",
        [TensorSpec(INT8, (1,), 1.0), TensorSpec(INT8, (1,), 1.0)],
        [TensorSpec(INT8, (), 2.0)],
        schema.AddOptions(),
    )
    plan, seen = Subgraphs(model, "reference")[0], []
    plan.observer = lambda op, numbers: seen.append(numbers)
    plan.plan()
    for index, value in zip(plan.inputs, (6, 4)):
        plan.values[index] = np.array([value], np.int8)
    plan.invoke()
    assert seen[0]["accumulator"].tolist() == [10 << 19] and seen[0]["rounding"] == "double_rounding"


Q = {"scale": 0.5}
REFUSED: list[tuple[type[Exception], str, list[TensorSpec], TensorSpec, Any]] = [
    (
        InvalidModelError,
        "ADD",
        [TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, (3,))],
        TensorSpec(FLOAT32),
        schema.AddOptions(),
    ),
    (
        InvalidModelError,
        "ADD",
        [TensorSpec(FLOAT32, (2,)), TensorSpec(INT8, (2,))],
        TensorSpec(FLOAT32),
        schema.AddOptions(),
    ),
    (InvalidModelError, "ADD", [TensorSpec(INT8, (2,), **Q)] * 2, TensorSpec(INT8, (), 0.0), schema.AddOptions()),
    (InvalidModelError, "MUL", [TensorSpec(INT16, (2,), 1.0, 1)] * 2, TensorSpec(INT16, (), 1.0), schema.MulOptions()),
    (UnsupportedOperatorError, "ADD", [TensorSpec(BOOL, (2,))] * 2, TensorSpec(BOOL), schema.AddOptions()),
    (UnsupportedOperatorError, "RELU", [TensorSpec(INT32, (2,), **Q)], TensorSpec(INT32, (), 1.0), None),
    (InvalidModelError, "LOGISTIC", [TensorSpec(INT8, (2,), **Q)], TensorSpec(INT8, (), 1 / 128, -128), None),
    (
        InvalidModelError,
        "SOFTMAX",
        [TensorSpec(INT8, (2,), **Q)],
        TensorSpec(INT8, (), 1 / 256),
        schema.SoftmaxOptions(beta=1),
    ),
    (InvalidModelError, "QUANTIZE", [TensorSpec(FLOAT32, (2,))], TensorSpec(INT8), schema.QuantizeOptions()),
    (InvalidModelError, "RESHAPE", [TensorSpec(FLOAT32, (6,)), ints(4, -1)], TensorSpec(FLOAT32), None),
    (InvalidModelError, "RESHAPE", [TensorSpec(FLOAT32, (6,)), ints(-1, -1)], TensorSpec(FLOAT32), None),
    (
        InvalidModelError,
        "CONCATENATION",
        [TensorSpec(FLOAT32, (6,))],
        TensorSpec(FLOAT32),
        schema.ConcatenationOptions(axis=1),
    ),
    (
        InvalidModelError,
        "STRIDED_SLICE",
        [TensorSpec(FLOAT32, (6,)), ints(0), ints(1), ints(0)],
        TensorSpec(FLOAT32),
        schema.StridedSliceOptions(),
    ),
    (InvalidModelError, "PAD", [TensorSpec(FLOAT32, (6,)), ints(1, 1)], TensorSpec(FLOAT32), schema.PadOptions()),
    (InvalidModelError, "TRANSPOSE", [TensorSpec(FLOAT32, (2, 3)), ints(0, 0)], TensorSpec(FLOAT32), None),
    (
        InvalidModelError,
        "SQUEEZE",
        [TensorSpec(FLOAT32, (2, 3))],
        TensorSpec(FLOAT32),
        schema.SqueezeOptions(squeeze_dims=np.array([0], np.int32)),
    ),
    (
        InvalidModelError,
        "RESIZE_BILINEAR",
        [TensorSpec(FLOAT32, (1, 2, 2, 1)), ints(0, 4)],
        TensorSpec(FLOAT32),
        schema.ResizeBilinearOptions(),
    ),
    (
        InvalidModelError,
        "ARG_MAX",
        [TensorSpec(FLOAT32, (2, 3)), ints(2)],
        TensorSpec(INT32),
        schema.ArgMaxOptions(output_type=INT32),
    ),
    (InvalidModelError, "MEAN", [TensorSpec(FLOAT32, (2, 3)), ints(2)], TensorSpec(FLOAT32), schema.ReducerOptions()),
    (
        UnsupportedOperatorError,
        "REDUCE_PROD",
        [TensorSpec(TensorType.UINT8, (2, 3), 1.0), ints(1)],
        TensorSpec(TensorType.UINT8, (), 1.0),
        schema.ReducerOptions(),
    ),
]


@pytest.mark.parametrize(
    ("error", "operator", "inputs", "output", "options"), REFUSED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_refused_when_planning(
    error: type[Exception], operator: str, inputs: list[TensorSpec], output: TensorSpec, options: Any
) -> None:
    """Each contradiction has an error that names the place."""
    with pytest.raises(error, match=f"operator 0 .{operator}. of subgraph 0"):
        compute(operator, inputs, output, options)
