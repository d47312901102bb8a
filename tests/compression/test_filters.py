"""Pruning of whole filters: the smaller model computes what the whole one does when nobody reads what was removed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant import Interpreter
from refquant.compression.pruning import prune_filters
from refquant.compression.weights import replace_constants
from refquant.errors import InvalidInputError
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType


def residual(type: TensorType, rng: np.random.Generator) -> Model:
    """Two convolutions whose outputs are added, a depthwise convolution, and a convolution that reads them."""
    real = type == TensorType.FLOAT32

    def weight(*shape: int, axis: int = 0) -> TensorSpec:
        if real:
            return TensorSpec(type, data=rng.normal(size=shape).astype(np.float32))
        scale = rng.uniform(0.01, 0.02, shape[axis]).astype(np.float32)
        data = rng.integers(-127, 128, shape).astype(np.int8)
        return TensorSpec(type, data=data, scale=scale, zero_point=[0] * len(scale), quantized_dimension=axis)

    def place(channels: int) -> TensorSpec:
        return TensorSpec(type, [1, 4, 4, channels], *(() if real else (0.05, 3)))

    def bias(of: TensorSpec, size: int) -> TensorSpec:
        if real:
            return TensorSpec(type, data=rng.normal(size=size).astype(np.float32))
        scale = np.float32(0.05) * np.asarray(of.scale, np.float32)
        return TensorSpec(
            TensorType.INT32, data=rng.integers(-99, 99, size).astype(np.int32), scale=scale, zero_point=[0] * size
        )

    a, b, d, e = weight(6, 1, 1, 3), weight(6, 1, 1, 3), weight(1, 3, 3, 6, axis=3), weight(2, 1, 1, 6)
    db = bias(d, 6)
    db.quantized_dimension = 0
    tensors = [place(3), a, bias(a, 6), b, bias(b, 6), d, db, e, bias(e, 2), *(place(6) for _ in range(4)), place(2)]
    conv = schema.Conv2DOptions(stride_w=1, stride_h=1)
    depth = schema.DepthwiseConv2DOptions(stride_w=1, stride_h=1, depth_multiplier=1)
    operators = [
        OperatorSpec("CONV_2D", [0, 1, 2], [9], conv, version=3),
        OperatorSpec("CONV_2D", [0, 3, 4], [10], conv, version=3),
        OperatorSpec("ADD", [9, 10], [11], schema.AddOptions(), version=2),
        OperatorSpec("DEPTHWISE_CONV_2D", [11, 5, 6], [12], depth, version=3),
        OperatorSpec("CONV_2D", [12, 7, 8], [13], conv, version=3),
    ]
    return model_of(SubgraphSpec(tensors, operators, [0], [13]))


def run(model: Model, value: Any) -> Any:
    interpreter = Interpreter(model_content=model.tobytes())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("type", [TensorType.FLOAT32, TensorType.INT8])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 0.99])
def test_outputs_are_those_of_the_model_that_ignores_the_removed_filters(type: TensorType, fraction: float) -> None:
    rng = np.random.default_rng(7)
    model = residual(type, rng)
    result = prune_filters(model, fraction)
    first, second = result.filters
    assert first.removed == second.removed
    assert first.after == 6 - int(6 * fraction)
    reader = model.constant(model.tensor(7))
    assert reader is not None
    reader = reader.copy()
    reader[..., list(first.removed)] = 0
    masked = replace_constants(model, {(0, 7): reader})
    value = rng.normal(size=(1, 4, 4, 3)).astype(np.float32)
    if type == TensorType.INT8:
        value = rng.integers(-128, 128, value.shape).astype(np.int8)
    assert np.array_equal(run(result.model, value), run(masked, value))
    if fraction >= 0.2:
        assert len(result.model.tobytes()) < len(model.tobytes())
    assert [(s.operator, s.reason) for s in result.skipped] == [("CONV_2D", "its channels reach a model output")]


def test_the_smallest_sums_of_norms_go() -> None:
    model = residual(TensorType.FLOAT32, np.random.default_rng(1))
    a, b = (model.constant(model.tensor(i)) for i in (1, 3))
    assert a is not None
    assert b is not None
    total = np.abs(a).sum((1, 2, 3)) + np.abs(b).sum((1, 2, 3))
    assert prune_filters(model, 0.5).filters[0].removed == tuple(sorted(np.argsort(total)[:3].tolist()))


@pytest.mark.parametrize("fraction", [1, -0.1, float("nan"), "0.5"])
def test_a_fraction_out_of_range_is_refused(fraction: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"fraction must be in \[0, 1\)"):
        prune_filters(residual(TensorType.FLOAT32, np.random.default_rng(1)), fraction)
