"""Ranges in a model's tensors, as a calibrator writes them: such as real data give, and such as make trouble."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from refquant.quantization.calibration import Statistics
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.recorder import Key, Range
from refquant.testing.strategies.drawing import generators
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType


def with_statistics(model: Model, ranges: Mapping[Key, tuple[float, float]]) -> Model:
    """The model, whose tensors carry this min and max as a calibrator writes them.

    Raises `InvalidInputError` for a tensor that is not there or not float32.
    """
    found = {key: Range(np.float32(low), np.float32(high)) for key, (low, high) in ranges.items()}
    return Statistics(found, samples=0).apply(model)


def activations(model: Model) -> list[Key]:
    """The tensors (subgraph, index) that a calibrator looks at: of float32, and not constant."""
    return [
        (number, index)
        for number, subgraph in enumerate(model.subgraphs)
        for index, tensor in enumerate(subgraph.tensors or ())
        if tensor.type == TensorType.FLOAT32 and not model.buffer(tensor.buffer).size
    ]


@st.composite
def statistics(draw: st.DrawFn, model: Model, missing: bool = True) -> Model:
    """The model with random ranges: one-sided, tiny, huge, empty, without zero, and, if `missing`, some without.

    An LSTM without intermediate tensors gets them, as the converter has it.
    """
    model = with_intermediate_tensors(model)
    rng = draw(generators)
    trouble = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    gaps = draw(st.sampled_from([0.0, 0.0, 0.0, 0.1])) if missing else 0.0
    ranges = {key: _range(rng, trouble) for key in activations(model) if rng.random() >= gaps}
    return with_statistics(model, ranges)


def _range(rng: np.random.Generator, trouble: float) -> tuple[float, float]:
    """A min and a max; with this probability unusual ones."""
    low, high = -abs(rng.standard_normal()), abs(rng.standard_normal())
    scale = 2.0 ** rng.integers(-3, 6)
    if rng.random() >= trouble:
        return (low * scale, high * scale) if rng.random() < 0.7 else (0.0, high * scale)
    kind = rng.integers(9)
    if kind == 0:  # above zero only
        return high * scale, high * scale * rng.uniform(1, 3)
    if kind == 1:  # below zero only: a calibrator's maximum begins at the smallest normal number
        return low * scale, float(np.finfo(np.float32).tiny)
    if kind == 2:  # below zero only, as other tools write it
        return low * scale * rng.uniform(1, 3), low * scale
    if kind == 3:  # always the same number
        value = float(rng.choice([0.0, 1.0, -2.5, high * scale]))
        return value, value
    if kind == 4:
        tiny = 2.0 ** rng.integers(-149, -20)
        return low * tiny, high * tiny
    if kind == 5:
        huge = 2.0 ** rng.integers(20, 126)
        return low * huge, high * huge
    if kind == 6:  # far from symmetric
        return low * scale * 1e-4, high * scale
    if kind == 7:  # whole numbers, where zero points are exact
        return float(-rng.integers(0, 256)), float(rng.integers(0, 256))
    return -scale, scale
