"""FULLY_CONNECTED: numbers that one can check by hand, shapes, and what planning refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import ActivationFunctionType, FullyConnectedOptions, TensorType

Array = npt.NDArray[Any]
FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32


def run(inputs: list[TensorSpec | None], output: TensorSpec, *data: Array, **options: Any) -> Array:
    model = single_operator_model("FULLY_CONNECTED", inputs, [output], FullyConnectedOptions(**options))
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), data):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


W = np.float32([[1, 2], [10, 20], [100, 200]])


@pytest.mark.parametrize(
    ("shape", "keep", "expected"),
    [
        ((2,), False, (1, 3)),
        ((2,), True, (3,)),
        ((2, 3, 2), False, (6, 3)),
        ((2, 3, 2), True, (2, 3, 3)),
        ((4, 1), False, (2, 3)),
        ((5,), False, (2, 3)),  # the last number makes no row
    ],
)
def test_shapes(shape: tuple[int, ...], keep: bool, expected: tuple[int, ...]) -> None:
    x = np.ones(shape, np.float32)
    y = run([TensorSpec(FLOAT32, shape), TensorSpec(FLOAT32, data=W)], TensorSpec(FLOAT32), x, keep_num_dims=keep)
    assert y.shape == expected
    assert y.reshape(-1, 3).tolist() == [[3, 30, 300]] * (y.size // 3)


def test_weights_given_at_run_time() -> None:
    specs: list[TensorSpec | None] = [TensorSpec(FLOAT32, (1, 2)), TensorSpec(FLOAT32, (3, 2)), None]
    assert run(specs, TensorSpec(FLOAT32), np.float32([[1, -1]]), W).tolist() == [[-1, -10, -100]]


def test_quantized_rounds_the_real_number() -> None:
    """Sums 3, 4 and -4, times 1/8: 0.375 -> 0, 0.5 -> 1, -0.5 -> -1."""
    w = np.int8([[3], [4], [-4]])
    specs: list[TensorSpec | None] = [TensorSpec(INT8, (1, 1), 0.25, 0), TensorSpec(INT8, scale=0.5, data=w)]
    assert run(specs, TensorSpec(INT8, (), 1.0, 0), np.int8([[1]])).tolist() == [[0, 1, -1]]


def test_hybrid() -> None:
    """1 and -0.5 become 127 and -64 of 1/127: 127 * 1 - 64 * 2 = -1, times 1/127 and the filter's 0.5."""
    w = np.int8([[1, 2]])
    specs: list[TensorSpec | None] = [TensorSpec(FLOAT32, (1, 2)), TensorSpec(INT8, scale=0.5, data=w)]
    y = run(specs, TensorSpec(FLOAT32), np.float32([[1, -0.5]]))
    assert y.tolist() == [[-(np.float32(1) / np.float32(127) * np.float32(0.5))]]


X, OUT = TensorSpec(INT8, (1, 2), 0.5), TensorSpec(INT8, (), 1.0)
INT8_W = TensorSpec(INT8, scale=0.5, data=np.zeros((3, 2), np.int8))


@pytest.mark.parametrize(
    ("inputs", "output", "options", "message"),
    [
        ([X, TensorSpec(INT8, scale=0.5, data=np.zeros((3, 2, 1), np.int8))], OUT, {}, "two dimensions"),
        ([TensorSpec(INT8, (1, 4), 0.5), INT8_W], OUT, {"keep_num_dims": True}, "is not 2"),
        ([TensorSpec(INT8, (), 0.5), TensorSpec(INT8, (3, 0), 0.5)], OUT, {"keep_num_dims": True}, "last dimension"),
        ([X, INT8_W, TensorSpec(INT32, scale=0.5, data=np.int32([1]))], OUT, {}, "not one value for each of 3"),
        ([X, TensorSpec(INT8, scale=[0.5, 0.5], data=np.zeros((3, 2), np.int8))], OUT, {}, "2 scales"),
        ([X, INT8_W, TensorSpec(INT32, scale=0.5, data=np.zeros(3, np.int32))], OUT, {}, "the bias has a scale of 0.5"),
        ([X, TensorSpec(TensorType.INT4, (), 0.5, 1, data=INT8_W.data)], OUT, {}, "zero point of 0"),
        ([X, INT8_W], TensorSpec(INT8, (), 0.0), {}, "unusable scale"),
        ([TensorSpec(INT8, (1, 2)), INT8_W], OUT, {}, "has no scale"),
        ([X], OUT, {}, "has 1 inputs"),
        (
            [X, INT8_W],
            TensorSpec(INT8, (), 1e-10),
            {"fused_activation_function": ActivationFunctionType.RELU6},
            "beyond int32",
        ),
    ],
)
def test_contradictions(
    inputs: list[TensorSpec | None], output: TensorSpec, options: dict[str, Any], message: str
) -> None:
    model = single_operator_model("FULLY_CONNECTED", inputs, [output], FullyConnectedOptions(**options))
    with pytest.raises(InvalidModelError, match=message):
        Interpreter(model=model).allocate_tensors()


@pytest.mark.parametrize(
    ("weights", "options"),
    [
        (INT8_W, {"fused_activation_function": ActivationFunctionType.TANH}),
        (TensorSpec(TensorType.FLOAT16, (3, 2)), {}),
    ],
)
def test_unsupported(weights: TensorSpec, options: dict[str, Any]) -> None:
    model = single_operator_model("FULLY_CONNECTED", [X, weights], [OUT], FullyConnectedOptions(**options))
    with pytest.raises(UnsupportedOperatorError, match="FULLY_CONNECTED"):
        Interpreter(model=model).allocate_tensors()
