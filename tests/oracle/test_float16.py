"""Float16 quantization against the whole converter, and against its passes on files of random graphs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.quantization import float16
from refquant.runtimes import Quantizer, Runtime
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.float_graphs import OPERATORS, UNREADABLE, FloatCase, float_models
from refquant.testing.same_model import differences
from refquant.tflite.conversion_metadata import OptimizationMode
from refquant.tflite.model import Model
from refquant.tflite.schema import AddOptions, TensorType
from tests.conftest import EXAMPLES
from tests.oracle.keras_models import NETWORKS, samples_for, save
from tests.oracle.test_dynamic_range import as_converted

pytestmark = pytest.mark.oracle

#: operators whose states QuantizeWeights fills with the number of variables that the process has read so far
STATEFUL = ("LSTM", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")
SAMPLED = [operator for operator in OPERATORS if operator not in (*UNREADABLE, *STATEFUL)]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(quantizer: Quantizer, optimized: Runtime, name: str) -> None:
    """The file that the whole converter makes, byte for byte but for its layout; and what it computes."""
    pytest.importorskip("keras")
    network = NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = save(network, Path(folder))
        float_model = Model.read(quantizer.convert(path))
        expected = quantizer.convert(path, optimizations=["DEFAULT"], supported_types=["float16"])
    actual = as_converted(float_model, float16.quantize(float_model), OptimizationMode.PTQ_FLOAT16)
    assert not differences(actual, expected)
    for sample in samples_for(network, 2):
        outputs = zip(optimized.run(actual, sample), optimized.run(expected, sample), strict=True)
        assert all(our.tobytes() == their.tobytes() for our, their in outputs)


@settings(max_examples=3 * EXAMPLES, suppress_health_check=list(HealthCheck))
@given(float_models(SAMPLED))
def test_random_graphs(quantizer: Quantizer, case: FloatCase) -> None:
    try:
        expected = quantizer.quantize_weights(case.model, inference_type="float16")
    except (RuntimeFailedError, RuntimeDiedError):
        return
    assert not differences(float16.quantize(case.model, within_converter=False), expected)


def test_every_kind_of_number(quantizer: Quantizer) -> None:
    """Halves, what is too large, what is tiny, both zeros, infinities and NaN."""
    numbers = [
        1 + 2.0**-11,
        1 + 3 * 2.0**-11,
        65504,
        65519,
        65520,
        -1e30,
        2.0**-25,
        1.0001 * 2.0**-25,
        -(2.0**-24),
        -0.0,
    ]
    values = np.array([*numbers, np.inf, -np.inf, np.nan, -np.nan, *np.geomspace(1e-9, 1e6, 999)], np.float32)
    tensors = [
        TensorSpec(TensorType.FLOAT32, values.shape, name="x"),
        TensorSpec(TensorType.FLOAT32, data=values, name="constant"),
        TensorSpec(TensorType.FLOAT32, values.shape, name="y"),
    ]
    model = model_of(SubgraphSpec(tensors, [OperatorSpec("ADD", [0, 1], [2], AddOptions())], [0], [2]))
    expected = quantizer.quantize_weights(model, inference_type="float16")
    assert not differences(float16.quantize(model, within_converter=False), expected)
