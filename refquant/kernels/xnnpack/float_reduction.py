"""XNNPACK's float32 reductions over axes, and SOFTMAX.

Neighbouring axes that are all reduced, or all kept, are one. Where the last axis is reduced, each row along it is, and
the results are taken together row after row. Otherwise rows are added to each other, number by number.

Sources, below src: operators/reduce-nd.c, operator-run.c (xnn_compute_contiguous_reduce and its like),
f32-rdsum/simd.c.in, f32-rdminmax/simd.c.in, operators/softmax-nc.c.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, groupby
from math import prod

import numpy as np

from refquant.kernels.reduction import Axes, planned_reduction
from refquant.kernels.registry import XNNPACK_FLOATS, Array, Operator, Run, kernel
from refquant.numerics import flushed
from refquant.numerics.flushed import flush
from refquant.numerics.register_reductions import Pair, row_extremes, row_sums, row_sums_of_squares, sums_of_exps
from refquant.numerics.steps import SUM_OF_FLOATS, noted
from refquant.numerics.xnnpack_functions import exp_of_difference

Rows = Callable[[Array], Array]


@kernel("SUM", profile=XNNPACK_FLOATS)
def sum_of(op: Operator) -> Run:
    """The sum over some axes."""
    return _sum(op, row_sums, flushed.add)


def sum_of_squares(op: Operator) -> Run:
    """The sum of the squares over some axes, taken up by fused multiply-add."""
    return _sum(op, row_sums_of_squares, _add_square)


def _sum(op: Operator, of_rows: Rows, add: Pair) -> Run:
    return reduction(op, lambda axes, _: lambda x: _sums(x, axes, np.float32(1), of_rows, add))


@kernel("MEAN", profile=XNNPACK_FLOATS)
def mean(op: Operator) -> Run:
    """The sum over some axes times the reciprocal of the number of elements."""
    return _mean(op, row_sums, flushed.add)


def mean_of_squares(op: Operator) -> Run:
    """The sum of the squares over some axes times the reciprocal of the number of elements."""
    return _mean(op, row_sums_of_squares, _add_square)


def _mean(op: Operator, of_rows: Rows, add: Pair) -> Run:
    def planned(axes: Axes, count: int) -> Callable[[Array], Array]:
        scale = np.float32(1) / np.float32(count)
        return lambda x: _sums(x, axes, scale, of_rows, add)

    return reduction(op, planned)


def _add_square(x: Array, total: Array) -> Array:
    return flushed.fused(x, x, total)


@kernel("REDUCE_MAX", profile=XNNPACK_FLOATS)
def reduce_max(op: Operator) -> Run:
    """The largest number over some axes."""
    return reduction(op, lambda axes, _: lambda x: _extremes(x, axes, flushed.maximum, -np.inf))


@kernel("REDUCE_MIN", profile=XNNPACK_FLOATS)
def reduce_min(op: Operator) -> Run:
    """The smallest number over some axes."""
    return reduction(op, lambda axes, _: lambda x: _extremes(x, axes, flushed.minimum, np.inf))


def reduction(op: Operator, planned: Callable[[Axes, int], Callable[[Array], Array]]) -> Run:
    """`planned_reduction` of what XNNPACK does not refuse."""
    x, axis = op.input(0), op.input(1)
    assert axis.value is not None  # XNNPACK takes no other
    if max(len(x.dims), axis.value.size) > 6:
        raise op.unsupported("more than 6 dimensions or axes, which XNNPACK refuses or dies of,")
    places = [int(n) % max(1, len(x.dims)) for n in axis.value.ravel()]
    if len(set(places)) < len(places):
        raise op.unsupported("an axis that is named twice, which XNNPACK refuses,")
    run = planned_reduction(op, planned)
    if 0 in x.dims and 0 not in (op.output().shape or ()):
        raise op.unsupported("reductions of nothing, which XNNPACK does not write,")
    return run


def _rows_of(x: Array, axes: Axes) -> tuple[Array, bool]:
    """The numbers as [outer, kept, reduced, last], and whether there are kept axes after the reduced ones.

    `reduced` are the last axes that are reduced, `outer` the other ones; `last` are the kept axes after them.
    """
    runs = [
        (is_reduced, prod(x.shape[i] for i in run))
        for is_reduced, run in groupby(range(x.ndim), key=lambda i: i in axes)
    ]
    reduced = [i for i, (is_reduced, _) in enumerate(runs) if is_reduced]
    kept = [i for i, (is_reduced, _) in enumerate(runs) if not is_reduced]
    places = [reduced[:-1], [i for i in kept if i < reduced[-1]], reduced[-1:], [i for i in kept if i > reduced[-1]]]
    turned = flush(x).reshape([n for _, n in runs]).transpose([*chain(*places)])
    return turned.reshape([prod(runs[i][1] for i in group) for group in places]), bool(places[-1])


def _sums(x: Array, axes: Axes, scale: np.float32, of_rows: Rows, add: Pair) -> Array:
    """The sums times `scale`: of rows by `of_rows`, of numbers by `add`, which takes one up into a sum."""
    rows, by_numbers = _rows_of(x, axes)
    total = np.zeros((rows.shape[1], rows.shape[3]), np.float32)
    for part in rows:
        if by_numbers:
            sums = np.zeros(total.shape, np.float32)
            for k in range(part.shape[1]):
                sums = add(part[:, k], sums)
            total = flushed.add(total, flushed.multiply(sums, scale))
        else:
            sums = of_rows(part[:, :, 0])[:, None]
            total = flushed.fused(sums, scale, total)
        if len(rows) == 1:
            noted(SUM_OF_FLOATS, sums.ravel())
    return noted("times the scale", total)


def _extremes(x: Array, axes: Axes, function: Pair, start: float) -> Array:
    rows, by_numbers = _rows_of(x, axes)
    best = np.full((rows.shape[1], rows.shape[3]), start, np.float32)
    for part in rows:
        if by_numbers:
            for k in range(part.shape[1]):
                best = function(best, part[:, k])
        else:
            best = row_extremes(part[:, :, 0], function, best[:, 0])[:, None]
    return best


@kernel("SOFTMAX", profile=XNNPACK_FLOATS)
def softmax(op: Operator) -> Run:
    """exp(x - max) times the reciprocal of their sum, over the last axis."""
    x = op.input(0)
    op.output().shape = x.dims
    if x.dims[-1] == 0:
        raise op.unsupported("rows of no numbers, which XNNPACK refuses,")

    def run(x: Array) -> Array:
        rows = flush(x).reshape(-1, x.shape[-1])
        largest = row_extremes(rows, flushed.maximum, np.full(len(rows), -np.inf, np.float32))
        noted("largest of the row", largest[:, None])
        exps = noted("exp(input - largest)", exp_of_difference(rows, largest[:, None]))
        sums = noted("sum of the row's exps", sums_of_exps(exps)[:, None])
        result = flushed.multiply(exps, noted("1 / sum", flushed.divide(np.float32(1), sums)))
        return noted("times 1 / sum", result.reshape(x.shape))

    return run
