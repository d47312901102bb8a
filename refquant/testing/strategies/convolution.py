"""Sums of products under a window that slides: convolutions of images and volumes, and transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import assume
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import activations, generators, numbers, scales, zero_points
from refquant.tflite.schema import (
    Conv2DOptions,
    Conv3DOptions,
    DepthwiseConv2DOptions,
    Padding,
    TensorType,
    TransposeConvOptions,
)
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Array = npt.NDArray[Any]

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT4, INT32, INT64 = TensorType.INT4, TensorType.INT32, TensorType.INT64


@dataclass(frozen=True)
class Types:
    """Of activations, filters and bias."""

    x: TensorType
    filter: TensorType
    bias: TensorType

    @property
    def is_hybrid(self) -> bool:
        """True where floats are quantized on the fly."""
        return self.x == FLOAT32 and self.filter != FLOAT32


_FLOAT = Types(FLOAT32, FLOAT32, FLOAT32)
_HYBRID = Types(FLOAT32, INT8, FLOAT32)
_DEPTHWISE = {
    "FLOAT32": _FLOAT,
    "FLOAT32 hybrid INT8": _HYBRID,
    "INT8": Types(INT8, INT8, INT32),
    "INT8xINT4": Types(INT8, INT4, INT32),
    "UINT8": Types(UINT8, UINT8, INT32),
    "INT16 INT64 bias": Types(INT16, INT8, INT64),
    "INT16xUINT8 INT64 bias": Types(INT16, UINT8, INT64),
}
_PLAIN = _DEPTHWISE | {
    "FLOAT32 hybrid UINT8": replace(_HYBRID, filter=UINT8),
    "FLOAT32 hybrid INT4": replace(_HYBRID, filter=INT4),
    "UINT8xINT8": Types(UINT8, INT8, INT32),
    "UINT8xINT4": Types(UINT8, INT4, INT32),
    "INT16": Types(INT16, INT8, INT32),
    "INT16xUINT8": Types(INT16, UINT8, INT32),
    "INT16xINT4": Types(INT16, INT4, INT32),
    "INT16xINT4 INT64 bias": Types(INT16, INT4, INT64),
}
_TRANSPOSED = {
    "FLOAT32": _FLOAT,
    "FLOAT32 hybrid INT8": _HYBRID,
    "INT8": Types(INT8, INT8, INT32),
    "INT8xUINT8": Types(INT8, UINT8, INT32),
    "UINT8": Types(UINT8, UINT8, INT32),
    "UINT8xINT8": Types(UINT8, INT8, INT32),
    "INT16": Types(INT16, INT8, INT32),
    "INT16 INT64 bias": Types(INT16, INT8, INT64),
}

_small = st.integers(1, 3)
_sides = st.integers(1, 9)
_paddings = st.sampled_from(Padding)
_batches = st.sampled_from([1, 2, 1, 2, 0])


def _stated(types: Types) -> st.SearchStrategy[TensorType]:
    """What quantized_bias_type says: that the bias of int16 activations has 32 bits; all else need not be said."""
    if types.x != INT16:
        return st.just(FLOAT32)
    return st.just(INT32) if types.bias == INT32 else st.sampled_from([FLOAT32, INT64])


#: a tensor and its numbers, which are an input of the model unless the tensor holds them as a constant
Operand = tuple[TensorSpec, Array]


@strategy("CONV_2D", _PLAIN)
def convolution(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Any strides, dilations, padding, groups and fused activation, filters with one scale or one each.

    Images of up to 9 x 9 pixels, sometimes none at all, filters of up to 3 x 3 taps. Filters and bias are constants or
    not, and the model may tell another size of the batch than the input has.
    """
    options = Conv2DOptions(quantized_bias_type=draw(_stated(types)))
    image, window = draw(_windows(options, types))
    groups = 1 if types.is_hybrid and types.filter == UINT8 else draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth, outputs = draw(st.integers(1, 20)), groups * draw(st.integers(1, 8))
    x, w, bias, y = draw(_operands(types, (*image, groups * depth), (outputs, *window, depth), 0))
    if groups > 1 and types.is_hybrid:  # the real kernel has groups only where filters have scales of their own
        assume(np.asarray(w[0].scale).size > 1)
    return _case(operator, [x, w, bias], y, options)


