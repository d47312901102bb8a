"""What `rq.explain` derives, against the real runtimes: two elements of the bundled model of which they give two numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.data import DIGITS_INT8, DIGITS_SAMPLES
from refquant.numerics.affine import quantize
from refquant.runtimes.cut import with_outputs
from refquant.tflite.model import Model

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    ("tensor", "index", "sample", "numbers"),
    [
        (19, (0, 27), 182, [41, 42, 41, 42]),  # FULLY_CONNECTED: 169.4987…
        (15, (0, 1, 4, 0), 2, [-48, -47, -47, -48]),  # CONV_2D: -5.4990…
    ],
)
def test_each_profile_is_its_runtime(
    reference: Any, optimized: Any, xnnpack: Any, micro: Any, tensor: int, index: Any, sample: int, numbers: list[int]
) -> None:
    model = Model.read(DIGITS_INT8)
    image = quantize(np.load(DIGITS_SAMPLES)["image"][sample : sample + 1], np.float32(1 / 255), -128, np.int8)
    real = [r.run(with_outputs(model, [tensor]), [image])[0][index] for r in (reference, optimized, xnnpack, micro)]
    found = rq.explain(model, tensor, index, [image], whole_run=True)
    assert [int(n) for n in real] == [int(d.value) for d in found.derivations] == numbers
    assert all(d.is_derived for d in found.derivations)
    assert found.parting is not None and found.parting.name == "rounded"
