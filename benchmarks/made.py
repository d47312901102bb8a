"""Models made to be measured: one layer of any size, files of any size."""

from __future__ import annotations

import numpy as np

import refquant as rq
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    Padding,
    TensorType,
)

_SCALE = 0.05


def convolution(size: int, channels: int, *, floats: bool = False) -> rq.Model:
    """A 3x3 CONV_2D of as many filters as channels, on images [1, size, size, channels] of INT8 or FLOAT32."""
    shape = (1, size, size, channels)
    options = Conv2DOptions(padding=Padding.SAME, stride_h=1, stride_w=1)
    return _weighted("CONV_2D", shape, shape, (channels, 3, 3, channels), options, floats=floats)


def depthwise(size: int, channels: int, *, floats: bool = False) -> rq.Model:
    """A 3x3 DEPTHWISE_CONV_2D on images [1, size, size, channels] of INT8 or FLOAT32."""
    shape = (1, size, size, channels)
    options = DepthwiseConv2DOptions(padding=Padding.SAME, stride_h=1, stride_w=1, depth_multiplier=1)
    return _weighted("DEPTHWISE_CONV_2D", shape, shape, (1, 3, 3, channels), options, floats=floats)


def dense(weights: int, inputs: int = 1024) -> rq.Model:
    """A FULLY_CONNECTED of so many bytes of INT8 weights."""
    outputs = weights // inputs
    return _weighted("FULLY_CONNECTED", (1, inputs), (1, outputs), (outputs, inputs), FullyConnectedOptions())


def _weighted(
    name: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    weights: tuple[int, ...],
    options: object,
    *,
    floats: bool = False,
) -> rq.Model:
    """One operator with random weights and biases, one of which belongs to each output channel."""
    generator = np.random.default_rng(0)
    if floats:
        type = bias_type = TensorType.FLOAT32
        scale = bias_scale = output_scale = None
        filters = generator.standard_normal(weights).astype(np.float32)
        bias = generator.standard_normal(outputs[-1]).astype(np.float32)
    else:
        type, bias_type = TensorType.INT8, TensorType.INT32
        scale, bias_scale, output_scale = _SCALE, _SCALE * _SCALE, _SCALE * np.sqrt(np.prod(weights[1:]))
        filters = generator.integers(-127, 128, weights, np.int8)
        bias = generator.integers(-1000, 1000, outputs[-1], np.int32)
    return single_operator_model(
        name,
        [
            TensorSpec(type, inputs, scale),
            TensorSpec(type, weights, scale, data=filters),
            TensorSpec(bias_type, bias.shape, bias_scale, data=bias),
        ],
        [TensorSpec(type, outputs, output_scale)],
        options,
    )
