"""Arrays of every tensor type go in and come out as in TensorFlow's interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.runtimes import Runtime
from refquant.testing import TensorSpec, single_operator_model
from refquant.testing.conformance import Outcome, compare
from refquant.testing.strategies.drawing import numbers
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

STRING, BFLOAT16, UINT4, INT32 = TensorType.STRING, TensorType.BFLOAT16, TensorType.UINT4, TensorType.INT32
#: the real interpreter sets none of INT2, and knows no float8
TYPES = [t for t in TensorType if t.name not in ("RESOURCE", "VARIANT", "INT2") and not t.name.startswith("FLOAT8")]


def reshaping(x: TensorSpec, shape: Any) -> Model:
    inputs = [x, TensorSpec(INT32, data=np.array(shape, np.int32))]
    return single_operator_model("RESHAPE", inputs, [TensorSpec(x.type, shape)], schema.ReshapeOptions())


def interpreter(type: TensorType, *shape: int) -> rq.Interpreter:
    result = rq.Interpreter(model=reshaping(TensorSpec(type, shape), [-1]))
    result.allocate_tensors()
    return result


@pytest.mark.oracle
@pytest.mark.parametrize("type", TYPES, ids=lambda t: t.name)
def test_inputs_and_outputs(reference: Runtime, type: TensorType) -> None:
    rng = np.random.default_rng(1)
    for shape in ((2, 3), (5,), (0, 2), (1, 1)):
        x = numbers(rng, type, shape)
        result = compare(reshaping(TensorSpec(type, shape), [x.size]), [[x]], reference)
        assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.oracle
def test_constants_of_strings(reference: Runtime) -> None:
    for data in (np.array([[b"a", b""], ["ü".encode(), b"\0\xff"]], object), np.empty((0, 2), object)):
        result = compare(reshaping(TensorSpec(STRING, data=data), [data.size]), [[]], reference)
        assert result.outcome is Outcome.EQUAL, result.details


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (np.array(["ü", "abc"]), [b"\xc3\xbc", b"abc"]),
        (np.array([b"a", b"xyz\xff"]), [b"a", b"xyz\xff"]),
        (np.array([b"a\0", "ü"], object), [b"a\0", b"\xc3\xbc"]),
        ([b"a\0", "b"], [b"a\0", b"b"]),
    ],
)
def test_strings_may_be_bytes_or_text(given: Any, held: list[bytes]) -> None:
    it = interpreter(STRING, 2)
    it.set_tensor(0, given)
    it.invoke()
    result = it.get_tensor(2)
    assert result.dtype == object and result.tolist() == held
    assert it.get_input_details()[0]["dtype"] is np.bytes_


def test_a_string_of_rank_0() -> None:
    it = rq.Interpreter(model=reshaping(TensorSpec(STRING, ()), ()))
    it.allocate_tensors()
    it.set_tensor(0, "abc")
    it.invoke()
    assert it.get_tensor(2).shape == () and it.get_tensor(2).item() == b"abc"


def test_bfloat16_comes_as_bits_or_as_the_type_of_ml_dtypes() -> None:
    bits = np.array([0x3F80, 0xC000], np.uint16)
    it = interpreter(BFLOAT16, 2)
    it.set_tensor(0, bits)
    it.invoke()
    assert it.get_tensor(2).view(np.uint16).tolist() == bits.tolist()
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert it.get_input_details()[0]["dtype"] is ml_dtypes.bfloat16
    it.set_tensor(0, np.array([1, -2], ml_dtypes.bfloat16))
    it.invoke()
    assert it.get_tensor(2).dtype == ml_dtypes.bfloat16 and it.get_tensor(2).tolist() == [1, -2]


@pytest.mark.parametrize(
    ("type", "given", "message"),
    [
        (STRING, np.float32([1, 2]), r"tensor 0 \('input0'\) takes bytes or str, got float32"),
        (STRING, np.array([b"a", 1], object), r"takes bytes or str, got 1 at \[1\]"),
        (STRING, np.array([[b"a", b"b"]], object), r"takes shape \(2,\), got \(1, 2\)"),
        (BFLOAT16, np.float16([1, 2]), "takes bfloat16 or uint16, got float16"),
        (UINT4, np.uint8([15, 16]), "takes numbers from 0 to 15"),
        (UINT4, np.int8([-1, 2]), "takes numbers from 0 to 15"),
        (TensorType.INT4, np.int8([7, 8]), "takes numbers from -8 to 7"),
        (TensorType.INT4, np.uint8([7, 8]), "takes int8, got uint8"),
    ],
)
def test_what_is_no_array_of_the_type_is_refused(type: TensorType, given: Any, message: str) -> None:
    with pytest.raises(rq.InvalidInputError, match=message):
        interpreter(type, 2).set_tensor(0, given)
