"""Long sums of a float LSTM against TensorFlow's reference kernels; SVDF against Micro."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import (
    ActivationFunctionType,
    LSTMOptions,
    SVDFOptions,
    TensorType,
)

pytestmark = pytest.mark.oracle

Array = npt.NDArray[Any]

FLOAT32, INT8, INT16, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT16, TensorType.INT32
UINT32, UINT64 = TensorType.UINT32, TensorType.UINT64


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow])


def assert_same_sequence(
    runtime: Runtime, model: Model, samples: Sequence[Sequence[Array]], kernels: str = "reference"
) -> None:
    """Every output of every invoke of one interpreter, whose variables live on."""
    expected = runtime.run_sequence(model, samples)
    interpreter = Interpreter(model=model, kernels=kernels)
    interpreter.allocate_tensors()
    for number, (sample, theirs) in enumerate(zip(samples, expected, strict=True)):
        for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        for detail, output in zip(interpreter.get_output_details(), theirs, strict=True):
            ours = interpreter.get_tensor(detail["index"])
            assert (ours.dtype, ours.shape) == (output.dtype, output.shape)
            if ours.dtype.kind == "f":
                ours, output = ours.view(np.uint32), output.view(np.uint32)
            np.testing.assert_array_equal(ours, output, err_msg=f"invoke {number}, {detail['name']}")


@pytest.mark.parametrize("features", [400, 401, 830, 1700])
@pytest.mark.parametrize(("batch", "cells"), [(1, 9), (2, 40), (5, 70)])
def test_long_sums(features: int, batch: int, cells: int, reference: Runtime) -> None:
    """Sums so long that Eigen cuts them into blocks."""
    rng = np.random.default_rng(features)

    def matrix(*shape: int) -> TensorSpec:
        return TensorSpec(FLOAT32, data=(rng.standard_normal(shape) / 8).astype(np.float32))

    inputs: list[TensorSpec | None] = [
        TensorSpec(FLOAT32, (batch, features)),
        *[matrix(cells, features) for _ in range(4)],
        *[matrix(cells, cells) for _ in range(4)],
        *[None] * 3,
        *[matrix(cells) for _ in range(4)],
        *[None] * 2,
        *[TensorSpec(FLOAT32, (batch, cells), is_variable=True) for _ in range(2)],
    ]
    options = LSTMOptions(fused_activation_function=ActivationFunctionType.TANH)
    model = single_operator_model("LSTM", inputs, [TensorSpec(FLOAT32, (batch, cells))], options)
    samples = [[rng.standard_normal((batch, features)).astype(np.float32)] for _ in range(2)]
    assert_same_sequence(reference, model, samples)


@st.composite
def svdfs(draw: st.DrawFn, state: TensorType) -> tuple[Model, list[list[Array]]]:
    """A quantized SVDF and more inputs for it than it remembers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rank, units, memory = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    batch, features = draw(st.integers(1, 3)), draw(st.integers(1, 20))
    filters = rank * units

    def scale(low: float, high: float) -> float:
        return float(np.float32(2.0 ** rng.uniform(low, high)))

    x_zero, out_zero = (int(n) for n in rng.integers(-128, 128, 2))
    whole = np.iinfo(np.int16 if state == INT16 else np.int8)
    state_scale = scale(-12, -7) if state == INT16 else scale(-5, 0)
    state_zero = 0 if state == INT16 else int(rng.integers(-128, 128))
    times_scale = scale(-15, -12) if state == INT16 else scale(-8, -5)
    inputs: list[TensorSpec | None] = [
        TensorSpec(INT8, (batch, features), scale(-7, -4), x_zero),
        TensorSpec(INT8, data=rng.integers(-127, 127, (filters, features), np.int8), scale=scale(-8, -5)),
        TensorSpec(
            state,
            data=rng.integers(whole.min + 1, whole.max, (filters, memory)).astype(whole.dtype),
            scale=times_scale,
        ),
        None,
        TensorSpec(state, (batch, memory * filters), state_scale, state_zero, is_variable=True),
    ]
    bias = rng.integers(-(2**20), 2**20, units, np.int32)  # without one Micro dies
    inputs[3] = TensorSpec(INT32, data=bias, scale=np.float32(state_scale) * np.float32(times_scale))
    model = single_operator_model(
        "SVDF",
        inputs,
        [TensorSpec(INT8, (batch, units), scale(-7, -1), out_zero)],
        SVDFOptions(rank=rank, fused_activation_function=ActivationFunctionType.RELU),
        version=3,
    )
    samples = [[rng.integers(-128, 127, (batch, features), np.int8, endpoint=True)] for _ in range(memory + 2)]
    return model, samples


@given(case=svdfs(INT16))
@examples(60)
def test_svdf_of_micro(case: tuple[Model, list[list[Array]]], micro: Runtime) -> None:
    assert_same_sequence(micro, *case, kernels="micro")


@given(case=svdfs(INT8))
@examples(60)
def test_svdf_of_micro_with_int8_state(case: tuple[Model, list[list[Array]]], micro: Runtime) -> None:
    assert_same_sequence(micro, *case, kernels="micro")
