"""Float convolutions in the order of the reference kernels, against plain loops that follow the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refquant as rq
from refquant.numerics import ordered_products
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import Conv2DOptions, DepthwiseConv2DOptions, FullyConnectedOptions, Padding, TensorType

Array = npt.NDArray[Any]
FLOAT32 = TensorType.FLOAT32
LARGEST = np.finfo(np.float32).max
AWKWARD = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38])


def numbers(rng: np.random.Generator, shape: tuple[int, ...], awkward: bool) -> Array:
    """Normally distributed, a few of them awkward."""
    x = rng.standard_normal(shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, rng.choice(AWKWARD, shape), x) if awkward else x


def run(name: str, options: Any, x: Array, w: Array, bias: Array, constant: bool, kernels: str = "reference") -> Array:
    filters = TensorSpec(FLOAT32, data=w) if constant else TensorSpec(FLOAT32, w.shape)
    model = single_operator_model(
        name, [TensorSpec(FLOAT32, x.shape), filters, TensorSpec(FLOAT32, data=bias)], [TensorSpec(FLOAT32)], options
    )
    interpreter = rq.Interpreter(model=model, kernels=kernels)
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), (x, w)):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def one_by_one(
    x: Array,
    w: Array,
    bias: Array,
    options: Conv2DOptions | DepthwiseConv2DOptions,
    groups: int,
    shape: tuple[int, ...],
    bias_first: bool = False,
) -> Array:
    """The sums for filters [output, ky, kx, input], each product and each sum rounded; taps outside are skipped."""
    y = np.zeros(shape, np.float32)
    depth, per_group = w.shape[3], w.shape[0] // groups
    before = [0, 0]
    if options.padding == Padding.SAME:
        for axis, (stride, dilation) in enumerate(
            ((options.stride_h, options.dilation_h_factor), (options.stride_w, options.dilation_w_factor))
        ):
            reach = (shape[1 + axis] - 1) * stride + (w.shape[1 + axis] - 1) * dilation + 1
            before[axis] = max(0, reach - x.shape[1 + axis]) // 2
    for n, oy, ox, o in np.ndindex(*shape):
        total = bias[o] if bias_first else np.float32(0)
        for ky, kx, i in np.ndindex(w.shape[1], w.shape[2], depth):
            iy = oy * options.stride_h - before[0] + ky * options.dilation_h_factor
            ix = ox * options.stride_w - before[1] + kx * options.dilation_w_factor
            if 0 <= iy < x.shape[1] and 0 <= ix < x.shape[2]:
                total = total + x[n, iy, ix, o // per_group * depth + i] * w[o, ky, kx, i]
        y[n, oy, ox, o] = total if bias_first else total + bias[o]
    return np.where(np.isnan(y), y, np.clip(y, -LARGEST, LARGEST))


def same(a: Array, b: Array) -> bool:
    """Bit for bit, but one NaN is as good as another."""
    return bool(
        np.array_equal(np.where(np.isnan(a), 0, a).view(np.int32), np.where(np.isnan(b), 0, b).view(np.int32))
        and np.array_equal(np.isnan(a), np.isnan(b))
    )


@given(data=st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("einsum", [True, False])
def test_order_of_the_sums(einsum: bool, data: st.DataObject) -> None:
    draw = data.draw
    few, sizes = st.integers(1, 3), st.integers(1, 6)
    depthwise = draw(st.booleans())
    options = (DepthwiseConv2DOptions if depthwise else Conv2DOptions)(
        padding=draw(st.sampled_from(Padding)),
        stride_h=draw(few),
        stride_w=draw(few),
        dilation_h_factor=draw(few),
        dilation_w_factor=draw(few),
    )
    window = draw(few), draw(few)
    size = draw(sizes), draw(sizes)
    if options.padding == Padding.VALID:
        size = tuple(
            n + (k - 1) * d for n, k, d in zip(size, window, (options.dilation_h_factor, options.dilation_w_factor))
        )
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depth = 1 if depthwise else draw(st.sampled_from([1, 2, 5]))
    outputs = groups * draw(st.sampled_from([1, 2, 3]) if groups > 1 or depthwise else st.sampled_from([1, 2, 9, 50]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = numbers(rng, (draw(few), *size, groups * depth), draw(st.booleans()))
    w = numbers(rng, (outputs, *window, depth), draw(st.booleans()))
    bias = numbers(rng, (outputs,), False)
    given_w = w.transpose(3, 1, 2, 0).copy() if depthwise else w
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(ordered_products, "_EINSUM_ROUNDS", einsum)
        y = run(name, options, x, given_w, bias, draw(st.booleans()))
        assert same(y, one_by_one(x, w, bias, options, groups, y.shape))


@pytest.mark.parametrize("bias", [[0.0, 1.5, -2.0, 1e30], [0.0, -0.0, 1.0, 1.0]])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_sums_that_start_with_the_bias(channels: int, stride: int, bias: list[float]) -> None:
    """Depthwise ones of profile "optimized", with zeros of both signs and numbers whose products are zeros."""
    rng = np.random.default_rng(7)
    options = DepthwiseConv2DOptions(Padding.SAME, stride, stride)
    zeros = np.float32([0.0, -0.0, 1e-30, -1e-30, 1.0])
    x, w = rng.choice(zeros, (2, 5, 6, channels)), rng.choice(zeros, (1, 3, 2, 4))
    start = np.float32(bias)
    y = run("DEPTHWISE_CONV_2D", options, x, w, start, True, "optimized")
    filters = w.transpose(3, 1, 2, 0)
    assert same(y, one_by_one(x, filters, start, options, channels, y.shape, bias_first=True))


@pytest.mark.parametrize("window", [(2, 3), (7, 3), (3, 7)])
@pytest.mark.parametrize("places", [1, 2, 5])
def test_one_number_in_a_row(places: int, window: tuple[int, int]) -> None:
    """`einsum` leaves out axes of one, and would sum in its inner loop."""
    rng = np.random.default_rng(6)
    options = DepthwiseConv2DOptions(Padding.VALID, 1, 1)
    x = numbers(rng, (2, window[0] + places - 1, window[1], 1), False)
    w, bias = numbers(rng, (1, *window, 1), False), numbers(rng, (1,), False)
    y = run("DEPTHWISE_CONV_2D", options, x, w, bias, True)
    assert same(y, one_by_one(x, w, bias, options, 1, y.shape))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 70, 80, 3), (40, 9, 9, 2)])
def test_in_many_blocks(shape: tuple[int, ...]) -> None:
    """What lies on both sides of where images are cut, for filters of one channel and of all."""
    rng = np.random.default_rng(3)
    x, outputs = numbers(rng, shape, False), 2 * shape[3]
    for name, options, w in (
        ("CONV_2D", Conv2DOptions(Padding.SAME, 1, 1), numbers(rng, (outputs, 3, 3, shape[3]), False)),
        ("DEPTHWISE_CONV_2D", DepthwiseConv2DOptions(Padding.SAME, 1, 1), numbers(rng, (1, 3, 3, outputs), False)),
    ):
        bias = numbers(rng, (outputs,), False)
        whole = run(name, options, x, w, bias, True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("refquant.kernels.float_convolution._PATCHES", 200)
            patch.setattr("refquant.kernels.float_convolution._FEWEST", 3)
            patch.setattr("refquant.kernels.float_convolution._PIXELS", 100)
            patch.setattr(ordered_products, "_BLOCK", 7)
            assert np.array_equal(run(name, options, x, w, bias, True), whole)


@pytest.mark.parametrize("outputs", [1, 2, 40])
@pytest.mark.parametrize("rows", [1, 3, 33])
@pytest.mark.parametrize("inputs", [1, 50])
def test_fully_connected(inputs: int, rows: int, outputs: int) -> None:
    rng = np.random.default_rng(5)
    x, w, bias = (numbers(rng, shape, False) for shape in ((rows, inputs), (outputs, inputs), (outputs,)))
    expected = np.zeros((rows, outputs), np.float32)
    for i in range(inputs):
        expected = expected + x[:, i, None] * w[:, i]
    assert np.array_equal(run("FULLY_CONNECTED", FullyConnectedOptions(), x, w, bias, True), expected + bias)
