"""CONV_2D and DEPTHWISE_CONV_2D: numbers that one can check by hand, what observers see, what planning refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, RefquantError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.kernels import registry
from refquant.kernels.registry import Operator, TensorInfo
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import ActivationFunctionType, Conv2DOptions, DepthwiseConv2DOptions, Padding, TensorType

Array = npt.NDArray[Any]
FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32


def run(name: str, options: Any, inputs: list[TensorSpec | None], output: TensorSpec, x: Array) -> Array:
    interpreter = Interpreter(model=single_operator_model(name, inputs, [output], options))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


NO_BIAS = TensorSpec(FLOAT32, data=np.zeros(1, np.float32))


def conv(x: Array, w: Array, **options: Any) -> Array:
    """A float convolution of an image [h, w] with a filter [ky, kx]."""
    table = Conv2DOptions(**{"stride_h": 1, "stride_w": 1} | options)
    specs: list[TensorSpec | None] = [
        TensorSpec(FLOAT32, (1, *x.shape, 1)),
        TensorSpec(FLOAT32, data=w[None, ..., None]),
        NO_BIAS,
    ]
    return run("CONV_2D", table, specs, TensorSpec(FLOAT32), x[None, ..., None])[0, ..., 0]


IMAGE = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
ONES = np.ones((2, 2), np.float32)


def test_same_pads_more_after_than_before() -> None:
    assert conv(IMAGE, ONES).tolist() == [[12, 16, 9], [24, 28, 15], [15, 17, 9]]


def test_valid_stride_and_dilation() -> None:
    assert conv(IMAGE, ONES, padding=Padding.VALID).tolist() == [[12, 16], [24, 28]]
    assert conv(IMAGE, ONES, stride_h=2, stride_w=2).tolist() == [[12, 9], [15, 9]]
    assert conv(IMAGE, ONES, padding=Padding.VALID, dilation_h_factor=2, dilation_w_factor=2).tolist() == [[20]]


def test_activation() -> None:
    relu6 = ActivationFunctionType.RELU6
    assert conv(IMAGE - 3, ONES, padding=Padding.VALID, fused_activation_function=relu6).tolist() == [[0, 4], [6, 6]]


def test_enormous_dilation_costs_nothing() -> None:
    assert conv(IMAGE, ONES, dilation_h_factor=2**30, dilation_w_factor=1).tolist() == conv(IMAGE * 0, ONES).tolist()


def test_groups() -> None:
    """Two groups of one channel each: the filters 1 and 10 see channels 0 and 1."""
    w = np.float32([1, 10]).reshape(2, 1, 1, 1)
    bias = TensorSpec(FLOAT32, data=np.zeros(2, np.float32))
    specs: list[TensorSpec | None] = [TensorSpec(FLOAT32, (1, 1, 1, 2)), TensorSpec(FLOAT32, data=w), bias]
    x = np.float32([3, 4]).reshape(1, 1, 1, 2)
    assert run("CONV_2D", Conv2DOptions(stride_h=1, stride_w=1), specs, TensorSpec(FLOAT32), x).tolist() == [
        [[[3, 40]]]
    ]


def test_depth_multiplier() -> None:
    """Each channel has two filters, side by side."""
    w = np.float32([1, 10, 100, 1000]).reshape(1, 1, 1, 4)
    specs: list[TensorSpec | None] = [TensorSpec(FLOAT32, (1, 1, 1, 2)), TensorSpec(FLOAT32, data=w)]
    options = DepthwiseConv2DOptions(stride_h=1, stride_w=1, depth_multiplier=2)
    x = np.float32([3, 4]).reshape(1, 1, 1, 2)
    assert run("DEPTHWISE_CONV_2D", options, specs, TensorSpec(FLOAT32), x).ravel().tolist() == [3, 30, 400, 4000]


def quantized_model(**changes: Any) -> Any:
    """An int8 convolution 1x1, two channels to two; `changes` replace parts of it."""
    parts: dict[str, Any] = {
        "x": TensorSpec(INT8, (1, 1, 1, 2), 0.5, 1),
        "w": TensorSpec(INT8, scale=[0.25, 0.5], data=np.int8([3, 0, 0, 4]).reshape(2, 1, 1, 2)),
        "bias": TensorSpec(INT32, scale=[0.125, 0.25], data=np.int32([0, -7])),
        "y": TensorSpec(INT8, (), 1.0, -5),
        "options": Conv2DOptions(stride_h=1, stride_w=1),
    } | changes
    return single_operator_model("CONV_2D", [parts["x"], parts["w"], parts["bias"]], [parts["y"]], parts["options"])


def test_quantized_and_observed() -> None:
    """x - 1 = (1, 1): accumulators 3 and 4 - 7, times 1/8 and 1/4: 0.375 -> 1 by double rounding, -0.75 -> -1."""
    interpreter = Interpreter(model=quantized_model())
    interpreter.allocate_tensors()
    seen: list[dict[str, Any]] = []
    interpreter.observe(lambda operator, numbers: seen.append(numbers))
    interpreter.set_tensor(0, np.int8([2, 2]).reshape(1, 1, 1, 2))
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist() == [-4, -6]
    (numbers,) = seen
    assert numbers["accumulator"].ravel().tolist() == [3, -3]
    assert numbers["multiplier"].tolist() == [2**30, 2**30]
    assert numbers["shift"].tolist() == [-2, -1]
    assert numbers["rounding"] == "double_rounding"


W = np.zeros((2, 1, 1, 2), np.int8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": Conv2DOptions(stride_h=0, stride_w=1)}, "stride along y is 0"),
        ({"options": Conv2DOptions(stride_h=1, stride_w=-1)}, "stride along x is -1"),
        ({"options": Conv2DOptions(stride_h=1, stride_w=1, dilation_w_factor=0)}, "dilation along x is 0"),
        ({"options": Conv2DOptions(stride_h=1, stride_w=1, padding=7)}, "padding 7"),
        ({"options": Conv2DOptions(stride_h=2**31 - 1, stride_w=1)}, "exceed 32 bits"),
        (
            {"options": Conv2DOptions(stride_h=1, stride_w=1, quantized_bias_type=TensorType.INT8)},
            "quantized_bias_type",
        ),
        ({"options": None}, "has no Conv2DOptions"),
        ({"options": DepthwiseConv2DOptions()}, "has no Conv2DOptions"),
        ({"x": TensorSpec(INT8, (1, 2, 2), 0.5)}, "four dimensions"),
        ({"x": TensorSpec(INT8, (1, 1, 1, 0), 0.5)}, "no input channels"),
        ({"x": TensorSpec(INT8, (1, 1, 1, 3), 0.5)}, "do not divide 3 input channels"),
        ({"x": TensorSpec(INT8, (1, 1, 1, 2))}, "has no scale"),
        ({"x": TensorSpec(INT8, (1, 1, 1, 2), np.nan)}, "unusable scale"),
        ({"w": TensorSpec(INT8, scale=[0.5, np.inf], data=W)}, "unusable scale"),
        ({"w": TensorSpec(INT8, scale=[0.5, -0.5], data=W)}, "unusable scale"),
        ({"w": TensorSpec(INT8, scale=[0.5, 0.5, 0.5], data=W)}, "cannot have 3 scales along dimension 0"),
        ({"w": TensorSpec(INT8, scale=0.5, zero_point=3, data=W)}, "zero points other than 0"),
        ({"w": TensorSpec(INT8, scale=0.5, data=W[..., 0])}, "four dimensions"),
        ({"w": TensorSpec(INT8, (2, 1, 1, 0), 0.5)}, "no input channels"),
        ({"bias": TensorSpec(INT32, scale=0.5, data=np.int32([1, 2, 3]))}, "not one value for each"),
        ({"bias": TensorSpec(INT32, scale=0.5, zero_point=1, data=np.int32([1, 2]))}, "zero point of the bias is 1"),
        ({"bias": None}, "input 2, the bias, is missing"),
        ({"y": TensorSpec(INT8, (), 0.0)}, "unusable scale"),
        ({"y": TensorSpec(INT8, ())}, "has no scale"),
        ({"y": TensorSpec(TensorType.UINT8, (), 0.5)}, "output of type UINT8"),
        ({"y": TensorSpec(INT8, (), [0.5, 0.5])}, "per tensor"),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Interpreter(model=quantized_model(**changes)).allocate_tensors()


def test_types_without_kernel() -> None:
    with pytest.raises(UnsupportedOperatorError, match="no kernel for these types"):
        bias = TensorSpec(FLOAT32, data=np.float32([1, 2]))
        Interpreter(model=quantized_model(bias=bias)).allocate_tensors()


def test_missing_tensors() -> None:
    for inputs, outputs in (([], 1), ([INT8], 1), ([INT8, INT8], 0)):
        tensors = [
            TensorInfo(0, "t", type, np.dtype(np.int8), (1, 1, 1, 1), np.float32([1]), np.int64([0])) for type in inputs
        ]
        operator = Operator("CONV_2D", 0, 0, 1, Conv2DOptions(stride_h=1, stride_w=1), b"", tensors, tensors[:outputs])
        kernel = registry.find("CONV_2D", custom=False, profile="reference")
        assert kernel is not None
        with pytest.raises(RefquantError, match="missing"):
            kernel(operator)


def test_int4_weights() -> None:
    """The accumulators are 2 * -8 and 2 * 7."""
    weights = np.int8([-8, 7]).reshape(2, 1, 1, 1)
    x, y = TensorSpec(INT8, (1, 1, 1, 1), 1.0), TensorSpec(INT8, (), 1.0)
    model = single_operator_model(
        "CONV_2D",
        [x, TensorSpec(TensorType.INT4, scale=1.0, data=weights), TensorSpec(INT32, scale=1.0, data=np.int32([0, 0]))],
        [y],
        Conv2DOptions(stride_h=1, stride_w=1),
    )
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.int8([2]).reshape(1, 1, 1, 1))
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist() == [-16, 14]


@pytest.mark.parametrize(
    "options", [{}, {"stride_w": 2, "stride_h": 3}, {"dilation_w_factor": 4, "dilation_h_factor": 9}]
)
@pytest.mark.parametrize("x", [(0, 4, 4, 2), (1, 0, 4, 2), (1, 4, 0, 2), (1, 4, 4, 2)])
@pytest.mark.parametrize(
    "name, w",
    [("CONV_2D", w) for w in [(0, 3, 3, 2), (3, 0, 3, 2), (3, 3, 0, 2)]]
    + [("DEPTHWISE_CONV_2D", w) for w in [(1, 0, 3, 2), (1, 3, 0, 2), (1, 3, 3, 0), (1, 0, 0, 4)]],
)
def test_sizes_of_zero(name: str, w: tuple[int, ...], x: tuple[int, ...], options: dict[str, int]) -> None:
    """Without a tap the sum is zero, the bias 7, and 7 * 0.5 * 0.25 / 0.125 + 1 = 8; otherwise there is no output."""
    outputs = w[0] if name == "CONV_2D" else w[3]
    table = {"CONV_2D": Conv2DOptions, "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions}[name]
    specs: list[TensorSpec | None] = [
        TensorSpec(INT8, x, 0.5, 3),
        TensorSpec(INT8, (), 0.25, 0, 0, np.ones(w, np.int8)),
        TensorSpec(INT32, (), 0.125, 0, 0, np.full(outputs, 7, np.int32)),
    ]
    y = run(
        name,
        table(**{"stride_h": 1, "stride_w": 1} | options),
        specs,
        TensorSpec(INT8, (1,), 0.125, 1),
        np.ones(x, np.int8),
    )
    assert y.shape[0] == x[0] and y.shape[3] == outputs
    assert np.all(y == 8)
