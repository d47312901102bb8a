"""Models without whole filters, in the real interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from refquant import Interpreter
from refquant.compression.pruning import FilterPruned, prune_filters
from refquant.compression.pruning.channels import Channels
from refquant.compression.weights import replace_constants
from refquant.runtimes import Runtime
from refquant.tflite.model import Model
from tests.compression.channel_graphs import Network, networks
from tests.compression.test_filters import pruned, sample
from tests.oracle.test_models import FACES, assert_every_tensor, inputs_of, model_files

pytestmark = pytest.mark.oracle

#: models whose filters go, and the share of the bytes that is left without a quarter of them
SIZES = {
    "ad01_fp32": 0.69,
    "ad01_int8": 0.69,
    "deeplabv3_mnv2_dm05_pascal_quant": 0.61,
    "kws_ref_model": 0.75,
    "kws_ref_model_float32": 0.74,
    "mobilenet_v1_0.25_128_quant": 0.67,
    "mobilenet_v2_1.0_224_quant": 0.64,
    "person_detect": 0.66,
    "pretrainedResnet": 0.58,
    "pretrainedResnet_quant": 0.63,
    "face_detection_back": 0.85,
    "face_detection_full_range": 0.75,
    "face_detection_short_range": 0.89,
    "face_landmark": 0.81,
    "iris_landmark": 0.71,
}
#: only TFLite Micro runs it
ONLY_MICRO = {"person_detect"}
FOLDERS = [Path(folder) for folder in (FACES.submodule_search_locations or () if FACES else ())]
MODELS = [
    path
    for path in [*model_files(), *(path for folder in FOLDERS for path in sorted(folder.glob("data/*.tflite")))]
    if path.stem in SIZES
]


@pytest.mark.parametrize("kind", ["float32", "int8", "float16", "hybrid"])
def test_networks(kind: Any, reference: Runtime) -> None:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(networks(kind))
    def compare(network: Network) -> None:
        result = pruned(network, 0.5)
        if result is not None:
            samples = [[sample(network)]]
            interpreter = Interpreter(model=result.model)
            interpreter.allocate_tensors()
            assert_every_tensor(interpreter, samples, reference.run_all_sequence(result.model, samples))

    compare()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_real_models(path: Path, reference: Runtime, micro: Runtime) -> None:
    model = Model.read(path)
    result = prune_filters(model, 0.25)
    content = result.model.tobytes()
    assert len(content) / path.stat().st_size <= SIZES[path.stem]
    only_micro = path.stem in ONLY_MICRO
    kernels = "micro" if only_micro else "reference"
    interpreter = Interpreter(model_content=content, kernels=kernels)
    interpreter.allocate_tensors()
    samples = inputs_of(interpreter.get_input_details(), seed=7)[:1]
    expected = (micro if only_micro else reference).run_all_sequence(Model.read(content), samples)
    assert_every_tensor(interpreter, samples, expected)
    if path.stem != "kws_ref_model_float32":  # its kernels scale their input by all its channels
        whole = Interpreter(model=without_readers(model, result), kernels=kernels)
        whole.allocate_tensors()
        for detail, array in zip(whole.get_input_details(), samples[0], strict=True):
            whole.set_tensor(detail["index"], array)
        whole.invoke()
        for detail in whole.get_output_details():
            assert whole.get_tensor(detail["index"]).tobytes() == expected[0][detail["index"]].tobytes()


def without_readers(model: Model, result: FilterPruned) -> Model:
    """The whole model, in which no weight reads a channel that was removed."""
    channels = Channels(model)
    roots = channels.roots()
    names = {entry.name: entry for entry in result.filters}
    removed = {
        int(roots[producer.ids[i]])
        for producer in channels.producers.values()
        if producer.name in names
        for i in names[producer.name].removed
    }
    arrays = {}
    for weight, producer in channels.producers.items():
        array, quantization = np.array(channels.constant(weight)), channels.tensors[weight].quantization
        for axis, ids in channels.cuts[weight].items():
            if axis != producer.axis:
                zero = 0 if quantization is None or quantization.zero_point is None else quantization.zero_point[0]
                np.moveaxis(array, axis, 0)[np.isin(roots[ids], list(removed))] = zero
        arrays[0, weight] = array
    return replace_constants(model, arrays)
