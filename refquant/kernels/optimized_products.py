"""Sums of float32 products in profile "optimized": convolutions and fully connected layers of TensorFlow Lite's fast
kernels, which are products of matrices in the orders of `refquant.numerics.eigen_products`.

An image becomes a matrix of patches, in which taps beyond the image are zeros that are multiplied like all others; the
bias is added to the finished sum. Depthwise convolutions alone are plain loops. Sources, below kernels: conv.cc,
internal/optimized/optimized_ops.h, multithreaded_conv.h, depthwiseconv_float.h, cpu_backend_gemm_eigen.cc. Which of
them run on x86-64 was found in the tensorflow 2.21.0 wheel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from refquant.kernels import fully_connected as dense
from refquant.kernels import optimized_integer_products as integers
from refquant.kernels.blocks import Block, for_each
from refquant.kernels.constants import made_once_of_all
from refquant.kernels.convolution import (
    Arithmetic,
    Convolution,
    planned_conv_2d,
    planned_depthwise_conv_2d,
    quantized,
)
from refquant.kernels.float_convolution import ChannelSums, TapSums, float_in_order, in_one_pass, windows_of
from refquant.kernels.fully_connected import rows_of
from refquant.kernels.fused_activation import clamp_float, clamp_float_or_nan
from refquant.kernels.patches import reader
from refquant.kernels.products import BLOCK, exact_type, largest_magnitude
from refquant.kernels.registry import Array, Operator, Run, Shape, kernel
from refquant.kernels.transpose_convolution import (
    filters_read_as,
    geometry_of,
    planned_transpose_conv,
    transposed_integers,
    transposed_stage,
)
from refquant.kernels.volume_convolution import (
    VolumeConvolution,
    planned_conv_3d,
    planned_conv_3d_transpose,
    transposed_in_order,
)
from refquant.kernels.windows import Axis, taps
from refquant.numerics.eigen_products import Product, Sums, matrix_product, planned_contraction, planned_product
from refquant.numerics.fixed_point import double_rounding
from refquant.numerics.fused import fused_float32
from refquant.tflite.schema import Padding, TensorType, TransposeConvOptions

#: that the calibrator has: it asks for no number. Source: kDefaultNumThreadpoolThreads in eigen_support.cc
_CALIBRATOR_THREADS = 4


@kernel("CONV_2D", profile="optimized")
def conv_2d(op: Operator) -> Run:
    """As in profile "reference", but the order of the sums is Eigen's; with groups of filters it stays as it is."""
    return planned_conv_2d(op, Arithmetic(_multiplied, integers.conv_2d, integers.hybrid_conv_2d))


def _multiplied(plan: Convolution) -> Run:
    return conv_2d_by(plan, planned_product)


@kernel("CONV_2D", profile="calibrator")
def conv_2d_on_threads(op: Operator) -> Run:
    """As in profile "optimized", but with more than one thread it is a contraction of tensors.

    Not so for dilated filters, and for filters that another operator computes each time; of filters that may change all
    the same, which are variables, the first ones count. Where the filters are as large as the image and SAME padding
    only adds to its end, tensorflow 2.21.0 computes one place of each image and leaves the others as they were in
    memory; refquant computes all.
    """
    return planned_conv_2d(op, Arithmetic(_contracted, integers.conv_2d, integers.hybrid_conv_2d))


def _contracted(plan: Convolution) -> Run:
    filter = plan.filter
    is_kept = filter.value is not None or filter.is_variable or filter.is_folded or filter.is_persistent
    if not is_kept or any(axis.dilation > 1 for axis in plan.window):
        return conv_2d_by(plan, planned_product)
    patches = not _is_matrix(plan)
    return conv_2d_by(plan, lambda w, count: planned_contraction(w, count, _CALIBRATOR_THREADS, patches), keeps=True)


