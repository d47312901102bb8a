"""The custom operator TFLite_Detection_PostProcess: from encoded boxes and scores of classes to the best boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, TensorInfo, kernel
from refquant.numerics.ordering import partial_sort
from refquant.tflite.schema import TensorType

Floats = npt.NDArray[np.float32]

_FLOAT32, _UINT8 = TensorType.FLOAT32, TensorType.UINT8


class _Options:
    """The custom options, with the values that missing ones have."""

    def __init__(self, op: Operator) -> None:
        options: dict[str, Any] = op.flexbuffer_options
        if not isinstance(options, dict) or not all(isinstance(v, (int, float)) for v in options.values()):
            raise op.invalid("its custom options are not a map of numbers")
        self.detections = int(options.get("max_detections", 0))
        self.classes_per_detection = int(options.get("max_classes_per_detection", 0))
        self.detections_per_class = int(options.get("detections_per_class", 100))
        self.is_regular = bool(options.get("use_regular_nms", False))
        self.score_threshold = np.float32(options.get("nms_score_threshold", 0))
        self.overlap_threshold = np.float32(options.get("nms_iou_threshold", 0))
        self.classes = int(options.get("num_classes", 0))
        self.scales = [np.float64(np.float32(options.get(f"{side}_scale", 0))) for side in "yxhw"]
        if not 0 < self.overlap_threshold <= 1:
            raise op.invalid(f"nms_iou_threshold is {self.overlap_threshold}, expected more than 0 and at most 1")
        if self.detections < 0 or self.classes_per_detection < 1 or self.classes < 1:
            raise op.invalid(
                f"max_detections {self.detections}, max_classes_per_detection {self.classes_per_detection} and "
                f"num_classes {self.classes} must not be negative, the last two not zero"
            )
        if self.is_regular and min(self.detections_per_class, self.detections) < 1:
            raise op.invalid("detections_per_class and max_detections must be 1 or more")


@kernel(
    "TFLite_Detection_PostProcess",
    custom=True,
    flaw="rows of the outputs beyond the number of detections hold, without use_regular_nms, whatever was in memory; "
    "refquant gives zeros",
)
def detection_postprocess(op: Operator) -> Run:
    """Decodes the boxes, drops those that overlap with better ones, gives the best: boxes, classes, scores, how many.

    A box is centre and size relative to an anchor: centre = code / scale * anchor size + anchor centre, half of a side
    = exp(code / scale) * anchor size / 2, in float64, rounded to float32; its corners in float32. Two boxes overlap
    too much when the area of their intersection is more than `nms_iou_threshold` of that of their union.
    Regular suppression goes through the boxes for each class, the fast one once, by each box's best class. Source:
    kernels/detection_postprocess.cc.
    """
    if len(op.inputs) != 3 or len(op.outputs) != 4:
        raise op.invalid("it takes 3 inputs and 4 outputs")
    codes, scores, anchors = (op.input(i) for i in range(3))
    options = _Options(op)
    if codes.type not in (_FLOAT32, _UINT8) or anchors.type != codes.type or scores.type not in (_FLOAT32, _UINT8):
        raise op.unsupported()
    if any(out.type != _FLOAT32 for out in op.outputs):
        raise op.unsupported()
    count = codes.dims[1] if len(codes.dims) == 3 else -1
    fits = codes.dims[0:1] == (1,) and codes.dims[2:3] >= (4,) and anchors.dims == (count, 4)
    columns = scores.dims[-1] if len(scores.dims) == 3 and scores.dims[:2] == (1, count) else -1
    if not fits or columns - options.classes not in (0, 1):
        raise op.invalid(
            f"boxes {codes.dims}, scores {scores.dims} and anchors {anchors.dims} do not fit together, "
            f"or not {options.classes} classes with or without a background"
        )
    rows = options.detections * options.classes_per_detection
    if rows >= MOST_ELEMENTS:
        raise op.invalid(f"{rows} detections are too many")
    for out, shape in zip(op.outputs, [(1, rows, 4), (1, rows), (1, rows), (1,)]):
        out.shape = shape
    numbers = [_as_float(op, tensor) for tensor in (codes, scores, anchors)]

    def run(codes: Array, scores: Array, anchors: Array) -> tuple[Array, ...]:
        codes, scores, anchors = (convert(x) for convert, x in zip(numbers, (codes, scores, anchors)))
        boxes = _decode(codes[0, :, :4], anchors, options.scales)
        if np.any((boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])):
            raise op.invalid("a box ends before it begins: anchors and codes give a negative size")
        found = (_regular if options.is_regular else _fast)(boxes, scores[0, :, columns - options.classes :], options)
        box_rows, classes, best = np.zeros((1, rows, 4), np.float32), *np.zeros((2, 1, rows), np.float32)
        for row, box, klass, score in found:
            box_rows[0, row], classes[0, row], best[0, row] = boxes[box], klass, score
        many = len(found) if options.is_regular else len({box for _, box, _, _ in found})
        return box_rows, classes, best, np.array([many], np.float32)

    return run


@kernel("TFLite_Detection_PostProcess", custom=True, profile="micro")
def micro_detection_postprocess(op: Operator) -> Run:
    """As TFLite_Detection_PostProcess of float32; the real kernel leaves rows beyond the last detection unset.

    So fewer detections than rows are refused. Source: tensorflow/lite/micro/kernels/detection_postprocess.cc.
    """
    if any(op.input(i).type != _FLOAT32 for i in range(len(op.inputs))):
        raise op.unsupported()
    run = detection_postprocess(op)
    is_regular = _Options(op).is_regular

    def run_full(*inputs: Array) -> tuple[Array, ...]:
        boxes, classes, scores, many = run(*inputs)
        if not is_regular and many[0] < boxes.shape[1]:
            raise op.unsupported(f"{int(many[0])} detections for {boxes.shape[1]} rows")
        return boxes, classes, scores, many

    return run_full


def _as_float(op: Operator, tensor: TensorInfo) -> Any:
    """From the tensor's numbers to float32: themselves, or (x - zero point) * scale."""
    if tensor.type == _FLOAT32:
        return lambda x: x
    if not tensor.is_quantized:
        raise op.invalid(f"tensor {tensor.index} ({tensor.name!r}) of type UINT8 has no scale")
    scale, zero_point = tensor.scale, np.float32(tensor.zero_point)
    return lambda x: (x.astype(np.float32) - zero_point) * scale


