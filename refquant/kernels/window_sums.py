"""Sums of integer products over the windows of images, block by block: the core of integer convolutions.

Where filters see many channels, the patches of a block are copied into a matrix, which BLAS multiplies by the filters.
Where each filter sees one channel, that would be a waste: the shifted images are multiplied by the filters right where
they lie, pixels and channels of a row together, which `einsum` does in one pass for all taps in a column.

The numbers of images come as they are, without their zero point taken off: that is (zero point) * (sum of the weights)
and belongs to the bias. So what lies outside an image counts as its zero point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd, log, prod

import numpy as np

from refquant.kernels.blocks import Block, blocks_of
from refquant.kernels.products import IntegerProduct, exact_type
from refquant.kernels.registry import Array
from refquant.kernels.windows import Axis

Sums = Callable[[Block], Array]

_PATCHES = 1 << 18  # numbers of patches and sums in a block
_FEWEST = 256  # places in a block if there are as many: BLAS copies the filters anew each time
_PIXELS = 1 << 16  # numbers of sums in a block of a depthwise convolution
_WORTH_THREADS = 1 << 15  # numbers of sums that are worth being shared out
_LONG = 1024  # numbers in the inner loop of its sums: as many as cost little overhead and stay in the first cache


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a convolution over images [batch, y, x, channels], `outside` being what lies around them."""

    batch: int
    rows: Axis
    columns: Axis
    channels: int
    outside: int
    threads: int = 1

    def blocks(self, most: int, outputs: int) -> list[Block]:
        """The blocks of about `most` places, but if they are worth it as many as there are threads."""
        places = prod(self.places)
        if not outputs:
            return []
        if self.threads > 1 and places * outputs >= _WORTH_THREADS:
            most = min(most, -(-places // self.threads))
        return blocks_of(*self.places, max(1, most))

    @property
    def places(self) -> tuple[int, int, int]:
        """How many there are: batch, rows, columns."""
        return self.batch, self.rows.out, self.columns.out

    @property
    def are_pixels(self) -> bool:
        """Whether each window is a pixel, all in their order."""
        return all((a.filter, a.stride, a.before, a.out) == (1, 1, 0, a.size) for a in (self.rows, self.columns))

    def padded(self, x: Array) -> Array:
        """The images with as much around them as the windows see, contiguous in memory."""
        (top, y, bottom), (left, x_size, right) = (_seen(axis) for axis in (self.rows, self.columns))
        x = x[:, y, x_size]
        if not top + bottom + left + right:
            return np.ascontiguousarray(x)
        n, height, width, channels = x.shape
        shape = (n, top + height + bottom, left + width + right, channels)
        padded = np.full(shape, self.outside, x.dtype)
        padded[:, top : top + height, left : left + width] = x
        return padded

    def patches(self, x: Array) -> Array:
        """What each window of padded images sees, [batch, oy, ox, ky, kx, channels], a view."""
        rows, columns = self.rows, self.columns
        n, y, pixel, channel = x.strides
        shape = (*self.places, rows.filter, columns.filter, self.channels)
        steps = (n, y * rows.stride, pixel * columns.stride, y * rows.dilation, pixel * columns.dilation, channel)
        return np.ndarray(shape, x.dtype, x, 0, steps)

    def lines(self, x: Array) -> Array:
        """As `patches`, [batch, oy, ox, ky], pixels and channels of a line as one item, where nothing lies between."""
        patches = self.patches(x)
        item = np.dtype(f"V{self.columns.filter * self.channels * x.itemsize}")
        return np.ndarray(patches.shape[:4], item, x, 0, patches.strides[:4])


def _seen(axis: Axis) -> tuple[int, slice, int]:
    """What lies before the image, which part of it is seen, and what lies after it, along one axis."""
    return max(0, axis.before), slice(max(0, -axis.before), None), axis.after


def filter_matrices(w: Array) -> list[Array]:
    """Filters [ky, kx, input, group, output] as a matrix [terms, outputs] for each group."""
    terms, (groups, outputs) = prod(w.shape[:3]), w.shape[3:]
    return [np.ascontiguousarray(w[..., g, :].reshape(terms, outputs)) for g in range(groups)]


class MatrixSums:
    """Sums for filters [ky, kx, input, group, output], integers, and integers |x| <= `largest`."""

    def __init__(self, windows: Windows, w: Array, largest: int) -> None:
        taps, depth, groups, outputs = w.shape[0] * w.shape[1], *w.shape[2:]
        self._windows = windows
        self._terms, self._depth = taps * depth, depth
        self._products = [IntegerProduct(matrix, largest) for matrix in filter_matrices(w)]
        self._are_pixels = windows.are_pixels and groups == 1
        self.bounds = np.concatenate([product.bounds for product in self._products])
        numbers = max(1, windows.channels * taps + 2 * groups * outputs)  # for a place
        share = prod(windows.places) * numbers // 4  # of a small image, so that a block needs little memory beside it
        most = min(_PATCHES, max(_PATCHES // 4, share))
        self.blocks = windows.blocks(max(_FEWEST, most // numbers), groups * outputs)

    def __call__(self, x: Array) -> Sums:
        """The function that gives the sums [places, outputs] of a block."""
        if self._are_pixels:
            pixels, product = x.reshape(-1, self._terms), self._products[0]
            return lambda block: product(pixels[block.places].astype(product.dtype))
        windows, depth = self._windows, self._depth
        padded = windows.padded(x)

        def rows(seen: Array, product: IntegerProduct) -> Array:
            matrix = seen.copy().view(x.dtype).reshape(prod(seen.shape[:3]), self._terms)
            return matrix.astype(product.dtype)

        if len(self._products) == 1:
            (product,) = self._products
            view = windows.lines if windows.columns.dilation == 1 and self._terms else windows.patches
            patches = view(padded)
            return lambda block: product(rows(patches[block.images, block.rows], product))
        patches = windows.patches(padded)

        def sums(block: Block) -> Array:
            seen = patches[block.images, block.rows]
            groups = enumerate(self._products)
            parts = [product(rows(seen[..., g * depth : (g + 1) * depth], product)) for g, product in groups]
            return np.concatenate(parts, axis=1)

        return sums


class ChannelSums:
    """Sums for filters [ky, kx, 1, channel, multiplier], integers, and integers |x| <= `largest`.

    Pixels and channels of a row lie together in one axis, which is cut into pieces of `_LONG` numbers or so. With a
    stride of s along x every s-th pixel is wanted, so a row is stored as s rows of every s-th pixel, and a tap at an
    offset t meets row t % s from pixel t // s on. The taps that meet the same row are summed together.
    """

    def __init__(self, windows: Windows, w: Array, largest: int) -> None:
        height, width, _, channels, multiplier = w.shape
        columns, outputs = windows.columns, channels * multiplier
        self._windows, self._multiplier, self._outputs = windows, multiplier, outputs
        w = w.reshape(height, width, outputs)
        self.bounds = np.abs(w.astype(np.int32)).sum(axis=(0, 1), dtype=np.int64) * largest
        self._dtype = exact_type(int(self.bounds.max(initial=0)))
        together = _divisor(columns.out, _LONG / max(1, outputs))
        self._pieces = (columns.out // together, together * outputs)
        w = np.tile(w.astype(self._dtype), together)
        every = columns.stride // gcd(columns.stride, columns.dilation)
        self._together = [(kx * columns.dilation, w[:, kx::every]) for kx in range(min(every, width))]
        self._step = every * columns.dilation // columns.stride  # pixels from one of these taps to the next
        self._pixels = columns.out + max(0, width - 1) * columns.dilation // columns.stride
        self.blocks = windows.blocks(_PIXELS // max(1, outputs), outputs)

    def __call__(self, x: Array) -> Sums:
        """The function that gives the sums [places, outputs] of a block."""
        rows, columns, outputs = self._windows.rows, self._windows.columns, self._outputs
        pieces, length = self._pieces

        def sums(block: Block) -> Array:
            if not rows.filter * columns.filter:  # no tap meets an image
                return np.zeros((block.places.stop - block.places.start, outputs))
            stored = self._stored(x, block)
            images, lines = len(stored), block.rows.stop - block.rows.start
            image, phase, line, number = stored.strides
            pixel = outputs * number
            steps = (image, line * rows.stride, length * number, line * rows.dilation, self._step * pixel, number)
            total: Array | None = None
            for offset, w in self._together:
                start = offset % columns.stride * phase + offset // columns.stride * pixel
                shape = (images, lines, pieces, *w.shape[:2], length)
                seen = np.ndarray(shape, stored.dtype, stored, start, steps)
                part = np.einsum("nhpyxi,yxi->nhpi", seen, w)
                total = part if total is None else np.add(total, part, out=total)
            assert total is not None
            return total.reshape(images * lines * columns.out, outputs)

        return sums

    def _stored(self, x: Array, block: Block) -> Array:
        """The pixels that a block sees, [images, stride, lines, pixels * outputs], the zero point around them."""
        windows, multiplier = self._windows, self._multiplier
        rows, columns = windows.rows, windows.columns
        first = block.rows.start * rows.stride - rows.before
        lines = (block.rows.stop - 1 - block.rows.start) * rows.stride + (rows.filter - 1) * rows.dilation + 1
        images = x[block.images]
        shape = (len(images), columns.stride, lines, self._pixels, windows.channels, multiplier)
        stored = np.full(shape, windows.outside, self._dtype)
        top, bottom = max(0, first), min(rows.size, first + lines)
        for phase in range(columns.stride):
            # pixel p of this phase is x at p * stride + phase - before
            begin = max(0, -((phase - columns.before) // columns.stride))
            start = begin * columns.stride + phase - columns.before
            source = images[:, top:bottom, start :: columns.stride][:, :, : self._pixels - begin]
            stored[:, phase, top - first : bottom - first, begin : begin + source.shape[2]] = source[..., None]
        return stored.reshape(len(images), columns.stride, lines, -1)


def _divisor(number: int, wanted: float) -> int:
    """The divisor of `number` that comes nearest to what is wanted, in proportion.

    >>> _divisor(56, 9), _divisor(257, 9)
    (8, 1)
    """
    divisors = [n for n in range(1, number + 1) if number % n == 0]
    return min(divisors, key=lambda n: abs(log(n / wanted)), default=1)
