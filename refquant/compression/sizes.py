"""What a compressor makes of a model: the bytes of the file, and of each constant with how much there is to gain.

Files are compressed as for a download: gzip at its highest level and without a time, zstd at level 19, the highest
that asks no more memory of those who decompress.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from refquant.errors import InvalidModelError
from refquant.numerics.packed import unpack
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS

Array = npt.NDArray[Any]

ZSTD_LEVEL = 19

#: types whose arrays are the bits of floats, in which a sign alone is a zero too
_BITS_OF_FLOATS = {TensorType.BFLOAT16: 0x7FFF, TensorType.FLOAT8_E4M3FN: 0x7F, TensorType.FLOAT8_E5M2: 0x7F}


class Sizes(NamedTuple):
    """Bytes as they are, and after gzip and zstd."""

    raw: int
    gzip: int
    zstd: int


class SizeChange(NamedTuple):
    """One of the sizes before and after, in bytes, and how many times smaller it became."""

    what: str
    before: int
    after: int
    ratio: float


class TensorSize(NamedTuple):
    """One constant: what it takes, and how much its values say.

    `sizes` are of the stored bytes, with the indices of a sparse tensor. `sparsity` is the share of the values that are
    zero: real zeros, so the zero point where quantized, and also -0.0. `unique` counts different bit patterns, and
    `unique_per_channel` those of the channel that has most (None where not quantized per channel). `entropy` is
    Shannon's, in bits per value; `entropy_bytes` is the least that a code of single values could take. Of strings and
    of types without values `sparsity` and what follows are None.
    """

    name: str
    subgraph: int
    tensor: int
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    sizes: Sizes
    sparsity: float | None
    unique: int | None
    unique_per_channel: int | None
    entropy: float | None
    entropy_bytes: int | None


def sizes_of(content: bytes) -> Sizes:
    """How many bytes a file takes: as it is, after gzip (level 9, no time) and after zstd (level 19).

    >>> sizes_of(bytes(1000)).raw, sizes_of(bytes(1000)).gzip < 40
    (1000, True)
    """
    packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(content)
    return Sizes(len(content), len(gzip.compress(content, 9, mtime=0)), len(packed))


def compare_sizes(before: bytes, after: bytes) -> list[SizeChange]:
    """The raw, gzip and zstd sizes of two files, and how many times smaller the second is."""
    pairs = zip(Sizes._fields, sizes_of(before), sizes_of(after))
    return [SizeChange(what, old, new, old / new if new else math.inf) for what, old, new in pairs]


def measure_tensors(
    model: Model, watch: Callable[[list[schema.Tensor]], Iterable[schema.Tensor]] = iter
) -> list[TensorSize]:
    """What each constant of a model takes, in the order of the file.

    Constants that share a buffer are measured once, under the name of the first, with the operators of all. `watch`
    goes through the constants that are measured and can show how far it is. Raises `InvalidModelError` where the data
    of a constant do not fit its shape.
    """
    places: dict[int, tuple[int, int]] = {}  # of the first tensor of each buffer: its subgraph and its index
    tensors: dict[int, schema.Tensor] = {}
    users: dict[int, list[str]] = {}
    for number, graph in enumerate(model.subgraphs):
        buffers = []
        for index, tensor in enumerate(graph.tensors or ()):
            constant = bool(model.root.buffers) and model.buffer(tensor.buffer).size > 0
            buffers.append(tensor.buffer if constant else None)
            if constant and tensor.buffer not in tensors:
                tensors[tensor.buffer], places[tensor.buffer] = tensor, (number, index)
        for operator in graph.operators or ():
            for source in () if operator.inputs is None else map(int, operator.inputs):
                buffer = buffers[source] if 0 <= source < len(buffers) else None
                if buffer is not None:
                    users.setdefault(buffer, []).append(model.operator_name(operator))
    measured = []
    for tensor in watch(list(tensors.values())):
        operators = tuple(dict.fromkeys(users.get(tensor.buffer, ())))
        measured.append(_measure(model, tensor, places[tensor.buffer], operators))
    return measured


def _measure(model: Model, tensor: schema.Tensor, place: tuple[int, int], operators: tuple[str, ...]) -> TensorSize:
    shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
    values = model.constant(tensor)
    sparsity: float | None = None
    entropy: float | None = None
    unique = per_channel = bound = None
    if values is not None and values.dtype != object and values.size:
        if tensor.type in PACKED_BITS:
            signed = tensor.type != TensorType.UINT4
            elements = int(np.prod(shape, dtype=np.int64))
            values = unpack(values, PACKED_BITS[tensor.type], elements, signed).reshape(shape)
        sparsity = np.count_nonzero(_zeros(values, tensor)) / values.size
        counts = _counts(values)
        unique = len(counts)
        shares = counts / values.size
        entropy = float(-(shares * np.log2(shares)).sum()) + 0.0
        bound = math.ceil(entropy * values.size / 8)
        table = tensor.quantization
        if table is not None and table.scale is not None and len(table.scale) > 1:
            _check_channels(values, tensor, table.quantized_dimension, len(table.scale))
            channels = np.moveaxis(values, table.quantized_dimension, 0)
            per_channel = max(len(_counts(channel)) for channel in channels)
    kind = TensorType(tensor.type).name
    return TensorSize(
        tensor.name or "",
        *place,
        operators,
        shape,
        kind,
        sizes_of(_stored(model, tensor)),
        sparsity,
        unique,
        per_channel,
        entropy,
        bound,
    )


def _stored(model: Model, tensor: schema.Tensor) -> bytes:
    """The data of a tensor as they lie in the file, with the indices of a sparse one behind them."""
    parts = [model.buffer(tensor.buffer).tobytes()]
    for level in (tensor.sparsity.dim_metadata or ()) if tensor.sparsity is not None else ():
        for vector in (level.array_segments, level.array_indices):
            values = getattr(vector, "values", None)
            parts += [] if values is None else [np.asarray(values).tobytes()]
    return b"".join(parts)


def _zeros(values: Array, tensor: schema.Tensor) -> Array:
    """Which values are real zeros."""
    if tensor.type in _BITS_OF_FLOATS:
        return np.asarray((values & _BITS_OF_FLOATS[tensor.type]) == 0)
    table = tensor.quantization
    if table is None or table.scale is None or table.zero_point is None or len(table.zero_point) == 0:
        return np.asarray(values == 0)
    along = np.asarray(table.zero_point)
    if len(along) > 1:
        _check_channels(values, tensor, table.quantized_dimension, len(along))
        sides = [1] * values.ndim
        sides[table.quantized_dimension] = len(along)
        along = along.reshape(sides)
    return np.asarray(values == along)


def _check_channels(values: Array, tensor: schema.Tensor, dimension: int, count: int) -> None:
    if not 0 <= dimension < values.ndim or values.shape[dimension] != count:
        raise InvalidModelError(
            f"tensor {tensor.name!r} of shape {values.shape} is quantized along dimension {dimension} with {count} "
            "scales or zero points: as many as that dimension has places are needed"
        )


def _counts(values: Array) -> Array:
    """How often each bit pattern is among the values, of those that are."""
    bits = np.ascontiguousarray(values).reshape(-1)
    if bits.itemsize > 8:
        return np.unique(bits.view(np.dtype((np.void, bits.itemsize))), return_counts=True)[1]
    bits = bits.view(f"u{bits.itemsize}")
    if bits.itemsize <= 2:
        counts = np.bincount(bits)
        return counts[counts > 0]
    return np.unique(bits, return_counts=True)[1]
