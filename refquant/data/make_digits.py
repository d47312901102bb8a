"""Makes the bundled model: python refquant/data/make_digits.py (needs the test extras).

A small residual convolutional network is trained with Keras on scikit-learn's handwritten digits (8x8 pixels, the
test part of the UCI optical recognition set, 1,797 images), and converted by TensorFlow's converter: once as float,
once as full-integer int8, calibrated with 200 images of the training part. 360 images, which neither saw, are the
samples. Written beside this file: digits_float.tflite, digits_int8.tflite, digits_samples.npz.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
TEST = 360


def network() -> Any:
    """Convolution, a depthwise-separable residual block, pooling, two dense layers."""
    image = keras.Input((8, 8, 1), batch_size=1, name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    y = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    y = keras.layers.Conv2D(16, 1)(y)
    x = keras.layers.Activation("relu")(keras.layers.Add()([x, y]))
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(32, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="digit")(x))


def main() -> None:
    """Trains, converts, writes."""
    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))  # else the writers of the test are all new
    images = (digits.images[order] / 16).astype(np.float32)[..., None]
    labels = digits.target[order].astype(np.uint8)
    model = network()
    trainer = keras.models.clone_model(
        model, input_tensors=keras.Input((8, 8, 1)), clone_function=lambda layer: layer.from_config(layer.get_config())
    )
    trainer.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer.fit(images[:-TEST], labels[:-TEST], batch_size=32, epochs=40, verbose=2)
    model.set_weights(trainer.get_weights())

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (HERE / "digits_float.tflite").write_bytes(converter.convert())

    def representative() -> Iterator[list[Any]]:
        for image in images[:200]:
            yield [image[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    (HERE / "digits_int8.tflite").write_bytes(converter.convert())
    np.savez_compressed(HERE / "digits_samples.npz", image=images[-TEST:], labels=labels[-TEST:])


if __name__ == "__main__":
    main()
