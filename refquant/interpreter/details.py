"""What an interpreter tells about its tensors: the dictionaries of `get_tensor_details`."""

from __future__ import annotations

from typing import Any

import numpy as np

from refquant.interpreter import border
from refquant.kernels.registry import Array, Shape, TensorInfo
from refquant.tflite import schema
from refquant.tflite.schema import DimensionType


def shape_of(tensor: TensorInfo) -> Shape:
    """The present shape; where only data will tell it, that in the file."""
    return tensor.declared if tensor.shape is None else tensor.shape


def signature_of(tensor: TensorInfo, table: schema.Tensor) -> Shape:
    """The shapes that an input takes, with -1 for any size: what the file says, or else the present shape."""
    declared = () if table.shape_signature is None else tuple(int(n) for n in table.shape_signature)
    return declared or shape_of(tensor)


def details(tensor: TensorInfo, table: schema.Tensor) -> dict[str, Any]:
    """All about a tensor, under the keys of `tf.lite.Interpreter`."""
    per_tensor = tensor.scales.size == 1
    return {
        "name": tensor.name,
        "index": tensor.index,
        "shape": np.array(shape_of(tensor), np.int32),
        "shape_signature": np.array(signature_of(tensor, table), np.int32),
        "dtype": border.reported_dtype(tensor),
        "quantization": (float(tensor.scales[0]), int(tensor.zero_points[0])) if per_tensor else (0.0, 0),
        "quantization_parameters": {
            "scales": tensor.scales.copy(),
            "zero_points": tensor.zero_points.astype(np.int32),
            "quantized_dimension": tensor.quantized_dimension,
            "block_size": 0,
        },
        "sparsity_parameters": {} if table.sparsity is None else _sparsity(table.sparsity),
    }


def _sparsity(sparsity: schema.SparsityParameters) -> dict[str, Any]:
    found: dict[str, Any] = {"traversal_order": _int32(sparsity.traversal_order)}
    if sparsity.block_map is not None:
        found["block_map"] = _int32(sparsity.block_map)
    found["dim_metadata"] = [_level(level) for level in sparsity.dim_metadata or ()]
    return found


def _level(level: schema.DimensionMetadata) -> dict[str, Any]:
    if level.format == DimensionType.DENSE:
        return {"format": 0, "dense_size": level.dense_size}
    segments, indices = (_int32(getattr(v, "values", ())) for v in (level.array_segments, level.array_indices))
    return {"format": 1, "array_segments": segments, "array_indices": indices}


def _int32(numbers: Any) -> Array:
    return np.array(() if numbers is None else numbers, np.int32)
