"""Keras networks, small but of every kind, and what the whole TFLiteConverter makes of them in every mode.

    net = NETWORKS["residual"]
    converted = convert(quantizer, net, trained=True)
    converted.float_model, converted.samples, converted.by_mode["int8"]

Weights are those of Keras's initializers, or of a few steps of training on noise, from a fixed seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refquant.errors import RefquantError
from refquant.runtimes import Quantizer

Array = np.ndarray[Any, Any]

_INT8 = ["TFLITE_BUILTINS_INT8"]
_INT16X8 = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"

#: settings of TFLiteConverter; those whose name has an integer type need samples
MODES: dict[str, dict[str, Any]] = {
    "float": {},
    "dynamic range": {"optimizations": ["DEFAULT"]},
    "float16": {"optimizations": ["DEFAULT"], "supported_types": ["float16"]},
    "int8, fallback to float": {"optimizations": ["DEFAULT"]},
    "int8, float in and out": {"optimizations": ["DEFAULT"], "supported_ops": _INT8},
    "int8": {
        "optimizations": ["DEFAULT"],
        "supported_ops": _INT8,
        "inference_input_type": "int8",
        "inference_output_type": "int8",
    },
    "uint8": {
        "optimizations": ["DEFAULT"],
        "supported_ops": _INT8,
        "inference_input_type": "uint8",
        "inference_output_type": "uint8",
    },
    "int8, per tensor": {"optimizations": ["DEFAULT"], "_experimental_disable_per_channel": True},
    "int16x8": {"optimizations": ["DEFAULT"], "supported_ops": [_INT16X8]},
    "int16x8, fallback to float": {"optimizations": ["DEFAULT"], "supported_ops": [_INT16X8, "TFLITE_BUILTINS"]},
    "calibrated": {"optimizations": ["DEFAULT"], "_experimental_calibrate_only": True},
}


@dataclass(frozen=True)
class Network:
    """How to build a network, and the shape of its input without the batch."""

    shape: tuple[int, ...]
    layers: Callable[[Any], Sequence[Any]]
    batch: int = 1
    integers: int = 0  # inputs are whole numbers below this, if any


@dataclass(frozen=True)
class Converted:
    """The float model, the samples of calibration, and for each mode the quantized model, or why there is none."""

    float_model: bytes
    samples: list[list[Array]]
    by_mode: dict[str, bytes | RefquantError]


@dataclass(frozen=True)
class FusedLSTM:
    """An LSTM that the converter turns into UNIDIRECTIONAL_SEQUENCE_LSTM, and a dense layer.

    The converter looks for a function with the attributes that the LSTM of Keras 2 had; Keras 3 gives it a loop.
    """

    shape: tuple[int, ...]
    cells: int
    sequences: bool
    batch: int = 1
    integers: int = 0


class _Residual:
    """A block whose input is added to what its layers make of it."""

    def __init__(self, layers: Any, depth: int) -> None:
        self.convolutions = [layers.Conv2D(depth, 3, padding="same", use_bias=False) for _ in range(2)]
        self.normalizations = [layers.BatchNormalization() for _ in range(2)]
        self.relu, self.add, self.last = layers.ReLU(), layers.Add(), layers.ReLU()

    def __call__(self, x: Any) -> Any:
        y = self.relu(self.normalizations[0](self.convolutions[0](x)))
        return self.last(self.add([x, self.normalizations[1](self.convolutions[1](y))]))


class _Inverted:
    """MobileNetV2's block: expansion, depthwise convolution, projection, with the input added where it fits."""

    def __init__(self, layers: Any, depth: int, stride: int) -> None:
        self.layers, self.depth, self.stride = layers, depth, stride

    def __call__(self, x: Any) -> Any:
        y = self.layers.Conv2D(x.shape[-1] * 4, 1, use_bias=False)(x)
        y = self.layers.ReLU(6.0)(self.layers.BatchNormalization()(y))
        y = self.layers.DepthwiseConv2D(3, self.stride, padding="same", use_bias=False)(y)
        y = self.layers.ReLU(6.0)(self.layers.BatchNormalization()(y))
        y = self.layers.BatchNormalization()(self.layers.Conv2D(self.depth, 1, use_bias=False)(y))
        return self.layers.Add()([x, y]) if self.stride == 1 and x.shape[-1] == self.depth else y


class _Attention:
    """A block of a transformer."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        y = self.layers.MultiHeadAttention(num_heads=2, key_dim=8)(x, x)
        x = self.layers.LayerNormalization()(self.layers.Add()([x, y]))
        y = self.layers.Dense(x.shape[-1])(self.layers.Dense(32, activation="gelu")(x))
        return self.layers.LayerNormalization()(self.layers.Add()([x, y]))


class _Inception:
    """Branches that are joined."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        branches = [
            self.layers.Conv2D(4, 1, activation="relu")(x),
            self.layers.Conv2D(6, 3, padding="same", activation="relu")(x),
            self.layers.MaxPool2D(3, 1, padding="same")(x),
        ]
        return self.layers.Concatenate()(branches)


