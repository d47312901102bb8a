"""Statistics of `rq.calibrate` against those of TensorFlow's calibrator: how many are equal, how far the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.calibration import Statistics, calibrate
from refquant.quantization.recorder import Key
from refquant.runtimes.quantizer import CalibrationSample, Quantizer
from refquant.testing.same_model import differences
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.tensor_types import numpy_dtype

Array = npt.NDArray[Any]
Pair = tuple[np.float32, np.float32]


@dataclass(frozen=True)
class Comparison:
    """Ranges here and there, by subgraph and tensor, and what else is different in the calibrated models.

    Where all ranges are equal, `differences` has the lines of `refquant.testing.same_model`.
    """

    ours: dict[Key, Pair]
    theirs: dict[Key, Pair]
    differences: Sequence[str]

    @property
    def unequal(self) -> dict[Key, int | None]:
        """Of each tensor whose range has other bits: how many floats lie between, at most; None if one has no range."""
        return {
            key: _distance(self.ours[key], self.theirs[key]) if key in self.ours and key in self.theirs else None
            for key in sorted({*self.ours, *self.theirs})
            if _bits(self.ours.get(key)) != _bits(self.theirs.get(key))
        }


def compare(model: Model, samples: Sequence[CalibrationSample], quantizer: Quantizer) -> Comparison:
    """Calibrates the model here and there, with intermediate tensors in LSTMs; raises what either of them raises."""
    theirs = quantizer.calibrate(quantizer.add_intermediate_tensors(model), samples)
    statistics = calibrate(model, samples)  # type: ignore[arg-type]
    ours, expected = ranges_of(statistics), _ranges_in(Model.read(theirs))
    same = all(_bits(ours.get(key)) == _bits(expected.get(key)) for key in {*ours, *expected})
    return Comparison(ours, expected, differences(statistics.apply(model), theirs) if same else ())


def ranges_of(statistics: Statistics) -> dict[Key, Pair]:
    """Minimum and maximum of each tensor."""
    return {key: (found.min, found.max) for key, found in statistics.ranges.items()}


def samples_for(model: Model, count: int, seed: int = 0) -> list[list[Array]]:
    """Samples for the main subgraph, of the shapes in the file."""
    rng = np.random.default_rng(seed)
    subgraph = model.subgraphs[0]
    tensors = [model.tensor(int(i)) for i in (() if subgraph.inputs is None else subgraph.inputs)]

    def draw(tensor: schema.Tensor) -> Array:
        shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        dtype = numpy_dtype(tensor.type)
        return (rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)).astype(dtype)

    return [[draw(tensor) for tensor in tensors] for _ in range(count)]


def _ranges_in(model: Model) -> dict[Key, Pair]:
    return {
        (number, index): (np.float32(table.min[0]), np.float32(table.max[0]))
        for number, subgraph in enumerate(model.subgraphs)
        for index, tensor in enumerate(subgraph.tensors or ())
        if (table := tensor.quantization) is not None and table.min is not None and table.max is not None
    }


def _bits(pair: Pair | None) -> bytes | None:
    return None if pair is None else np.array(pair, np.float32).tobytes()


def _distance(a: Pair, b: Pair) -> int:
    """Floats in order are integers in order; both zeros are 0."""
    ordered = np.array([a, b], np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(ordered < 0, -(ordered & 0x7FFFFFFF), ordered)
    return int(np.abs(ordered[0] - ordered[1]).max())
