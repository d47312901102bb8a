"""Pools: numbers that one can check by hand, and what planning refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, Padding, Pool2DOptions, TensorType

Array = npt.NDArray[Any]
FLOAT32, INT8, UINT8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8


def model_of(operator: str, type: TensorType, shape: tuple[int, ...], **options: Any) -> Model:
    quantization = {} if type == FLOAT32 else {"scale": 1.0, "zero_point": 0}
    table = Pool2DOptions(**{"stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2} | options)
    return single_operator_model(
        operator, [TensorSpec(type, shape, **quantization)], [TensorSpec(type, (), **quantization)], table
    )


def pool(operator: str, type: TensorType, image: Array, **options: Any) -> Array:
    interpreter = Interpreter(model=model_of(operator, type, (1, *image.shape, 1), **options))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, image[None, ..., None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, ..., 0]


def test_average_rounds_halves_away_from_zero() -> None:
    """Means 1.5, -1.5, and of the two and one elements at the edge 2.5 and 7."""
    image = np.int8([[1, 2, -1], [1, 2, -2]])
    assert pool("AVERAGE_POOL_2D", INT8, image).tolist() == [[2, -2]]
    assert pool("AVERAGE_POOL_2D", UINT8, np.uint8([[1, 2, 2], [1, 2, 3], [9, 5, 7]])).tolist() == [[2, 3], [7, 7]]


def test_max() -> None:
    image = np.float32([[1, np.nan], [-np.inf, 0.5]])
    assert pool("MAX_POOL_2D", FLOAT32, image).tolist() == [[1]]
    lowest = float(np.finfo(np.float32).min)
    assert pool("MAX_POOL_2D", FLOAT32, np.float32([[-np.inf]])).tolist() == [[lowest]]


@pytest.mark.parametrize(
    ("image", "negative"),
    [([[-0.0, 0.0], [-1, -1]], True), ([[0.0, -0.0], [-1, -1]], False), ([[-1, 0.0], [-0.0, -1]], False)],
)
def test_of_zeros_the_first_one_stays(image: list[list[float]], negative: bool) -> None:
    largest = pool("MAX_POOL_2D", FLOAT32, np.float32(image))
    assert largest.tolist() == [[0]] and np.signbit(largest).item() is negative


def test_pixels_of_a_mean_are_added_in_order() -> None:
    """2**24 + 1 is 2**24; in another order the sum would be 2. The image holds one window, and two of them."""
    pixels = np.float32([[2**24, 1], [-(2**24), 1]])
    assert pool("AVERAGE_POOL_2D", FLOAT32, pixels).tolist() == [[0.25]]
    assert pool("AVERAGE_POOL_2D", FLOAT32, np.hstack([pixels, pixels])).tolist() == [[0.25, 0.25]]


def test_l2() -> None:
    assert pool("L2_POOL_2D", FLOAT32, np.float32([[3, 4], [0, 0]])).tolist() == [[2.5]]


def test_enormous_filter_costs_nothing() -> None:
    image = np.float32([[1, 2], [3, 6]])
    whole = pool("AVERAGE_POOL_2D", FLOAT32, image, filter_height=2**31 - 1, filter_width=2**30, padding=Padding.SAME)
    assert whole.tolist() == [[3]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_h": 0}, "stride along y is 0"),
        ({"filter_width": 0}, "a filter of 2 x 0"),
        ({"padding": 9}, "padding 9"),
        ({"padding": Padding.VALID, "filter_height": 100}, "does not fit into 4 inputs"),
    ],
)
def test_contradictions(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Interpreter(model=model_of("AVERAGE_POOL_2D", INT8, (1, 4, 4, 1), **options)).allocate_tensors()


def test_rank_and_types() -> None:
    with pytest.raises(InvalidModelError, match="four dimensions"):
        Interpreter(model=model_of("MAX_POOL_2D", INT8, (4, 4, 1))).allocate_tensors()
    for operator, type in (("L2_POOL_2D", INT8), ("MAX_POOL_2D", TensorType.INT32)):
        with pytest.raises(UnsupportedOperatorError, match=operator):
            Interpreter(model=model_of(operator, type, (1, 4, 4, 1))).allocate_tensors()


def test_scale_zero_with_an_activation() -> None:
    options = Pool2DOptions(
        stride_h=1, stride_w=1, filter_height=1, filter_width=1, fused_activation_function=ActivationFunctionType.RELU
    )
    spec = TensorSpec(INT8, (1, 1, 1, 1), 0.0)
    with pytest.raises(InvalidModelError, match="beyond int32"):
        Interpreter(model=single_operator_model("MAX_POOL_2D", [spec], [spec], options)).allocate_tensors()
