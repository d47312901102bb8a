"""Differences between runtimes that people reported, rebuilt from what they describe.

Each case is a small model and an input, with the element of the output to look at. `rq.compare` shows where the
runtimes part, `rq.explain` the step; the tests hold both sides against the real runtimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import Padding, TensorType

Array = npt.NDArray[Any]

_INT8, _INT32 = TensorType.INT8, TensorType.INT32
_POINTWISE = schema.Conv2DOptions(padding=Padding.VALID, stride_w=1, stride_h=1)


@dataclass(frozen=True, slots=True)
class ReportedCase:
    """A model, its inputs, and the `index` of an element of `tensor` in which the runtimes part.

    `report` names where people told of it, `question` what they wanted to know.
    """

    report: str
    question: str
    model: Model
    inputs: Sequence[Array]
    tensor: str
    index: tuple[int, ...]


def convolution_in_two_kernel_sets() -> ReportedCase:
    """int8 CONV_2D in the reference and the optimized kernels: some 80 of 51,200 elements differ, by 1.

    The model of the report is not public; this is a convolution with as many outputs, and random weights.
    """
    rng = np.random.default_rng(0)
    inputs, outputs, scale = 16, 8, np.float32(0.05)
    weights = rng.integers(-127, 128, (outputs, 1, 1, inputs), np.int8)
    scales = rng.uniform(0.002, 0.01, outputs).astype(np.float32)
    bias = rng.integers(-2000, 2000, outputs, np.int32)
    model = single_operator_model(
        "CONV_2D",
        [
            TensorSpec(_INT8, (1, 80, 80, inputs), float(scale), -3, name="image"),
            TensorSpec(_INT8, scale=scales, data=weights, name="filters"),
            TensorSpec(_INT32, scale=scales * scale, data=bias, name="bias"),
        ],
        [TensorSpec(_INT8, (1, 80, 80, outputs), 0.1, 5, name="features")],
        _POINTWISE,
    )
    image = rng.integers(-128, 128, (1, 80, 80, inputs), np.int8)
    return ReportedCase(
        "tensorflow/tensorflow#99072, tensorflow/tflite-micro#3130",
        "Why does TFLite Micro print other numbers than TensorFlow Lite for one CONV_2D in the middle of a model?",
        model,
        [image],
        "features",
        (0, 0, 47, 1),
    )


def accumulators_one_to_one(
    input_scale: float, filter_scale: float, output_scale: float, output_zero_point: int, accumulators: Array
) -> Model:
    """A convolution whose accumulators are these numbers, one for each channel, when its input is 0.

    They are its biases, and its weights are 0, so nothing but the last step of the convolution is left. The input has
    the zero point 0.
    """
    count = len(accumulators)
    scale = float(np.float32(input_scale) * np.float32(filter_scale))
    return single_operator_model(
        "CONV_2D",
        [
            TensorSpec(_INT8, (1, 1, 1, 1), input_scale, 0, name="zero"),
            TensorSpec(_INT8, scale=[filter_scale] * count, data=np.zeros((count, 1, 1, 1), np.int8), name="filters"),
            TensorSpec(_INT32, scale=[scale] * count, data=np.asarray(accumulators, np.int32), name="accumulators"),
        ],
        [TensorSpec(_INT8, (1, 1, 1, count), output_scale, output_zero_point, name="requantized")],
        _POINTWISE,
    )


def accumulator_on_a_tie() -> ReportedCase:
    """An accumulator of 585 and a real multiplier of 0.01111111: the product is 6.5000005, TensorFlow Lite prints 6.

    XNNPACK keeps the multiplier as a float32, in which the product is 6.5 sharp, and rounds it to the even number; the
    builtin kernels multiply by an integer of 31 bits, and round up.
    """
    model = accumulators_one_to_one(
        0.05296124517917633, 0.024093778803944588, 0.11484327912330627, -126, np.array([585])
    )
    return ReportedCase(
        "tensorflow/tensorflow#102943",
        "Why is this -120 in TensorFlow Lite, when the arithmetic of gemmlowp gives -119?",
        model,
        [np.zeros((1, 1, 1, 1), np.int8)],
        "requantized",
        (0, 0, 0, 0),
    )


def accumulators_of_a_layer() -> ReportedCase:
    """All accumulators that the int8 output of one layer can tell apart: 0.2 % of them differ by 1.

    The report multiplies by 1805112064, which is the multiplier 0.0032834797 rounded to float32 first; the kernels
    take the quotient of the scales in float64, and with it 1805112046.
    """
    accumulators = np.arange(-38100, 39700)
    model = accumulators_one_to_one(0.15857075154781342, 0.010584672912955284, 0.5111709833145142, -3, accumulators)
    return ReportedCase(
        "tensorflow/tensorflow#104605",
        "Why does a convolution in Python differ by 1 from TensorFlow Lite in some of its outputs?",
        model,
        [np.zeros((1, 1, 1, 1), np.int8)],
        "requantized",
        (0, 0, 0, int(np.flatnonzero(accumulators == -37917)[0])),
    )


def mean_before_a_steep_function() -> ReportedCase:
    """MEAN and RSQRT, as in a normalization by the root of the mean square: a difference of 1 becomes one of 37.

    The mean is 1.42 steps above zero. One rounding makes 1 of it, two make 2; the output of RSQRT has its largest
    number, 127, at 1, and 127 / sqrt(2) = 90 at 2.
    """
    square_scale, count = 0.05, 5
    mean_scale = float(np.float32(square_scale / 0.118 / count))
    tensors = [
        TensorSpec(_INT8, (1, count), square_scale, -128, name="squares"),
        TensorSpec(_INT32, data=np.array([1], np.int32), name="axis"),
        TensorSpec(_INT8, (1, 1), mean_scale, -128, name="mean"),
        TensorSpec(_INT8, (1, 1), float(np.float32(mean_scale**-0.5 / 127)), 0, name="rsqrt"),
    ]
    operators = [
        OperatorSpec("MEAN", [0, 1], [2], schema.ReducerOptions(keep_dims=True), version=2),
        OperatorSpec("RSQRT", [2], [3], version=2),
    ]
    return ReportedCase(
        "google-ai-edge/LiteRT#7441",
        "How does a rounding difference of 1 in MEAN become one of 37 two operators later?",
        model_of(SubgraphSpec(tensors, operators, [0], [3])),
        [np.array([[-125, -125, -126, -126, -126]], np.int8)],
        "rsqrt",
        (0, 0),
    )


CASES = (
    convolution_in_two_kernel_sets,
    accumulator_on_a_tie,
    accumulators_of_a_layer,
    mean_before_a_steep_function,
)
