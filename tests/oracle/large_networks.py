"""Keras networks with weights on either side of the size from which dynamic-range quantization takes them."""

from __future__ import annotations

from typing import Any

from tests.oracle.keras_models import FusedLSTM, Network


class _Twice:
    """A layer that is used twice."""

    def __init__(self, layers: Any, layer: Any) -> None:
        self.layers, self.layer = layers, layer

    def __call__(self, x: Any) -> Any:
        return self.layers.Add()([self.layer(x), self.layer(self.layers.ReLU()(x))])


class _SharedTable:
    """A table whose rows are used as they are and as the input of a dense layer."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        table = self.layers.Embedding(100, 32)
        return self.layers.Concatenate(axis=1)([table(x), self.layers.Dense(32)(table(x))])


class _Attention:
    """Attention and what is added to it."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        y = self.layers.MultiHeadAttention(num_heads=4, key_dim=16)(x, x)
        return self.layers.LayerNormalization()(self.layers.Add()([x, y]))


LARGE_NETWORKS: dict[str, Network | FusedLSTM] = {
    "dense": Network((60,), lambda k: [k.Dense(40, "relu"), k.Dense(40, "tanh"), k.Dense(25, "softmax")]),
    "dense without bias": Network(
        (64,), lambda k: [k.Dense(32, use_bias=False), k.Dense(32, "relu", use_bias=False), k.Dense(33)], batch=2
    ),
    "dense, shared": Network(
        (40,), lambda k: [_Twice(k, k.Dense(40)), _Twice(k, k.Dense(40, use_bias=False)), k.Dense(3)]
    ),
    "convolutions": Network(
        (16, 15, 12),
        lambda k: [
            k.Conv2D(16, 3, padding="same", activation="relu"),
            k.BatchNormalization(),
            k.Conv2D(24, 3, strides=2),
            k.ReLU(6.0),
            k.Flatten(),
            k.Dense(10),
        ],
    ),
    "convolutions, shared": Network(
        (9, 9, 16),
        lambda k: [
            _Twice(k, k.Conv2D(16, 3, padding="same")),
            _Twice(k, k.DepthwiseConv2D(9, padding="same")),
            k.Dense(3),
        ],
    ),
    "depthwise": Network(
        (9, 9, 64),
        lambda k: [
            k.DepthwiseConv2D(5, padding="same"),
            k.BatchNormalization(),
            k.ReLU(),
            k.SeparableConv2D(32, 5, padding="same"),
        ],
    ),
    "dilations and groups": Network(
        (14, 14, 16),
        lambda k: [
            k.Conv2D(16, 3, dilation_rate=2, padding="same"),
            k.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
            k.Conv2D(32, 3, groups=4),
        ],
    ),
    "transposed": Network(
        (6, 7, 16),
        lambda k: [
            k.Conv2DTranspose(16, 3, strides=2, padding="same"),
            k.Conv2DTranspose(12, 4, strides=2, use_bias=False),
            k.ReLU(),
        ],
    ),
    "one dimension": Network(
        (32, 16),
        lambda k: [
            k.Conv1D(16, 5, padding="causal", activation="relu"),
            k.Conv1DTranspose(16, 5, strides=2),
            k.SeparableConv1D(40, 3),
            k.GlobalAveragePooling1D(),
        ],
    ),
    "embedding and LSTM": Network((8,), lambda k: [k.Embedding(200, 24), k.LSTM(24), k.Dense(3)], integers=200),
    "embedding, shared": Network((8,), lambda k: [_SharedTable(k), k.Dense(40)], integers=100),
    "attention": Network(
        (10, 32), lambda k: [_Attention(k), k.Dense(64, "gelu"), k.Dense(32), k.GlobalAveragePooling1D(), k.Dense(3)]
    ),
    "LSTM": Network((9, 20), lambda k: [k.LSTM(20, return_sequences=True), k.LSTM(17), k.Dense(2)]),
    "LSTM, fused": FusedLSTM((5, 40), 34, sequences=True),
    "LSTM, fused, one weight too small": FusedLSTM((5, 40), 26, sequences=False),
    "GRU": Network((9, 20), lambda k: [k.GRU(20, return_sequences=True), k.GRU(20, reset_after=False), k.Dense(2)]),
    "in both directions": Network(
        (6, 20),
        lambda k: [k.Bidirectional(k.LSTM(20, return_sequences=True)), k.Bidirectional(k.GRU(20))],
        batch=2,
    ),
}
