"""Bytes to tables and back, for any table that describes its fields.

On the wire (FlatBuffers, little endian): the first four bytes refer to the root table. A table begins with a signed
distance *back* to its vtable; the vtable holds its own size, the table's size, and for each slot the field's place in
the table, 0 for a field left at its default. References are unsigned distances *forward*, to a table or to a vector
(a count, then the elements).

Reading trusts nothing. Every place is checked before it is used. References only lead forward, so cycles cannot be;
several may lead to the same place, but each visit makes a new object and is paid for out of a budget that grows with
the file, so what comes out is a tree no larger than a small multiple of the file. Any bytes give a model or an
`InvalidModelError`.

What is newer than the schema is kept as long as it is certain to be a number: a field whose bytes, read as a
reference, would lead nowhere. One that could be a reference is kept in memory, but `encode` refuses to write it, for
what it leads to cannot be copied without knowing its type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, TypeVar

import flatbuffers
import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidModelError
from refquant.tflite import schema
from refquant.tflite.table import Field, Kind, Table, UnknownField, UnknownMember

T = TypeVar("T", bound=Table)
Bytes = npt.NDArray[np.uint8]
Layout = Literal["c++", "python"]

_MAX_DEPTH = 32  # entries of the path; the deepest one of the schema has 12
_U16S, _U32, _I32 = struct.Struct("<HH"), struct.Struct("<I"), struct.Struct("<i")
_SCALARS = {code: struct.Struct("<" + code) for code in "?bBhHiIqQfd"}
_DTYPES = {code: np.dtype("<" + code if code != "?" else "?") for code in _SCALARS}

#: the budget of a reader: what each byte of the file brings, and what objects cost (a vector, its bytes as well).
#: A table or vector takes 8 bytes or more of a file, counting the reference to it, so only sharing can overspend.
_INCOME, _OBJECT, _UNKNOWN = 8, 64, 16

#: how other things begin that are mistaken for models
_LOOKALIKES = (
    (b"PK\x03\x04", "a zip archive, such as a .keras file"),
    (b"\x89HDF", "an HDF5 file, such as Keras weights"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"version https://", "a Git LFS pointer: fetch the file itself"),
    (b"<", "HTML or XML: was a web page downloaded in place of the model?"),
    (b"\x08", "a protocol buffer, such as an ONNX model or a SavedModel"),
)


def decode(data: bytes | memoryview | Bytes) -> schema.Model:
    """The model in `data`; vectors of numbers are read-only views of it, not copies.

    Raises `InvalidModelError`, with the path of fields and the byte offset, where the bytes are not a model.
    """
    reader = _Reader(np.frombuffer(data, np.uint8))
    if reader.size < 8:
        raise InvalidModelError(f"not a .tflite model: {reader.size} bytes are too few for one")
    head = bytes(reader.bytes[:16])
    if head[4:8] != schema.FILE_IDENTIFIER:
        guesses = [f" (it looks like {what})" for start, what in _LOOKALIKES if head.startswith(start)]
        raise InvalidModelError(
            f"not a .tflite model: bytes 4 to 7 are {head[4:8]!r}, expected {schema.FILE_IDENTIFIER!r}"
            + "".join(guesses[:1])
        )
    return reader.table(reader.reference(0), schema.Model)


def decode_table(data: bytes | memoryview | Bytes, cls: type[T]) -> T:
    """The table of a class that a FlatBuffer without identifier holds. Raises `InvalidModelError` where it is none."""
    reader = _Reader(np.frombuffer(data, np.uint8))
    if reader.size < 8:
        raise InvalidModelError(f"{reader.size} bytes are too few for a {cls.__name__}")
    return reader.table(reader.reference(0), cls)


class _Reader:
    """A walk over the bytes; `path` says where it is, `budget` how much it may still make."""

    def __init__(self, data: Bytes) -> None:
        self.bytes = data.view()
        self.bytes.flags.writeable = False
        self.view = self.bytes.data
        self.size = len(data)
        self.path: list[str | int] = []
        self.budget = 1024 + _INCOME * self.size

    def fail(self, why: str, place: int) -> NoReturn:
        raise InvalidModelError(f"not a valid model: {_path(self.path)} at byte {place}: {why}")

    def need(self, place: int, size: int, what: str) -> None:
        if place < 0 or place + size > self.size:
            self.fail(f"{what} reaches beyond the end of the file ({self.size} bytes)", place)

    def spend(self, cost: int, place: int) -> None:
        self.budget -= cost
        if self.budget < 0:
            self.fail("the file refers to more objects than its size has room for", place)

    def reference(self, place: int) -> int:
        """The place that the reference at `place` leads to; there are at least four bytes."""
        self.need(place, 4, "a reference")
        distance: int = _U32.unpack_from(self.view, place)[0]
        if distance < 4:
            self.fail(f"a reference of {distance} leads into itself", place)
        self.need(place + distance, 4, "what a reference leads to")
        return place + distance

    def table(self, place: int, cls: type[T]) -> T:
        """The table at `place`."""
        if len(self.path) > _MAX_DEPTH:
            self.fail(f"tables are nested more than {_MAX_DEPTH} deep", place)
        vtable = place - _I32.unpack_from(self.view, place)[0]
        self.need(vtable, 4, "a vtable")
        vtable_size, size = _U16S.unpack_from(self.view, vtable)
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            self.fail(f"impossible sizes: vtable {vtable_size}, table {size}", vtable)
        self.need(vtable, vtable_size, "a vtable")
        self.need(place, size, "a table")
        count = (vtable_size - 4) // 2
        self.spend(_OBJECT + 2 * max(0, count - cls.SLOTS), place)
        slots = struct.unpack_from(f"<{count}H", self.view, vtable + 4)
        values: dict[str, Any] = {}
        for field in cls.FIELDS:
            name, slot, kind, of, _, enum, _ = field
            if slot >= count:
                break
            offset = slots[slot]
            if not offset:
                continue
            self.path.append(name)
            if kind is Kind.SCALAR:
                wire = _SCALARS[of]
                (value,) = wire.unpack_from(self.view, self.inside(place, size, offset, wire.size))
                values[name] = value if enum is None else enum._value2member_map_.get(value, value)
            elif kind is Kind.UNION:
                values[name] = self.union(place, size, of, offset, slots[slot + 1 :])
            else:
                values[name] = self.target(self.reference(self.inside(place, size, offset, 4)), kind, of)
            self.path.pop()
        if count > cls.SLOTS:
            values["unknown_fields"] = self.unknown(place, size, slots, cls.SLOTS)
        return cls(**values)

    def inside(self, place: int, table_size: int, offset: int, size: int) -> int:
        """The place of a field, which must lie within its table and not over the distance to the vtable."""
        if offset < 4 or offset + size > table_size:
            self.fail(f"a field at {offset} does not fit a table of {table_size} bytes", place)
        return place + offset

    def target(self, place: int, kind: Kind, of: Any) -> Any:
        """What the reference of a field leads to."""
        if kind is Kind.VECTOR:
            return self.vector(place, _DTYPES[of])
        if kind is Kind.STRING:
            return self.vector(place, _DTYPES["B"]).tobytes().decode("utf-8", "surrogateescape")
        if kind is Kind.TABLE:
            return self.table(place, of)
        return self.tables(place, of)

    def union(
        self, place: int, table_size: int, members: Sequence[type[Table]], offset: int, rest: Sequence[int]
    ) -> Table | UnknownMember | None:
        tag = self.view[self.inside(place, table_size, offset, 1)]
        if tag == 0 or not rest or not rest[0]:
            return None
        target = self.reference(self.inside(place, table_size, rest[0], 4))
        if tag > len(members):
            return UnknownMember(tag, self.table(target, Table))
        return self.table(target, members[tag - 1])

    def vector(self, place: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        (count,) = _U32.unpack_from(self.view, place)
        size = count * dtype.itemsize
        self.need(place + 4, size, f"a vector of {count} elements")
        self.spend(_OBJECT + size, place)
        return self.bytes[place + 4 : place + 4 + size].view(dtype)

    def tables(self, place: int, cls: type[T]) -> list[T]:
        (count,) = _U32.unpack_from(self.view, place)
        self.need(place + 4, count * 4, f"a vector of {count} tables")
        self.spend(_OBJECT, place)
        result = []
        for i in range(count):
            self.path.append(i)
            result.append(self.table(self.reference(place + 4 + 4 * i), cls))
            self.path.pop()
        return result

    def unknown(self, place: int, table_size: int, slots: Sequence[int], first: int) -> tuple[UnknownField, ...]:
        """The fields in slots that the schema does not have: the bytes from there to the next field."""
        found: list[UnknownField] = []
        ends = sorted({*slots, table_size})
        for slot in range(first, len(slots)):
            if slots[slot]:
                self.spend(_UNKNOWN, place)
                start = self.inside(place, table_size, slots[slot], 1)
                end = place + next(end for end in ends if end > slots[slot])
                data = bytes(self.view[start : min(end, start + 8)])
                longer = any(self.view[start + 8 : end])  # a struct: more than a number and padding
                found.append(
                    UnknownField(slot, data, not longer and not self.may_refer(start, data, place + table_size))
                )
        return tuple(found)

    def may_refer(self, place: int, data: bytes, table_end: int) -> bool:
        """Whether the bytes of a field could be a reference: to what could be a vector or table after this one."""
        if len(data) < 4 or place % 4:
            return False
        target = place + _U32.unpack_from(data)[0]
        if target % 4 or target < table_end or target + 4 > self.size:
            return False
        (count,) = _U32.unpack_from(self.view, target)
        (distance,) = _I32.unpack_from(self.view, target)
        return bool(target + 4 + count <= self.size or 0 <= target - distance <= self.size - 4)


def _path(path: Sequence[str | int]) -> str:
    """The way from the root, such as subgraphs[0].tensors[3].name."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "the root"


