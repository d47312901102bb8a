"""Prune, cluster, quantize: zeros stay zeros, and a channel has no more values than clusters, in every mode."""

from __future__ import annotations

import numpy as np
import pytest

from refquant import data
from refquant.audit.compress import compress
from refquant.compression.clustering import CentroidInitialization
from refquant.quantization.modes import ModeName
from refquant.tflite.model import Model

SAMPLES = dict(np.load(data.DIGITS_SAMPLES))
CHOSEN = {name: array[:40] for name, array in SAMPLES.items()}


@pytest.mark.parametrize("mode", [mode.value for mode in ModeName])
def test_zeros_and_values(mode: str) -> None:
    steps = compress(
        data.DIGITS_FLOAT,
        sparsity=0.6,
        number_of_clusters=8,
        cluster_centroids_init=CentroidInitialization.LINEAR,
        mode=mode,
        samples=CHOSEN,
    )
    original, pruned, clustered, quantized = steps
    assert pruned.sparsity >= 0.599 and original.sparsity < 0.01
    zeros = {weight.name: weight.zeros for weight in clustered.weights}
    for weight in quantized.weights:
        assert weight.zeros >= zeros[weight.name], weight.name
    assert quantized.clusters <= clustered.clusters == 8
    assert all(step.accuracy is not None and 0 <= step.accuracy <= 1 for step in steps)


def test_new_values_are_told() -> None:
    """int8 has a scale for each channel: one value becomes several integers, and a note says so."""
    *_, quantized = compress(data.DIGITS_FLOAT, number_of_clusters=8, mode="int8", samples=CHOSEN)
    more = [weight.name for weight in quantized.weights if weight.values > 8 and weight.channels > 1]
    noted = [note.split(":")[0] for note in quantized.notes]
    assert noted and set(noted) <= set(more)


def test_the_last_model_is_that_of_the_steps() -> None:
    """By hand: prune_model, cluster_model, and the accuracy counted with an interpreter."""
    from refquant import Interpreter
    from refquant.compression.clustering import cluster_model
    from refquant.compression.pruning import prune_model

    steps = compress(data.DIGITS_FLOAT, sparsity=0.5, number_of_clusters=16, samples=CHOSEN)
    pruned = prune_model(Model.read(data.DIGITS_FLOAT), 0.5).model
    model = cluster_model(pruned, 16, preserve_sparsity=True).model
    assert steps[-1].content == model.tobytes()
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    (images,) = (array for name, array in CHOSEN.items() if name not in ("labels", "y"))
    labels = CHOSEN["labels" if "labels" in CHOSEN else "y"]
    right = 0
    for image, label in zip(images, labels):
        place = interpreter.get_input_details()[0]
        interpreter.set_tensor(place["index"], image.reshape(place["shape"]).astype(np.float32))
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))) == label
    assert steps[-1].accuracy == right / len(labels)
