"""Fast suppression of overlapping boxes: the rows that the real kernel writes, the others are not defined there."""

from __future__ import annotations

import numpy as np
import pytest
from flatbuffers import flexbuffers

from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import run
from refquant.tflite.schema import TensorType

pytestmark = pytest.mark.oracle

FLOAT32 = TensorType.FLOAT32


@pytest.mark.parametrize("per_box", [1, 2])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7])
def test_fast_suppression(reference: Runtime, per_box: int, threshold: float) -> None:
    rng = np.random.default_rng(7)
    codes = rng.standard_normal((1, 200, 4)).astype(np.float32)
    scores = rng.random((1, 200, 4)).astype(np.float32)
    anchors = rng.random((200, 4)).astype(np.float32)
    options = {
        "max_detections": 199,
        "max_classes_per_detection": per_box,
        "nms_score_threshold": 0.4,
        "nms_iou_threshold": threshold,
        "num_classes": 3,
        **{f"{side}_scale": 5.0 for side in "yxhw"},
    }
    model = single_operator_model(
        "TFLite_Detection_PostProcess",
        [TensorSpec(FLOAT32, codes.shape), TensorSpec(FLOAT32, scores.shape), TensorSpec(FLOAT32, data=anchors)],
        [TensorSpec(FLOAT32)] * 4,
        custom_options=bytes(flexbuffers.Dumps(options)),
    )
    expected = reference.run(model, [codes, scores])
    (ours,) = run(model, [[codes, scores]])
    found = int(expected[3][0])
    assert 10 < found < 199 and ours[3].tolist() == [found]
    for mine, theirs in zip(ours[:3], expected):
        np.testing.assert_array_equal(mine[:, : found * per_box], theirs[:, : found * per_box])
        assert not mine[:, found * per_box :].any()
