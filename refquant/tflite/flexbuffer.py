"""FlexBuffers: the format without a schema in which most custom operators keep their options.

A buffer is read from its end: the last byte is the width of the root value in bytes, the byte before it the root's
type, the bytes before that the root. A type byte holds the kind of the value and, in its two lowest bits, the width
(as a power of two) of what the value refers to. Numbers lie in place; everything else is an offset backwards to where
it begins. Vectors and strings have their length just before them, the types of a vector's elements follow them, and a
map is a vector of values with a vector of sorted keys, whose offset and width lie before the length.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any

from refquant.errors import InvalidModelError

_MAX_DEPTH = 32
_VALUES_PER_BYTE = 8  # vectors may be shared, but not so that a small buffer takes for ever


class _Kind(IntEnum):
    NULL = 0
    INT = 1
    UINT = 2
    FLOAT = 3
    KEY = 4
    STRING = 5
    INDIRECT_INT = 6
    INDIRECT_UINT = 7
    INDIRECT_FLOAT = 8
    MAP = 9
    VECTOR = 10
    VECTOR_INT = 11
    VECTOR_UINT = 12
    VECTOR_FLOAT = 13
    VECTOR_KEY = 14
    FIXED_VECTORS = 16  # of 2 ints, 2 uints, 2 floats, 3 ints, … 4 floats: up to 24
    BLOB = 25
    BOOL = 26
    VECTOR_BOOL = 36


_FORMATS = {
    _Kind.INT: {1: "<b", 2: "<h", 4: "<i", 8: "<q"},
    _Kind.UINT: {1: "<B", 2: "<H", 4: "<I", 8: "<Q"},
    _Kind.FLOAT: {2: "<e", 4: "<f", 8: "<d"},
}
_INDIRECT = {
    _Kind.INDIRECT_INT: _Kind.INT,
    _Kind.INDIRECT_UINT: _Kind.UINT,
    _Kind.INDIRECT_FLOAT: _Kind.FLOAT,
}
_TYPED = {
    _Kind.VECTOR_INT: _Kind.INT,
    _Kind.VECTOR_UINT: _Kind.UINT,
    _Kind.VECTOR_FLOAT: _Kind.FLOAT,
    _Kind.VECTOR_KEY: _Kind.KEY,
    _Kind.VECTOR_BOOL: _Kind.BOOL,
}


def read_flexbuffer(data: bytes) -> Any:
    """The value in a FlexBuffer: None, a bool, number, str, bytes (a blob), list or dict of such.

    Raises InvalidModelError for bytes that are no FlexBuffer.

    >>> read_flexbuffer(bytes.fromhex("6b 00 01 03 01 01 01 2a 04 02 24 01"))
    {'k': 42}
    """
    reader = _Reader(data)
    if len(data) < 3 or data[-1] not in (1, 2, 4, 8):
        raise reader.invalid("it does not end in the width of a root")
    width = data[-1]
    return reader.value(len(data) - 2 - width, width, data[-2], 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _VALUES_PER_BYTE * len(data)

    def invalid(self, why: str) -> InvalidModelError:
        return InvalidModelError(f"{len(self._data)} bytes of options are no FlexBuffer: {why}")

    def value(self, place: int, width: int, packed_type: int, depth: int) -> Any:
        """The value at `place`, where it or its offset takes `width` bytes."""
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise self.invalid("its vectors contain each other")
        kind, inner = packed_type >> 2, 1 << (packed_type & 3)
        if kind == _Kind.NULL:
            return None
        if kind == _Kind.BOOL:
            return bool(self._number(place, width, _Kind.UINT))
        if kind in _FORMATS:
            return self._number(place, width, kind)
        start = place - self._number(place, width, _Kind.UINT)
        if kind in _INDIRECT:
            return self._number(start, inner, _INDIRECT[_Kind(kind)])
        if kind == _Kind.KEY:
            return self._text(start, self._data.find(b"\0", max(start, 0)))
        if _Kind.FIXED_VECTORS <= kind < _Kind.BLOB:
            length, element = divmod(kind - _Kind.FIXED_VECTORS, 3)
            return [self._number(start + i * inner, inner, _Kind.INT + element) for i in range(length + 2)]
        size = self._number(start - inner, inner, _Kind.UINT)
        if kind == _Kind.STRING:
            return self._text(start, start + size)
        if kind == _Kind.BLOB:
            return self._bytes(start, start + size)
        if kind in _TYPED:
            types = [_TYPED[_Kind(kind)] << 2] * self._limited(size)
        elif kind in (_Kind.VECTOR, _Kind.MAP):
            types = list(self._bytes(start + size * inner, start + size * inner + size))
        else:
            raise self.invalid(f"there is no type {kind}")
        values = [self.value(start + i * inner, inner, type, depth + 1) for i, type in enumerate(types)]
        return values if kind != _Kind.MAP else dict(zip(self._keys(start, inner, size, depth), values))

    def _keys(self, start: int, width: int, size: int, depth: int) -> list[Any]:
        keys_width = self._number(start - 2 * width, width, _Kind.UINT)
        if keys_width not in (1, 2, 4, 8):
            raise self.invalid(f"the keys of a map cannot be {keys_width} bytes wide")
        type = _Kind.VECTOR_KEY << 2 | keys_width.bit_length() - 1
        keys: list[Any] = self.value(start - 3 * width, width, type, depth + 1)
        if len(keys) != size:
            raise self.invalid(f"a map has {len(keys)} keys and {size} values")
        return keys

    def _limited(self, size: int) -> int:
        if size > len(self._data):
            raise self.invalid(f"a vector of {size} elements does not fit into it")
        return size

    def _number(self, place: int, width: int, kind: int) -> Any:
        form = _FORMATS[_Kind(kind)].get(width)
        if form is None or not 0 <= place <= len(self._data) - width:
            raise self.invalid(f"there is no number of {width} bytes at {place}")
        return struct.unpack_from(form, self._data, place)[0]

    def _bytes(self, start: int, stop: int) -> bytes:
        if not 0 <= start <= stop <= len(self._data):
            raise self.invalid(f"{start} to {stop} does not lie in it")
        return self._data[start:stop]

    def _text(self, start: int, stop: int) -> str:
        try:
            return self._bytes(start, stop).decode()
        except UnicodeDecodeError as error:
            raise self.invalid(str(error)) from error
