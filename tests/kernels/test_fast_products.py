"""Products of float32 through BLAS: near the real numbers, whatever the order of the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import refquant as rq
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

FLOAT32 = TensorType.FLOAT32
_RNG = np.random.default_rng(4)


def numbers(*shape: int) -> Array:
    return _RNG.standard_normal(shape).astype(np.float32)


def output(model: rq.Model, inputs: list[Array], float_mode: str, kernels: str = "optimized") -> Array:
    interpreter = rq.Interpreter(model=model, kernels=kernels, float_mode=float_mode)
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def patches(x: Array) -> Array:
    """What 3 x 3 filters see, [places, 9 * channels]."""
    seen = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(0, 1))
    return seen.transpose(0, 1, 3, 4, 2).reshape(seen.shape[0] * seen.shape[1], -1)


def cases() -> dict[str, tuple[rq.Model, list[Array], Array, Array]]:
    """Model and inputs; the vectors and the matrix whose products are the output."""
    x, w = numbers(5, 300), numbers(40, 300)
    dense = single_operator_model(
        "FULLY_CONNECTED",
        [TensorSpec(FLOAT32, x.shape), TensorSpec(FLOAT32, data=w)],
        [TensorSpec(FLOAT32, [5, 40])],
        schema.FullyConnectedOptions(),
    )
    image, filters = numbers(1, 12, 12, 20), numbers(24, 3, 3, 20)
    options = schema.Conv2DOptions(schema.Padding.VALID, 1, 1, dilation_w_factor=1, dilation_h_factor=1)
    bias = TensorSpec(FLOAT32, data=np.zeros(24, np.float32))
    convolution = single_operator_model(
        "CONV_2D",
        [TensorSpec(FLOAT32, image.shape), TensorSpec(FLOAT32, data=filters), bias],
        [TensorSpec(FLOAT32, [1, 10, 10, 24])],
        options,
    )
    a, b = numbers(6, 300), numbers(300, 7)
    matrices = single_operator_model(
        "BATCH_MATMUL",
        [TensorSpec(FLOAT32, a.shape), TensorSpec(FLOAT32, b.shape)],
        [TensorSpec(FLOAT32, [6, 7])],
        schema.BatchMatMulOptions(),
    )
    return {
        "FULLY_CONNECTED": (dense, [x], x, w),
        "CONV_2D": (convolution, [image], patches(image), filters.reshape(24, -1)),
        "BATCH_MATMUL": (matrices, [a, b], a, b.T),
    }


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("kernels", ["reference", "optimized", "calibrator"])
def test_within_the_stated_bound(name: str, kernels: str) -> None:
    model, inputs, vectors, matrix = cases()[name]
    products = vectors.astype(np.float64)[:, None, :] * matrix
    fast = output(model, inputs, "fast", kernels).reshape(len(vectors), -1)
    bound = matrix.shape[1] * 2.0**-24 * np.abs(products).sum(axis=-1)
    assert (np.abs(fast - products.sum(axis=-1)) <= bound).all()
    assert (fast != output(model, inputs, "exact", kernels).reshape(fast.shape)).any()


def test_integers_are_the_same() -> None:
    scaled = {"scale": 0.1, "zero_point": 3}
    model = single_operator_model(
        "FULLY_CONNECTED",
        [
            TensorSpec(TensorType.INT8, [2, 8], **scaled),
            TensorSpec(TensorType.INT8, data=_RNG.integers(-127, 128, (4, 8)).astype(np.int8), scale=0.1),
        ],
        [TensorSpec(TensorType.INT8, [2, 4], **scaled)],
        schema.FullyConnectedOptions(),
    )
    x = _RNG.integers(-128, 128, (2, 8)).astype(np.int8)
    assert (output(model, [x], "fast", "reference") == output(model, [x], "exact", "reference")).all()


@pytest.mark.parametrize("taps", [0, 1, 3])
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_filters_of_any_size(name: str, taps: int) -> None:
    """Where weights are no numbers, too: those of depthwise ones meet no zeros around the image."""
    x = numbers(2, 4, 5, 3)
    filters = np.full((3, taps, 2, 3) if name == "CONV_2D" else (1, taps, 2, 3), 2.0, np.float32)
    filters[..., 0] = np.inf if name == "DEPTHWISE_CONV_2D" else 1
    bias = TensorSpec(FLOAT32, data=np.ones(3, np.float32))
    options = {"CONV_2D": schema.Conv2DOptions, "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptions}[name]
    model = single_operator_model(
        name,
        [TensorSpec(FLOAT32, x.shape), TensorSpec(FLOAT32, data=filters), bias],
        [TensorSpec(FLOAT32)],
        options(schema.Padding.SAME, 1, 1),
    )
    exact, fast = (output(model, [x], mode, "reference") for mode in ("exact", "fast"))
    if name == "DEPTHWISE_CONV_2D":
        np.testing.assert_array_equal(fast, exact)
    # up to 18 exact products below 10: either side is at most 18 * 2**-24 * 180 = 2e-4 off, these numbers far less
    np.testing.assert_allclose(fast, exact, rtol=1e-5, atol=1e-6)


def test_unknown_mode() -> None:
    model = single_operator_model("NEG", [TensorSpec(FLOAT32, [1])], [TensorSpec(FLOAT32, [1])])
    with pytest.raises(rq.InvalidInputError, match="float_mode 'quick'"):
        rq.Interpreter(model=model, float_mode="quick")
    with pytest.raises(rq.InvalidInputError, match="float_mode 'quick'"):
        rq.calibrate(model, [[numbers(1)]], float_mode="quick")
