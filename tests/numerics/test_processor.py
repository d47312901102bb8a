"""Results that depend on the processor are those of the one that is asked for, from planning on."""

from __future__ import annotations

import numpy as np
import pytest

import refquant as rq
from refquant.numerics.processor import Caches, Processor, current, with_processor
from refquant.numerics.reciprocal_estimate import INTEL, ZEN, reciprocal, reciprocal_estimate
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType


def test_a_processor_is_that_of_a_block() -> None:
    before, other = current(), Processor(Caches(first=48 * 1024), INTEL)
    with pytest.raises(ZeroDivisionError), with_processor(other):
        assert current() is other
        raise ZeroDivisionError
    assert current() is before


@pytest.mark.parametrize(
    ("table", "x", "bits"),
    [  # measured on a Xeon of Cascade Lake and an EPYC of Zen 4
        (INTEL, 1.0, 0x3F7FF000),
        (INTEL, 1.5, 0x3F2AA000),
        (INTEL, -3.0, 0xBEAAA000),
        (INTEL, 7.0, 0x3E124000),
        (INTEL, 2.0**125, 0x00FFF000),
        (INTEL, 2.0**126, 0),
        (INTEL, -(2.0**126), 0x80000000),
        (INTEL, -(2.0**-127), 0xFF800000),
        (ZEN, 1.0, 0x3F7FF000),
        (ZEN, 2.0**126, 0),
    ],
)
def test_an_estimate(table: np.ndarray, x: float, bits: int) -> None:
    assert hex(reciprocal_estimate(np.array([x], np.float32), table).view(np.uint32)[0]) == hex(bits)


@pytest.mark.parametrize("table", [ZEN, INTEL], ids=["Zen", "Intel"])
def test_estimates_are_as_near_as_the_makers_promise(table: np.ndarray) -> None:
    first = 1 + np.arange(4096) / 4096
    for x in (first, first + (2**-12 - 2**-23)):
        assert np.abs(table * x - 1).max() <= 1.5 * 2**-12


def test_an_interpreter_keeps_the_processor_that_it_was_planned_for() -> None:
    """Newton's step takes both estimates to almost the same reciprocal; few numbers tell them apart."""
    x = np.linspace(-4, 4, 4001, dtype=np.float32)
    options = schema.GeluOptions(approximate=False)
    spec = TensorSpec(TensorType.FLOAT32, x.shape)
    model = single_operator_model("GELU", [spec], [spec], options)
    answers = []
    for table in (ZEN, INTEL, ZEN):
        interpreter = rq.Interpreter(model=model)
        with with_processor(Processor(estimates=table)):
            interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(answers[0], answers[2])
    different = answers[0] != answers[1]
    assert 0 < different.sum() < 400
    # the reciprocals differ by 2 units, as can be seen here; exp(-x * x / 2) and the products that follow make 5 of them
    np.testing.assert_array_max_ulp(answers[0], answers[1], 5)
    assert not np.array_equal(reciprocal(x[x > 1], ZEN), reciprocal(x[x > 1], INTEL))
