"""Sums and extremes of float32 numbers in a row as XNNPACK has them with AVX-512F: in registers of 16 lanes.

Sources, below src: f32-rsum/simd.c.in, f32-rsum2/simd.c.in, f32-rminmax/simd.c.in, and
f32-raddstoreexpminusmax/avx512f-rr2-p5.c.in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.numerics.flushed import add, fused

Float32s = npt.NDArray[np.float32]
Pair = Callable[[Float32s, Float32s], Float32s]

_LANES = 16


def folded(lanes: Float32s, function: Pair) -> Float32s:
    """`function` of lane i and lane i + 8, of those i and i + 4, and so on, over the last axis of 16.

    >>> float(folded(np.arange(16, dtype=np.float32), np.add))
    120.0
    """
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = function(lanes[..., :half], lanes[..., half:])
    result: Float32s = lanes[..., 0]
    return result


def row_sums(rows: Float32s) -> Float32s:
    """The sums of rows [n, numbers]: registers in turn to two accumulators, what is left to the first of them."""
    count = rows.shape[1]
    pairs, whole = count // (2 * _LANES) * 2 * _LANES, count // _LANES * _LANES
    first, second = (np.zeros((len(rows), _LANES), np.float32) for _ in range(2))
    for start in range(0, pairs, 2 * _LANES):
        first = add(first, rows[:, start : start + _LANES])
        second = add(second, rows[:, start + _LANES : start + 2 * _LANES])
    if whole > pairs:
        first = add(first, rows[:, pairs:whole])
    first = add(first, second)
    if count > whole:
        first = add(first, _filled(rows[:, whole:]))
    return folded(first, add)


def _filled(rest: Float32s) -> Float32s:
    """The rest of rows with zeros after it, a register."""
    register = np.zeros((len(rest), _LANES), np.float32)
    register[:, : rest.shape[1]] = rest
    return register


def row_sums_of_squares(rows: Float32s) -> Float32s:
    """The sums of the squares of rows [n, numbers] by fused multiply-add: registers in turn to four accumulators, those
    that are left to the first ones; then these become one, and what is left goes there."""
    count = rows.shape[1]
    whole = count // _LANES * _LANES
    sums = [np.zeros((len(rows), _LANES), np.float32)] * 4
    for start in range(0, whole, _LANES):
        register, i = rows[:, start : start + _LANES], start // _LANES % 4
        sums[i] = fused(register, register, sums[i])
    total = add(add(sums[0], sums[2]), add(sums[1], sums[3]))
    if count > whole:
        rest = _filled(rows[:, whole:])
        total = fused(rest, rest, total)
    return folded(total, add)


def row_extremes(rows: Float32s, function: Pair, start: Float32s) -> Float32s:
    """The extremes of rows [n, numbers] and `start` [n] by `function`, which gives its second argument where numbers
    cannot be told apart: the order shows then. Four registers in turn to accumulators, which are then one; whole
    registers to that; and the last numbers to each lane."""
    count = rows.shape[1]
    fours, whole = count // (4 * _LANES) * 4 * _LANES, count // _LANES * _LANES
    best = [np.repeat(start[:, None], _LANES, axis=1)] * 4
    for begin in range(0, fours, 4 * _LANES):
        registers = (rows[:, i : i + _LANES] for i in range(begin, begin + 4 * _LANES, _LANES))
        best = [function(a, b) for a, b in zip(best, registers)]
    result = function(function(best[0], best[1]), function(best[2], best[3]))
    for begin in range(fours, whole, _LANES):
        result = function(result, rows[:, begin : begin + _LANES])
    for i in range(whole, count):
        result = function(result, np.repeat(rows[:, i, None], _LANES, axis=1))
    return folded(result, function)


def sums_of_exps(rows: Float32s) -> Float32s:
    """The sums of rows [n, numbers]: of four registers each the first and third go to one accumulator, the others to a
    second; then to the sum of both single registers, and the rest."""
    count = rows.shape[1]
    fours, whole = count // (4 * _LANES) * 4 * _LANES, count // _LANES * _LANES
    first, second = (np.zeros((len(rows), _LANES), np.float32) for _ in range(2))
    for start in range(0, fours, 2 * _LANES):
        first = add(first, rows[:, start : start + _LANES])
        second = add(second, rows[:, start + _LANES : start + 2 * _LANES])
    first = add(first, second)
    for start in range(fours, whole, _LANES):
        first = add(first, rows[:, start : start + _LANES])
    if count > whole:
        first = add(first, _filled(rows[:, whole:]))
    return folded(first, add)
