"""Trainings with pruning, in a process of their own: `python pruned_training.py tfmot|refquant FOLDER CASE...`.

The model, its first weights and the batches are the same for both; the backend is KERAS_BACKEND's. What it writes
of each case: after each batch the masks, thresholds and kernels; at the end the weights of the stripped model and its
prediction.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

CASES: dict[str, dict[str, Any]] = {
    "polynomial": {"schedule": ("PolynomialDecay", (0.2, 0.8, 2, 12), {"frequency": 3}), "optimizer": "SGD"},
    "adam": {"schedule": ("PolynomialDecay", (0.0, 0.7, 0, 10), {"frequency": 1}), "optimizer": "Adam"},
    "constant": {"schedule": ("ConstantSparsity", (0.5, 3, 9, 2), {}), "optimizer": "SGD"},
    "blocks": {
        "schedule": ("ConstantSparsity", (0.5, 0), {"frequency": 2}),
        "optimizer": "SGD",
        "options": {"block_size": (3, 2)},
    },
    "largest": {
        "schedule": ("ConstantSparsity", (0.6, 0), {"frequency": 2}),
        "optimizer": "SGD",
        "options": {"block_size": (2, 2), "block_pooling_type": "MAX"},
    },
    "two-of-four": {
        "schedule": ("ConstantSparsity", (0.5, 0), {}),
        "optimizer": "SGD",
        "options": {"sparsity_m_by_n": (2, 4)},
    },
}


def main(who: str, folder: str, *cases: str) -> None:
    """Trains each case, and writes FOLDER/CASE.npz."""
    if who == "tfmot":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow_model_optimization
        import tf_keras as keras

        pruning = tensorflow_model_optimization.sparsity.keras
    else:
        import keras

        from refquant.compression import pruning
    for case in cases:
        np.savez(f"{folder}/{case}.npz", **_train(keras, pruning, CASES[case]))


def _train(keras: Any, pruning: Any, settings: dict[str, Any]) -> dict[str, Any]:
    options = settings.get("options", {})
    name, arguments, named = settings["schedule"]
    model = _model(keras, dense="block_size" in options)
    pruned = pruning.prune_low_magnitude(model, getattr(pruning, name)(*arguments, **named), **options)
    random = np.random.default_rng(5)
    x = random.normal(size=(48, 6, 6, 2)).astype(np.float32)
    y = random.integers(0, 3, 48)
    pruned.compile(getattr(keras.optimizers, settings["optimizer"])(0.05), "sparse_categorical_crossentropy")
    history: dict[str, Any] = {}

    class Record(keras.callbacks.Callback):
        """Keeps what each batch leaves."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
            step = len({key.split("/")[0] for key in history})
            for place, layer in enumerate(_wrapped(self.model)):
                for kind, variable in zip(("kernel", "mask", "threshold"), layer.pruning_vars[0]):
                    history[f"{step}/{kind}/{place}"] = np.array(_numpy(variable))

    pruned.fit(
        x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[pruning.UpdatePruningStep(), Record()]
    )
    stripped = pruning.strip_pruning(pruned)
    for place, weight in enumerate(stripped.get_weights()):
        history[f"end/{place}"] = weight
    history["end/prediction"] = stripped.predict(x[:8], verbose=0)
    return history


def _model(keras: Any, dense: bool) -> Any:
    layers = keras.layers
    middle = [layers.Flatten(), layers.Dense(13, "relu"), layers.Dense(3, "softmax")]
    first = [] if dense else [layers.Conv2D(5, 3, activation="relu"), layers.ReLU()]
    model = keras.Sequential([keras.Input((6, 6, 2)), *first, *middle])
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def _wrapped(model: Any) -> list[Any]:
    return [layer for layer in model.layers if getattr(layer, "pruning_vars", None)]


def _numpy(variable: Any) -> Any:
    value = getattr(variable, "value", variable)
    value = value() if callable(value) else value
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
