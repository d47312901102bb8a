"""The whole converter beside TensorFlow's: Keras networks to files, in every mode, byte for byte.

TensorFlow converts each network to float and to every mode; ours is given the float file and the same samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.runtimes import Quantizer, Runtime
from refquant.testing.same_model import compare_models
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.oracle import keras_models
from tests.oracle.keras_models import NETWORKS, Converted, convert

pytestmark = pytest.mark.oracle

NAMES = ("dense", "depthwise separable", "LSTM, fused")

#: the modes of the benchmark, and more
MODES = {
    **{name: settings for name, settings in keras_models.MODES.items() if name != "float"},
    "int8, older quantizer": {"optimizations": ["DEFAULT"], "experimental_new_quantizer": False},
    "int8 by its type": {"optimizations": ["DEFAULT"], "supported_types": ["int8"]},
    "int8, dense per tensor": {
        "optimizations": ["DEFAULT"],
        "_experimental_disable_per_channel_quantization_for_dense_layers": True,
    },
    "int16x8, bias of int32": {
        **keras_models.MODES["int16x8"],
        "_experimental_full_integer_quantization_bias_type": "int32",
    },
}

INT8 = [mode for mode in MODES if "int8" in mode]

#: where TensorFlow refuses, and so does refquant; the operator that has no form on int16
REFUSED = {
    (name, mode): operator
    for name, operator in (("LSTM, fused", "LSTM"), ("depthwise separable", "PRELU"))
    for mode in ("int16x8", "int16x8, bias of int32")
}


@pytest.fixture(scope="session")
def networks(quantizer: Quantizer) -> dict[str, Converted]:
    """The networks and what TensorFlow's converter makes of them, in a process of its own."""
    pytest.importorskip("keras", reason="keras is not installed: python -m pip install 'refquant[test]'")
    return {name: convert(quantizer, NETWORKS[name], modes=list(MODES), settings_of=MODES) for name in NAMES}


def needs_samples(mode: str) -> bool:
    return "int" in mode or mode == "calibrated"


def ours(converted: Converted, mode: str) -> bytes:
    """What refquant makes of the float file with the settings of a mode."""
    converter = rq.Converter.from_tflite(converted.float_model)
    for name, value in MODES[mode].items():
        if name == "optimizations":
            value = [rq.Optimize[entry] for entry in value]
        elif name == "supported_ops":
            value = [rq.OpsSet[entry] for entry in value]
        owner: Any = converter.target_spec if name.startswith("supported_") else converter
        assert hasattr(owner, name)
        setattr(owner, name, value)
    if needs_samples(mode):
        converter.representative_dataset = lambda: iter(converted.samples)
    return converter.convert()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_files(networks: dict[str, Converted], name: str, mode: str) -> None:
    theirs = networks[name].by_mode[mode]
    if (name, mode) in REFUSED:
        assert isinstance(theirs, rq.RefquantError) and REFUSED[name, mode] in str(theirs)
        with pytest.raises(rq.UnsupportedOperatorError, match=REFUSED[name, mode]):
            ours(networks[name], mode)
        return
    assert isinstance(theirs, bytes)
    made = ours(networks[name], mode)
    comparison = compare_models(made, theirs)
    assert comparison.differences == []
    assert comparison.equal_tensors == comparison.tensors > 0
    assert len(made) == len(theirs)
    assert comparison.same_bytes or (has_unread_buffers(theirs) and mode in INT8)


def has_unread_buffers(content: bytes) -> bool:
    """Whether nobody refers to some of the data: the first states of a fused LSTM, which are zero without them.

    What TensorFlow has in there is not the same from one conversion of a process to the next.
    """
    model = Model.read(content)
    read = {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors or ()}
    read |= {entry.buffer for entry in model.root.metadata or ()}
    buffers = model.root.buffers or []
    return any(buffer.data is not None and number not in read for number, buffer in enumerate(buffers))


@pytest.mark.parametrize("name", NAMES)
def test_the_float_file_comes_back(networks: dict[str, Converted], name: str) -> None:
    assert rq.Converter.from_tflite(networks[name].float_model).convert() == networks[name].float_model


@pytest.mark.parametrize("mode", INT8)
@pytest.mark.parametrize("name", NAMES)
def test_results_of_int8(optimized: Runtime, networks: dict[str, Converted], name: str, mode: str) -> None:
    """The real interpreter gives the same results with our file as with TensorFlow's, which says so to the bit."""
    theirs, made = networks[name].by_mode[mode], ours(networks[name], mode)
    assert isinstance(theirs, bytes)
    for inputs in random_inputs(Model.read(theirs), 3):
        (expected,), (found,) = optimized.run(theirs, inputs), optimized.run(made, inputs)
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
        assert np.unique(expected).size > 1


def random_inputs(model: Model, count: int) -> list[list[np.ndarray[Any, Any]]]:
    """Numbers for the inputs of a model: a normal distribution, or all that an integer type has."""
    rng = np.random.default_rng(7)
    subgraph = model.subgraphs[0]
    assert subgraph.inputs is not None and subgraph.tensors is not None
    tensors = [subgraph.tensors[index] for index in subgraph.inputs]

    def numbers(tensor: Any) -> np.ndarray[Any, Any]:
        if tensor.type == TensorType.FLOAT32:
            return rng.standard_normal(tensor.shape).astype(np.float32)
        kind = np.dtype(TensorType(tensor.type).name.lower())
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, tensor.shape, dtype=kind, endpoint=True)

    return [[numbers(tensor) for tensor in tensors] for _ in range(count)]
