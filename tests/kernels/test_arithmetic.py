"""Arithmetic, comparison, choice and casts without a real runtime: numbers that one can check by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.errors import InvalidModelError, RefquantError, UnsupportedOperatorError
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.conformance import run
from refquant.tflite.schema import TensorType

FLOAT32, FLOAT16, BFLOAT16, COMPLEX64 = (
    TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16, TensorType.COMPLEX64,
)  # fmt: skip
INT8, INT16, INT32, INT64, BOOL = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64, TensorType.BOOL
UINT8, STRING = TensorType.UINT8, TensorType.STRING


def compute(operator: str, inputs: list[TensorSpec], output: TensorSpec, *values: Any) -> Any:
    arrays = [np.asarray(value) for value in values]
    for spec, array in zip(inputs, arrays):
        spec.shape = array.shape
    return run(single_operator_model(operator, inputs, [output]), [arrays])[0][0].tolist()


def test_division_of_int8() -> None:
    """(8 - 0) * 0.5 / ((5 - 1) * 0.25) = 4 is 8 steps of 0.5 above 3."""
    specs = [TensorSpec(INT8, (), 0.5), TensorSpec(INT8, (), 0.25, 1)]
    assert compute("DIV", specs, TensorSpec(INT8, (), 0.5, 3), np.int8([8, -8]), np.int8([5, 5])) == [11, -5]


def test_product_without_scale_is_zero() -> None:
    assert compute("MUL", [TensorSpec(INT8), TensorSpec(INT8)], TensorSpec(INT8), np.int8([7]), np.int8([9])) == [0]


def test_product_of_int16_fractions_to_int8() -> None:
    """0.5 * 0.5 = 0.25 is 32 of 128; to the zero point of 5."""
    specs, half = [TensorSpec(INT16, (), 1.0), TensorSpec(INT16, (), 1.0)], np.int16([16384])
    assert compute("MUL", specs, TensorSpec(INT8, (), 1.0, 5), half, half) == [37]


def test_complex_product() -> None:
    specs = [TensorSpec(COMPLEX64), TensorSpec(COMPLEX64)]
    assert compute("MUL", specs, TensorSpec(COMPLEX64), np.complex64([1 + 2j]), np.complex64([3 - 1j])) == [5 + 5j]


def test_infinite_complex_product_is_infinite() -> None:
    """(inf + NaN i) * (1 + 1i): every part comes out NaN, and the C standard wants an infinity."""
    specs, infinite = [TensorSpec(COMPLEX64), TensorSpec(COMPLEX64)], np.complex64([complex(np.inf, np.nan)])
    (product,) = compute("MUL", specs, TensorSpec(COMPLEX64), infinite, np.complex64([1 + 1j]))
    assert (product.real, product.imag) == (np.inf, np.inf)


def test_integer_power_that_does_not_fit_is_the_lowest() -> None:
    specs = [TensorSpec(INT32), TensorSpec(INT32)]
    bases, exponents = np.int32([3, -2, 2, 10]), np.int32([4, 31, 31, 20])
    assert compute("POW", specs, TensorSpec(INT32), bases, exponents) == [81, -(2**31), -(2**31), -(2**31)]


def test_equality_looks_at_scales_and_order_of_int16_does_not() -> None:
    """2 * 0.5 = 4 * 0.25, but 2 is less than 4."""
    x, y = np.int16([2]), np.int16([4])
    assert compute("EQUAL", [TensorSpec(INT16, (), 0.5), TensorSpec(INT16, (), 0.25)], TensorSpec(BOOL), x, y) == [True]
    assert compute("LESS", [TensorSpec(INT16, (), 0.5), TensorSpec(INT16, (), 0.25)], TensorSpec(BOOL), x, y) == [True]


def test_strings() -> None:
    x, y = np.array([b"a", b""], object), np.array([b"a"], object)
    assert compute("EQUAL", [TensorSpec(STRING), TensorSpec(STRING)], TensorSpec(BOOL), x, y) == [True, False]


def test_casts() -> None:
    x = np.float32([1.5, -2.75, 300])
    assert compute("CAST", [TensorSpec(FLOAT32)], TensorSpec(UINT8), x) == [1, 0, 255]
    assert compute("CAST", [TensorSpec(FLOAT32)], TensorSpec(INT8), x) == [1, -2, 300 - 256]
    assert compute("CAST", [TensorSpec(FLOAT32)], TensorSpec(TensorType.INT4), x) == [1, -2, 7]
    assert compute("CAST", [TensorSpec(FLOAT16)], TensorSpec(COMPLEX64), np.float16([0.5])) == [0.5]
    assert compute("CAST", [TensorSpec(COMPLEX64)], TensorSpec(INT64), np.complex64([-7.5 + 3j])) == [-7]
    assert compute("CAST", [TensorSpec(BFLOAT16)], TensorSpec(FLOAT32), np.uint16([0x3F80, 0xC040])) == [1, -3]


def test_many_casts_at_once_saturate() -> None:
    """32 numbers are converted together, the 33rd alone."""
    x = np.full(33, 300, np.float32)
    assert compute("CAST", [TensorSpec(FLOAT32)], TensorSpec(INT8), x) == [127] * 32 + [44]


REFUSED: list[tuple[type[RefquantError], str, list[TensorSpec], TensorSpec, str]] = [
    (
        UnsupportedOperatorError,
        "ADD",
        [TensorSpec(FLOAT32, (2, 1, 2, 1, 2, 1, 2)), TensorSpec(FLOAT32, (1, 2, 1, 2, 1, 2, 1))],
        TensorSpec(FLOAT32),
        "more than 6 dimensions",
    ),
    (
        UnsupportedOperatorError,
        "MAXIMUM",
        [TensorSpec(INT8, (2,) * 6), TensorSpec(INT8)],
        TensorSpec(INT8),
        "more than 5 dimensions",
    ),
    (UnsupportedOperatorError, "POW", [TensorSpec(INT64), TensorSpec(INT64)], TensorSpec(INT64), "no kernel"),
    (
        InvalidModelError,
        "SUB",
        [TensorSpec(INT8, (), 0.5, 200), TensorSpec(INT8, (), 0.5)],
        TensorSpec(INT8, (), 0.5),
        "has the zero point 200",
    ),
    (InvalidModelError, "SUB", [TensorSpec(INT16), TensorSpec(INT16)], TensorSpec(INT16), "has no scale"),
    (
        InvalidModelError,
        "LESS",
        [TensorSpec(INT8, (), 1.0), TensorSpec(INT8, (), 0.5)],
        TensorSpec(BOOL),
        "has a scale of 1",
    ),
    (
        InvalidModelError,
        "ADD",
        [TensorSpec(INT8, (), 1.0), TensorSpec(INT8, (), 1.0)],
        TensorSpec(INT8, (), 1e-7),
        "too small for these inputs",
    ),
    (InvalidModelError, "ATAN2", [TensorSpec(FLOAT32, (3,)), TensorSpec(FLOAT32, (1,))], TensorSpec(FLOAT32), "differ"),
    (InvalidModelError, "STABLEHLO_ADD", [TensorSpec(INT32, (3,)), TensorSpec(INT32)], TensorSpec(INT32), "differ"),
    (UnsupportedOperatorError, "BITCAST", [TensorSpec(INT8, (4,))], TensorSpec(TensorType.INT4), "no kernel"),
    (InvalidModelError, "BITCAST", [TensorSpec(INT8, (3,))], TensorSpec(INT32), "must be 4"),
]


@pytest.mark.parametrize(("error", "operator", "inputs", "output", "message"), REFUSED)
def test_refused(
    error: type[RefquantError], operator: str, inputs: list[TensorSpec], output: TensorSpec, message: str
) -> None:
    samples = [np.zeros(spec.shape, np.int8) for spec in inputs]
    with pytest.raises(error, match=message):
        run(single_operator_model(operator, inputs, [output]), [samples])
