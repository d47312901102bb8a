"""`Model`: a .tflite file in memory, and the look-ups that every other room needs."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from copy import copy
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, InvalidModelError
from refquant.tflite import codec, schema
from refquant.tflite.schema import BuiltinOperator, TensorType
from refquant.tflite.sparsity import densify
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype, stored_bytes
from refquant.tflite.validate import validate

Array = npt.NDArray[Any]


class Model:
    """A model: its tables (`root`, see `refquant.tflite.schema`) and the bytes that it came from.

    `Model.read` maps a file into memory, so constants are views of the file and cost nothing until they are used.
    """

    def __init__(self, root: schema.Model, source: npt.NDArray[np.uint8] | None = None) -> None:
        self.root = root
        self._source = source

    @classmethod
    def read(cls, source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> Model:
        """The model in a file (by path), in bytes, or in an open binary file.

        Raises `InvalidModelError`, naming the place, for anything that is not a model; OSError as `open` does.
        """
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as file:
                empty = os.fstat(file.fileno()).st_size == 0
                data: Any = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
        elif hasattr(source, "read"):
            data = source.read()
            if not isinstance(data, bytes):
                raise InvalidInputError("a model is bytes: open the file in binary mode")
        else:
            raise InvalidInputError(f"a model is read from a path, bytes or a binary file, not {type(source).__name__}")
        array = np.frombuffer(data, np.uint8)
        root = codec.decode(array)
        validate(root, len(array))
        return cls(root, array)

    def with_root(self, root: schema.Model) -> Model:
        """Other tables over the bytes that this model came from, to which its data outside the FlatBuffer refer."""
        return Model(root, self._source)

    @property
    def subgraphs(self) -> list[schema.SubGraph]:
        """The subgraphs; the first is the main one."""
        return self.root.subgraphs or []

    def tobytes(self, layout: codec.Layout = "c++") -> bytes:
        """The model as the bytes of a .tflite file, laid out as TensorFlow's C++ code or its Python code does.

        Data that lie outside the FlatBuffer (`Buffer.offset`, large custom options) lie outside it again.
        """
        root, outside = self._copy_with_data_outside()
        if not outside:
            return codec.encode(self.root, layout)
        end = len(codec.encode(root, layout))  # the offsets are not yet right, but their fields have the same size
        pieces = []
        moved: dict[int, int] = {}  # where each byte range of the source begins: how far it moves
        ranges = sorted({(entry.start, entry.start + entry.size) for entry in outside})
        while ranges:
            start, stop = ranges.pop(0)
            begins = [start]
            while ranges and ranges[0][0] < stop:  # what overlaps stays together
                begins.append(ranges[0][0])
                stop = max(stop, ranges.pop(0)[1])
            padding = -end % 16
            moved.update((begin, end + padding - start) for begin in begins)
            pieces += [bytes(padding), self._outside(start, stop - start, "data").tobytes()]
            end += padding + stop - start
        for entry in outside:
            setattr(entry.table, entry.field, entry.start + moved[entry.start])
        return b"".join([codec.encode(root, layout), *pieces])

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the model to a file, wholly or not at all: an existing file is replaced in one step."""
        write_atomically(path, self.tobytes())

    def operator_code(self, operator: schema.Operator) -> schema.OperatorCode:
        """The entry of the table of operator codes that an operator refers to."""
        codes = self.root.operator_codes or []
        if not 0 <= operator.opcode_index < len(codes):
            raise InvalidModelError(f"operator code {operator.opcode_index} does not exist: there are {len(codes)}")
        return codes[operator.opcode_index]

    def builtin_code(self, operator: schema.Operator) -> int:
        """The number of the operator: the larger of the 8-bit code of old files and its successor."""
        code = self.operator_code(operator)
        return max(code.deprecated_builtin_code, code.builtin_code)

    def is_custom(self, operator: schema.Operator) -> bool:
        """Whether the operator is a custom one, known by name."""
        return self.builtin_code(operator) == BuiltinOperator.CUSTOM

    def operator_name(self, operator: schema.Operator) -> str:
        """The name of the operator, such as CONV_2D; of a custom operator its custom code."""
        number = self.builtin_code(operator)
        if number == BuiltinOperator.CUSTOM:
            return self.operator_code(operator).custom_code or ""
        try:
            return BuiltinOperator(number).name
        except ValueError:
            return f"BUILTIN_{number}"

    def operator_version(self, operator: schema.Operator) -> int:
        """The version of the operator that the file asks for."""
        return self.operator_code(operator).version

    def custom_options(self, operator: schema.Operator) -> npt.NDArray[np.uint8]:
        """The bytes of a custom operator's options, also where they lie outside the FlatBuffer; empty if none."""
        if operator.custom_options is None and operator.large_custom_options_offset > 1:
            start, size = operator.large_custom_options_offset, operator.large_custom_options_size
            return self._outside(start, size, "custom options")
        return np.asarray(() if operator.custom_options is None else operator.custom_options, np.uint8)

    def buffer(self, index: int) -> npt.NDArray[np.uint8]:
        """The bytes of a buffer, also where they lie outside the FlatBuffer; empty where there are none."""
        buffers = self.root.buffers or []
        if not 0 <= index < len(buffers):
            raise InvalidModelError(f"buffer {index} does not exist: the model has {len(buffers)}")
        buffer = buffers[index]
        if buffer.data is None and buffer.offset > 1:
            return self._outside(buffer.offset, buffer.size, f"buffer {index}")
        return np.asarray(() if buffer.data is None else buffer.data, np.uint8)

    def constant(self, tensor: schema.Tensor) -> Array | None:
        """The array of a constant tensor, in its dtype and shape, or None where the tensor has no data.

        A read-only view where the type allows it; of a sparse tensor a new array with its zeros. Packed types (int4,
        uint4, int2) come as their flat bytes, strings as an object array of bytes. Raises `InvalidModelError` where
        shape and data disagree.
        """
        data: Array = self.buffer(tensor.buffer)
        shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        elements = math.prod(shape)
        if data.size == 0:
            return None
        if tensor.type in (TensorType.STRING, TensorType.VARIANT, TensorType.RESOURCE):
            return _strings(data, shape, tensor) if tensor.type == TensorType.STRING else None
        dtype = numpy_dtype(tensor.type)
        if tensor.sparsity is not None:
            if tensor.type in PACKED_BITS or data.size % dtype.itemsize:
                raise InvalidModelError(
                    f"tensor {tensor.name!r} ({tensor.type.name}): {data.size} bytes of sparse values cannot be read"
                )
            return densify(data.view(dtype), shape, tensor.sparsity, tensor.name or "")
        expected = stored_bytes(tensor.type, elements)
        if data.size != expected:
            raise InvalidModelError(
                f"tensor {tensor.name!r} ({TensorType(tensor.type).name}, shape {shape}) needs {expected} bytes of "
                f"data, buffer {tensor.buffer} has {data.size}"
            )
        if tensor.type in PACKED_BITS:
            return data
        if tensor.type == TensorType.BOOL and data.max() > 1:
            data = data != 0
        array: Array = data.view(dtype).reshape(shape)
        return array

    def tensor(self, name_or_index: str | int, subgraph: int = 0) -> schema.Tensor:
        """A tensor by its index or its name, which must be the name of one tensor only."""
        if not 0 <= subgraph < len(self.subgraphs):
            raise InvalidInputError(f"subgraph {subgraph} does not exist: the model has {len(self.subgraphs)}")
        tensors = self.subgraphs[subgraph].tensors or []
        if isinstance(name_or_index, str):
            found = [t for t in tensors if t.name == name_or_index]
            if len(found) != 1:
                raise InvalidInputError(f"{len(found)} tensors of subgraph {subgraph} are named {name_or_index!r}")
            return found[0]
        if not 0 <= name_or_index < len(tensors):
            raise InvalidInputError(f"tensor {name_or_index} does not exist: subgraph {subgraph} has {len(tensors)}")
        return tensors[name_or_index]

    def _outside(self, offset: int, size: int, what: str) -> npt.NDArray[np.uint8]:
        if self._source is None or offset + size > len(self._source):
            raise InvalidModelError(
                f"{what} lies outside the FlatBuffer, at {offset} to {offset + size}: not in the file that was read"
            )
        return self._source[offset : offset + size]

    def _copy_with_data_outside(self) -> tuple[schema.Model, list[_Outside]]:
        """The tables that may refer to data outside the FlatBuffer, copied to be changed, and what they refer to."""
        root = copy(self.root)
        outside = []
        if root.buffers:
            root.buffers = [copy(buffer) for buffer in root.buffers]
            outside += [
                _Outside(b, "offset", b.offset, b.size) for b in root.buffers if b.data is None and b.offset > 1
            ]
        if root.subgraphs:
            root.subgraphs = [copy(subgraph) for subgraph in root.subgraphs]
        for subgraph in root.subgraphs or ():
            if subgraph.operators:
                subgraph.operators = [copy(operator) for operator in subgraph.operators]
            outside += [
                _Outside(o, "large_custom_options_offset", o.large_custom_options_offset, o.large_custom_options_size)
                for o in subgraph.operators or ()
                if o.custom_options is None and o.large_custom_options_offset > 1
            ]
        return root, outside


class _Outside(NamedTuple):
    """A table whose `field` says where data begin outside the FlatBuffer."""

    table: schema.Buffer | schema.Operator
    field: str
    start: int
    size: int


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file wholly or not at all: into a new file beside it, which then takes its name in one step."""
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _strings(data: npt.NDArray[np.uint8], shape: tuple[int, ...], tensor: schema.Tensor) -> Array:
    """A string tensor: a count, where each string begins (and the last one ends), all strings in a row."""
    words = data[: data.size // 4 * 4].view("<i4")
    count = int(words[0]) if words.size else -1
    if count != math.prod(shape) or not 0 <= count < words.size - 1:
        raise InvalidModelError(f"string tensor {tensor.name!r}: data of {count} strings, but a shape of {shape}")
    bounds = words[1 : count + 2].astype(np.int64)
    if np.any(np.diff(bounds) < 0) or bounds[0] < 0 or bounds[-1] > data.size:
        raise InvalidModelError(f"string tensor {tensor.name!r}: its strings do not lie within its {data.size} bytes")
    strings = np.empty(count, object)
    for i in range(count):
        strings[i] = data[bounds[i] : bounds[i + 1]].tobytes()
    return strings.reshape(shape)
