"""Boxes that do not overlap, the best first: NON_MAX_SUPPRESSION_V4, NON_MAX_SUPPRESSION_V5."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.numerics.libm import exp
from refquant.numerics.ordering import pop_heap, push_heap
from refquant.tflite.schema import TensorType

_FLOAT32, _INT32 = TensorType.FLOAT32, TensorType.INT32
Floats = npt.NDArray[np.float32]


@kernel("NON_MAX_SUPPRESSION_V4")
def non_max_suppression_v4(op: Operator) -> Run:
    """The places of up to `max_output_size` boxes, by falling score, none of which overlaps an earlier one too much.

    Boxes are [y1, x1, y2, x2], any two opposite corners. One is left out when its intersection over union with a box
    taken before reaches `iou_threshold`, or its score does not exceed `score_threshold`. The places after the last one
    are 0; how many are meant is the second output. Source: kernels/non_max_suppression.cc,
    internal/reference/non_max_suppression.h.
    """
    return _suppression(op)


@kernel("NON_MAX_SUPPRESSION_V5")
def non_max_suppression_v5(op: Operator) -> Run:
    """As NON_MAX_SUPPRESSION_V4, and where `sigma` is above zero, each overlap makes the score of a box smaller.

    The score is multiplied by exp(-iou**2 / (2 sigma)) for each box taken before; the box then waits for its new turn.
    The scores taken are the second output, the number of boxes is the third.
    """
    return _suppression(op)


def _suppression(op: Operator) -> Run:
    soft = len(op.inputs) == 6
    boxes, scores, most = op.input(0), op.input(1), op.input(2)
    numbers = [op.input(i) for i in range(2, len(op.inputs))]
    if any(t.type != _FLOAT32 for t in (boxes, scores, *numbers[1:])) or most.type != _INT32:
        raise op.unsupported()
    if len(op.outputs) != (3 if soft else 2):
        raise op.invalid(f"{len(op.inputs)} inputs do not go with {len(op.outputs)} outputs")
    for out, type in zip(op.outputs, [_INT32, _FLOAT32, _INT32] if soft else [_INT32, _INT32]):
        out.take_type(type)
    if len(boxes.dims) != 2 or boxes.dims[1] != 4 or scores.dims != boxes.dims[:1]:
        raise op.invalid(f"boxes of shape {boxes.dims} and scores of shape {scores.dims} do not fit together")
    if any(t.dims for t in numbers):
        raise op.invalid(f"takes single numbers after boxes and scores, got shapes {[t.dims for t in numbers]}")

    def checked(most: int) -> int:
        if most < 0:
            raise op.invalid(f"cannot select {most} boxes")
        return most

    for out in op.outputs[:-1]:
        out.shape = None if most.value is None else (checked(int(most.value)),)
    op.outputs[-1].shape = ()

    def run(boxes: Array, scores: Array, most: Array, iou: Array, threshold: Array, sigma: Array = _NO_SIGMA) -> object:
        if sigma < 0:
            raise op.invalid(f"sigma must not be negative, got {sigma}")
        taken = _select(boxes, scores, checked(int(most)), np.float32(iou), np.float32(threshold), np.float32(sigma))
        places, values = np.zeros(int(most), np.int32), np.zeros(int(most), np.float32)
        places[: len(taken)] = [candidate.place for candidate in taken]
        values[: len(taken)] = [candidate.score for candidate in taken]
        count = np.array(len(taken), np.int32)
        return (places, values, count) if soft else (places, count)

    return run  # type: ignore[return-value]


_NO_SIGMA = np.zeros((), np.float32)


class _Candidate(NamedTuple):
    """A box that may be taken, its score so far, and how many of those taken it has been compared with."""

    score: np.float32
    place: int
    compared: int


def _select(
    boxes: Floats, scores: Floats, most: int, iou_threshold: np.float32, threshold: np.float32, sigma: np.float32
) -> list[_Candidate]:
    heap: list[_Candidate] = []
    for place in np.flatnonzero(scores > threshold):
        push_heap(heap, _Candidate(scores[place], int(place), 0), _worse)
    most = min(most, len(heap))
    overlap = _overlaps(boxes)
    scale = np.float32(-0.5 / np.float64(sigma)) if sigma > 0 else np.float32(0)
    taken: list[_Candidate] = []
    while len(taken) < most and heap:
        best = pop_heap(heap, _worse)
        score, suppressed = best.score, False
        ious = overlap(best.place, [candidate.place for candidate in taken[best.compared :]])
        for iou in ious[::-1]:
            if iou >= iou_threshold:
                suppressed = True
                break
            if sigma > 0:
                score = np.float32(score * exp(scale * iou * iou))
            if score <= threshold:
                break
        if suppressed:
            continue
        waiting = _Candidate(score, best.place, len(taken))
        if score == best.score:
            taken.append(waiting)
        if score > threshold:
            push_heap(heap, waiting, _worse)
    return taken


def _overlaps(boxes: Floats) -> Callable[[int, list[int]], Floats]:
    """A function of a box and others: the intersection over union of each pair; of empty boxes 0."""
    first, second = boxes[:, :2], boxes[:, 2:]
    low, high = np.where(second < first, second, first), np.where(first < second, second, first)
    area = (high[:, 0] - low[:, 0]) * (high[:, 1] - low[:, 1])
    zero = np.float32(0)

    def overlap(i: int, others: list[int]) -> Floats:
        end = np.where(high[others] < high[i], high[others], high[i])
        begin = np.where(low[i] < low[others], low[others], low[i])
        side = end - begin
        sides = np.where(side < 0, zero, side)
        common = sides[:, 0] * sides[:, 1]
        iou = common / (area[i] + area[others] - common)
        return np.where((area[i] <= 0) | (area[others] <= 0), zero, iou)

    return overlap


def _worse(a: _Candidate, b: _Candidate) -> bool:
    return bool(a.score < b.score)
