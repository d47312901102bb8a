"""The float32 sums of CONV_2D and DEPTHWISE_CONV_2D in the order of the reference kernels, block by block.

A sum starts from 0; products are added in the order ky, kx, input channel, each product and each sum rounded; the bias
comes last. `ordered_products` does so for many sums at a time. Where filters see many channels, the patches of a block
are copied into a matrix, place beside place. Where each filter sees one channel, pixels and channels of a row are taken
together, as `window_sums` does with integers.

The real kernels skip taps that lie outside the image. Here zeros lie there, and their products, +0 or -0, are added:
that changes no bit of a sum which starts from +0, as such a sum is never -0. Weights that are no numbers would make NaN
of a zero, so with such weights the taps are skipped here, too, which is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from refquant.kernels.blocks import Block, for_each
from refquant.kernels.constants import made_once, made_once_of_all
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.products import add_products_in_order
from refquant.kernels.registry import Array, Run
from refquant.kernels.window_sums import Windows, filter_matrices
from refquant.numerics.ordered_products import product_in_order, taps_in_order

if TYPE_CHECKING:
    from refquant.kernels.convolution import Convolution

_PATCHES = 1 << 16  # numbers of patches in a block
_FEWEST = 256  # places in a block if there are as many: what the inner loop of the sums goes through
_PIXELS = 1 << 16  # numbers of sums in a block of a depthwise convolution


class Sums(Protocol):
    """What sums the products of images with filters: the blocks, and for images the function that writes the sums of a
    block to an array [places, outputs], which is contiguous in memory."""

    blocks: list[Block]

    def __call__(self, x: Array) -> Callable[[Block, Array], None]:
        """The function for these images."""


def float_in_order(plan: Convolution) -> Run:
    """float32: from 0, products added in the order ky, kx, input channel, the bias last."""
    return convolved_by(plan, lambda w: sums_in_order(plan, w))


def convolved_by(plan: Convolution, planned: Callable[[Array], Sums]) -> Run:
    """The sums that are `planned` for arranged filters, and what comes after them while they are in the cache."""
    sums_with = made_once(plan.filter, lambda filter: planned(plan.arranged(filter)))
    along_row = made_once_of_all(
        [plan.op.optional_input(2)], lambda bias: None if bias is None else np.tile(bias.reshape(-1), plan.columns.out)
    )
    shape = plan.shape

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        products = sums_with(filter)
        sums = products(x)
        y = np.empty((prod(shape[:3]), plan.outputs), np.float32)
        biases = along_row(bias)

        def write(block: Block) -> None:
            total = y[block.places]
            sums(block, total)
            if biases is not None:
                rows = total.reshape(total.size // biases.size, biases.size)
                np.add(rows, biases, out=rows)
            clamp_float(total, plan.activation, total)

        for_each(write, products.blocks, plan.op.threads)
        return y.reshape(shape)

    return run


def sums_in_order(plan: Convolution, w: Array) -> Sums:
    """What sums the products with arranged filters in the order of the reference kernels."""
    if not in_one_pass(w):
        return TapSums(plan, w)
    return (ChannelSums if w.shape[2] == 1 else _MatrixSums)(windows_of(plan), w)


def in_one_pass(w: Array) -> bool:
    """Whether zeros may lie around the images: for filters of numbers only; and there must be any."""
    return w.size > 0 and bool(np.isfinite(w).all())


def windows_of(plan: Convolution) -> Windows:
    """The windows, with zeros around the images."""
    return Windows(plan.input.dims[0], plan.rows, plan.columns, plan.channels, outside=0, threads=plan.op.threads)


class _MatrixSums:
    """For filters [ky, kx, input, group, output]: the patches of a block, a row for each term, times the filters."""

    def __init__(self, windows: Windows, w: Array) -> None:
        self._windows, self._terms, self._filters = windows, prod(w.shape[:3]), filter_matrices(w)
        self.blocks = windows.blocks(max(_FEWEST, _PATCHES // max(1, self._terms)), prod(w.shape[3:]))

    def __call__(self, x: Array) -> Callable[[Block, Array], None]:
        windows, groups = self._windows, len(self._filters)
        patches = windows.patches(windows.padded(x)).transpose(3, 4, 5, 0, 1, 2)
        depth = windows.channels // groups

        def sums(block: Block, out: Array) -> None:
            seen = patches[..., block.images, block.rows, :]
            for g, w in enumerate(self._filters):
                columns = _columns(seen[:, :, g * depth : (g + 1) * depth], self._terms)
                out[:, g * w.shape[1] : (g + 1) * w.shape[1]] = product_in_order(columns, w)

        return sums


def _columns(patches: Array, terms: int) -> Array:
    """A matrix [terms, places] of the patches [ky, kx, input, image, oy, ox]."""
    copied = np.empty(patches.shape, np.float32)
    np.copyto(copied, patches)
    return copied.reshape(terms, prod(patches.shape[3:]))


class ChannelSums:
    """For filters [ky, kx, 1, channel, multiplier]: rows of pixels times rows of filters, tap after tap.

    The taps along x see one row of pixels, each from another pixel on. With a stride, the pixels that a tap sees do not
    lie together, so each tap has a row of its own; also where taps lie as near to each other as numbers do, which
    `taps_in_order` does not take.

    Sums start from 0, or from one number `start` for each output, but not -0: they are the weights of a tap before the
    first one, which sees 1 everywhere. There is one in each row of taps, the others weigh 0, which adds +0.
    """

    def __init__(self, windows: Windows, w: Array, start: Array | None = None) -> None:
        height, width, _, channels, multiplier = w.shape
        columns, outputs = windows.columns, channels * multiplier
        self._windows, self._multiplier = windows, multiplier
        w = w.reshape(height, width, outputs)
        self._ones = 0 if start is None else 1
        if start is not None:
            before = np.zeros((height, 1, outputs), np.float32)
            before[0] = start
            w = np.concatenate([before, w], axis=1)
        self._taps = np.tile(w, columns.out)
        self._stored, self._step = columns, columns.out * outputs
        if start is None and columns.stride == 1 and columns.dilation * outputs > 1:
            pixels = columns.out + (width - 1) * columns.dilation
            self._stored, self._step = replace(columns, filter=1, out=pixels), columns.dilation * outputs
        self.blocks = windows.blocks(_PIXELS // max(1, outputs), outputs)

    def __call__(self, x: Array) -> Callable[[Block, Array], None]:
        """The function that writes the sums of a block of these images."""
        rows = self._windows.rows

        def sums(block: Block, out: Array) -> None:
            lines = self._lines(x, block)
            image, line, *_, number = lines.strides
            shape = (len(lines), *self._taps.shape[:2], block.rows.stop - block.rows.start, self._taps.shape[2])
            steps = (image, line * rows.dilation, self._step * number, line * rows.stride, number)
            seen = np.ndarray(shape, np.float32, lines, 0, steps)
            taps_in_order(seen, self._taps, out.reshape(len(seen), seen.shape[3], seen.shape[4]))

        return sums

    def _lines(self, x: Array, block: Block) -> Array:
        """The lines that a block sees, [images, lines, stored rows, pixels, channels, multiplier]."""
        rows, stored = self._windows.rows, self._stored
        first = block.rows.start * rows.stride - rows.before
        count = (block.rows.stop - 1 - block.rows.start) * rows.stride + (rows.filter - 1) * rows.dilation + 1
        images = x[block.images]
        shape = (len(images), count, self._ones + stored.filter, stored.out, self._windows.channels, self._multiplier)
        lines = np.empty(shape, np.float32)
        top, bottom = max(0, first), min(rows.size, first + count)
        lines[:, : top - first] = 0
        lines[:, bottom - first :] = 0
        inside = lines[:, top - first : bottom - first, self._ones :]
        for tap in range(stored.filter):
            met, pixels = stored.overlap(tap)
            inside[:, :, tap, : met.start] = 0
            inside[:, :, tap, met] = images[:, top:bottom, pixels, :, None]
            inside[:, :, tap, met.stop :] = 0
        lines[:, :, : self._ones] = 1
        return lines


class TapSums:
    """For any filters [ky, kx, input, group, output]: tap after tap, those outside the image left out.

    Sums start from 0, or from one number `start` for each output.
    """

    def __init__(self, plan: Convolution, w: Array, start: Array | None = None) -> None:
        self._plan, self._w = plan, w
        self._start = np.float32(0) if start is None else start
        self.blocks = windows_of(plan).blocks(_PATCHES // max(1, plan.outputs), plan.outputs)

    def __call__(self, x: Array) -> Callable[[Block, Array], None]:
        """The function that writes the sums of a block of these images."""
        plan, (height, width, depth, groups, outputs) = self._plan, self._w.shape
        rows, columns = plan.rows, plan.columns
        x = x.reshape(*x.shape[:3], groups, depth)

        def sums(block: Block, out: Array) -> None:
            begin, end = block.rows.start, block.rows.stop
            images = x[block.images]
            out[:] = self._start
            total = out.reshape(len(images), end - begin, columns.out, groups, outputs)
            for ky, kx in np.ndindex(height, width):
                (oy, iy), (ox, ix) = rows.overlap(ky, begin, end), columns.overlap(kx)
                add_products_in_order(total[:, oy, ox], images[:, iy, ix], self._w[ky, kx])

        return sums
