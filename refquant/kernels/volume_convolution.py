"""CONV_3D and CONV_3D_TRANSPOSE: the float convolutions of volumes [n, depth, height, width, channels].

As CONV_2D and TRANSPOSE_CONV with one more axis, but the filters have their channels last: CONV_3D has [kz, ky, kx,
inputs, outputs], CONV_3D_TRANSPOSE [kz, ky, kx, outputs, inputs] and a dilation, which spreads its products apart.
Sources, below kernels: conv3d.cc, conv3d_transpose.cc, internal/reference/conv3d.h, …/conv3d_transpose.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.products import add_products_in_order
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.windows import Axis, axis, taps
from refquant.tflite.schema import Conv3DOptions, TensorType


@dataclass(frozen=True, slots=True)
class VolumeConvolution:
    """The facts of a convolution: the shape of its output, the windows from the larger volume to the smaller one."""

    shape: Shape
    axes: list[Axis]
    channels: int
    activation: int


@kernel("CONV_3D")
def conv_3d(op: Operator) -> Run:
    """From 0, products added in the order kz, ky, kx, input channel; then the bias, if there is one.

    Inputs: x, filters and a bias or none, all float32.
    """
    return planned_conv_3d(op, _in_order)


def planned_conv_3d(op: Operator, floats: Callable[[VolumeConvolution], Run]) -> Run:
    """CONV_3D whose sums are those of `floats`."""
    x, w, y = op.input(0), op.input(1), op.output()
    options = _options(op, x, w, op.optional_input(2))
    if x.dims[4] != w.dims[3]:
        raise op.invalid(f"filters {w.dims} do not fit {x.dims[4]} input channels")
    _check_bias(op, op.optional_input(2), w.dims[4])
    axes = _axes(op, options, x.dims[1:4], w.dims[:3])
    y.shape = (x.dims[0], *(axis.out for axis in axes), w.dims[4])
    return floats(VolumeConvolution(y.shape, axes, x.dims[4], int(options.fused_activation_function)))


def _in_order(volume: VolumeConvolution) -> Run:
    shape = volume.shape

    def run(x: Array, w: Array, bias: Array | None = None) -> Array:
        y = np.zeros((*shape[:4], 1, shape[4]), np.float32)
        for image, total in zip(x[..., None, :], y):
            for tap, outputs, inputs in taps(*volume.axes):
                add_products_in_order(total[outputs], image[inputs], w[tap][:, None])
        return _finish(y.reshape(shape), bias, volume.activation)

    return run


@kernel(
    "CONV_3D_TRANSPOSE",
    flaw="with an output of more channels than the filters have, tensorflow 2.21.0 reads beyond them; refquant refuses",
)
def conv_3d_transpose(op: Operator) -> Run:
    """From 0, products added in the order of the inputs (depth, rows, columns, channels); then the bias.

    Inputs: the output's shape (int32), filters, x and a bias or none, all float32.
    """
    return planned_conv_3d_transpose(op, transposed_in_order)


def planned_conv_3d_transpose(op: Operator, floats: Callable[[VolumeConvolution, Array, Array], Array]) -> Run:
    """CONV_3D_TRANSPOSE whose sums are those of `floats`, which takes x and filters."""
    sizes, w, x, y = op.input(0), op.input(1), op.input(2), op.output()
    options = _options(op, x, w, op.optional_input(3))
    if sizes.type != TensorType.INT32 or sizes.dims != (5,):
        raise op.invalid(f"the output's shape must be 5 int32 numbers, it is {sizes.type.name} of shape {sizes.dims}")
    if x.dims[4] != w.dims[4]:
        raise op.invalid(f"filters {w.dims} do not fit {x.dims[4]} input channels")
    _check_bias(op, op.optional_input(3), w.dims[3])
    activation = int(options.fused_activation_function)

    def geometry(sizes: Array) -> tuple[Shape, list[Axis]]:
        """The output's shape, and the window of the forward convolution from it to x."""
        shape = tuple(int(n) for n in sizes)
        if min(shape) < 0 or shape[0] != x.dims[0] or shape[4] != w.dims[3]:
            raise op.invalid(f"an output of shape {shape} does not fit input {x.dims} and filters {w.dims}")
        if math.prod(shape) >= 2**31:
            raise op.invalid(f"an output of shape {shape} is too large")
        axes = _axes(op, options, shape[1:4], w.dims[:3])
        places = tuple(axis.out for axis in axes)
        if places != x.dims[1:4]:
            raise op.invalid(f"an output of shape {shape} belongs to an input of {places}, not {x.dims[1:4]}")
        return shape, axes

    y.shape = None if sizes.value is None else geometry(sizes.value)[0]

    def run(sizes: Array, w: Array, x: Array, bias: Array | None = None) -> Array:
        shape, axes = geometry(sizes)
        sums = floats(VolumeConvolution(shape, axes, x.shape[4], activation), x, w)
        return _finish(sums, bias, activation)

    return run


def transposed_in_order(volume: VolumeConvolution, x: Array, w: Array) -> Array:
    """The products of x with filters, each added to its output in the order of the inputs."""
    shape = volume.shape
    filters = w.swapaxes(3, 4)[..., None, :]  # [kz, ky, kx, input, 1, output]
    y = np.zeros((*shape[:4], 1, shape[4]), np.float32)
    for image, total in zip(x[..., None, :], y):
        for tap, inputs, outputs in taps(*volume.axes, backwards=True):
            add_products_in_order(total[outputs], image[inputs], filters[tap])
    return y.reshape(shape)


def _options(op: Operator, x: TensorInfo, w: TensorInfo, bias: TensorInfo | None) -> Conv3DOptions:
    """The options, after types and ranks are checked."""
    if not isinstance(op.options, Conv3DOptions):
        raise op.invalid("has no Conv3DOptions")
    if any(t is not None and t.type != TensorType.FLOAT32 for t in (x, w, bias, op.output())):
        raise op.unsupported()
    if len(x.dims) != 5 or len(w.dims) != 5:
        raise op.invalid(f"input {x.dims} and filters {w.dims} must have five dimensions each")
    return op.options


def _check_bias(op: Operator, bias: TensorInfo | None, outputs: int) -> None:
    if bias is not None and int(np.prod(bias.dims)) != outputs:
        raise op.invalid(f"bias {bias.dims} has not one value for each of {outputs} output channels")


def _axes(op: Operator, options: Conv3DOptions, image: Shape, filter: Shape) -> list[Axis]:
    """The windows along depth, height and width."""
    strides = options.stride_d, options.stride_h, options.stride_w
    dilations = options.dilation_d_factor, options.dilation_h_factor, options.dilation_w_factor
    return [axis(op, *facts, options.padding) for facts in zip("zyx", image, filter, strides, dilations)]


def _finish(y: Array, bias: Array | None, activation: int) -> Array:
    return clamp_float(y if bias is None else y + bias.reshape(-1), activation)