@strategy("DEPTHWISE_CONV_2D", _DEPTHWISE)
def depthwise_convolution(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """As CONV_2D, with up to 9 channels of up to 3 filters each, and with a bias or none."""
    options = DepthwiseConv2DOptions()
    image, window = draw(_windows(options, types))
    channels, multiplier = draw(_sides), draw(_small)
    is_read = types.is_hybrid or types.x == INT16  # the other kernels do not look at it
    options.depth_multiplier = multiplier if is_read else draw(st.sampled_from([multiplier, 0, 7]))
    outputs = channels * multiplier
    x, w, bias, y = draw(_operands(types, (*image, channels), (1, *window, outputs), 3))
    if types.is_hybrid and np.asarray(w[0].scale).size != outputs:  # the real kernel wants one for each
        w[0].scale = np.resize(np.asarray(w[0].scale), outputs)
    return _case(operator, [x, w, bias] if draw(st.booleans()) else [x, w], y, options)


@st.composite
def _windows(
    draw: st.DrawFn, options: Conv2DOptions | DepthwiseConv2DOptions, types: Types
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Batch, height and width of an image and the size of a filter; sets the options to a window that fits."""
    options.padding = draw(_paddings)
    options.fused_activation_function = draw(activations)
    options.stride_h, options.stride_w = draw(_small), draw(_small)
    options.dilation_h_factor, options.dilation_w_factor = draw(_small), draw(_small)
    height, width = draw(_sides), draw(_sides)
    if not types.is_hybrid and draw(st.integers(0, 19)) == 19:
        height = 0
    window = draw(_small), draw(_small)
    if options.padding == Padding.VALID:  # there may be no output, but not less than none
        assume((window[0] - 1) * options.dilation_h_factor + 1 < height + 2 * options.stride_h)
        assume((window[1] - 1) * options.dilation_w_factor + 1 < width + 2 * options.stride_w)
    batch = draw(st.integers(1, 2) if types.is_hybrid else _batches)
    return (batch, height, width), window


@strategy("TRANSPOSE_CONV", _TRANSPOSED)
def transposed_convolution(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Any strides, padding and fused activation, filters with one scale or one each, a bias or none.

    The output is as large as the forward convolution wants it, or smaller or larger along a side. Its shape, filters
    and bias are constants or not.
    """
    height, width, outputs, channels = (draw(st.integers(1, 4)) for _ in range(4))
    rows, columns, stride_h, stride_w = (draw(st.integers(1, 5)) for _ in range(4))
    padding = draw(_paddings)
    sides = []
    for size, filter, stride in ((rows, height, stride_h), (columns, width, stride_w)):
        side = size * stride if padding == Padding.SAME else (size - 1) * stride + filter
        sides.append(max(0, side + draw(st.sampled_from([0, 0, 0, 0, -1, 1, 9, -9]))))
    batch = draw(st.integers(1, 2) if types.is_hybrid else _batches)
    x, w, bias, y = draw(_operands(types, (batch, rows, columns, channels), (outputs, height, width, channels), 0))
    x[0].shape = x[1].shape
    options = TransposeConvOptions(padding, stride_w, stride_h, draw(activations), draw(_stated(types)))
    shape = _shape(draw, [batch, *sides, outputs])
    return _case(operator, [shape, w, x, bias] if draw(st.booleans()) else [shape, w, x], y, options)


@strategy(["CONV_3D", "CONV_3D_TRANSPOSE"], [FLOAT32])
def volume_convolution(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any strides, dilations, padding and fused activation, a bias or none; filters, bias and shape constants or not.

    Volumes of up to 5 x 5 x 5, filters of up to 3 x 3 x 3. CONV_3D may have an output of no elements.
    """
    transposed = operator == "CONV_3D_TRANSPOSE"
    strides, dilations, window = ([draw(_small) for _ in range(3)] for _ in range(3))
    volume = [draw(st.integers(1, 5)) for _ in range(3)]
    padding = draw(_paddings)
    batch, channels, outputs = draw(_batches), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = draw(generators)
    reach = [(n - 1) * dilation + 1 for n, dilation in zip(window, dilations)]
    if padding == Padding.SAME:
        places = [-(-n // stride) for n, stride in zip(volume, strides)]
    else:
        places = [(n - length + stride) // stride for n, length, stride in zip(volume, reach, strides)]
        assume(min(places) >= (1 if transposed else 0))
        assume(all(n + stride >= length for n, length, stride in zip(volume, reach, strides)))
    ends = [outputs, channels] if transposed else [channels, outputs]
    filters = _floats(draw, rng, [*window, *ends])
    w = _constant_or_not(draw, TensorSpec(type), filters)
    bias = _constant_or_not(draw, TensorSpec(type), _floats(draw, rng, [outputs]))
    array = _floats(draw, rng, [batch, *(places if transposed else volume), channels])
    x = TensorSpec(type, array.shape), array
    operands = [w, x] if transposed else [x, w]
    if transposed:
        operands.insert(0, _shape(draw, [batch, *volume, outputs]))
    if draw(st.booleans()):
        operands.append(bias)
    options = Conv3DOptions(
        padding, strides[0], strides[2], strides[1], draw(activations), dilations[0], dilations[2], dilations[1]
    )
    return _case(operator, operands, TensorSpec(type), options)


def _case(operator: str, operands: Sequence[Operand], output: TensorSpec, options: Any) -> Case:
    model = single_operator_model(operator, [spec for spec, _ in operands], [output], options)
    return Case(model, [[array for spec, array in operands if spec.data is None]])


def _constant_or_not(draw: st.DrawFn, spec: TensorSpec, array: Array) -> Operand:
    """A constant of these numbers, three times out of four."""
    if draw(st.integers(0, 3)) < 3:
        spec.data = array
    spec.shape = array.shape
    return spec, array


def _shape(draw: st.DrawFn, shape: list[int]) -> Operand:
    """The shape of an output; Python cannot read one that is unknown beforehand and has no elements."""
    array = np.array(shape, np.int32)
    return (TensorSpec(INT32, data=array), array) if 0 in shape else _constant_or_not(draw, TensorSpec(INT32), array)


def _floats(draw: st.DrawFn, rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Normal floats, or difficult ones among others of all sizes."""
    if draw(st.integers(0, 2)) < 2:
        return (rng.standard_normal(shape) * 2.0 ** draw(st.integers(-10, 10))).astype(np.float32)
    return numbers(rng, FLOAT32, shape)


@st.composite
def _operands(
    draw: st.DrawFn, types: Types, x_shape: Sequence[int], w_shape: Sequence[int], axis: int
) -> tuple[Operand, Operand, Operand, TensorSpec]:
    """x, filters, bias and the output of a convolution; `axis` is that of the output channels of the filters.

    Scales are powers of two, so that many sums lie on ties, or not. Most outputs have a scale that lets sums use the
    range of their type; the others have any, with multipliers far above 1 or so small that nothing is left.
    """
    rng = draw(generators)
    channels = w_shape[axis]
    any_batch = [draw(st.sampled_from([x_shape[0], 1])), *x_shape[1:]]
    if types.filter == FLOAT32:
        w = _constant_or_not(draw, TensorSpec(FLOAT32), _floats(draw, rng, w_shape))
        bias = _constant_or_not(draw, TensorSpec(FLOAT32), _floats(draw, rng, [channels]))
        return (TensorSpec(FLOAT32, any_batch), _floats(draw, rng, x_shape)), w, bias, TensorSpec(FLOAT32)
    weights = numbers(rng, types.filter, w_shape)
    per_channel = draw(st.booleans()) and types.x != UINT8 and (types.is_hybrid or types.filter != UINT8)
    ties = draw(st.integers(0, 2)) == 2
    exponents = rng.uniform(-20, 6, channels) if draw(st.booleans()) else rng.uniform(-3, 3, channels)
    w_scale = (2.0 ** (np.round(exponents) if ties else exponents)).astype(np.float32)[: channels if per_channel else 1]
    w_zero = draw(zero_points(types.filter)) if types.x == UINT8 and types.filter != INT4 else 0
    w = _constant_or_not(draw, TensorSpec(types.filter, (), w_scale, w_zero, axis), weights)
    if types.is_hybrid:
        x = TensorSpec(FLOAT32, any_batch), _floats(draw, rng, x_shape)
        return x, w, _constant_or_not(draw, TensorSpec(FLOAT32), _floats(draw, rng, [channels])), TensorSpec(FLOAT32)
    limit = int(np.iinfo(numpy_dtype(types.x)).max)
    x_scale = float(np.float32(2.0 ** draw(st.integers(-12, 4)) * (1 if ties else rng.uniform(1, 2))))
    typical = np.sqrt(weights.size / channels) * limit * 2.0 ** (PACKED_BITS.get(types.filter, 8) - 2)
    steps = typical * x_scale * float(w_scale.max()) / (limit / 3)
    y_scale = draw(scales) if draw(st.integers(0, 2)) == 2 else float(2.0 ** round(np.log2(steps)) if ties else steps)
    if types.x == UINT8:  # the scale of the bias must be near that of the products
        assume(abs(x_scale * float(w_scale[0]) - float(x_scale * w_scale[0])) < 0.01 * y_scale)
    if draw(st.integers(0, 3)) < 3:
        shifts = rng.integers(-int(typical), int(typical), channels, endpoint=True).astype(numpy_dtype(types.bias))
    else:
        shifts = numbers(rng, types.bias, [channels])
    bias = _constant_or_not(draw, TensorSpec(types.bias, (), x_scale * w_scale), shifts)
    x = TensorSpec(types.x, any_batch, x_scale, draw(zero_points(types.x))), numbers(rng, types.x, x_shape)
    return x, w, bias, TensorSpec(types.x, (), y_scale, draw(zero_points(types.x)))
