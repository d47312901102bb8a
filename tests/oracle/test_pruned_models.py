"""Pruned models against tfmot's masks of the same kernels, and in the real interpreter."""

from __future__ import annotations

import numpy as np
import pytest

import refquant as rq
from refquant import data
from refquant.compression.pruning import prune_model
from refquant.compression.weights import find_weights
from refquant.runtimes import ModelOptimization, Runtime
from refquant.tflite.model import Model

pytestmark = pytest.mark.oracle


def test_masks_of_tfmot(model_optimization: ModelOptimization) -> None:
    digits = Model.read(data.DIGITS_FLOAT)
    pruned = {weight.name: weight for weight in find_weights(prune_model(digits, 0.8).model)[0]}
    for weight in find_weights(digits)[0]:
        kernel = np.ascontiguousarray(weight.to_keras(weight.array))
        mask, _ = model_optimization.pruning_mask(kernel, 0.8)
        assert weight.to_keras(pruned[weight.name].array).tobytes() == (kernel * mask).tobytes()


def test_in_the_real_interpreter(reference: Runtime) -> None:
    image = np.load(data.DIGITS_SAMPLES)["image"][:1]
    model = prune_model(Model.read(data.DIGITS_FLOAT), 0.8).model
    interpreter = rq.Interpreter(model_content=model.tobytes())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    for index, theirs in reference.run_all(model, [image]).items():
        assert interpreter.get_tensor(index).tobytes() == theirs.tobytes()
