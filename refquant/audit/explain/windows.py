"""What an element is made of: the summands of a sum of products, or the elements that a window sees.

The geometry is that of the kernels' own functions. That a window is the right one is not believed: `derive` compares
its sum with the accumulator that the kernel told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refquant.kernels.registry import Array, Operator, TensorInfo
from refquant.kernels.transpose_convolution import geometry_of
from refquant.kernels.windows import Axis, axis
from refquant.tflite.schema import BatchMatMulOptions

Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """An element of the data and the weight that it meets; None beyond the image, or where there are no weights."""

    x: Place | None
    weight: Place | None


@dataclass(frozen=True, slots=True)
class Window:
    """The pairs behind an element, in the order of the weights in memory.

    `data`, `weights` and `bias` are positions among the operator's inputs, `channel` the place in the bias.
    """

    pairs: list[Pair]
    data: int = 0
    weights: int | None = 1
    bias: int | None = None
    channel: int = 0


def window_of(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window | None:
    """The window behind element `index` of the operator's output; None for operators that have none."""
    find = _WINDOWS.get(op.name)
    return None if find is None else find(op, inputs, index)


def _conv_2d(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    n, oy, ox, c = index
    x, w = op.input(0), op.input(1)
    outputs, height, width, depth = w.dims
    first = c // (outputs // (x.dims[3] // depth)) * depth
    taps = _taps(op, x, oy, ox, height, width)
    pairs = [
        Pair(None if at is None else (n, *at, first + i), (c, ky, kx, i)) for ky, kx, at in taps for i in range(depth)
    ]
    return Window(pairs, bias=2, channel=c)


def _depthwise_conv_2d(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    n, oy, ox, c = index
    x, w = op.input(0), op.input(1)
    _, height, width, outputs = w.dims
    channel = c // (outputs // x.dims[3])
    taps = _taps(op, x, oy, ox, height, width)
    pairs = [Pair(None if at is None else (n, *at, channel), (0, ky, kx, c)) for ky, kx, at in taps]
    return Window(pairs, bias=2, channel=c)


def _pool(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    n, oy, ox, c = index
    taps = _taps(op, op.input(0), oy, ox, op.options.filter_height, op.options.filter_width)
    return Window([Pair(None if at is None else (n, *at, c), None) for _, _, at in taps], weights=None)


def _taps(
    op: Operator, x: TensorInfo, oy: int, ox: int, height: int, width: int
) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
    """Each tap of a window over an image, and the pixel that it sees; None for the padding."""
    options = op.options
    dilation = getattr(options, "dilation_h_factor", 1), getattr(options, "dilation_w_factor", 1)
    rows = axis(op, "y", x.dims[1], height, options.stride_h, dilation[0], options.padding)
    columns = axis(op, "x", x.dims[2], width, options.stride_w, dilation[1], options.padding)
    for ky in range(height):
        for kx in range(width):
            iy, ix = _seen(rows, oy, ky), _seen(columns, ox, kx)
            yield ky, kx, None if iy is None or ix is None else (iy, ix)


def _seen(axis: Axis, out: int, tap: int) -> int | None:
    places, inputs = axis.overlap(tap, out, out + 1)
    return inputs.start if places.stop > places.start else None


def _transpose_conv(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    n, oy, ox, c = index
    sizes = inputs[0]
    assert sizes is not None
    geometry = geometry_of(op, op.options, sizes)
    pairs = []
    for (ky, kx), (iy, ix), (ys, xs) in geometry.taps():
        at = [
            range(*met.indices(2**31))[range(*met_by.indices(2**31)).index(place)]
            if place in range(*met_by.indices(2**31))
            else None
            for met, met_by, place in ((iy, ys, oy), (ix, xs, ox))
        ]
        if None not in at:
            pairs += [Pair((n, *at, i), (c, ky, kx, i)) for i in range(op.input(2).dims[3])]  # type: ignore[arg-type]
    return Window(pairs, data=2, weights=1, bias=3, channel=c)


def _fully_connected(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    x, w = op.input(0), op.input(1)
    count = w.dims[1]
    row = int(np.ravel_multi_index(index[:-1], op.output().dims[:-1])) if len(index) > 1 else 0
    places = (np.unravel_index(row * count + i, x.dims) for i in range(count))
    return Window([Pair(_plain(place), (index[-1], i)) for i, place in enumerate(places)], bias=2, channel=index[-1])


def _batch_matmul(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    options = op.options if isinstance(op.options, BatchMatMulOptions) else BatchMatMulOptions()
    a, b = op.input(0).dims, op.input(1).dims
    *lead, row, column = index

    def place(dims: tuple[int, ...], first: int, second: int) -> Place:
        own = lead[len(lead) - (len(dims) - 2) :]
        return (*(0 if n == 1 else i for i, n in zip(own, dims)), first, second)

    pairs = [
        Pair(
            place(a, k, row) if options.adj_x else place(a, row, k),
            place(b, column, k) if options.adj_y else place(b, k, column),
        )
        for k in range(a[-2] if options.adj_x else a[-1])
    ]
    return Window(pairs)


def _reduction(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    x, axes = op.input(0), inputs[1]
    assert axes is not None
    rank = len(x.dims)
    reduced = {int(n) % rank for n in axes.ravel()} if rank else set()
    kept = iter(index if not op.options.keep_dims else [n for i, n in enumerate(index) if i not in reduced])
    sides = [range(n) if i in reduced else [next(kept)] for i, n in enumerate(x.dims)]
    grid = np.stack([g.ravel() for g in np.meshgrid(*sides, indexing="ij")], -1) if rank else np.zeros((1, 0), int)
    return Window([Pair(_plain(place), None) for place in grid], weights=None)


def _row(op: Operator, inputs: Sequence[Array | None], index: Place) -> Window:
    """The row of a softmax."""
    return Window([Pair((*index[:-1], i), None) for i in range(op.input(0).dims[-1])], weights=None)


def _plain(place: Sequence[Any]) -> Place:
    return tuple(int(n) for n in place)


_WINDOWS: dict[str, Callable[[Operator, Sequence[Array | None], Place], Window]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pool),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"), _reduction),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), _row),
}