def conv_2d_by(plan: Convolution, planned: Callable[[Array, int], Product], keeps: bool = False) -> Run:
    """The products of patches with filters, which are kept from the first run on where they are constants or `keeps`
    says so."""
    if plan.groups > 1:
        return float_in_order(plan)
    batch, height, width, outputs = plan.shape
    patches = reader(plan.window, batch, plan.channels)
    filter = plan.filter

    def product_with(w: Array) -> Product:
        return planned(w.reshape(outputs, prod(filter.dims[1:])), batch * height * width)

    kept = None if filter.value is None else product_with(filter.value)

    def run(x: Array, w: Array, bias: Array) -> Array:
        nonlocal kept
        product = kept or product_with(w)
        if keeps:
            kept = product
        return _finished(product(patches(x)), plan.shape, bias, plan.activation)

    return run


def _finished(blocks: Sums, shape: Shape, bias: Array | None, activation: int) -> Array:
    """An output of this shape: the sums, and what comes after them while they are in the cache."""
    y = np.empty((prod(shape[:-1]), shape[-1]), np.float32)
    for which, sums in blocks:
        y[which] = clamp_float(sums if bias is None else sums + bias.reshape(-1), activation)
    return y.reshape(shape)


def _reader_of(vectors: Array) -> Callable[[int, int], Array]:
    return lambda begin, end: vectors[begin:end]


def _is_matrix(plan: Convolution) -> bool:
    """Whether the contraction sees a matrix that is stored: of pixels, or of images as large as the filters."""
    pixels = all((axis.filter, axis.stride) == (1, 1) for axis in plan.window)
    return pixels or all(axis.filter == axis.size and axis.before == 0 for axis in plan.window)


@kernel("DEPTHWISE_CONV_2D", profile="optimized")
def depthwise_conv_2d(op: Operator) -> Run:
    """As in profile "reference", but float32 sums start with the bias, the last numbers of a row clamped one by one.

    tensorflow 2.21.0 dies where there is no bias, for which refquant takes 0, and does not come to an end with more
    than 4832 outputs, which refquant computes.
    """
    return planned_depthwise_conv_2d(op, Arithmetic(_depthwise, quantized, integers.hybrid_depthwise_conv_2d))


