"""Derivation from the float model, accuracy on samples, and what an audit refuses."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import refquant as rq
from refquant.audit import audit
from refquant.audit.again import range_for
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.quantization.parameters import of_statistics
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite.schema import AddOptions, TensorType
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


def test_one_ulp_of_an_activation_scale_is_found_in_what_follows_from_it() -> None:
    model = digits()
    scale = model.tensor(17).quantization.scale  # type: ignore[union-attr]
    scale[0] = np.nextafter(scale[0], np.float32(1))  # type: ignore[index, call-overload]
    places = [f.place for f in audit(model, float_model=DIGITS_FLOAT).findings if f.rule.startswith("derived")]
    assert places and all("tensor 16" in p or "tensor 17" in p or "tensor 5 " in p for p in places)


def test_the_rule_of_each_tensor() -> None:
    report = audit(DIGITS_INT8, float_model=DIGITS_FLOAT, samples=samples(), limit=3)
    rules = {derivation.place.split()[1]: derivation.rule for derivation in report.derivations}
    assert len(rules) == 22 and all(derivation.equal for derivation in report.derivations)
    assert rules["0"] == "input of the model: range 0 to 1, recorded by sample 0"  # black and white pixels in each
    assert rules["9"] == "32-bit bias: scale = input scale × weight scale, zero point 0"
    assert rules["10"] == "weights symmetric per channel, axis 3: scale = max |w| / 127"
    assert rules["14"].startswith("output of DEPTHWISE_CONV_2D: range 0 to 2.68")
    assert "recorded" not in rules["14"]  # three samples do not reach so far
    assert rules["17"] == "the scale of what MAX_POOL_2D takes, which only moves or chooses numbers"
    assert rules["21"] == "scale and zero point that SOFTMAX always has"


def test_samples_that_gave_a_range_are_named() -> None:
    converter = rq.Converter.from_tflite(DIGITS_FLOAT)
    converter.optimizations = [rq.Optimize.DEFAULT]
    images = samples()["image"][:6]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    quantized = rq.Model.read(converter.convert())
    statistics = rq.calibrate(DIGITS_FLOAT, ([image[None]] for image in images))
    report = audit(quantized, float_model=DIGITS_FLOAT, samples=samples(), limit=6)
    (rule,) = [d.rule for d in report.derivations if d.rule.startswith("output of FULLY_CONNECTED: range -")]
    original = rq.Model.read(DIGITS_FLOAT)
    operators = original.subgraphs[0].operators or []
    (*_, last) = [o for o in operators if original.operator_name(o) == "FULLY_CONNECTED"]
    found = statistics.ranges[0, int(last.outputs[0])]  # type: ignore[index]
    assert f"samples {found.min_sample} (min) and {found.max_sample} (max)" in rule


@pytest.mark.parametrize("settings", ["dynamic", "float16", "per tensor", "older", "int16", "int8 border"])
def test_every_mode_is_derived(settings: str) -> None:
    converter = rq.Converter.from_tflite(DIGITS_FLOAT)
    converter.optimizations = [rq.Optimize.DEFAULT]
    images = samples()["image"][:4]
    if settings != "dynamic":
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    if settings == "float16":
        converter.target_spec.supported_types = [np.float16]
    if settings == "int16":
        int16 = rq.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [int16]
    converter.experimental_new_quantizer = settings != "older"
    converter._experimental_disable_per_channel = settings == "per tensor"
    if settings == "int8 border":
        converter.inference_input_type, converter.inference_output_type = np.int8, np.uint8
    model = rq.Model.read(converter.convert())
    report = audit(model, float_model=DIGITS_FLOAT)
    assert [f for f in report.findings if f.rule.startswith("derived")] == []
    assert all(derivation.equal for derivation in report.derivations) and report.checks["tensors derived"] >= 14
    # and one bit of the largest constant is found in each
    buffers = [buffer for buffer in model.root.buffers or () if buffer.data is not None]
    data = max(buffers, key=lambda buffer: len(buffer.data)).data  # type: ignore[arg-type]
    buffer = next(buffer for buffer in buffers if buffer.data is data)
    buffer.data = np.array(data)
    buffer.data[100] ^= 1
    (finding,) = [f for f in audit(model, float_model=DIGITS_FLOAT).findings if f.rule.startswith("derived")]
    assert "1 of" in finding.found


def test_a_float_model_is_no_quantized_one() -> None:
    report = audit(DIGITS_FLOAT, float_model=DIGITS_FLOAT)
    assert [f.rule for f in report.findings] == ["not-quantized"] and report.clean


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


def test_what_an_int8_scale_tells_of_its_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        low, high = np.sort(rng.normal(0, 10.0 ** rng.integers(-3, 4), 2)).astype(np.float32)
        quantized = of_statistics(float(low), float(high), 8)
        scale = np.float32(quantized.scales[0])
        again = of_statistics(*map(float, range_for(scale, quantized.zero_points[0], TensorType.INT8)), 8)
        assert (again.scales, again.zero_points) == (quantized.scales, quantized.zero_points)


def test_a_model_of_other_operators_is_not_the_origin() -> None:
    with pytest.raises(rq.InvalidInputError, match=r"not the origin .* operator 0 is ADD there and CONV_2D here"):
        audit(DIGITS_INT8, float_model=single_add())


def single_add() -> rq.Model:
    x = TensorSpec(TensorType.FLOAT32, (1, 4))
    return single_operator_model("ADD", [x, x], [x], AddOptions())


def test_damaged_models_give_findings_or_a_clear_error() -> None:
    rng = np.random.default_rng(7)
    original, content = rq.Model.read(DIGITS_FLOAT), DIGITS_INT8.read_bytes()
    audited = 0
    for _ in range(120):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        with contextlib.suppress(rq.RefquantError):
            audited += audit(rq.Model.read(bytes(damaged)), float_model=original) is not None
    assert audited > 40
