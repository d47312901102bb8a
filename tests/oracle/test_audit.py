"""The audit and the real world: what the converter makes is clean, the real runtime agrees, differences are located."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refquant.audit import audit, compare
from refquant.data import DIGITS_INT8
from refquant.kernels import registry
from refquant.kernels.registry import Array, Operator, Run
from refquant.runtimes import Runtime
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import ReshapeOptions, TensorType

pytestmark = pytest.mark.oracle

CONVERT = """
import sys, keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(3)
image = keras.Input((12, 12, 3), batch_size=1)
x = keras.layers.Conv2D(9, 3, strides=2, padding="same", activation="relu6")(image)
y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
x = keras.layers.Concatenate()([x, keras.layers.Add()([x, y])])
x = keras.layers.AveragePooling2D(2)(x)
x = keras.layers.Dense(40, activation="relu")(keras.layers.Flatten()(x))
model = keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(5)(x)))
def converter():
    return tf.lite.TFLiteConverter.from_keras_model(model)
def write(name, c):
    open(f"{sys.argv[1]}/{name}.tflite", "wb").write(c.convert())
write("float", converter())
def data():
    for _ in range(20):
        yield [np.random.default_rng(1).standard_normal((1, 12, 12, 3)).astype(np.float32)]
for name, ops, kind in (
    ("int8", tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
    ("int16", tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
):
    c = converter()
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.representative_dataset = data
    c.target_spec.supported_ops = [ops]
    c.inference_input_type = c.inference_output_type = kind
    write(name, c)
"""


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    pytest.importorskip("keras", reason="keras is not installed: python -m pip install 'refquant[test]'")
    subprocess.run([sys.executable, "-c", CONVERT, str(folder)], check=True, capture_output=True, timeout=300)
    return folder


@pytest.mark.parametrize(
    ("name", "weights", "biases"), [("int8", "weights symmetric per channel", 32), ("int16", "weights symmetric", 64)]
)
def test_what_the_converter_makes_follows_from_the_float_model(
    converted: Path, name: str, weights: str, biases: int
) -> None:
    report = audit(converted / f"{name}.tflite", float_model=converted / "float.tflite")
    assert [f for f in report.findings if f.severity != "note"] == []
    assert report.checks["weights derived"] == 7004
    assert all(derivation.equal for derivation in report.derivations)
    rules = [derivation.rule for derivation in report.derivations]
    assert any(rule.startswith(weights) for rule in rules)
    assert f"{biases}-bit bias: scale = input scale × weight scale, zero point 0" in rules


@pytest.mark.parametrize("name", ["int8", "int16", "float"])
def test_every_tensor_of_converted_models(converted: Path, name: str) -> None:
    report = audit(converted / f"{name}.tflite", against_runtime="tensorflow")
    assert len(report.comparisons) >= 9
    assert {c.verdict for c in report.comparisons} == {"equal"}


def test_the_operator_where_a_difference_begins(reference: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    original = registry._KERNELS["MAX_POOL_2D", False, None]

    def off_by_one(op: Operator) -> Run:
        run = original(op)

        def wrong(x: Array) -> Array:
            y = np.array(run(x))
            y.flat[5] ^= 1
            return y

        return wrong

    monkeypatch.setitem(registry._KERNELS, ("MAX_POOL_2D", False, None), off_by_one)
    report = compare(DIGITS_INT8, {"refquant": "reference", "tensorflow": reference}, number_of_samples=2, seed=5)
    comparisons = report.comparisons
    verdicts = [c.verdict for c in comparisons]
    assert verdicts[:5] == ["equal"] * 4 + ["begins here"]
    assert comparisons[4].different == 2 and comparisons[4].largest == 1
    assert "begins here" not in verdicts[5:]


@pytest.mark.parametrize("type", ["STRING", "BFLOAT16", "INT4", "COMPLEX64", "BOOL"])
def test_inputs_of_any_type(reference: Runtime, type: str) -> None:
    x = TensorSpec(TensorType[type], (2, 3))
    inputs = [x, TensorSpec(TensorType.INT32, data=np.array([6], np.int32))]
    model = single_operator_model("RESHAPE", inputs, [TensorSpec(x.type, (6,))], ReshapeOptions())
    report = compare(model, {"refquant": "reference", "tensorflow": reference}, number_of_samples=2, seed=5)
    (comparison,) = report.comparisons
    assert comparison.elements == 12 and comparison.verdict == "equal"