def _depthwise(plan: Convolution) -> Run:
    shape, row = plan.shape, plan.columns.out * plan.outputs
    singles = _beyond_fours(plan.columns.out, plan.outputs)
    operands = [plan.filter, plan.op.optional_input(2)]
    sums_with = made_once_of_all(operands, lambda filter, bias: _depthwise_sums(plan, filter, bias))

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        products = sums_with(filter, bias)
        sums = products(x)
        y = np.empty((prod(shape[:3]), plan.outputs), np.float32)

        def write(block: Block) -> None:
            total = y[block.places]
            sums(block, total)
            lines = total.reshape(total.size // row, row)
            last = clamp_float_or_nan(lines[:, singles], plan.activation)
            clamp_float(lines, plan.activation, lines)
            lines[:, singles] = last

        for_each(write, products.blocks, plan.op.threads)
        return y.reshape(shape)

    return run


def _depthwise_sums(plan: Convolution, filter: Array, bias: Array | None) -> ChannelSums | TapSums:
    """What sums the products; where a bias is -0, or a weight no number, tap by tap."""
    w, start = plan.arranged(filter), np.zeros(plan.outputs, np.float32) if bias is None else bias
    if in_one_pass(w) and not np.any((start == 0) & np.signbit(start)):
        return ChannelSums(windows_of(plan), w, start)
    return TapSums(plan, w, start)


def _beyond_fours(pixels: int, outputs: int) -> Array:
    """The places in a row of pixels of the numbers that fill no register of four when the real kernel clamps: it does
    so for as many pixels at a time as fit 4832 numbers."""
    step = max(1, 4832 // max(1, outputs)) * outputs
    ends = [min(start + step, pixels * outputs) for start in range(0, pixels * outputs, max(1, step))]
    return np.array([place for end in ends for place in range(end - (end % step or step) % 4, end)], np.intp)


@kernel("FULLY_CONNECTED", profile="optimized")
def fully_connected(op: Operator) -> Run:
    """As in profile "reference", but the order of the sums is Eigen's."""
    sums = dense.Arithmetic(_fully_connected, integers.hybrid_dense, integers.shuffled_dense, integers.requantizing)
    return dense.planned_fully_connected(op, sums)


def _fully_connected(op: Operator, activation: int) -> Run:
    w, shape = op.input(1), op.output().dims
    if w.is_sparse:
        raise op.unsupported("sparse weights of float32")
    inputs, rows = w.dims[1], prod(shape[:-1])
    constant = None if w.value is None else planned_product(w.value, rows)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        product = constant or planned_product(filter, rows)
        return _finished(product(_reader_of(rows_of(x, rows, inputs, np.float32))), shape, bias, activation)

    return run


@kernel("TRANSPOSE_CONV", profile="optimized")
def transpose_conv(op: Operator) -> Run:
    """As in profile "reference", but each input's products with a tap are summed first, floats in Eigen's order.

    Integers are finished eight channels at a time, uint8 sixteen numbers of the tensor at a time. Source:
    internal/optimized/integer_ops/transpose_conv.h, Quantize in internal/optimized/optimized_ops.h.
    """
    return planned_transpose_conv(op, _transpose_conv, integers=_transpose_conv_of_integers)


def _transpose_conv(op: Operator, options: TransposeConvOptions) -> Run:
    def run(sizes: Array, w: Array, x: Array, bias: Array | None = None) -> Array:
        matrix = w.transpose(1, 2, 0, 3).reshape(-1, w.shape[3])
        y = _scattered(op, options, sizes, x, lambda image: matrix_product(matrix, image))
        return clamp_float(y if bias is None else y + bias.reshape(-1), int(options.fused_activation_function))

    return run


def _transpose_conv_of_integers(op: Operator, options: TransposeConvOptions, bits: int) -> Run:
    """Sums of integers; those of int16 with biases of 64 bits are left to the reference kernel, so are those of filters
    with a zero point."""
    w, x, out = op.input(1), op.input(2), op.output()
    if bits == 64:
        return transposed_integers(op, options, transposed_stage(op, bits))
    if x.type == TensorType.INT16 and np.any(w.zero_points):
        return transposed_integers(op, options, transposed_stage(op, bits, double_rounding))
    finish = transposed_stage(op, bits)
    read_as = filters_read_as(op)
    filter_zero = int(np.uint8(w.zero_point & 255)) if x.type == TensorType.UINT8 else 0
    largest = largest_magnitude(x.dtype, x.zero_point) * largest_magnitude(read_as, filter_zero)
    exact = exact_type(largest * prod(w.dims[1:]))

    def run(sizes: Array, filters: Array, q: Array, bias: Array | None = None) -> Array:
        shifted = np.subtract(filters.view(read_as), filter_zero, dtype=exact)
        matrix = shifted.transpose(3, 1, 2, 0).reshape(w.dims[3], -1)
        total = _scattered(op, options, sizes, np.subtract(q, x.zero_point, dtype=exact), lambda image: image @ matrix)
        if out.type != TensorType.UINT8:
            return finish(total, bias)
        whole = total.astype(np.int64) + (0 if bias is None else bias.reshape(-1))
        return finish(whole.reshape(-1)).reshape(total.shape)

    return run


def _scattered(
    op: Operator, options: TransposeConvOptions, sizes: Array, x: Array, product: Callable[[Array], Array]
) -> Array:
    """The sums of an input, which `product` gives for all pixels of an image, scattered over its place in the output.

    The places are counted from the output, though, and where its shape belongs to fewer inputs than there are, the
    first sums go there in order.
    """
    outputs, height, width, channels = op.input(1).dims
    geometry = geometry_of(op, options, sizes)
    axes = [_counted(axis, options.padding) for axis in (geometry.rows, geometry.columns)]
    pixels, places = x.shape[1] * x.shape[2], axes[0].out * axes[1].out
    if places > pixels:
        raise op.unsupported(f"an output of shape {geometry.shape} takes {places} inputs for each image, not {pixels}")
    y = np.zeros(geometry.shape, x.dtype)
    for image, total in zip(x.reshape(len(x), pixels, channels), y):
        sums = product(image)[:places].reshape(axes[0].out, axes[1].out, height, width, outputs)
        for (ky, kx), met, (oy, ox) in taps(*axes, backwards=True):
            total[oy, ox] += sums[met[0], met[1], ky, kx]
    return y


def _counted(axis: Axis, padding: int) -> Axis:
    """The axis with as many places as the output has for the filter, whatever the input has."""
    room = axis.size - (1 if padding == Padding.SAME else axis.filter)
    return replace(axis, out=_places(room, axis.stride))


def _places(room: int, stride: int) -> int:
    """room / stride + 1, cut towards zero as C++ does, so that there may be a place for a filter beyond the end."""
    return max(0, (room // stride if room >= 0 else -(-room // stride)) + 1)


@kernel("CONV_3D", profile="optimized")
def conv_3d(op: Operator) -> Run:
    """As in profile "reference", but sums start with the bias, multiply-add is fused, and NaN ends as the upper bound.

    The filters do not lie as Eigen wants them, so it is ruy that multiplies; it does so on processors with FMA. Source:
    ruy/kernel_avx512.cc, kernel_avx2_fma.cc. Dilated filters are refused: tensorflow 2.21.0 damages its memory then.
    """
    return planned_conv_3d(op, lambda volume: _conv_3d(op, volume))


def _conv_3d(op: Operator, volume: VolumeConvolution) -> Run:
    if any(axis.dilation > 1 for axis in volume.axes):
        raise op.unsupported("dilated filters")
    patches = reader(volume.axes, volume.shape[0], volume.channels)
    outputs = volume.shape[4]
    step = max(1, BLOCK // max(1, outputs))

    def run(x: Array, w: Array, bias: Array | None = None) -> Array:
        read = patches(x)
        y = np.zeros((prod(volume.shape[:4]), outputs), np.float32)
        if bias is not None:
            y[:] = bias.reshape(-1)
        for start in range(0, len(y), step):
            block = y[start : start + step]
            for column, row in zip(read(start, start + len(block)).T, w.reshape(-1, outputs)):
                block[:] = fused_float32(column[:, None], row, block)
        return clamp_float_or_nan(y, volume.activation).reshape(volume.shape)

    return run


@kernel("CONV_3D_TRANSPOSE", profile="optimized")
def conv_3d_transpose(op: Operator) -> Run:
    """As in profile "reference", but each input's products with a tap are summed first, in Eigen's order.

    Dilated ones are the same in both. When tensorflow 2.21.0 counts planes it takes the padding above an image for that
    before the volume, so it may leave some out; where it would read too many refquant refuses.
    """
    return planned_conv_3d_transpose(op, lambda volume, x, w: _conv_3d_transpose(op, volume, x, w))


def _conv_3d_transpose(op: Operator, volume: VolumeConvolution, x: Array, w: Array) -> Array:
    if any(axis.dilation > 1 for axis in volume.axes):
        return transposed_in_order(volume, x, w)
    planes, rows, columns = volume.axes
    padding = planes.after + rows.before
    counted = replace(planes, out=_places(planes.size + padding - planes.filter, planes.stride))
    if counted.out > planes.out:
        raise op.unsupported(f"an output of shape {volume.shape} and this padding make the real kernel read too far:")
    places = prod(x.shape[1:4])
    matrix = w.reshape(-1, volume.channels)
    y = np.zeros(volume.shape, np.float32)
    for image, total in zip(x.reshape(len(x), places, volume.channels), y):
        sums = matrix_product(matrix, image).reshape(*x.shape[1:4], *w.shape[:4])
        for tap, met, outputs in taps(counted, rows, columns, backwards=True):
            total[outputs] += sums[met + tap]
    return y