class _Gate:
    """Squeeze and excitation: channels multiplied by what is computed of their means."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        y = self.layers.GlobalAveragePooling2D(keepdims=True)(x)
        y = self.layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(self.layers.Conv2D(4, 1, activation="swish")(y))
        return self.layers.Multiply()([x, y])


NETWORKS: dict[str, Network | FusedLSTM] = {
    "dense": Network((17,), lambda k: [k.Dense(80, "relu"), k.Dense(16, "tanh"), k.Dense(5, "softmax")]),
    "dense, batch of 4": Network((17,), lambda k: [k.Dense(33, "sigmoid"), k.Dense(5)], batch=4),
    "autoencoder": Network(
        (64,), lambda k: [k.Dense(32, "relu"), k.Dense(4, "relu"), k.Dense(32, "relu"), k.Dense(64)]
    ),
    "activations": Network(
        (12,),
        lambda k: [k.Dense(12, name) for name in ("gelu", "swish", "elu", "leaky_relu", "relu6", "softplus", "tanh")],
    ),
    "convolutions": Network(
        (16, 15, 3),
        lambda k: [
            k.Conv2D(8, 3, padding="same", use_bias=False),
            k.BatchNormalization(),
            k.ReLU(6.0),
            k.MaxPool2D(2),
            k.Conv2D(12, (3, 2), strides=2),
            k.BatchNormalization(),
            k.ReLU(),
            k.GlobalAveragePooling2D(),
            k.Dense(3, "softmax"),
        ],
    ),
    "depthwise separable": Network(
        (16, 16, 8),
        lambda k: [
            k.DepthwiseConv2D(3, depth_multiplier=2, strides=2),
            k.BatchNormalization(),
            k.ReLU(6.0),
            k.SeparableConv2D(24, 3, padding="same"),
            k.PReLU(shared_axes=[1, 2]),
            k.AveragePooling2D(2),
            k.Flatten(),
            k.Dense(10),
        ],
    ),
    "residual": Network(
        (12, 12, 3),
        lambda k: [
            k.Conv2D(16, 3, strides=2),
            _Residual(k, 16),
            _Residual(k, 16),
            k.GlobalAveragePooling2D(),
            k.Dense(4),
        ],
    ),
    "inverted residual": Network(
        (16, 16, 3),
        lambda k: [
            k.Conv2D(8, 3, strides=2, padding="same"),
            _Inverted(k, 8, 1),
            _Inverted(k, 16, 2),
            k.GlobalAveragePooling2D(),
            k.Dense(4, "softmax"),
        ],
    ),
    "inception": Network((9, 9, 3), lambda k: [_Inception(k), _Inception(k), k.GlobalMaxPooling2D(), k.Dense(4)]),
    "squeeze and excitation": Network((8, 8, 6), lambda k: [_Gate(k), k.Conv2D(8, 3, activation="hard_sigmoid")]),
    "dilations and groups": Network(
        (14, 14, 8),
        lambda k: [k.Conv2D(8, 3, dilation_rate=2, padding="same"), k.Conv2D(8, 3, groups=4), k.LeakyReLU(0.1)],
    ),
    "transposed": Network(
        (6, 7, 4),
        lambda k: [
            k.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu"),
            k.UpSampling2D(2),
            k.UpSampling2D(2, interpolation="bilinear"),
            k.ZeroPadding2D(1),
            k.Conv2D(2, 3, activation="sigmoid"),
        ],
    ),
    "one dimension": Network(
        (32, 4),
        lambda k: [
            k.Conv1D(8, 5, padding="causal", activation="relu"),
            k.MaxPool1D(2),
            k.Conv1D(8, 3, strides=2),
            k.BatchNormalization(),
            k.GlobalAveragePooling1D(),
            k.Dense(2),
        ],
    ),
    "shapes": Network(
        (4, 6, 2),
        lambda k: [
            k.Permute((2, 1, 3)),
            k.Reshape((12, 4)),
            k.Cropping1D(1),
            k.ZeroPadding1D(2),
            k.Dense(6),
            k.Flatten(),
        ],
    ),
    "embedding": Network(
        (8,), lambda k: [k.Embedding(100, 16), k.GlobalAveragePooling1D(), k.Dense(3, "softmax")], integers=100
    ),
    "attention": Network((10, 16), lambda k: [_Attention(k), k.GlobalAveragePooling1D(), k.Dense(3, "softmax")]),
    "normalizations": Network(
        (8, 12), lambda k: [k.LayerNormalization(), k.Dense(12), k.UnitNormalization(), k.GroupNormalization(4)]
    ),
    "LSTM": Network((9, 5), lambda k: [k.LSTM(7, return_sequences=True), k.LSTM(4), k.Dense(2)]),
    "LSTM, fused": FusedLSTM((9, 5), 7, sequences=False),
    "LSTM, fused, large": FusedLSTM((6, 40), 32, sequences=True, batch=2),
    "LSTM, unrolled": Network((4, 5), lambda k: [k.LSTM(7, unroll=True), k.Dense(2)]),
    "GRU": Network((9, 5), lambda k: [k.GRU(7, return_sequences=True), k.GRU(4, reset_after=False), k.Dense(2)]),
    "GRU, unrolled": Network((4, 5), lambda k: [k.GRU(7, unroll=True), k.Dense(2)]),
    "RNN": Network((9, 5), lambda k: [k.SimpleRNN(7), k.Dense(2)]),
    "LSTM in both directions": Network((6, 5), lambda k: [k.Bidirectional(k.LSTM(6)), k.Dense(2)]),
}


def build(network: Network, trained: bool = False, seed: int = 0) -> Any:
    """The Keras model. Statistics of batch normalization are none of the trivial ones."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x = start = keras.Input(batch_shape=(network.batch, *network.shape))
    for layer in network.layers(keras.layers):
        x = layer(x)
    model = keras.Model(start, x)
    for weight in model.weights:
        if "moving_mean" in weight.path:
            weight.assign(rng.standard_normal(weight.shape) * 0.2)
        elif "moving_variance" in weight.path:
            weight.assign(rng.uniform(0.3, 2, weight.shape))
    if trained:
        steps = 6
        inputs = np.concatenate([_numbers(network, rng) for _ in range(steps)])
        targets = rng.standard_normal((len(inputs), *x.shape[1:])).astype(np.float32)
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
        model.fit(inputs, targets, batch_size=network.batch, epochs=2, verbose=0, shuffle=False)
    return model


