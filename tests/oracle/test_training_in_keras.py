"""Keras 3 models wrapped for pruning: what is refused, saved, loaded and stripped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.compression import pruning
from refquant.errors import InvalidInputError
from refquant.runtimes import is_installed

pytestmark = pytest.mark.oracle

if not is_installed("tensorflow"):
    pytest.skip("tensorflow is not installed: python -m pip install 'refquant[runtimes]'", allow_module_level=True)

keras = pytest.importorskip("keras")
layers = keras.layers
X = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)
Y = np.zeros(16, np.float32)


def small() -> Any:
    inputs = keras.Input((5,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu"), layers.BatchNormalization()])
    return keras.Model(inputs, layers.Dense(1)(inner(layers.Dense(4)(inputs)) + layers.Dense(4)(inputs)))


def fit(model: Any, **options: Any) -> None:
    model.compile("sgd", "mse", steps_per_execution=options.pop("steps_per_execution", 1))
    model.fit(X, Y, batch_size=4, verbose=0, **options)


def test_nested_models_are_pruned_and_stripped() -> None:
    model = small()
    pruned = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    fit(pruned, callbacks=[pruning.UpdatePruningStep()])
    stripped = pruning.strip_pruning(pruned)
    assert stripped.count_params() == model.count_params()
    kernels = [w for w in stripped.get_weights() if w.ndim == 2]
    assert len(kernels) == 4 and all((k == 0).mean() == 0.5 for k in kernels)
    np.testing.assert_array_equal(stripped.predict(X, verbose=0), pruned.predict(X, verbose=0))


def test_saved_and_loaded(tmp_path: Path) -> None:
    pruned = pruning.prune_low_magnitude(small(), pruning.PolynomialDecay(0.1, 0.5, 0, 4, frequency=1))
    fit(pruned, callbacks=[pruning.UpdatePruningStep()])
    pruned.save(tmp_path / "model.keras")
    with pruning.prune_scope():
        loaded = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(pruned.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    fit(loaded, callbacks=[pruning.UpdatePruningStep()])
    steps = {int(w.numpy()) for w in loaded.weights if "pruning_step" in w.path}
    assert steps == {8}  # four batches before it was saved, four after


def test_without_the_callback_training_is_refused() -> None:
    pruned = pruning.prune_low_magnitude(small())
    with pytest.raises(InvalidInputError, match="UpdatePruningStep"):
        fit(pruned)
    fit(pruned, callbacks=[pruning.UpdatePruningStep()])
    with pytest.raises(InvalidInputError, match="UpdatePruningStep"):
        pruned.fit(X, Y, verbose=0)
    with pytest.raises(InvalidInputError, match="steps_per_execution=1"):
        fit(pruned, steps_per_execution=2, callbacks=[pruning.UpdatePruningStep()])


def test_summaries(tmp_path: Path) -> None:
    pruned = pruning.prune_low_magnitude(small())
    fit(pruned, callbacks=[pruning.UpdatePruningStep(), pruning.PruningSummaries(str(tmp_path))])
    content = b"".join(path.read_bytes() for path in (tmp_path / "metrics").iterdir())
    assert b"mask_0/sparsity" in content and b"threshold_0/threshold" in content


def test_recurrent_and_own_layers() -> None:
    class Own(layers.Layer, pruning.PrunableLayer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight(shape=(input_shape[-1], 2))

        def call(self, inputs: Any) -> Any:
            return keras.ops.matmul(inputs, self.table)

        def get_prunable_weights(self) -> list[Any]:
            return [self.table]

    model = keras.Sequential(
        [keras.Input((4,)), layers.Embedding(10, 6), layers.LSTM(5), layers.Reshape((5, 1)), layers.GRU(3), Own()]
    )
    pruned = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    pruned.compile("sgd", "mse")
    tokens = np.random.default_rng(0).integers(0, 10, (8, 4))
    pruned.fit(tokens, np.zeros((8, 2)), verbose=0, callbacks=[pruning.UpdatePruningStep()])
    counts = [len(layer.pruning_vars) for layer in pruned.layers]
    assert counts == [1, 2, 0, 2, 1]
    assert all(
        (np.asarray(kernel) == 0).mean() >= 0.45 for layer in pruned.layers for kernel, _, _ in layer.pruning_vars
    )


def test_the_policy_of_xnnpack() -> None:
    def network(pads: bool, pools: bool) -> Any:
        inputs = keras.Input((17, 17, 3))
        x = layers.ZeroPadding2D(1)(inputs) if pads else inputs
        x = layers.Conv2D(8, 3, strides=2)(x)
        x = layers.Conv2D(8, 1, activation=None)(layers.ReLU(6)(layers.BatchNormalization()(x)))
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        return keras.Model(inputs, layers.GlobalAveragePooling2D(keepdims=True)(x) if pools else x)

    policy = pruning.PruneForLatencyOnXNNPack()
    pruned = pruning.prune_low_magnitude(network(True, True), pruning_policy=policy)
    assert [type(layer.layer).__name__ for layer in pruned.layers if hasattr(layer, "pruning_vars")] == ["Conv2D"]
    with pytest.raises(InvalidInputError, match="begins with a Conv2D of 3x3"):
        pruning.prune_low_magnitude(network(False, True), pruning_policy=policy)
    with pytest.raises(InvalidInputError, match="ends with a GlobalAveragePooling2D"):
        pruning.prune_low_magnitude(network(True, False), pruning_policy=policy)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda: pruning.prune_low_magnitude(3), "must be a Keras 3 model"),
        (lambda: pruning.prune_low_magnitude(layers.Dense(3), "half"), "must be a PruningSchedule"),
        (lambda: pruning.prune_low_magnitude(layers.EinsumDense("ab,bc->ac", 3)), "EinsumDense is not known"),
        (lambda: pruning.prune_low_magnitude(layers.Dense(3), block_size=(2, 2, 2)), "block_size must be"),
        (lambda: pruning.strip_pruning(layers.Dense(3)), "must be a Keras 3 model"),
        (lambda: pruning.PruningSummaries(""), "log_dir"),
        (lambda: pruning.prune_low_magnitude(small(), block_size=(9, 9)), "larger than shape"),
    ],
)
def test_refused(what: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        what()


def test_lists_and_layers() -> None:
    first, second = pruning.prune_low_magnitude([layers.Dense(3), layers.ReLU()])
    assert isinstance(first, pruning.PruneLowMagnitude) and isinstance(second, pruning.PruneLowMagnitude)
    again = pruning.prune_low_magnitude([first])
    assert again == [first]


def test_attention() -> None:
    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 3)(inputs, inputs))
    pruned = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    pruned.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4, 6))
    pruned.fit(x, x, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    stripped = pruning.strip_pruning(pruned)
    assert [(w == 0).mean() for w in stripped.get_weights() if w.ndim == 3] == [0.5] * 4
