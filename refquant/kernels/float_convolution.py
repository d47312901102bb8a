"""The float32 sums of CONV_2D and DEPTHWISE_CONV_2D in the order of the reference kernels, block by block.

A sum starts from 0; products are added in the order ky, kx, input channel, each product and each sum rounded; the bias
comes last. `ordered_products` does so for many sums at a time. Where filters see many channels, the patches of a block
are copied into a matrix, place beside place. Where each filter sees one channel, pixels and channels of a row are taken
together, as `window_sums` does with integers; but as the order counts, each tap along x has a row of its own.

The real kernels skip taps that lie outside the image. Here zeros lie there, and their products, +0 or -0, are added:
that changes no bit of a sum which starts from +0, as such a sum is never -0. Weights that are no numbers would make NaN
of a zero, so with such weights the taps are skipped here, too, which is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from refquant.kernels.blocks import Block, blocks_of, for_each
from refquant.kernels.constants import made_once
from refquant.kernels.fused_activation import clamp_float
from refquant.kernels.products import add_products_in_order
from refquant.kernels.registry import Array, Run
from refquant.kernels.window_sums import Windows
from refquant.numerics.ordered_products import product_in_order, taps_in_order

if TYPE_CHECKING:
    from refquant.kernels.convolution import Convolution

_PATCHES = 1 << 16  # numbers of patches in a block
_FEWEST = 256  # places in a block if there are as many: what the inner loop of the sums goes through
_PIXELS = 1 << 15  # numbers of sums in a block of a depthwise convolution


class _Sums(Protocol):
    """What sums the products of images with filters, and adds the bias: the blocks, and for images and bias the
    function that writes the sums of a block to an array [places, outputs], which is contiguous in memory."""

    blocks: list[Block]

    def __call__(self, x: Array, bias: Array | None) -> Callable[[Block, Array], None]: ...


def float_in_order(plan: Convolution) -> Run:
    """float32: from 0, products added in the order ky, kx, input channel, the bias last."""
    return convolved_by(plan, lambda w: _in_order(plan, w))


def convolved_by(plan: Convolution, planned: Callable[[Array], _Sums]) -> Run:
    """The sums that are `planned` for arranged filters, and what comes after them while they are in the cache."""
    sums_with = made_once(plan.filter, lambda filter: planned(plan.arranged(filter)))

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        products = sums_with(filter)
        sums = products(x, None if bias is None else bias.reshape(-1))
        y = np.empty((int(np.prod(plan.shape[:3])), plan.outputs), np.float32)

        def write(block: Block) -> None:
            total = y[block.places]
            sums(block, total)
            clamp_float(total, plan.activation, total)

        for_each(write, products.blocks, plan.op.threads)
        return y.reshape(plan.shape)

    return run


def _in_order(plan: Convolution, w: Array) -> _Sums:
    if not np.isfinite(w).all() or not w.size:
        return _TapSums(plan, w)
    windows = Windows(plan.input.dims[0], plan.rows, plan.columns, plan.channels, outside=0)
    return _ChannelSums(windows, w) if w.shape[2] == 1 else _MatrixSums(windows, w)


class _MatrixSums:
    """For filters [ky, kx, input, group, output]: the patches of a block, a row for each term, times the filters."""

    def __init__(self, windows: Windows, w: Array) -> None:
        height, width, depth, groups, outputs = w.shape
        self._windows = windows
        self._terms = height * width * depth
        self._filters = [np.ascontiguousarray(w[..., g, :].reshape(self._terms, outputs)) for g in range(groups)]
        self.blocks = blocks_of(*windows.places, max(_FEWEST, _PATCHES // max(1, self._terms)))

    def __call__(self, x: Array, bias: Array | None) -> Callable[[Block, Array], None]:
        windows, groups = self._windows, len(self._filters)
        patches = windows.patches(windows.padded(x)).transpose(3, 4, 5, 0, 1, 2)
        depth = windows.channels // groups

        def sums(block: Block, out: Array) -> None:
            seen = patches[..., block.images, block.rows, :]
            for g, w in enumerate(self._filters):
                total = product_in_order(_rows(seen[:, :, g * depth : (g + 1) * depth], self._terms), w)
                group = slice(g * w.shape[1], (g + 1) * w.shape[1])
                out[:, group] = total if bias is None else np.add(total, bias[group], out=total)

        return sums


def _rows(patches: Array, terms: int) -> Array:
    """A matrix [terms, places] of the patches [ky, kx, input, image, oy, ox]."""
    copied = np.empty(patches.shape, np.float32)
    np.copyto(copied, patches)
    return copied.reshape(terms, int(np.prod(patches.shape[3:])))


class _ChannelSums:
    """For filters [ky, kx, 1, channel, multiplier]: rows of pixels times rows of filters, tap after tap."""

    def __init__(self, windows: Windows, w: Array) -> None:
        height, width, _, channels, multiplier = w.shape
        self._windows, self._multiplier = windows, multiplier
        self._taps = np.tile(w.reshape(height, width, channels * multiplier), windows.columns.out)
        self.blocks = blocks_of(*windows.places, max(1, _PIXELS // max(1, channels * multiplier)))

    def __call__(self, x: Array, bias: Array | None) -> Callable[[Block, Array], None]:
        rows = self._windows.rows
        along_row = None if bias is None else np.tile(bias, self._windows.columns.out)

        def sums(block: Block, out: Array) -> None:
            stored = self._stored(x, block)
            image, line, tap, number = stored.strides
            seen = np.lib.stride_tricks.as_strided(
                stored,
                (len(stored), *self._taps.shape[:2], block.rows.stop - block.rows.start, self._taps.shape[2]),
                (image, line * rows.dilation, tap, line * rows.stride, number),
                writeable=False,
            )
            total = out.reshape(len(seen), seen.shape[3], seen.shape[4])
            taps_in_order(seen, self._taps, total)
            if along_row is not None:
                np.add(total, along_row, out=total)

        return sums

    def _stored(self, x: Array, block: Block) -> Array:
        """The lines that a block sees: what each tap along x meets there, [images, lines, taps, places * outputs]."""
        windows, multiplier = self._windows, self._multiplier
        rows, columns = windows.rows, windows.columns
        first = block.rows.start * rows.stride - rows.before
        lines = (block.rows.stop - 1 - block.rows.start) * rows.stride + (rows.filter - 1) * rows.dilation + 1
        images = x[block.images]
        stored = np.zeros((len(images), lines, columns.filter, columns.out, windows.channels, multiplier), np.float32)
        top, bottom = max(0, first), min(rows.size, first + lines)
        for tap in range(columns.filter):
            ox, ix = columns.overlap(tap)
            stored[:, top - first : bottom - first, tap, ox] = images[:, top:bottom, ix, :, None]
        return stored.reshape(*stored.shape[:3], self._taps.shape[2])


class _TapSums:
    """For any filters [ky, kx, input, group, output]: tap after tap, those outside the image left out."""

    def __init__(self, plan: Convolution, w: Array) -> None:
        self._plan, self._w = plan, w
        self.blocks = blocks_of(
            plan.input.dims[0], plan.rows.out, plan.columns.out, max(1, _PATCHES // max(1, plan.outputs))
        )

    def __call__(self, x: Array, bias: Array | None) -> Callable[[Block, Array], None]:
        plan, (height, width, depth, groups, outputs) = self._plan, self._w.shape
        rows, columns = plan.rows, plan.columns
        x = x.reshape(*x.shape[:3], groups, depth)

        def sums(block: Block, out: Array) -> None:
            begin, end = block.rows.start, block.rows.stop
            images = x[block.images]
            out[:] = 0
            total = out.reshape(len(images), end - begin, columns.out, groups, outputs)
            for ky, kx in np.ndindex(height, width):
                (oy, iy), (ox, ix) = rows.overlap(ky, begin, end), columns.overlap(kx)
                add_products_in_order(total[:, oy, ox], images[:, iy, ix], self._w[ky, kx])
            if bias is not None:
                np.add(out, bias, out=out)

        return sums