def save(network: Network | FusedLSTM, folder: Path, trained: bool = False, seed: int = 0) -> Path:
    """The network as a file or folder that `Quantizer.convert` takes. A fused LSTM is never trained."""
    if isinstance(network, FusedLSTM):
        return _save_fused_lstm(network, folder, seed)
    path = folder / "model.keras"
    build(network, trained, seed).save(path)
    return path


def _save_fused_lstm(network: FusedLSTM, folder: Path, seed: int) -> Path:
    import tensorflow as tf

    attributes = {"api_implements": "lstm_1", "api_preferred_device": "CPU", "time_major": False, "go_backwards": False}

    @tf.function(autograph=False, experimental_attributes=attributes)
    def lstm(x: Any, hidden: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        outputs = []
        for step in range(x.shape[1]):
            i, f, g, o = tf.split(x[:, step] @ kernel + hidden @ recurrent + bias, 4, axis=1)
            cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(g)
            hidden = tf.sigmoid(o) * tf.tanh(cell)
            outputs.append(hidden)
        return hidden, tf.stack(outputs, axis=1), hidden, cell, tf.constant(0.0)

    rng = np.random.default_rng(seed)
    features, cells = network.shape[-1], network.cells
    shapes = [(features, 4 * cells), (cells, 4 * cells), (4 * cells,), (cells, 3)]
    module = tf.Module()
    module.weights = [tf.Variable((rng.standard_normal(shape) * 0.4).astype(np.float32)) for shape in shapes]

    @tf.function(input_signature=[tf.TensorSpec((network.batch, *network.shape), tf.float32)])
    def call(x: Any) -> Any:
        states = [tf.zeros((network.batch, cells)) for _ in range(2)]
        *weights, dense = [weight.read_value() for weight in module.weights]
        last, outputs, *_ = lstm(x, *states, *weights)
        return (outputs if network.sequences else last) @ dense

    module.call = call
    tf.saved_model.save(module, str(folder), signatures=call.get_concrete_function())
    return folder


def samples_for(network: Network | FusedLSTM, count: int = 6, seed: int = 3) -> list[list[Array]]:
    """Samples for calibration."""
    rng = np.random.default_rng(seed)
    return [[_numbers(network, rng)] for _ in range(count)]


def _numbers(network: Network | FusedLSTM, rng: np.random.Generator) -> Array:
    shape = (network.batch, *network.shape)
    if network.integers:
        return rng.integers(0, network.integers, shape).astype(np.float32)
    return rng.standard_normal(shape).astype(np.float32)


def convert(
    quantizer: Quantizer,
    network: Network | FusedLSTM,
    *,
    trained: bool = False,
    modes: Sequence[str] = tuple(MODES),
    settings_of: Mapping[str, dict[str, Any]] = MODES,
) -> Converted:
    """What the whole TFLiteConverter makes of a network in these modes; nothing stays on the disk."""
    (converted,) = convert_again(quantizer, network, 1, trained=trained, modes=modes, settings_of=settings_of)
    return converted


def convert_again(
    quantizer: Quantizer,
    network: Network | FusedLSTM,
    times: int,
    *,
    trained: bool,
    modes: Sequence[str],
    settings_of: Mapping[str, dict[str, Any]] = MODES,
) -> list[Converted]:
    """The same several times, of one and the same network: where operators of several results take part, files differ."""
    samples = samples_for(network)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = save(network, Path(folder), trained)
        float_model = quantizer.convert(path)
        for _ in range(times):
            by_mode: dict[str, bytes | RefquantError] = {}
            for mode in modes:
                needs_samples = "int" in mode or mode == "calibrated"
                try:
                    by_mode[mode] = quantizer.convert(path, samples if needs_samples else None, **settings_of[mode])
                except RefquantError as error:
                    by_mode[mode] = error
            results.append(Converted(float_model, samples, by_mode))
    return results
