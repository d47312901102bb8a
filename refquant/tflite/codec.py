"""Bytes to tables and back, for any table that describes its fields.

On the wire (FlatBuffers, little endian): the first four bytes refer to the root table. A table begins with a signed
distance *back* to its vtable; the vtable holds its own size, the table's size, and for each slot the field's place in
the table, 0 for a field left at its default. References are unsigned distances *forward*, to a table or to a vector
(a count, then the elements).

Reading trusts nothing. Every place is checked before it is used; a reference only leads forward, so cycles cannot
be; each object, wherever it is referred to from, costs one of a number of items that grows with the file. So any
bytes give a model or an `InvalidModelError`, in time and memory proportional to their number.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import flatbuffers
import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidModelError
from refquant.tflite import schema
from refquant.tflite.table import Field, Kind, Table, UnknownField, UnknownMember

T = TypeVar("T", bound=Table)
Bytes = npt.NDArray[np.uint8]

_MAX_DEPTH = 32
_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
_SCALARS = {code: struct.Struct("<" + code) for code in "?bBhHiIqQfd"}
_DTYPES = {code: np.dtype("<" + code if code != "?" else "?") for code in _SCALARS}


def decode(data: bytes | memoryview | Bytes) -> schema.Model:
    """The model in `data`; vectors of numbers are read-only views of it, not copies.

    Raises `InvalidModelError`, with the path of fields and the byte offset, where the bytes are not a model.
    """
    reader = _Reader(np.frombuffer(data, np.uint8))
    if reader.size < 8 or bytes(reader.bytes[4:8]) != schema.FILE_IDENTIFIER:
        raise InvalidModelError(_what_else(bytes(reader.bytes[:16]), reader.size))
    return reader.table(reader.reference(0), schema.Model)


def _what_else(head: bytes, size: int) -> str:
    """Says what a file that does not begin as a model seems to be."""
    if size < 8:
        return f"not a .tflite model: {size} bytes are too few for one"
    guess = next(
        (
            f" (it looks like {kind})"
            for start, kind in (
                (b"PK\x03\x04", "a zip or .keras file"),
                (b"\x89HDF", "an HDF5 file"),
                (b"\x1f\x8b", "a gzip file; unpack it first"),
                (b"<", "HTML or XML: was a web page downloaded in place of the model?"),
                (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"[:60]),
                (b"\x08", "a protocol buffer, such as ONNX or a SavedModel"),
            )
            if head.startswith(start[:16])
        ),
        "",
    )
    return f"not a .tflite model: bytes 4 to 7 are {head[4:8]!r}, expected {schema.FILE_IDENTIFIER!r}{guess}"


class _Reader:
    """A walk over the bytes; `path` says where it is, `items` how many objects it may still make."""

    def __init__(self, data: Bytes) -> None:
        self.bytes = data.view()
        self.bytes.flags.writeable = False
        self.view = memoryview(self.bytes)
        self.size = len(data)
        self.path: list[str] = []
        self.items = 256 + self.size // 8
        self.seen: dict[tuple[int, Any], Any] = {}

    def fail(self, why: str, place: int) -> NoReturn:
        path = "".join(self.path).lstrip(".") or "the root"
        raise InvalidModelError(f"not a valid model: {path} at byte {place}: {why}")

    def need(self, place: int, size: int, what: str) -> None:
        if place < 0 or place + size > self.size:
            self.fail(f"{what} reaches beyond the end of the file ({self.size} bytes)", place)

    def spend(self, place: int) -> None:
        self.items -= 1
        if self.items < 0:
            self.fail("the file refers to more objects than its size has room for", place)

    def reference(self, place: int) -> int:
        """The place that the reference at `place` leads to."""
        self.need(place, 4, "a reference")
        distance: int = _U32.unpack_from(self.view, place)[0]
        if distance < 4:
            self.fail(f"a reference of {distance} leads into itself", place)
        self.need(place + distance, 4, "what a reference leads to")
        return place + distance

    def table(self, place: int, cls: type[T]) -> T:
        """The table at `place`; the same object if it was read there before."""
        known = self.seen.get((place, cls))
        if known is not None:
            return known  # type: ignore[no-any-return]
        self.spend(place)
        if len(self.path) > _MAX_DEPTH:
            self.fail(f"tables are nested more than {_MAX_DEPTH} deep", place)
        self.need(place, 4, "a table")
        vtable = place - _I32.unpack_from(self.view, place)[0]
        self.need(vtable, 4, "a vtable")
        vtable_size, table_size = struct.unpack_from("<HH", self.view, vtable)
        if vtable_size < 4 or vtable_size % 2 or table_size < 4:
            self.fail(f"impossible sizes: vtable {vtable_size}, table {table_size}", vtable)
        self.need(vtable, vtable_size, "a vtable")
        self.need(place, table_size, "a table")
        slots = struct.unpack_from(f"<{(vtable_size - 4) // 2}H", self.view, vtable + 4)
        known_slots = 0
        values: dict[str, Any] = {}
        for field in cls.FIELDS:
            known_slots = field.slot + (2 if field.kind is Kind.UNION else 1)
            offset = slots[field.slot] if field.slot < len(slots) else 0
            if field.kind is Kind.UNION:
                if offset:
                    values[field.name] = self.union(place, table_size, field, offset, slots[field.slot + 1 :][:1])
            elif offset:
                self.path.append("." + field.name)
                values[field.name] = self.field(place, table_size, field, offset)
                self.path.pop()
        result = cls(**values)
        if any(slots[known_slots:]):
            result.unknown_fields = self.unknown(place, table_size, slots, known_slots)
        self.seen[place, cls] = result
        return result

    def inside(self, place: int, table_size: int, offset: int, size: int) -> int:
        """The place of a field, which must lie within its table and not over the distance to the vtable."""
        if offset < 4 or offset + size > table_size:
            self.fail(f"a field at {offset} does not fit a table of {table_size} bytes", place)
        return place + offset

    def field(self, place: int, table_size: int, field: Field, offset: int) -> Any:
        if field.kind is Kind.SCALAR:
            wire = _SCALARS[field.of]
            (value,) = wire.unpack_from(self.view, self.inside(place, table_size, offset, wire.size))
            return value if field.enum is None else field.enum._value2member_map_.get(value, value)
        target = self.reference(self.inside(place, table_size, offset, 4))
        if field.kind is Kind.STRING:
            return self.string(target)
        if field.kind is Kind.VECTOR:
            return self.vector(target, _DTYPES[field.of])
        if field.kind is Kind.TABLE:
            return self.table(target, field.of)
        return self.tables(target, field.of)

    def union(self, place: int, table_size: int, field: Field, offset: int, value_offset: Sequence[int]) -> Any:
        tag = self.view[self.inside(place, table_size, offset, 1)]
        if tag == 0:
            return None
        if tag > len(field.of):
            return UnknownMember(tag)
        if not value_offset or not value_offset[0]:
            return None
        self.path.append("." + field.name)
        member = self.table(self.reference(self.inside(place, table_size, value_offset[0], 4)), field.of[tag - 1])
        self.path.pop()
        return member

    def string(self, place: int) -> str:
        known = self.seen.get((place, str))
        if known is None:
            known = bytes(self.vector(place, _DTYPES["B"])).decode("utf-8", "surrogateescape")
            self.items -= len(known) // 8
            self.seen[place, str] = known
        return known  # type: ignore[no-any-return]

    def vector(self, place: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        self.spend(place)
        self.need(place, 4, "a vector")
        (count,) = _U32.unpack_from(self.view, place)
        self.need(place + 4, count * dtype.itemsize, f"a vector of {count} elements")
        return np.frombuffer(self.bytes, dtype, count, place + 4) if count else np.empty(0, dtype)

    def tables(self, place: int, cls: type[T]) -> list[T]:
        self.need(place, 4, "a vector")
        (count,) = _U32.unpack_from(self.view, place)
        self.need(place + 4, count * 4, f"a vector of {count} tables")
        self.items -= count // 8
        result = []
        for i in range(count):
            self.path.append(f"[{i}]")
            result.append(self.table(self.reference(place + 4 + 4 * i), cls))
            self.path.pop()
        return result

    def unknown(self, place: int, table_size: int, slots: Sequence[int], first: int) -> tuple[UnknownField, ...]:
        """The fields in slots that the schema does not have: what lies from there to the next field."""
        ends = sorted({*filter(None, slots), table_size})
        found = []
        for slot in range(first, len(slots)):
            if slots[slot]:
                self.spend(place)
                self.inside(place, table_size, slots[slot], 1)
                size = next(end for end in ends if end > slots[slot]) - slots[slot]
                data = bytes(self.view[place + slots[slot] :][: size if size < 8 else 8])
                found.append(UnknownField(slot, data, not self.may_refer(place + slots[slot], data)))
        return tuple(found)

    def may_refer(self, place: int, data: bytes) -> bool:
        """Whether the bytes of a field could be a reference: to a place in the file, where references may lead."""
        if len(data) < 4 or place % 4:
            return False
        (distance,) = _U32.unpack_from(data)
        return distance >= 4 and distance % 4 == 0 and place + distance + 4 <= self.size


def encode(model: schema.Model) -> bytes:
    """The bytes of a model, with 16-byte aligned buffers, as the official reader and verifier accept them.

    Raises `InvalidModelError`, with the path of fields, for a value that the format cannot hold.
    """
    writer = _Writer(1024 + sum(len(b.data) for b in model.buffers or () if b.data is not None))
    try:
        root = writer.table(model)
        writer.builder.Finish(root, file_identifier=schema.FILE_IDENTIFIER)
    except flatbuffers.builder.BuilderSizeError:
        raise InvalidModelError(
            "the model does not fit a FlatBuffer of 2 GB: put data outside it (Buffer.offset and size)"
        ) from None
    return bytes(writer.builder.Output())


class _Writer:
    """Writes children before parents, as a FlatBuffer grows from its end to its beginning."""

    def __init__(self, size: int) -> None:
        self.builder = flatbuffers.Builder(min(size, 2**31 - 1))
        self.path: list[str] = []

    def fail(self, why: str) -> NoReturn:
        path = "".join(self.path).lstrip(".") or "the root"
        raise InvalidModelError(f"cannot write the model: {path}: {why}")

    def table(self, table: Table) -> int:
        """Writes a table and all below it; its place, as the builder counts."""
        fields: list[tuple[int, str, Any]] = []  # slot, wire code ("O" for a reference), value
        for field in table.FIELDS:
            value = getattr(table, field.name)
            if value is None:
                continue
            self.path.append("." + field.name)
            if field.kind is Kind.SCALAR:
                if value != field.default or value != value:
                    fields.append((field.slot, field.of, self.scalar(value, field)))
            elif field.kind is Kind.UNION:
                fields.extend(self.union(value, field))
            else:
                fields.append((field.slot, "O", self.reference(value, field)))
            self.path.pop()
        for unknown in table.unknown_fields:
            if not unknown.is_scalar:
                self.fail(
                    f"slot {unknown.slot} of {type(table).__name__} is newer than this schema and may refer to data "
                    "that cannot be copied without knowing it; set unknown_fields = () to drop it"
                )
            code = {1: "B", 2: "H", 4: "I", 8: "Q"}[1 << (len(unknown.data).bit_length() - 1)]
            fields.append((unknown.slot, code, _SCALARS[code].unpack_from(unknown.data)[0]))
        builder = self.builder
        builder.StartObject(max((slot for slot, _, _ in fields), default=-1) + 1)
        for slot, code, value in sorted(fields, key=lambda f: -(4 if f[1] == "O" else _SCALARS[f[1]].size)):
            if code == "O":
                builder.PrependUOffsetTRelative(value)
            else:
                _PREPEND[code](builder, value)
            builder.Slot(slot)
        return int(builder.EndObject())

    def scalar(self, value: Any, field: Field) -> Any:
        try:
            _SCALARS[field.of].pack(value)
        except struct.error as error:
            self.fail(f"{value!r} is not a number that the format can hold there: {error}")
        except OverflowError:
            self.fail(f"{value!r} is too large for the format")
        return value

    def union(self, value: Any, field: Field) -> list[tuple[int, str, Any]]:
        if isinstance(value, UnknownMember):
            self.fail(
                f"member {value.tag} of this union is newer than this schema and cannot be copied without knowing "
                "it; set the field to None to drop it"
            )
        if type(value) not in field.of:
            self.fail(f"{type(value).__name__} is not a member of this union")
        return [
            (field.slot, "B", field.of.index(type(value)) + 1),
            (field.slot + 1, "O", self.table(value)),
        ]

    def reference(self, value: Any, field: Field) -> int:
        if field.kind is Kind.STRING:
            if not isinstance(value, str):
                self.fail(f"expected a str, got {type(value).__name__}")
            return int(self.builder.CreateString(value.encode("utf-8", "surrogateescape")))
        if field.kind is Kind.VECTOR:
            return self.vector(value, field)
        if field.kind is Kind.TABLE:
            return self.table(self.expect(value, field.of))
        places = []
        for i, item in enumerate(value):
            self.path.append(f"[{i}]")
            places.append(self.table(self.expect(item, field.of)))
            self.path.pop()
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return int(self.builder.EndVector())

    def expect(self, value: Any, cls: type[T]) -> T:
        if not isinstance(value, cls):
            self.fail(f"expected a {cls.__name__}, got {type(value).__name__}")
        return value

    def vector(self, value: Any, field: Field) -> int:
        dtype = _DTYPES[field.of]
        try:
            given = np.asarray(value)
            array = np.ascontiguousarray(given, dtype)
            fits = given.ndim == 1 and (array is given or given.size == 0 or np.array_equal(array, given, dtype.kind == "f"))
        except (TypeError, ValueError, OverflowError):
            fits = False
        if not fits and not (dtype.kind == "f" and given.dtype.kind in "fiu" and given.ndim == 1):
            self.fail(f"expected a vector of {dtype.name} numbers")
        builder = self.builder
        builder.StartVector(dtype.itemsize, len(array), max(dtype.itemsize, field.align))
        builder.head -= array.nbytes
        builder.Bytes[builder.head : builder.head + array.nbytes] = memoryview(array).cast("B") if array.size else b""
        return int(builder.EndVector())


_B = flatbuffers.Builder
_PREPEND = {
    "?": _B.PrependBool,
    "b": _B.PrependInt8,
    "B": _B.PrependUint8,
    "h": _B.PrependInt16,
    "H": _B.PrependUint16,
    "i": _B.PrependInt32,
    "I": _B.PrependUint32,
    "q": _B.PrependInt64,
    "Q": _B.PrependUint64,
    "f": _B.PrependFloat32,
    "d": _B.PrependFloat64,
}
