"""Resizes: positions that one can check by hand, and what planning refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import run
from refquant.tflite.model import Model
from refquant.tflite.schema import ResizeBilinearOptions, ResizeNearestNeighborOptions, TensorType

FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32
BILINEAR, NEAREST = "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"


def model_of(operator: str, type: TensorType, shape: tuple[int, ...], size: list[int], **options: Any) -> Model:
    table = (ResizeBilinearOptions if operator == BILINEAR else ResizeNearestNeighborOptions)(**options)
    inputs = [TensorSpec(type, shape), TensorSpec(INT32, data=np.int32(size))]
    return single_operator_model(operator, inputs, [TensorSpec(type)], table)


@pytest.mark.parametrize(
    ("operator", "options", "expected"),
    [
        (BILINEAR, {}, [0, 4, 8, 8]),
        (BILINEAR, {"half_pixel_centers": True}, [0, 2, 6, 8]),
        (BILINEAR, {"align_corners": True}, [0, 4, 8]),
        (NEAREST, {}, [0, 0, 8, 8]),
        (NEAREST, {"align_corners": True}, [0, 0, 8, 8]),
        (NEAREST, {"align_corners": True, "half_pixel_centers": True}, [0, 8, 8, 8]),
    ],
)
def test_two_pixels_to_more(operator: str, options: dict[str, bool], expected: list[float]) -> None:
    x = np.float32([0, 8]).reshape(1, 1, 2, 1)
    ((y,),) = run(model_of(operator, FLOAT32, x.shape, [1, len(expected)], **options), [[x]])
    assert y.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("operator", "type", "shape", "size", "options", "message"),
    [
        (BILINEAR, FLOAT32, (1, 2, 2, 1), [0, 4], {}, "a size of 0 x 4"),
        (NEAREST, FLOAT32, (1, 2, 2, 1), [-1, 4], {}, "a size of -1 x 4"),
        (NEAREST, FLOAT32, (1, 2, 2, 1), [1, 2, 3], {}, "2 int32 sizes"),
        (BILINEAR, FLOAT32, (2, 2, 1), [4, 4], {}, "4 dimensions"),
        (NEAREST, FLOAT32, (1, 0, 2, 1), [4, 4], {}, "no pixel to take"),
        (NEAREST, INT8, (1, 2, 2, 1), [2**20, 2**20], {}, "too large"),
        (BILINEAR, FLOAT32, (1, 2, 2, 1), [4, 4], {"align_corners": True, "half_pixel_centers": True}, "exclude"),
        (BILINEAR, INT8, (1, 1, 1, 1), [70, 1], {}, "position 1 lies beyond the image's 1 pixels"),
    ],
)
def test_contradictions(
    operator: str, type: TensorType, shape: tuple[int, ...], size: list[int], options: dict[str, bool], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run(model_of(operator, type, shape, size, **options), [[np.zeros(shape, np.int8)]])


@pytest.mark.parametrize("operator", [BILINEAR, NEAREST])
def test_types_without_kernel(operator: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=operator):
        run(model_of(operator, INT32, (1, 2, 2, 1), [4, 4]), [[np.zeros((1, 2, 2, 1), np.int32)]])