def _decode(codes: Floats, anchors: Floats, scales: Sequence[np.float64]) -> Floats:
    """Corners ymin, xmin, ymax, xmax of boxes [n, 4], from codes and anchors y, x, h, w."""
    y, x, h, w = codes.T.astype(np.float64)
    anchor_y, anchor_x, anchor_h, anchor_w = anchors.T.astype(np.float64)
    centre_y = (y / scales[0] * anchor_h + anchor_y).astype(np.float32)
    centre_x = (x / scales[1] * anchor_w + anchor_x).astype(np.float32)
    half_h = (0.5 * _exp(h / scales[2]) * anchor_h).astype(np.float32)
    half_w = (0.5 * _exp(w / scales[3]) * anchor_w).astype(np.float32)
    return np.stack([centre_y - half_h, centre_x - half_w, centre_y + half_h, centre_x + half_w], axis=-1)


def _exp(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """exp of float64; NumPy's may be a unit beside the C library's, which float32 shows once in 10**9 numbers."""
    return np.exp(x)


def _regular(boxes: Floats, scores: Floats, options: _Options) -> list[tuple[int, int, int, np.float32]]:
    """For each detection: row, box, class, score. Suppression in each class; the best of all classes."""
    limit = min(options.detections_per_class, options.detections)
    found: list[tuple[int, int, np.float32]] = []
    for klass in range(options.classes):
        column = scores[:, klass]
        found += [(box, klass, column[box]) for box in _selected(boxes, column, limit, options)]
        found = sorted(found, key=lambda entry: -entry[2])[: options.detections]  # stable, as inplace_merge is
    return [(row, *entry) for row, entry in enumerate(found)]


def _fast(boxes: Floats, scores: Floats, options: _Options) -> list[tuple[int, int, int, np.float32]]:
    """For each detection and each of its best classes: row, box, class, score."""
    per_box = min(options.classes_per_detection, options.classes)
    classes = [_best(row.tolist(), per_box) for row in scores]
    best = np.array([row[first[0]] for row, first in zip(scores, classes)], np.float32)
    found = []
    for number, box in enumerate(_selected(boxes, best, options.detections, options)):
        for position, klass in enumerate(classes[box]):
            found.append((number * options.classes_per_detection + position, box, klass, scores[box, klass]))
    return found


def _best(scores: list[float], count: int) -> list[int]:
    """The classes of the highest scores, highest first; equal ones as the C++ library leaves them."""
    if count == 1:
        return [scores.index(max(scores))]
    return partial_sort(list(range(len(scores))), count, lambda i, j: scores[i] > scores[j])


def _selected(boxes: Floats, scores: Floats, limit: int, options: _Options) -> list[int]:
    """Boxes from the best score down, without those that overlap too much with one before them."""
    kept = np.flatnonzero(scores >= options.score_threshold)
    order = kept[np.argsort(-scores[kept], kind="stable")]
    selected: list[int] = []
    while len(order) and len(selected) < limit:
        first, rest = order[0], order[1:]
        selected.append(int(first))
        order = rest[~(_overlaps(boxes[first], boxes[rest]) > options.overlap_threshold)]
    return selected


def _overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box with each of the others; 0 where one has no area."""
    zero = np.float32(0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    height = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    width = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    common = np.maximum(height, zero) * np.maximum(width, zero)
    return np.where((area <= 0) | (areas <= 0), zero, common / (area + areas - common))