def encode(model: schema.Model, layout: Layout = "c++") -> bytes:
    """The bytes of a model, with 16-byte aligned buffers, as the official reader and verifier accept them.

    The bytes are those that TensorFlow's C++ code writes for these tables, or with layout "python" those that its
    Python code writes, which does not align buffers.

    Raises `InvalidModelError`, with the path of fields, for a value that the format cannot hold.
    """
    writer = _Writer(layout)
    try:
        root = writer.table(writer.expect(model, schema.Model))
        writer.builder.Finish(root, file_identifier=schema.FILE_IDENTIFIER)
    except flatbuffers.builder.BuilderSizeError:
        raise InvalidModelError(
            "the model does not fit a FlatBuffer of 2 GB: put data outside it (Buffer.offset and size)"
        ) from None
    return bytes(writer.builder.Output())


def encode_table(table: Table, layout: Layout = "c++") -> bytes:
    """The bytes of a table alone, as a FlatBuffer without identifier."""
    writer = _Writer(layout)
    writer.builder.Finish(writer.table(table))
    return bytes(writer.builder.Output())


class _Writer:
    """Writes children before parents, as a FlatBuffer grows from its end to its beginning."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.builder = flatbuffers.Builder(1024)
        self.path: list[str | int] = []

    def fail(self, why: str) -> NoReturn:
        raise InvalidModelError(f"cannot write the model: {_path(self.path)}: {why}")

    def table(self, table: Table) -> int:
        """Writes a table and all below it; its place, as the builder counts."""
        if len(self.path) > _MAX_DEPTH:
            self.fail(f"tables are nested more than {_MAX_DEPTH} deep")
        fields: list[tuple[int, str, Any]] = []  # slot, wire code ("O" for a reference), value
        for field in table.FIELDS:
            value = getattr(table, field.name)
            if value is None:
                continue
            self.path.append(field.name)
            if field.kind is Kind.SCALAR:
                fields.extend(self.scalar(value, field))
            elif field.kind is Kind.UNION:
                fields.extend(self.union(value, field))
            else:
                fields.append((field.slot, "O", self.reference(value, field)))
            self.path.pop()
        fields.extend(self.unknown(field) for field in table.unknown_fields)
        builder = self.builder
        builder.StartObject(max((slot for slot, _, _ in fields), default=-1) + 1)
        for slot, code, value in sorted(fields, key=_PLACE[self.layout]):
            if code == "O":
                builder.PrependUOffsetTRelative(value)
            else:
                _PREPEND[code](builder, value)
            builder.Slot(slot)
        return int(builder.EndObject())

    def scalar(self, value: Any, field: Field) -> list[tuple[int, str, Any]]:
        """The field as it is written: not at all when it has its default (compared by its bits)."""
        wire = _SCALARS[field.of]
        try:
            packed = wire.pack(value)
        except (struct.error, OverflowError, TypeError) as error:
            self.fail(f"{value!r} is not a number that the format can hold there: {error}")
        return [] if packed == wire.pack(field.default) else [(field.slot, field.of, wire.unpack(packed)[0])]

    def unknown(self, field: UnknownField) -> tuple[int, str, Any]:
        if not field.is_scalar:
            self.fail(
                f"slot {field.slot} of this table is newer than this schema and may refer to data that cannot be "
                "copied without knowing it; set unknown_fields = () to drop it"
            )
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}[1 << (len(field.data).bit_length() - 1)]
        return field.slot, code, _SCALARS[code].unpack_from(field.data)[0]

    def union(self, value: Any, field: Field) -> list[tuple[int, str, Any]]:
        if isinstance(value, UnknownMember):
            tag, value = value
        elif type(value) in field.of:
            tag = field.of.index(type(value)) + 1
        else:
            self.fail(f"{type(value).__name__} is not a member of this union")
        return [(field.slot, "B", tag), (field.slot + 1, "O", self.table(value))]

    def reference(self, value: Any, field: Field) -> int:
        if field.kind is Kind.STRING:
            try:
                return int(self.builder.CreateString(self.expect(value, str).encode("utf-8", "surrogateescape")))
            except UnicodeEncodeError as error:
                self.fail(f"{value!r} cannot be written as UTF-8: {error.reason}")
        if field.kind is Kind.VECTOR:
            return self.vector(value, field)
        if field.kind is Kind.TABLE:
            return self.table(self.expect(value, field.of))
        places = []
        for i, item in enumerate(self.expect(value, (list, tuple))):
            self.path.append(i)
            places.append(self.table(self.expect(item, field.of)))
            self.path.pop()
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return int(self.builder.EndVector())

    def expect(self, value: Any, cls: Any) -> Any:
        if not isinstance(value, cls):
            names = " or ".join(c.__name__ for c in (cls if isinstance(cls, tuple) else (cls,)))
            self.fail(f"expected a {names}, got {type(value).__name__}")
        return value

    def vector(self, value: Any, field: Field) -> int:
        """Writes numbers; integers must fit exactly, floats are rounded to the vector's type."""
        dtype = _DTYPES[field.of]
        try:
            given = np.asarray(value)
        except ValueError:
            self.fail("expected a vector of numbers")
        if given.ndim != 1 or (given.size and given.dtype.kind not in ("fiub" if dtype.kind == "f" else "iub")):
            self.fail(f"expected a vector of {dtype.name} numbers, got {given.ndim} dimensions of {given.dtype.name}")
        if given.size and dtype.kind in "iu" and not np.can_cast(given.dtype, dtype):
            limits = np.iinfo(dtype)
            if int(given.min()) < limits.min or int(given.max()) > limits.max:
                self.fail(f"numbers from {given.min()} to {given.max()} do not fit {dtype.name}")
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(given, dtype)
        if dtype.kind == "f" and array is not given and np.any(np.isinf(array) & np.isfinite(given)):
            self.fail(f"a number is too large for {dtype.name}")
        builder = self.builder
        align = field.align if self.layout == "c++" else 1
        builder.StartVector(dtype.itemsize, len(array), max(dtype.itemsize, align))
        builder.head -= array.nbytes
        builder.Bytes[builder.head : builder.head + array.nbytes] = array.tobytes()
        return int(builder.EndVector())


#: the order of a table's fields (slot, wire code, value), from its end: the largest first and of these the last first,
#: or simply the first first
_PLACE: dict[Layout, Callable[[tuple[int, str, Any]], tuple[int, ...]]] = {
    "c++": lambda field: (-(4 if field[1] == "O" else _SCALARS[field[1]].size), -field[0]),
    "python": lambda field: (field[0],),
}

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
