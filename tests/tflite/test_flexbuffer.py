"""FlexBuffers: what the flatbuffers package writes is read; any other bytes are refused in good time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from refquant.errors import InvalidModelError
from refquant.tflite.flexbuffer import read_flexbuffer

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, width=32)
    | st.text(st.characters(exclude_characters="\0"))
    | st.binary()
)
keys = st.text("abcdefgh_", min_size=1, max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20)


@given(values)
def test_what_is_written_is_read(value: Any) -> None:
    assert read_flexbuffer(bytes(flexbuffers.Dumps(value))) == value


def test_vectors_of_one_type() -> None:
    builder = flexbuffers.Builder()
    with builder.Vector():
        builder.FixedTypedVectorFromElements([1.5, 2.5, -1.0])
        builder.FixedTypedVectorFromElements([1, 2**40])
        builder.TypedVectorFromElements([1, 2**40])
        builder.TypedVectorFromElements([True, False])
    assert read_flexbuffer(bytes(builder.Finish())) == [[1.5, 2.5, -1.0], [1, 2**40], [1, 2**40], [True, False]]


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        read_flexbuffer(data)
    except InvalidModelError as error:
        assert "FlexBuffer" in str(error)


@given(values, st.data())
def test_changed_bytes_are_a_value_or_an_error(value: Any, data: st.DataObject) -> None:
    content = bytearray(flexbuffers.Dumps(value))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_flexbuffer(bytes(content))
    except InvalidModelError as error:
        assert "FlexBuffer" in str(error)


def test_vectors_that_contain_one_another_end() -> None:
    """Each of 30 vectors has the next one twice: 2**30 values in 200 bytes."""
    vector = 10 << 2
    content = bytearray([1, 7, 1 << 2])  # a vector of one int
    start = 1
    for _ in range(30):
        content += bytes([2])
        begin = len(content)
        content += bytes([begin - start, begin + 1 - start, vector, vector])
        start = begin
    content += bytes([len(content) - start, vector, 1])
    before = time.monotonic()
    with pytest.raises(InvalidModelError, match="contain each other"):
        read_flexbuffer(bytes(content))
    assert time.monotonic() - before < 1
