"""Clustered models against tfmot's clustering of the same kernels, and in the real interpreters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import refquant as rq
from refquant import data
from refquant.audit.compress import compress
from refquant.compression.clustering import CentroidInitialization, cluster_model
from refquant.compression.weights import find_weights
from refquant.runtimes import ModelOptimization, Runtime
from refquant.tflite.model import Model

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("init", CentroidInitialization)
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_of_tfmot(
    model_optimization: ModelOptimization, init: CentroidInitialization, per_channel: bool
) -> None:
    digits = Model.read(data.DIGITS_FLOAT)
    model = cluster_model(digits, 5, init, cluster_per_channel=per_channel, seed=SEEDS.get(init)).model
    for before, after in zip(find_weights(digits)[0], find_weights(model)[0], strict=True):
        kernel = np.ascontiguousarray(before.to_keras(before.array))
        channels = "channels_last" if per_channel and before.operator == "CONV_2D" else None
        clustered, _, _ = model_optimization.cluster(kernel, 5, init.name, False, channels, SEEDS.get(init))
        assert after.to_keras(after.array).tobytes() == clustered.tobytes(), before.name


SEEDS = {CentroidInitialization.RANDOM: 7}


@pytest.mark.parametrize("mode", [None, "int8"])
@pytest.mark.parametrize("runtime", ["reference", "micro"])
def test_in_the_real_interpreters(runtime: str, mode: str | None, request: pytest.FixtureRequest) -> None:
    """Pruned, clustered and quantized: the bits of the reference kernels and of TFLite Micro."""
    real: Runtime = request.getfixturevalue(runtime)
    samples = {name: array[:20] for name, array in np.load(data.DIGITS_SAMPLES).items()}
    content = compress(data.DIGITS_FLOAT, sparsity=0.7, number_of_clusters=16, mode=mode, samples=samples)[-1].content
    ours = _outputs(content, "micro" if runtime == "micro" else "reference")
    for image in samples["image"][:5]:
        (theirs,) = real.run(content, [image[None]])
        assert ours(image[None]).tobytes() == theirs.tobytes()


def _outputs(content: bytes, kernels: str) -> Callable[[np.ndarray], np.ndarray]:
    interpreter = rq.Interpreter(model_content=content, kernels=kernels)
    interpreter.allocate_tensors()

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run
