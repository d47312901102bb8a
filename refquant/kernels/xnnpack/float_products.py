"""XNNPACK's float32 sums of products: convolutions, fully connected layers and products of matrices.

Every sum starts at the bias, 0 where there is none, and takes up one product after another by fused multiply-add, in
the order of the weights: taps row by row, channels last. Taps beyond an image meet zeros. Convolutions of one channel
with one filter go through the taps column by column instead. Where SAME padding would be negative along an axis,
XNNPACK of tensorflow 2.21.0 gives the bias alone, see `sees_nothing`.

Sources, below src: configs/gemm-config.c and dwconv-config.c, which choose f32-gemm, f32-igemm and f32-dwconv for
AVX-512F; operators/convolution-nhwc.c (select_microkernel_type), operators/deconvolution-nhwc.c, indirection.c.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from refquant.kernels import convolution, fully_connected
from refquant.kernels.batch_matmul import matrices_of, planned_batch_matmul
from refquant.kernels.blocks import Block, blocks_of, for_each
from refquant.kernels.constants import made_once_of_all
from refquant.kernels.convolution import Convolution, planned_conv_2d, planned_depthwise_conv_2d
from refquant.kernels.fully_connected import planned_fully_connected, rows_of
from refquant.kernels.patches import reader
from refquant.kernels.registry import XNNPACK_FLOATS, Array, Operator, Run, kernel
from refquant.kernels.transpose_convolution import geometry_of, planned_transpose_conv
from refquant.kernels.windows import Axis
from refquant.kernels.xnnpack.float_clamp import clamp, float_range, range_of
from refquant.kernels.xnnpack.transposed import with_made_shape
from refquant.numerics.flushed import flush
from refquant.numerics.fused_products import FusedProduct, FusedSums, may_be_small
from refquant.tflite.schema import BatchMatMulOptions, Padding, TransposeConvOptions

_NUMBERS = 1 << 20  # of patches, in a block
_SUMS = 1 << 15  # of channels by themselves, in a block
_TAPS_BY_COLUMN = (3, 4, 9, 25)  # for how many there are kernels that go through them column by column


@kernel("CONV_2D", profile=XNNPACK_FLOATS)
def conv_2d(op: Operator) -> Run:
    """Convolution of x [n, h, w, channels] with filters [outputs, ky, kx, channels / groups]."""
    return planned_conv_2d(op, replace(convolution.IN_ORDER, floats=_convolution))


@kernel("DEPTHWISE_CONV_2D", profile=XNNPACK_FLOATS)
def depthwise_conv_2d(op: Operator) -> Run:
    """Convolution of each channel of x [n, h, w, channels] with filters of its own."""
    return planned_depthwise_conv_2d(op, replace(convolution.IN_ORDER, floats=_convolution))


def _convolution(plan: Convolution) -> Run:
    rows, columns = plan.window
    taps = rows.filter * columns.filter
    if plan.channels == plan.groups == plan.outputs and taps <= _TAPS_BY_COLUMN[-1]:
        run = _by_channel(plan)
    else:
        run = _by_patch(plan)
    return _seeing_nothing(run) if sees_nothing(plan) else run


def sees_nothing(plan: Convolution) -> bool:
    """Whether all taps miss the image: where SAME padding would have to be negative, XNNPACK has it wrap to 2**63.

    So it is where a stride leaves out pixels at the end of an axis. With a single tap XNNPACK pads nothing.
    """
    ends = [(a.out - 1) * a.stride + (a.filter - 1) * a.dilation + 1 - a.size for a in plan.window]
    is_padded = plan.op.options.padding == Padding.SAME and prod(axis.filter for axis in plan.window) > 1
    return is_padded and min(ends) < 0


def _seeing_nothing(run: Run) -> Run:
    return lambda x, *others: run(np.zeros_like(x), *others)


def _by_patch(plan: Convolution) -> Run:
    """The patches of a block, a row for each term, times the filters of each group."""
    terms = prod(plan.filter.dims[1:]) if plan.op.name == "CONV_2D" else prod(plan.filter.dims[1:3])
    depth, outputs, groups = plan.channels // plan.groups, plan.outputs // plan.groups, plan.groups
    rows, columns = plan.window
    patches = reader(plan.window, plan.shape[0], plan.channels)
    blocks = blocks_of(plan.shape[0], rows.out, columns.out, max(1, _NUMBERS // max(1, terms * groups)))
    bounds = float_range(plan.activation)

    def products_of(filter: Array, bias: Array | None) -> list[FusedProduct]:
        w = plan.all_taps(filter)
        start = _start(bias, plan.outputs).reshape(groups, outputs)
        return [FusedProduct(w[..., g, :].reshape(terms, outputs), start[g]) for g in range(groups)]

    products_with = made_once_of_all([plan.filter, plan.op.optional_input(2)], products_of)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        read, products = patches(x), products_with(filter, bias)
        y = np.empty((prod(plan.shape[:3]), groups, outputs), np.float32)

        def write(block: Block) -> None:
            seen = read(block.places.start, block.places.stop).reshape(-1, terms // depth, groups, depth)
            for g, product in enumerate(products):
                matrix = np.ascontiguousarray(seen[:, :, g].reshape(len(seen), terms).T)
                y[block.places, g] = clamp(product(matrix), bounds)

        for_each(write, blocks, plan.op.threads)
        return y.reshape(plan.shape)

    return run


def _start(bias: Array | None, outputs: int) -> Array:
    return np.zeros(outputs, np.float32) if bias is None else bias.reshape(-1)


def _by_channel(plan: Convolution) -> Run:
    """Tap after tap, column by column, for as many as the kernel has: those in excess have weight 0, and what they meet
    is only seen where it is no number, or a sum of zeros."""
    rows, columns = plan.window
    outputs, taps = plan.outputs, rows.filter * columns.filter
    most = next(n for n in _TAPS_BY_COLUMN if n >= taps)
    places = _met_by_taps(rows, columns, most)
    pixels = rows.out * columns.out
    step = max(1, _SUMS // outputs)
    bounds = float_range(plan.activation)

    def arranged(filter: Array, bias: Array | None) -> tuple[Array, Array]:
        w = np.zeros((most, outputs), np.float32)
        w[:taps] = flush(plan.all_taps(filter).reshape(rows.filter, columns.filter, outputs).swapaxes(0, 1)).reshape(
            taps, outputs
        )
        return w, flush(_start(bias, outputs))

    arranged_with = made_once_of_all([plan.filter, plan.op.optional_input(2)], arranged)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        w, start = arranged_with(filter, bias)
        x = flush(x).reshape(len(x), rows.size * columns.size, outputs)
        small = may_be_small(x, w, start)
        repeats = min(step, pixels)
        weights, starts = np.tile(w.astype(np.float64), repeats), np.tile(start, repeats)
        y = np.empty((len(x), pixels * outputs), np.float32)

        def write(block: Block) -> None:
            image, first, last = block.images.start, block.rows.start, block.rows.stop
            seen = np.concatenate([x[image], np.zeros((1, outputs), np.float32)]).astype(np.float64)
            count = (last - first) * outputs
            sums = FusedSums(starts[:count].copy(), small)
            for tap in range(most):
                sums.add(seen.take(places[tap, first:last], axis=0).reshape(-1), weights[tap, :count])
            y[image, first * outputs : last * outputs] = clamp(sums.total, bounds)

        each = [block for image in range(len(x)) for block in _pieces(image, pixels, step)]
        for_each(write, each, plan.op.threads)
        return y.reshape(plan.shape)

    return run


def _pieces(image: int, pixels: int, step: int) -> list[Block]:
    """The pixels of an image in blocks of so many; `rows` of a block are its pixels."""
    starts = range(0, pixels, step)
    return [Block(slice(image, image + 1), slice(a, min(a + step, pixels)), slice(0)) for a in starts]


def _met_by_taps(rows: Axis, columns: Axis, most: int) -> Array:
    """Which pixel each of `most` taps meets at each place, [tap, place]; one beyond the last for none.

    The kernel finds them in a list in which columns of taps that meet the same pixels stand once, row of places after
    row. So taps in excess meet what stands next: the following columns, and at the end the last pixel over again.
    """
    height, width = rows.filter, columns.filter
    step = min(columns.stride, width) if columns.dilation == 1 else width
    length = height * width + (columns.out - 1) * step * height
    found = np.empty(rows.out * length + most, np.intp)
    oy, ox, kx, ky = (axis.reshape(-1) for axis in np.indices((rows.out, columns.out, width, height)))
    y = oy * rows.stride + ky * rows.dilation - rows.before
    x = ox * columns.stride + kx * columns.dilation - columns.before
    is_inside = (y >= 0) & (y < rows.size) & (x >= 0) & (x < columns.size)
    found[oy * length + (ox * step + kx) * height + ky] = np.where(
        is_inside, y * columns.size + x, rows.size * columns.size
    )
    found[rows.out * length :] = found[rows.out * length - 1]
    starts = np.arange(rows.out)[:, None] * length + np.arange(columns.out) * step * height
    result: Array = found[starts.reshape(-1) + np.arange(most)[:, None]]
    return result


@kernel("FULLY_CONNECTED", profile=XNNPACK_FLOATS)
def dense(op: Operator) -> Run:
    """Product of x [..., inputs] with filters [outputs, inputs]; the last row of x must be full."""
    x, w = op.input(0), op.input(1)
    if w.is_sparse:
        raise op.unsupported("sparse weights of float32")
    if w.dims[1] and prod(x.dims) % w.dims[1]:
        raise op.unsupported(f"input {x.dims} of rows that are not full, which XNNPACK refuses,")
    return planned_fully_connected(op, replace(fully_connected.IN_ORDER, floats=_fully_connected))


def _fully_connected(op: Operator, activation: int) -> Run:
    w, shape = op.input(1), op.output().dims
    outputs, inputs = w.dims
    rows, bounds = prod(shape[:-1]), float_range(activation)
    product_with = made_once_of_all(
        [w, op.optional_input(2)], lambda filter, bias: FusedProduct(filter.T, _start(bias, outputs))
    )

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        read = rows_of(x, rows, inputs, np.float32)
        return clamp(product_with(filter, bias)(np.ascontiguousarray(read.T)), bounds).reshape(shape)

    return run


@kernel("BATCH_MATMUL", profile=XNNPACK_FLOATS)
def batch_matmul(op: Operator) -> Run:
    """Products of the matrices in the last two dimensions, batch by batch; XNNPACK refuses those of no numbers."""
    if 0 in op.input(0).dims or 0 in op.input(1).dims:
        raise op.unsupported("matrices of no numbers, which XNNPACK refuses,")
    return planned_batch_matmul(op, _batch_matmul)


def _batch_matmul(options: BatchMatMulOptions) -> Run:
    def run(a: Array, b: Array) -> Array:
        a, b = matrices_of(options, a, b)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        y = np.empty((*lead, a.shape[-2], b.shape[-1]), np.float32)
        a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
        start = np.zeros(b.shape[-1], np.float32)
        for matrix in np.ndindex(lead):
            y[matrix] = FusedProduct(b[matrix], start)(np.ascontiguousarray(a[matrix].T))
        return y

    return run


@kernel("TRANSPOSE_CONV", profile=XNNPACK_FLOATS)
def transpose_conv(op: Operator) -> Run:
    """Each output sums the products of the inputs that its taps meet, taps row by row, from the bias on."""
    return with_made_shape(op, lambda op: planned_transpose_conv(op, _transpose_conv))


def _transpose_conv(op: Operator, options: TransposeConvOptions) -> Run:
    """Outputs that see the same taps go together; where a stride is longer than the filter all taps are seen, most of
    them with zeros."""
    w = op.input(1)
    outputs, height, width, channels = w.dims
    bounds = range_of(op)
    sizes = op.input(0).value
    assert sizes is not None  # XNNPACK takes no other
    geometry = geometry_of(op, options, sizes)
    axes = geometry.rows, geometry.columns
    apart = max(options.stride_h, options.stride_w) > 1 and options.stride_h <= height and options.stride_w <= width
    phases = [_phases(axis, apart) for axis in axes]

    def products_of(filter: Array, bias: Array | None) -> list[FusedProduct]:
        start = _start(bias, outputs)
        return [
            FusedProduct(filter[:, ky][:, :, kx].reshape(outputs, -1).T, start)
            for _, ky, _ in phases[0]
            for _, kx, _ in phases[1]
        ]

    products_with = made_once_of_all([w, op.optional_input(3)], products_of)

    def run(sizes: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
        y = np.empty(geometry.shape, np.float32)
        products = iter(products_with(filter, bias))
        images, rows, columns = x.shape[:3]
        pixels = np.concatenate([x.reshape(images, -1, channels), np.zeros((images, 1, channels), np.float32)], axis=1)
        for oy, _, met_y in phases[0]:
            for ox, _, met_x in phases[1]:
                product = next(products)
                met = np.where(
                    (met_y[:, None, :, None] >= 0) & (met_x[:, None] >= 0),
                    met_y[:, None, :, None] * columns + met_x[:, None],
                    rows * columns,
                )
                seen = pixels[:, met]
                terms = prod(met.shape[2:]) * channels
                sums = product(np.ascontiguousarray(seen.reshape(-1, terms).T))
                y[:, oy, ox] = clamp(sums, bounds).reshape(images, *met.shape[:2], outputs)
        return y

    return run


def _phases(axis: Axis, apart: bool) -> list[tuple[slice, Array, Array]]:
    """Sets of outputs along an axis, the taps that they see, and which input each meets with each, -1 for none."""
    step = axis.stride if apart else 1
    phases = []
    for first in range(min(step, axis.size)):
        taps = np.array([k for k in range(axis.filter) if (first + axis.before - k) % step == 0], np.intp)
        place = np.arange(first, axis.size, step)[:, None] + axis.before - taps
        met = np.where(
            (place >= 0) & (place % axis.stride == 0) & (place < axis.out * axis.stride), place // axis.stride, -1
        )
        phases.append((slice(first, None, step), taps, met))
    return phases
