"""Dynamic-range quantization against the whole converter, and against its passes on files of random graphs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refquant.errors import RuntimeDiedError, RuntimeFailedError
from refquant.quantization import dynamic_range
from refquant.quantization.buffers import deduplicate_buffers
from refquant.runtimes import Quantizer, Runtime
from refquant.testing.float_graphs import FloatCase, float_models
from refquant.testing.same_model import differences
from refquant.tflite.conversion_metadata import OptimizationMode, conversion_metadata, with_conversion_metadata
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.conftest import EXAMPLES
from tests.oracle.keras_models import samples_for, save
from tests.oracle.large_networks import LARGE_NETWORKS

pytestmark = pytest.mark.oracle

#: by what the converter calls its settings, what we call them
SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"_experimental_disable_per_channel": True}, {"per_channel": False}),
    ({"_experimental_disable_per_channel_quantization_for_dense_layers": True}, {"per_channel_dense": False}),
]


def as_converted(float_model: Model, quantized: Model, mode: OptimizationMode) -> Model:
    """The quantized model as the converter hands it out."""
    metadata = conversion_metadata(float_model)
    assert metadata is not None
    return with_conversion_metadata(deduplicate_buffers(quantized), metadata, [mode])


@pytest.mark.parametrize("name", LARGE_NETWORKS)
def test_networks(quantizer: Quantizer, optimized: Runtime, name: str) -> None:
    """The file that the whole converter makes, byte for byte but for its layout; and what it computes."""
    pytest.importorskip("keras")
    network = LARGE_NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = save(network, Path(folder))
        float_model = Model.read(quantizer.convert(path))
        for theirs, ours in SETTINGS if name.startswith("dense") else SETTINGS[:1]:
            expected = quantizer.convert(path, optimizations=["DEFAULT"], **theirs)
            quantized = dynamic_range.quantize(float_model, **ours)
            actual = as_converted(float_model, quantized, OptimizationMode.PTQ_DYNAMIC_RANGE)
            assert not differences(actual, expected)
    types = {tensor.type for subgraph in actual.subgraphs for tensor in subgraph.tensors or ()}
    assert (TensorType.INT8 in types) == ("too small" not in name)
    for sample in samples_for(network, 2):
        outputs = zip(optimized.run(actual, sample), optimized.run(expected, sample), strict=True)
        assert all(our.tobytes() == their.tobytes() for our, their in outputs)


@settings(max_examples=3 * EXAMPLES, suppress_health_check=list(HealthCheck))
@given(float_models(), st.sampled_from([1, 8, 1024]), st.booleans())
def test_random_graphs(quantizer: Quantizer, case: FloatCase, minimum: int, per_channel: bool) -> None:
    """The converter's passes on any file, whatever the size of weights."""
    try:
        expected = quantizer.quantize_weights(case.model, minimum_elements=minimum, disable_per_channel=not per_channel)
    except (RuntimeFailedError, RuntimeDiedError):
        return
    actual = dynamic_range.quantize(
        case.model, minimum_elements=minimum, per_channel=per_channel, within_converter=False
    )
    assert not differences(actual, expected)


def test_denied_operators(quantizer: Quantizer) -> None:
    """For a model of one operator the same as quantizing weights only."""
    with tempfile.TemporaryDirectory() as folder:
        model = Model.read(quantizer.convert(save(LARGE_NETWORKS["dense"], Path(folder))))
    expected = quantizer.quantize_weights(model, weight_only=True)
    actual = dynamic_range.quantize(model, denied_operators=["FULLY_CONNECTED"], within_converter=False)
    assert not differences(actual, expected)
    names = [actual.operator_name(operator) for operator in actual.subgraphs[0].operators or ()]
    assert names.count("DEQUANTIZE") == 2


def test_model_stays_as_it_was(quantizer: Quantizer) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = quantizer.convert(save(LARGE_NETWORKS["dense"], Path(folder)))
    model = Model.read(content)
    dynamic_range.quantize(model)
    assert not differences(model, content)
    assert np.array_equal(model.root.subgraphs[0].inputs, Model.read(content).subgraphs[0].inputs)  # type: ignore[index]
