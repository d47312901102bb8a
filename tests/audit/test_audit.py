"""Derivation from the float model, accuracy on samples, and what an audit refuses."""

from __future__ import annotations

import numpy as np
import pytest

import refquant as rq
from refquant.audit import audit
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from tests.audit.test_specification import constant_of, digits


def samples() -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    with np.load(DIGITS_SAMPLES) as data:
        return {name: data[name] for name in data.files}


def test_the_bundled_model_derives_from_its_float_origin() -> None:
    report = audit(DIGITS_INT8, float_model=DIGITS_FLOAT)
    assert report.findings == []
    assert report.checks["weights derived"] == 6496 and report.checks["biases derived"] == 122


def test_one_weight_bit_is_found() -> None:
    model = digits()
    constant_of(model, 12)[17] ^= 1
    (finding,) = audit(model, float_model=DIGITS_FLOAT).findings
    assert finding.rule == "derived-weight" and "at [1, 2, 2, 0]" in finding.place
    assert "1 of 144 differ" in finding.found


def test_one_bias_bit_is_found() -> None:
    model = digits()
    constant_of(model, 11)[5] ^= 1
    (finding,) = audit(model, float_model=DIGITS_FLOAT).findings
    assert finding.rule == "derived-bias" and "at [5]" in finding.place


def test_one_ulp_of_a_weight_scale_is_found() -> None:
    model = digits()
    for index in (11, 12):  # the bias follows, else the specification speaks too
        scale = model.tensor(index).quantization.scale  # type: ignore[union-attr]
        scale[3] = np.nextafter(scale[3], np.float32(1))  # type: ignore[index, call-overload]
    findings = {f.rule: f for f in audit(model, float_model=DIGITS_FLOAT).findings}
    assert "channel 3" in findings["derived-weight-scale"].place
    assert "bits 0x" in findings["derived-weight-scale"].found


def test_samples_give_errors_and_accuracy() -> None:
    report = audit(DIGITS_INT8, float_model=DIGITS_FLOAT, samples=samples(), limit=50)
    assert report.accuracy is not None and report.accuracy.samples == 50
    assert report.accuracy.float_model > 0.9 and report.accuracy.agreement > 0.9
    assert [t.operator.split("(")[1][:-1] for t in report.tensors][:3] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert all(30 < t.sqnr < 60 and 0 <= t.at_low <= 1 and 0 <= t.at_high <= 1 for t in report.tensors)


def test_the_signal_to_noise_ratio_by_hand() -> None:
    from refquant.audit.accuracy import _Sums

    sums = _Sums()
    real, quantized = np.array([3.0, -4.0, 0.0], np.float32), np.array([3.0, -4.0, 0.5])
    sums.add(7, real, quantized, np.array([3, -128, 127], np.int8))
    assert sums.decibels() == pytest.approx(20.0, abs=1e-12)  # 10 log10(25 / 0.25); log10 may be off in the last bit
    assert (sums.low, sums.high, sums.count) == (1, 1, 3)
    assert sums.worst == (0.5, 7, 2, 0.0, 0.5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no array for input"),
        ({"image": np.zeros((3, 8, 8, 2))}, r"must have shape \(N, 1, 8, 8, 1\)"),
        ({"image": np.zeros((3, 8, 8, 1)), "labels": np.zeros(4)}, "same number of samples"),
        ({"image": np.zeros((0, 8, 8, 1))}, "at least one"),
        ({"image": np.full((1, 8, 8, 1), np.nan)}, "NaN"),
        ({"image": np.array([["x"]])}, "must be numbers"),
    ],
)
def test_bad_samples_say_what_was_expected(arrays: dict[str, np.ndarray], message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(rq.InvalidInputError, match=message):
        audit(DIGITS_INT8, float_model=DIGITS_FLOAT, samples=arrays)


def test_samples_alone_and_strangers_are_refused() -> None:
    with pytest.raises(rq.InvalidInputError, match="give the float model too"):
        audit(DIGITS_INT8, samples=samples())
    model = digits()
    model.subgraphs[0].operators = (model.subgraphs[0].operators or [])[:-1]
    with pytest.raises(rq.InvalidInputError, match=r"operator 8 is SOFTMAX there and nothing here"):
        audit(model, float_model=DIGITS_FLOAT)
    with pytest.raises(rq.InvalidInputError, match="there is no runtime 'toaster'"):
        audit(DIGITS_INT8, against_runtime="toaster")
