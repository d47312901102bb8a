"""What the converter tells of a conversion in the file itself: the metadata entry CONVERSION_METADATA.

It holds a FlatBuffer of its own: the TensorFlow version, the kind of model that it began with, which optimizations were
made, and a number computed from the structure of the file. Source: compiler/mlir/lite/metrics/conversion_metadata.fbs,
and get_model_hash and populate_conversion_metadata in lite/python/util.py of tensorflow 2.21.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from refquant.tflite import codec, schema
from refquant.tflite.model import Model
from refquant.tflite.table import Field, Kind, Table

NAME = "CONVERSION_METADATA"


class OptimizationMode(IntEnum):
    """What was done to the model after its conversion."""

    PTQ_FLOAT16 = 1001
    PTQ_DYNAMIC_RANGE = 1002
    PTQ_FULL_INTEGER = 1003
    PTQ_INT16 = 1004


class _Plain(Table):
    """A table whose fields are set by name and are else at their defaults."""

    __slots__ = ()

    def __init__(self, **fields: Any) -> None:
        super().__init__(unknown_fields=fields.pop("unknown_fields", ()))
        for field in self.FIELDS:
            setattr(self, field.name, fields.pop(field.name, field.default))
        if fields:
            raise TypeError(f"{type(self).__name__} has no field {next(iter(fields))!r}")


class Environment(_Plain):
    """Which TensorFlow made the file, from what kind of model."""

    __slots__ = ("api_version", "model_hash", "model_type", "tensorflow_version")
    model_hash: int
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("tensorflow_version", 0, Kind.STRING),
        Field("api_version", 1, Kind.SCALAR, "I", 0),
        Field("model_type", 2, Kind.SCALAR, "i", 0),
        Field("model_hash", 3, Kind.SCALAR, "Q", 0),
    )


class SparsityBlockSize(_Plain):
    """The size of the blocks of a sparse weight."""

    __slots__ = ("values",)
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("values", 0, Kind.VECTOR, "I"),)


class ConversionOptions(_Plain):
    """How the converter was set."""

    __slots__ = (
        "allow_custom_ops",
        "enable_select_tf_ops",
        "force_select_tf_ops",
        "model_optimization_modes",
        "sparsity_block_sizes",
    )
    model_optimization_modes: npt.NDArray[np.int32] | None
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("model_optimization_modes", 0, Kind.VECTOR, "i"),
        Field("allow_custom_ops", 1, Kind.SCALAR, "?", False),
        Field("enable_select_tf_ops", 2, Kind.SCALAR, "?", False),
        Field("force_select_tf_ops", 3, Kind.SCALAR, "?", False),
        Field("sparsity_block_sizes", 4, Kind.TABLES, SparsityBlockSize),
    )


class ConversionMetadata(_Plain):
    """The content of the metadata entry."""

    __slots__ = ("environment", "options")
    environment: Environment | None
    options: ConversionOptions | None
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("environment", 0, Kind.TABLE, Environment),
        Field("options", 1, Kind.TABLE, ConversionOptions),
    )


def conversion_metadata(model: Model) -> ConversionMetadata | None:
    """What the file says of its conversion, or None. Raises `InvalidModelError` for an entry that cannot be read."""
    for entry in model.root.metadata or ():
        if entry.name == NAME:
            return codec.decode_table(model.buffer(entry.buffer), ConversionMetadata)
    return None


def with_conversion_metadata(model: Model, metadata: ConversionMetadata, modes: Sequence[OptimizationMode]) -> Model:
    """A model (changed in place) that tells of these optimizations, and else what `metadata` told of the conversion."""
    if metadata.options is None or metadata.environment is None:
        return model
    metadata.options.model_optimization_modes = np.array(modes, np.int32)
    metadata.environment.model_hash = model_hash(model)
    content = np.frombuffer(codec.encode_table(metadata, "python"), np.uint8)
    root = model.root
    root.buffers, root.metadata = root.buffers or [], root.metadata or []
    for entry in root.metadata:
        if entry.name == NAME:
            root.buffers[entry.buffer] = schema.Buffer(data=content)
            return model
    root.metadata.append(schema.Metadata(name=NAME, buffer=len(root.buffers)))
    root.buffers.append(schema.Buffer(data=content))
    return model


def model_hash(model: Model) -> int:
    """The number that the converter computes from indices, shapes and sizes, in 64 bits."""
    number = 0
    for value in _structure(model):
        number ^= (value + 0x9E3779B97F4A7800 + (number << 10) + (number >> 4)) % 2**64
        number %= 2**64
    return number


def _structure(model: Model) -> Iterator[int]:
    buffers = model.root.buffers or []
    for subgraph in model.subgraphs:
        if subgraph.operators is not None:
            yield len(subgraph.operators)
            for operator in subgraph.operators:
                yield from _numbers(operator.inputs)
                yield from _numbers(operator.outputs)
        if subgraph.tensors is not None:
            yield len(subgraph.tensors)
            for tensor in subgraph.tensors:
                data = buffers[tensor.buffer].data
                if data is not None:
                    yield len(data)
                yield from _numbers(tensor.shape)
        if subgraph.inputs is not None:
            yield len(subgraph.inputs)
        if subgraph.outputs is not None:
            yield len(subgraph.outputs)


def _numbers(vector: Any) -> Iterator[int]:
    array: npt.NDArray[Any] = np.asarray(() if vector is None else vector, np.int64)
    return iter((array.astype(np.uint64)).tolist())
