"""The custom operator TFLite_Detection_PostProcess."""

from __future__ import annotations

import numpy as np
from flatbuffers import flexbuffers
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import generators
from refquant.tflite.schema import TensorType

FLOAT32, UINT8 = TensorType.FLOAT32, TensorType.UINT8


@strategy("TFLite_Detection_PostProcess", [FLOAT32, UINT8])
def detection(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Boxes of which many overlap, scores of which many are equal, with a background class or without.

    Fast suppression leaves the rows behind the last detection as they were, so there as many are found as asked for.
    """
    rng = draw(generators)
    boxes, classes = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    is_regular = draw(st.booleans())
    options = {
        "max_detections": draw(st.integers(1, 12 if is_regular else boxes)),
        "max_classes_per_detection": 1 if is_regular else draw(st.integers(1, classes)),
        "detections_per_class": draw(st.integers(1, 10)),
        "use_regular_nms": is_regular,
        "nms_score_threshold": draw(st.sampled_from([0.0, 0.25, 0.6])) if is_regular else -1000.0,
        "nms_iou_threshold": draw(st.sampled_from([0.1, 0.3, 0.5, 1.0])) if is_regular else 1.0,
        "num_classes": classes,
        **{f"{side}_scale": draw(st.sampled_from([1.0, 5.0, 10.0])) for side in "yxhw"},
    }
    columns = classes + draw(st.integers(0, 1))
    shapes = [(1, boxes, 4 + draw(st.sampled_from([0, 0, 2]))), (1, boxes, columns), (boxes, 4)]
    if type == UINT8:
        arrays = [rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
        quantizations: list[tuple[float | None, int]] = [(0.05, 128), (1 / 256, 0), (1 / 255, 0)]
    else:
        codes, scores = rng.standard_normal(shapes[0]), rng.random(shapes[1])
        if draw(st.booleans()):
            scores = np.round(scores * 4) / 4
        arrays = [array.astype(np.float32) for array in (codes, scores, rng.random(shapes[2]))]
        quantizations = [(None, 0), (None, 0), (None, 0)]
    inputs = [
        TensorSpec(type, array.shape, scale, zero_point) for array, (scale, zero_point) in zip(arrays, quantizations)
    ]
    inputs[2].data = arrays[2]
    model = single_operator_model(
        operator, inputs, [TensorSpec(FLOAT32)] * 4, custom_options=bytes(flexbuffers.Dumps(options))
    )
    return Case(model, [arrays[:2]])
