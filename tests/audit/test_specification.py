"""Each rule of the specification: a model that breaks it is found out, the bundled one is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from refquant.audit import audit
from refquant.audit.specification import check_specification
from refquant.data import DIGITS_INT8
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, TensorType

# tensors of the bundled model: 0 the input, 11 and 12 bias and weights of operator 0 (CONV_2D), 13 its output,
# 16 and 17 input and output of operator 4 (MAX_POOL_2D), 21 the output of SOFTMAX


def digits() -> Model:
    """The bundled model, with arrays that may be written to."""
    model = Model.read(DIGITS_INT8.read_bytes())
    for tensor in model.subgraphs[0].tensors or ():
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = np.array(tensor.quantization.scale)
            tensor.quantization.zero_point = np.array(tensor.quantization.zero_point)
    return model


def edit(model: Model, index: int, scale: float | None = None, zero_point: int | None = None) -> None:
    quantization = model.tensor(index).quantization
    assert quantization is not None
    if scale is not None:
        quantization.scale[0] = scale  # type: ignore[index]
    if zero_point is not None:
        quantization.zero_point[0] = zero_point  # type: ignore[index]


def constant_of(model: Model, index: int) -> np.ndarray:  # type: ignore[type-arg]
    """The constant's numbers, in a buffer that may be written to."""
    tensor = model.tensor(index)
    assert model.root.buffers is not None
    buffer = model.root.buffers[tensor.buffer]
    buffer.data = np.array(buffer.data)
    return buffer.data.view(np.int8 if tensor.type == TensorType.INT8 else np.int32)


def set_constant(index: int, value: int) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        constant_of(model, index)[0] = value

    return change


def one_ulp_more(model: Model) -> None:
    scale = model.tensor(11).quantization.scale  # type: ignore[union-attr]
    scale[:] = np.nextafter(np.nextafter(scale, np.float32(1)), np.float32(1))  # type: ignore[index, call-overload]


def retype_bias(model: Model) -> None:
    model.tensor(11).type = TensorType.INT16


def drop_scales(model: Model) -> None:
    model.tensor(11).quantization.scale = np.array([0.5], np.float32)  # type: ignore[union-attr]


def turn_weights(model: Model) -> None:
    model.tensor(12).quantization.quantized_dimension = 3  # type: ignore[union-attr]


def huge_bias(model: Model) -> None:
    constant_of(model, 11)[3] = 2**31 - 1


def kill_channel(model: Model) -> None:
    constant_of(model, 12)[:9] = 0


CASES: dict[str, tuple[Callable[[Model], None], str, str]] = {
    "scale": (lambda m: edit(m, 13, scale=0.0), "scale", "error"),
    "nan": (lambda m: edit(m, 13, scale=float("nan")), "scale", "error"),
    "infinite": (lambda m: edit(m, 13, scale=float("inf")), "scale", "error"),
    "negative": (lambda m: edit(m, 13, scale=-0.1), "scale", "error"),
    "subnormal": (lambda m: edit(m, 13, scale=1e-40), "scale-subnormal", "warning"),
    "zero point": (lambda m: edit(m, 13, zero_point=128), "zero-point-range", "error"),
    "weights zero point": (lambda m: edit(m, 12, zero_point=1), "weights-zero-point", "error"),
    "weights -128": (set_constant(12, -128), "weights-range", "error"),
    "weights dimension": (turn_weights, "quantized-dimension", "error"),
    "weights dimension of the operator": (turn_weights, "weights-dimension", "error"),
    "bias type": (retype_bias, "bias-type", "error"),
    "bias scale": (one_ulp_more, "bias-scale", "error"),
    "bias scales": (drop_scales, "bias-scale-count", "error"),
    "bias zero point": (lambda m: edit(m, 11, zero_point=3), "bias-zero-point", "error"),
    "overflow": (huge_bias, "accumulator-overflow", "error"),
    "multiplier": (lambda m: edit(m, 13, scale=1e30), "multiplier-lost", "warning"),
    "huge multiplier": (lambda m: edit(m, 13, scale=1e-20), "multiplier-overflow", "error"),
    "same scale": (lambda m: edit(m, 17, scale=0.5), "same-scale", "error"),
    "fixed output": (lambda m: edit(m, 21, scale=0.5), "fixed-output", "error"),
    "nearly fixed output": (lambda m: edit(m, 21, scale=1 / 256 + 2**-31), "fixed-output", "warning"),
    "few codes": (lambda m: edit(m, 14, scale=3.0), "narrow-range", "warning"),
    "unused codes": (lambda m: edit(m, 14, scale=0.1), "unused-codes", "note"),
    "dead channel": (kill_channel, "dead-channel", "note"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_breaks_a_rule(case: str) -> None:
    change, rule, severity = CASES[case]
    model = digits()
    change(model)
    findings, _ = check_specification(model)
    assert (rule, severity) in {(f.rule, f.severity) for f in findings}
    assert all(f.place and f.found and f.expected and f.advice for f in findings)


def test_the_bundled_model_is_clean() -> None:
    report = audit(DIGITS_INT8)
    assert report.findings == [] and report.clean
    assert report.checks == {"tensors": 22, "operators with rules of the specification": 8}


def test_notes_alone_leave_a_report_clean() -> None:
    model = digits()
    kill_channel(model)
    report = audit(model)
    assert [f.severity for f in report.findings] == ["note"] and report.clean


def test_zero_points_of_int16_and_counts() -> None:
    tensors = [TensorSpec(TensorType.INT16, (4,), 0.5, 3), TensorSpec(TensorType.INT16, (4,), 0.5, 3)]
    findings, _ = check_specification(single_operator_model("RELU", tensors[:1], tensors[1:]))
    assert {f.rule for f in findings} == {"zero-point-int16"}
    model = single_operator_model(
        "RELU", [TensorSpec(TensorType.INT8, (4,), 0.5)], [TensorSpec(TensorType.INT8, (4,), 0.5)]
    )
    model.tensor(0).quantization.zero_point = np.zeros(2, np.int64)  # type: ignore[union-attr]
    assert [f.rule for f in check_specification(model)[0]] == ["zero-point-count"]


def test_the_worst_sum_is_computed_from_zero_points_and_bias() -> None:
    """127 * (127 + 128) * 66,311 products = 2,147,481,735 fit an int32, with a bias of 1,912 they do not."""
    for bias, overflows in ((1912, False), (1913, True)):
        model = single_operator_model(
            "FULLY_CONNECTED",
            [
                TensorSpec(TensorType.INT8, (1, 66311), 1.0, -128),
                TensorSpec(TensorType.INT8, scale=1.0, data=np.full((1, 66311), 127, np.int8)),
                TensorSpec(TensorType.INT32, scale=1.0, data=np.array([bias], np.int32)),
            ],
            [TensorSpec(TensorType.INT8, (1, 1), 1e7)],
            schema.FullyConnectedOptions(fused_activation_function=ActivationFunctionType.NONE),
        )
        rules = {f.rule for f in check_specification(model)[0]}
        assert ("accumulator-overflow" in rules) == overflows
