"""Floats that are quantized on the fly, against TensorFlow's reference kernels: their rounding, NaN, long sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.tflite.schema import ActivationFunctionType, FullyConnectedOptions, SVDFOptions, TensorType

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]
FLOAT32, INT8 = TensorType.FLOAT32, TensorType.INT8


def layer(x: Array, weights: Array, asymmetric: bool) -> Any:
    w = TensorSpec(INT8, scale=1.0, data=weights)
    options = FullyConnectedOptions(asymmetric_quantize_inputs=asymmetric)
    return single_operator_model("FULLY_CONNECTED", [TensorSpec(FLOAT32, x.shape), w], [TensorSpec(FLOAT32)], options)


def quantized_by(reference: Runtime, x: Array, asymmetric: bool) -> Array:
    """What the real kernel makes of each number, less the zero point, times the scale: weights are the identity."""
    (y,) = reference.run(layer(x, np.eye(x.shape[1], dtype=np.int8), asymmetric), [x])
    return y


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("columns", [11, 64])
def test_numbers_around_every_half(reference: Runtime, asymmetric: bool, columns: int) -> None:
    """Rows that reach from -1 to 1 or otherwise, with the neighbours of each number that is rounded either way."""
    rng = np.random.default_rng(columns)
    rows = []
    for low, high in ((-1, 1), (-0.3, 1), (-1, 0.001), (0, 1), (-7.77, 5.5)):
        step = np.float32(high - low) / 255 if asymmetric else np.float32(max(high, -low)) / 127
        halves = (np.arange(-128, 128) + 0.5).astype(np.float32) * np.float32(step)
        near = np.concatenate([halves, np.nextafter(halves, np.float32(9)), np.nextafter(halves, np.float32(-9))])
        near = rng.permutation(near[(low <= near) & (near <= high)])
        block = np.resize(near, (-(-len(near) // (columns - 2)), columns - 2))
        ends = np.broadcast_to(np.float32([low, high]), (len(block), 2))
        rows.append(rng.permuted(np.hstack([block, ends]), axis=1))
    x = np.concatenate(rows)
    q, scale, *zero_points = (asymmetric_quantize if asymmetric else symmetric_quantize)(x)
    zero_point = zero_points[0] if zero_points else np.zeros(len(x), np.int32)
    expected = quantized_by(reference, x, asymmetric)
    np.testing.assert_array_equal((q - zero_point[:, None]).astype(np.float32) * scale[:, None], expected)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_rows_with_nan_infinities_and_denormals(reference: Runtime, asymmetric: bool) -> None:
    rng = np.random.default_rng(0)
    special = np.float32([0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-41, 1e38, -3e38, 1, 2, -3])
    for columns in range(1, 21):
        x = (rng.standard_normal((200, columns)) * 2.0 ** rng.integers(-148, 126, (200, 1))).astype(np.float32)
        chosen = rng.choice(special, (200, 4))[np.arange(200)[:, None], rng.integers(0, 4, (200, columns))]
        x = np.where(rng.random((200, columns)) < rng.choice([0.1, 0.5, 1], (200, 1)), chosen, x)
        result = compare(layer(x, np.eye(columns, dtype=np.int8), asymmetric), [[x]], reference)
        assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.parametrize("columns", [2048, 2500, 6007])
def test_sums_of_long_rows(reference: Runtime, columns: int) -> None:
    """Asymmetric inputs need the sums of the weights, which the real kernel adds up in sixteen bits."""
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((3, columns)).astype(np.float32) + np.float32(0.5)
    for low in (-128, 0, 100):
        weights = rng.integers(low, 128, (5, columns)).astype(np.int8)
        result = compare(layer(x, weights, asymmetric=True), [[x]], reference)
        assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.parametrize("type", [FLOAT32, INT8])
def test_svdf_shows_signs(reference: Runtime, type: TensorType) -> None:
    rng = np.random.default_rng(0)
    features, times = (rng.integers(-127, 128, shape) for shape in ((6, 9), (6, 3)))
    dtype, scale = (np.float32, None) if type == FLOAT32 else (np.int8, 0.5)
    specs: list[TensorSpec | None] = [
        TensorSpec(FLOAT32, (2, 9)),
        TensorSpec(type, scale=scale, data=features.astype(dtype)),
        TensorSpec(type, scale=scale, data=times.astype(dtype)),
        None,
        TensorSpec(FLOAT32, (2, 18), is_variable=True),
    ]
    options = SVDFOptions(rank=2, fused_activation_function=ActivationFunctionType.SIGN_BIT)
    model = single_operator_model("SVDF", specs, [TensorSpec(FLOAT32)], options)
    samples = [[rng.standard_normal((2, 9)).astype(np.float32)] for _ in range(5)]
    result = compare(model, samples, reference)
    assert result.outcome is Outcome.EQUAL, result.details
