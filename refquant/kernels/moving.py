"""What operators that move numbers without changing them have in common.

The table of the types that each of them takes, checks, and `planned`: at once where the parameters (axes, shapes,
paddings, …) are constants, else when their numbers come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, TensorInfo
from refquant.tflite.schema import TensorType

INT32, INT64 = TensorType.INT32, TensorType.INT64

_ANY = """
    FLOAT32 FLOAT16 BFLOAT16 FLOAT64 INT8 UINT8 INT16 UINT16 INT32 UINT32 INT64 UINT64 BOOL COMPLEX64 COMPLEX128
    INT4 UINT4 INT2"""
_PLAIN = "FLOAT32 INT8 UINT8 INT16 INT32 INT64"
_NUMBERS = _PLAIN + " FLOAT16 FLOAT64 UINT16 UINT32 UINT64"

# operators: types of the tensors that they move
_TYPES = {
    "RESHAPE SQUEEZE EXPAND_DIMS SHAPE RANK": _ANY + " STRING",
    "BROADCAST_TO": _ANY,
    "TRANSPOSE": _PLAIN + " BOOL INT4",
    "PACK": _PLAIN + " UINT32",
    "UNPACK": "FLOAT32 INT8 UINT8 INT16 INT32 BOOL",
    "CONCATENATION": _PLAIN + " FLOAT16 BFLOAT16 UINT32 BOOL INT4",
    "PAD PADV2 REVERSE_V2": _PLAIN + " FLOAT16 BFLOAT16 BOOL",
    "SLICE": _PLAIN + " FLOAT16 BFLOAT16 UINT32 BOOL INT4 STRING",
    "STRIDED_SLICE": _PLAIN + " FLOAT16 BFLOAT16 UINT32 BOOL STRING",
    "SPLIT SPLIT_V MIRROR_PAD SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND": _PLAIN,
    "GATHER": _PLAIN + " FLOAT16 BFLOAT16 BOOL INT4 STRING",
    "GATHER_ND": _PLAIN + " FLOAT16 BFLOAT16 BOOL STRING",
    "DILATE": _ANY,
    "DENSIFY": "FLOAT32 FLOAT16 INT8",
    "DYNAMIC_UPDATE_SLICE": "FLOAT32 FLOAT16 INT8 INT16 INT32 INT64 BOOL INT4",
    "FILL": "FLOAT32 FLOAT16 INT8 INT16 INT32 INT64 BOOL STRING",
    "TILE": "FLOAT32 INT8 UINT8 INT32 INT64 BOOL STRING",
    "REVERSE_SEQUENCE": "FLOAT32 UINT8 INT16 INT32 INT64",
    "SPACE_TO_DEPTH DEPTH_TO_SPACE": "FLOAT32 INT8 UINT8 INT32 INT64",
    "STABLEHLO_PAD": _ANY,
    "STABLEHLO_GATHER": _NUMBERS,
    "STABLEHLO_SCATTER": _NUMBERS + " BOOL",
    "MATRIX_DIAG MATRIX_SET_DIAG": _PLAIN + " UINT32",
}

#: the types of the tensors that each operator moves, as the real kernels have them
MOVED_TYPES: dict[str, tuple[TensorType, ...]] = {
    name: tuple(TensorType[type] for type in types.split()) for names, types in _TYPES.items() for name in names.split()
}


def moved(op: Operator, position: int = 0) -> tuple[TensorInfo, TensorInfo]:
    """The input that the operator moves and its first output; all outputs must have the type of the input."""
    x = op.input(position)
    if x.type not in MOVED_TYPES[op.name] or any(out.type != x.type for out in op.outputs):
        raise op.unsupported()
    return x, op.output()


def require_type(op: Operator, position: int, *types: TensorType) -> TensorInfo:
    """The input at `position`, of one of these types."""
    tensor = op.input(position)
    if tensor.type not in types:
        raise op.unsupported()
    return tensor


def same_quantization(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether scale and zero point are the same; several of them, or none, count as 0 and 0."""
    return per_tensor(a) == per_tensor(b)


def require_same_quantization(op: Operator, *tensors: TensorInfo) -> None:
    """The tensors have one scale and one zero point, which is 0 for int16."""
    if any(not same_quantization(t, tensors[0]) for t in tensors[1:]):
        raise op.invalid(f"{', '.join(t.place for t in tensors)} must have the same scale and zero point")
    if tensors[0].type == TensorType.INT16:
        require_no_zero_point(op, *tensors)


def require_no_zero_point(op: Operator, *tensors: TensorInfo) -> None:
    """The zero points are 0."""
    for tensor in tensors:
        if per_tensor(tensor)[1] != 0:
            raise op.invalid(f"{tensor.place} must have the zero point 0, it has {tensor.zero_point}")


def per_tensor(tensor: TensorInfo) -> tuple[float, int]:
    """The one scale and zero point of a tensor; 0 and 0 where it has several, or none, as the real kernels see it."""
    return (float(tensor.scale), tensor.zero_point) if tensor.scales.size == 1 else (0.0, 0)


def axis_of(op: Operator, axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise op.invalid(f"there is no axis {axis} in a tensor of {rank} dimensions")
    return axis % rank


def whole_numbers(array: Array) -> list[int]:
    """The numbers of a parameter."""
    return [int(n) for n in array.reshape(-1)]


def checked_shape(op: Operator, numbers: Sequence[int]) -> Shape:
    """The shape of these sides."""
    if min(numbers, default=0) < 0:
        raise op.invalid(f"a shape of {list(numbers)} has sides below 0")
    if math.prod(numbers) >= MOST_ELEMENTS:
        raise op.invalid(f"a shape of {list(numbers)} has too many elements")
    return tuple(numbers)


def planned(
    op: Operator,
    x: int,
    parameters: Sequence[int],
    plan: Callable[..., tuple[Shape, Any]],
    compute: Callable[..., Array],
) -> Run:
    """The kernel `compute(how, *inputs)`, where `plan(shape of x, *parameters)` gives the output's shape and how.

    `x` and `parameters` are positions of inputs.
    """
    values = [op.input(i).value for i in parameters]
    if all(value is not None for value in values):
        op.output().shape, how = plan(op.input(x).dims, *values)
        return lambda *inputs: compute(how, *inputs)
    op.output().shape = None
    return lambda *inputs: compute(plan(inputs[x].shape, *(inputs[i] for i in parameters))[1], *inputs)


def part(x: Array, index: Sequence[Any]) -> Array:
    """A copy of x[index], an array even of rank 0."""
    copy: Array = x[(*index, ...)].copy()
    return copy
