"""Sparse constants: the converter neither quantizes nor evaluates them, and writes them as sparse as they were.

Sources: BuildSparseConstOp in converter/flatbuffer_import.cc, BuildSparsityParameters in flatbuffer_export.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refquant.tflite import schema
from refquant.tflite.schema import DimensionType, SparsityParameters
from refquant.tflite.sparsity import index_vector

#: Operations that are sparse constants, of reals and of quantized numbers: each with the values that are stored.
SPARSE_CONSTANTS = ("SPARSE_CONST", "SPARSE_QCONST")


def exported_sparsity(sparsity: SparsityParameters) -> SparsityParameters:
    """The same description as the converter writes it, with indices as narrow as they can be."""
    return SparsityParameters(
        traversal_order=_vector(sparsity.traversal_order, np.int32),
        block_map=_vector(sparsity.block_map, np.int32),
        dim_metadata=[_level(level) for level in sparsity.dim_metadata or ()],
    )


def _level(level: schema.DimensionMetadata) -> schema.DimensionMetadata:
    if level.format == DimensionType.DENSE:
        return schema.DimensionMetadata(dense_size=level.dense_size)
    return schema.DimensionMetadata(
        format=level.format,
        array_segments=_narrowed(level.array_segments),
        array_indices=_narrowed(level.array_indices),
    )


def _narrowed(vector: Any) -> Any:
    return index_vector(_vector(getattr(vector, "values", None), np.int64))


def _vector(values: Any, dtype: Any) -> Any:
    return np.array([] if values is None else values, dtype)
