"""CONV_3D and CONV_3D_TRANSPOSE: numbers that one can check by hand, and what planning refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import run
from refquant.tflite.model import Model
from refquant.tflite.schema import Conv3DOptions, Padding, TensorType

Array = npt.NDArray[Any]
FLOAT32, INT32 = TensorType.FLOAT32, TensorType.INT32


def options(**changes: Any) -> Conv3DOptions:
    return Conv3DOptions(**{"stride_d": 1, "stride_h": 1, "stride_w": 1} | changes)


def volume(x: Any) -> Array:
    """[depth, height, width] as a batch of one volume of one channel."""
    return np.float32(x)[None, ..., None]


def test_each_axis_has_its_stride_and_dilation() -> None:
    """Two taps, 1 and 10, along the depth, two apart; every second column."""
    x = volume(np.arange(12).reshape(3, 1, 4))
    w = TensorSpec(FLOAT32, data=np.float32([1, 10]).reshape(2, 1, 1, 1, 1))
    table = options(padding=Padding.VALID, dilation_d_factor=2, stride_w=2)
    ((y,),) = run(
        single_operator_model("CONV_3D", [TensorSpec(FLOAT32, x.shape), w], [TensorSpec(FLOAT32)], table), [[x]]
    )
    assert y.shape == (1, 1, 1, 2, 1)
    assert y.ravel().tolist() == [0 + 80, 2 + 100]


def transposed(x: Array, shape: list[int], **changes: Any) -> Model:
    w = TensorSpec(FLOAT32, data=np.float32([1, 10]).reshape(2, 1, 1, 1, 1))
    sizes = TensorSpec(INT32, data=np.int32(shape))
    specs = [sizes, w, TensorSpec(FLOAT32, x.shape), TensorSpec(FLOAT32, data=np.float32([0.5]))]
    return single_operator_model("CONV_3D_TRANSPOSE", specs, [TensorSpec(FLOAT32)], options(**changes))


def test_transposed() -> None:
    """Each of 3 and 4 goes to two places along the depth, which overlap, and the bias goes to each."""
    x = volume([[[3]], [[4]]])
    ((y,),) = run(transposed(x, [1, 3, 1, 1, 1], padding=Padding.VALID), [[x]])
    assert y.ravel().tolist() == [3.5, 34.5, 40.5]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 4, 1, 1, 1], "belongs to an input of"),
        ([2, 3, 1, 1, 1], "does not fit"),
        ([1, 3, 1, 1, 2], "does not fit"),
        ([1, -3, 1, 1, 1], "does not fit"),
        ([1, 3, 1, 1], "must be 5 int32 numbers"),
    ],
)
def test_shapes_that_do_not_fit(shape: list[int], message: str) -> None:
    x = volume([[[3]], [[4]]])
    with pytest.raises(InvalidModelError, match=message):
        run(transposed(x, shape, padding=Padding.VALID), [[x]])


@pytest.mark.parametrize(
    ("x", "w", "table", "error", "message"),
    [
        ((1, 3, 3, 3, 2), (1, 1, 1, 3, 1), options(), InvalidModelError, "do not fit 2 input channels"),
        ((1, 3, 3, 2), (1, 1, 1, 2, 1), options(), InvalidModelError, "five dimensions"),
        ((1, 3, 3, 3, 2), (1, 1, 1, 2, 1), options(stride_d=0), InvalidModelError, "stride along z is 0"),
        ((1, 3, 3, 3, 2), (1, 1, 1, 2, 1), None, InvalidModelError, "has no Conv3DOptions"),
        ((1, 3, 3, 3, 2), None, options(), UnsupportedOperatorError, "CONV_3D"),
    ],
)
def test_refused(x: tuple[int, ...], w: Any, table: Any, error: type[Exception], message: str) -> None:
    """Filters of None are int8 ones."""
    data = np.zeros((1, 1, 1, 2, 1), np.int8) if w is None else np.zeros(w, np.float32)
    filters = TensorSpec(TensorType.INT8 if w is None else FLOAT32, data=data)
    model = single_operator_model("CONV_3D", [TensorSpec(FLOAT32, x), filters], [TensorSpec(FLOAT32)], table)
    with pytest.raises(error, match=message):
        run(model, [[np.zeros(x, np.float32)]])
