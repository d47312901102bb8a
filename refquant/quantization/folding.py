"""Evaluating operations at conversion time, as the converter does where operands are constants or nothing is to do.

Each folder of the table looks at an operation and gives a constant or a value that stands for its result, or None.
Numbers are computed in the type of the constants with one rounding for each operation; elementary functions are those
of the C library.

Source: the folders in converter/ir/tfl_ops.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics import libm, logarithm, trigonometry
from refquant.quantization.ir import Constant, Function, Operation, Type, Value
from refquant.quantization.operators import COMMUTATIVE
from refquant.quantization.parameters import reals
from refquant.tflite.schema import ActivationFunctionType, TensorType
from refquant.tflite.tensor_types import numpy_dtype

Array = npt.NDArray[Any]
Folded = Value | Constant | None
Folder = Callable[[Operation], Folded]

FOLDERS: dict[str, Folder] = {}


def fold(operation: Operation) -> list[Value | Constant] | None:
    """What can stand for the results of an operation (a value or a constant for each), or None."""
    folder = None if operation.custom else FOLDERS.get(operation.name)
    if folder is None:
        return None
    with np.errstate(all="ignore"):
        folded = folder(operation)
    return None if folded is None else [folded]


def move_constants_back(operation: Operation) -> bool:
    """Puts the constant operands of a commutative operation behind the others; says whether they stood elsewhere.

    The attempt alone makes the use of a constant the newest of its uses.
    """
    constant = [value is not None and value.constant is not None for value in operation.operands]
    if operation.name not in COMMUTATIVE or len(constant) < 2 or True not in constant:
        return False
    first = constant.index(True)
    operands = [*operation.operands[first:]]
    ordered = sorted(operands, key=lambda value: value is not None and value.constant is not None)
    for position, value in enumerate(ordered, first):
        operation.set_operand(position, value)
    return any(a is not b for a, b in zip(ordered, operands, strict=True))


def fold_once(function: Function) -> None:
    """Has the operations go that give an operand unchanged, as reading a file does; no constants are computed.

    Another value stands for an operation only afterwards, so that none goes because of another.
    """
    replacements: list[tuple[Operation, Value]] = []
    for operation in function:
        folded = [value for value in fold(operation) or () if isinstance(value, Value)]
        replacements += [(operation, value) for value in folded]
        if not folded:
            move_constants_back(operation)
    standing: dict[Value, Value] = {}
    for operation, value in replacements:
        standing[operation.result] = standing.get(value, value)
        operation.replace(standing[operation.result])


def _folder(*names: str) -> Callable[[Folder], Folder]:
    def register(function: Folder) -> Folder:
        FOLDERS.update(dict.fromkeys(names, function))
        return function

    return register


# arithmetic


def _sum(a: Array, b: Array) -> Array:
    return a + b


def _quotient(a: Array, b: Array) -> Array:
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


def _maximum(a: Array, b: Array) -> Array:
    return np.where((a == b) & np.signbit(a), b, np.maximum(a, b))


def _minimum(a: Array, b: Array) -> Array:
    return np.where((a == b) & np.signbit(a), a, np.minimum(a, b))


@_folder("ADD")
def _add(operation: Operation) -> Folded:
    a, b = _unfused_operands(operation)
    if a is not None and b is not None:
        return _broadcast(operation, a, b, _sum)
    if _is_splat_of(a, 0) and _has_type_of_result(operation, 1):
        return operation.operands[1]
    return operation.operands[0] if _is_splat_of(b, 0) and _has_type_of_result(operation, 0) else None


@_folder("SUB")
def _sub(operation: Operation) -> Folded:
    a, b = _unfused_operands(operation)
    if a is not None and b is not None:
        return _broadcast(operation, a, b, np.subtract)
    return operation.operands[0] if _is_splat_of(b, 0) and _has_type_of_result(operation, 0) else None


@_folder("MUL")
def _mul(operation: Operation) -> Folded:
    """Here what is zero or one comes before what is constant."""
    a, b = _unfused_operands(operation)
    for constant, position in ((a, 0), (b, 1)):
        if _is_splat_of(constant, 0) and _has_type_of_result(operation, position):
            return constant
    for constant, other in ((a, 1), (b, 0)):
        if _is_splat_of(constant, 1) and _has_type_of_result(operation, other):
            return operation.operands[other]
    return _broadcast(operation, a, b, np.multiply)


@_folder("DIV")
def _div(operation: Operation) -> Folded:
    a, b = _unfused_operands(operation)
    if b is not None and b.array.dtype.kind != "f" and not np.all(b.array):
        return None
    if a is not None and b is not None:
        return _broadcast(operation, a, b, _quotient)
    return operation.operands[0] if _is_splat_of(b, 1) and _has_type_of_result(operation, 0) else None


@_folder("POW")
def _pow(operation: Operation) -> Folded:
    if operation.result.type.element != TensorType.FLOAT32:
        return None
    a, b = _constants(operation)
    return _broadcast(operation, a, b, logarithm.pow)


@_folder("MAXIMUM", "MINIMUM")
def _extreme(operation: Operation) -> Folded:
    a, b = _constants(operation)
    largest = operation.name == "MINIMUM"
    folded = _broadcast(operation, a, b, _minimum if largest else _maximum)
    first, second = operation.operands
    assert first is not None and second is not None
    if folded is not None or first.type != second.type or not first.type.is_float:
        return folded
    if _is_limit(a, largest):
        return second
    return first if _is_limit(b, largest) else None


_MOST_BFLOAT16 = np.float32(255 * 2.0**120)


def _is_limit(constant: Constant | None, largest: bool) -> bool:
    """Whether nothing lies beyond a constant: the largest number or any infinity (of a maximum: the lowest)."""
    if constant is None or not constant.is_splat:
        return False
    number = reals(constant).flat[0]
    most = _MOST_BFLOAT16 if constant.type == TensorType.BFLOAT16 else np.finfo(number.dtype).max
    return bool(np.isinf(number) or number == most * (1 if largest else -1))


_COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
}


@_folder(*_COMPARISONS)
def _compare(operation: Operation) -> Folded:
    a, b = _constants(operation)
    if a is None or a.type not in (TensorType.INT32, TensorType.INT64, TensorType.FLOAT32):
        return None
    return _broadcast(operation, a, b, _COMPARISONS[operation.name])


_OF_BITS: dict[str, Callable[[Array, Array], Array]] = {
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_OR": np.logical_or,
    "BITWISE_XOR": np.bitwise_xor,
}


@_folder(*_OF_BITS)
def _logic(operation: Operation) -> Folded:
    a, b = _constants(operation)
    return _broadcast(operation, a, b, _OF_BITS[operation.name])


@_folder("LOGICAL_NOT")
def _not(operation: Operation) -> Folded:
    (a,) = _constants(operation)
    return None if a is None else Constant(a.type, ~a.array)


_UNARY: dict[str, Callable[[Array], Array]] = {
    "ABS": np.abs,
    "CEIL": np.ceil,
    "COS": trigonometry.cos,
    "EXP": libm.exp,
    "FLOOR": np.floor,
    "LOG": logarithm.log,
    "NEG": np.negative,
    "RSQRT": lambda x: np.float32(1) / np.sqrt(x),
    "SIN": trigonometry.sin,
    "SQRT": np.sqrt,
    "SQUARE": lambda x: x * x,
    "TANH": libm.tanh,
}


@_folder(*_UNARY)
def _unary(operation: Operation) -> Folded:
    (x,) = _constants(operation)
    if x is None or operation.result.type.element != TensorType.FLOAT32 or not operation.result.type.is_static:
        return None
    return Constant(x.type, np.asarray(_UNARY[operation.name](x.array)))


@_folder("RELU")
def _relu(operation: Operation) -> Folded:
    (x,) = _constants(operation)
    if x is None or operation.result.type.element not in (TensorType.INT32, TensorType.FLOAT32):
        return None
    return Constant(x.type, np.where(x.array > 0, x.array, x.array.dtype.type(0)))


@_folder("SUM")
def _reduce_sum(operation: Operation) -> Folded:
    """The sum in the order of storage, each addition rounded; axes are not counted from the end."""
    x, axes = _constants(operation)
    if x is None or axes is None or x.type != TensorType.FLOAT32:
        return None
    reduced = sorted({int(axis) for axis in axes.array.flat} & set(range(x.array.ndim)))
    if len(reduced) < len({int(axis) for axis in axes.array.flat}):
        return None
    kept = [i for i in range(x.array.ndim) if i not in reduced]
    terms = x.array.transpose([*reduced, *kept]).reshape([-1, *(x.array.shape[i] for i in kept)])
    total = np.zeros(terms.shape[1:], np.float32)
    for term in terms:
        total = np.asarray(total + term)
    shape = [1 if i in reduced else n for i, n in enumerate(x.array.shape) if i in kept or _keep_dims(operation)]
    return Constant(x.type, total.reshape(shape))


@_folder("FULLY_CONNECTED")
def _fully_connected(operation: Operation) -> Folded:
    """Products of float32, summed with the compensation of Neumaier."""
    x, weights, bias = _constants(operation)
    options = operation.options
    if x is None or weights is None or (operation.operands[2] is not None and bias is None):
        return None
    if options is not None and (options.fused_activation_function or options.weights_format):
        return None
    if {c.type for c in (x, weights, bias) if c is not None} != {TensorType.FLOAT32} or weights.array.ndim != 2:
        return None
    outputs, inputs = weights.array.shape
    if bias is not None and (bias.array.size != outputs or bias.array.ndim > 2):
        return None
    shape = operation.result.type.shape
    rows = x.array.reshape(-1, inputs)
    if shape is None or math.prod(shape) != len(rows) * outputs:
        return None
    start = np.zeros(outputs, np.float32) if bias is None else bias.array.reshape(-1)
    total = np.broadcast_to(start, (len(rows), outputs))
    compensation = np.zeros((len(rows), outputs), np.float32)
    for i in range(inputs):
        term = rows[:, i : i + 1] * weights.array[:, i]
        new = total + term
        compensation += np.where(np.abs(total) >= np.abs(term), (total - new) + term, (term - new) + total)
        total = new
    return Constant(x.type, (total + compensation).reshape(shape))


# types


@_folder("CAST")
def _cast(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    wanted = operation.result.type.element
    if value.type == operation.result.type:
        return value
    (x,) = _constants(operation)
    if x is None or not isinstance(wanted, TensorType) or TensorType.BFLOAT16 in (x.type, wanted):
        return None
    if x.array.dtype.kind == "f":
        array = _cast_floats(x.array, x.type, wanted)
    elif wanted == TensorType.FLOAT32:
        array = x.array.astype(np.float32) if x.type in (TensorType.INT32, TensorType.BOOL) else None
    elif numpy_dtype(wanted).kind in "iub":
        array = x.array.astype(numpy_dtype(wanted))
    else:
        array = None
    return None if array is None else Constant(wanted, array)


def _cast_floats(array: Array, kind: TensorType, wanted: TensorType) -> Array | None:
    if kind == TensorType.FLOAT32 and wanted in _SIGNED:
        limits = np.iinfo(numpy_dtype(_SIGNED[wanted]))
        whole = np.trunc(np.where(np.isnan(array), np.float32(0), array)).astype(np.float64)
        inside = (whole > float(limits.min)) & (whole < float(limits.max))
        edge = np.where(whole > 0, limits.max, limits.min)
        integers = np.where(inside, np.where(inside, whole, 0).astype(limits.dtype), edge).astype(limits.dtype)
        return integers.view(numpy_dtype(wanted))
    if (kind, wanted) in _FLOAT_CASTS:
        return array.astype(numpy_dtype(wanted))
    return None


#: the integers into which floats are cast, with those whose limits hold
_SIGNED = {
    TensorType.INT32: TensorType.INT32,
    TensorType.INT64: TensorType.INT64,
    TensorType.UINT32: TensorType.INT32,
    TensorType.UINT64: TensorType.INT64,
}

_FLOAT_CASTS = {
    (TensorType.FLOAT32, TensorType.FLOAT64),
    (TensorType.FLOAT64, TensorType.FLOAT32),
    (TensorType.FLOAT32, TensorType.FLOAT16),
}


@_folder("BITCAST", "SQUEEZE")
def _same_type(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    ranked = value.type.shape is not None or operation.name == "BITCAST"
    return value if ranked and value.type == operation.result.type else None


# shapes


@_folder("SHAPE")
def _shape(operation: Operation) -> Folded:
    value = operation.operands[0]
    kind = operation.result.type.element
    assert value is not None
    if not value.type.is_static or kind not in (TensorType.INT32, TensorType.INT64):
        return None
    assert isinstance(kind, TensorType)
    return Constant(kind, np.array(value.type.shape, numpy_dtype(kind)))


@_folder("RANK")
def _rank(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    (constant,) = _constants(operation)
    if value.type.shape is None or (value.type.shape == () and constant is None):
        return None  # of rank 0 may also be what has no rank
    return Constant(TensorType.INT32, np.full(operation.result.type.shape or (), len(value.type.shape), np.int32))


@_folder("RESHAPE")
def _reshape(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    result = operation.result.type
    if value.type.is_static and value.type == result:
        return value
    x, shape = _constants(operation)
    if x is None or x.array.dtype.kind == "c":
        return None
    if result.is_static:
        assert result.shape is not None
        return Constant(x.type, x.array.reshape(result.shape))
    if shape is None or np.any(shape.array < 0):
        return None
    return Constant(x.type, x.array.reshape([int(n) for n in shape.array]))


@_folder("PAD", "PADV2")
def _pad(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    return value if value.type.is_static and value.type == operation.result.type else None


@_folder("TRANSPOSE")
def _transpose(operation: Operation) -> Folded:
    x, order = _constants(operation)
    if x is None or order is None or x.array.dtype == object or operation.result.type.quantized is not None:
        return None
    if x.array.ndim == 1:
        return x
    return Constant(x.type, np.ascontiguousarray(x.array.transpose([int(axis) for axis in order.array])))


@_folder("REVERSE_V2")
def _reverse(operation: Operation) -> Folded:
    x, axes = _constants(operation)
    if x is None or axes is None:
        return None
    reversed_axes = tuple({int(axis) for axis in axes.array.flat} & set(range(x.array.ndim)))
    return Constant(x.type, np.ascontiguousarray(np.flip(x.array, reversed_axes)))


# parts


@_folder("CONCATENATION")
def _concatenate(operation: Operation) -> Folded:
    """All constant: the whole. Else what is empty goes, which may leave one operand."""
    constants = _constants(operation)
    axis = operation.options.axis if operation.options is not None else 0
    shape = operation.result.type.shape
    if constants and all(constants) and not _activation(operation) and operation.result.type.is_static:
        arrays = [np.atleast_1d(constant.array) for constant in constants if constant is not None]
        return Constant(constants[0].type, np.concatenate(arrays, axis))  # type: ignore[union-attr]
    filled = [value for value in operation.operands if value is not None and not _is_empty(value.type)]
    if len(filled) == len(operation.operands) or shape is None or not filled:
        return None
    if len(filled) == 1:
        return filled[0]
    assert operation.function is not None
    return operation.function.insert_before(operation, operation.copy([*filled])).result


def _is_empty(kind: Type) -> bool:
    return kind.is_static and 0 in (kind.shape or ())


@_folder("SLICE")
def _slice(operation: Operation) -> Folded:
    value = operation.operands[0]
    assert value is not None
    result = operation.result.type
    if not result.is_static:
        return None
    if value.type == result:
        return value
    x, begins, sizes = _constants(operation)
    if x is None or begins is None or sizes is None or result.shape is None:
        return None
    if len(begins.array) != x.array.ndim or [int(n) for n in sizes.array] != list(result.shape):
        return None
    spans = list(zip(begins.array.tolist(), sizes.array.tolist(), strict=True))
    if any(begin + size > n for (begin, size), n in zip(spans, x.array.shape, strict=True)):
        return None
    return Constant(x.type, np.ascontiguousarray(x.array[tuple(slice(begin, begin + size) for begin, size in spans)]))


@_folder("STRIDED_SLICE")
def _strided_slice(operation: Operation) -> Folded:
    """Only what takes all of the input is folded."""
    value, options = operation.operands[0], operation.options
    _, begins, ends, strides = _constants(operation)
    assert value is not None
    if begins is None or ends is None or strides is None or not value.type.is_static or not value.type.shape:
        return None
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    if options is not None and any(getattr(options, mask) for mask in masks):
        return None
    whole = not begins.array.any() and np.all(strides.array == 1)
    return value if whole and all(a == n for a, n in zip(ends.array, value.type.shape)) else None


@_folder("GATHER")
def _gather(operation: Operation) -> Folded:
    x, indices = _constants(operation)
    options = operation.options
    if x is None or indices is None or operation.result.type.quantized is not None or x.array.dtype == object:
        return None
    axis, batch_dims = (options.axis, options.batch_dims) if options is not None else (0, 0)
    axis += x.array.ndim if axis < 0 else 0
    batch_dims += x.array.ndim if batch_dims < 0 else 0
    shape, places = x.array.shape, indices.array.shape
    if not 0 <= batch_dims <= axis < len(shape) or batch_dims >= len(places):
        return None
    if shape[:batch_dims] != places[:batch_dims] or np.any((indices.array < 0) | (indices.array >= shape[axis])):
        return None
    batches = math.prod(shape[:batch_dims])
    rows = x.array.reshape(batches, -1, shape[axis], math.prod(shape[axis + 1 :]))
    wanted = indices.array.reshape(batches, -1)
    gathered = np.stack([row[:, places_of_row] for row, places_of_row in zip(rows, wanted, strict=True)])
    return Constant(x.type, gathered.reshape(*shape[:axis], *places[batch_dims:], *shape[axis + 1 :]))


@_folder("GATHER_ND")
def _gather_nd(operation: Operation) -> Folded:
    x, indices = _constants(operation)
    if x is None or indices is None or not indices.array.ndim or indices.array.shape[-1] > x.array.ndim:
        return None
    return Constant(x.type, x.array[tuple(np.moveaxis(indices.array, -1, 0))])


@_folder("EMBEDDING_LOOKUP")
def _embedding_lookup(operation: Operation) -> Folded:
    indices, table = _constants(operation)
    if indices is None or table is None or operation.result.type.element != table.type:
        return None
    if indices.array.ndim != 1 or not table.array.ndim:
        return None
    if np.any((indices.array < 0) | (indices.array >= len(table.array))):
        return None
    return Constant(table.type, table.array[indices.array])


@_folder("DYNAMIC_UPDATE_SLICE")
def _dynamic_update_slice(operation: Operation) -> Folded:
    """An update that covers everything."""
    value, update = operation.operands[:2]
    assert value is not None and update is not None
    if not value.type.is_static or value.type != update.type:
        return None
    return update if _is_splat_of(_constants(operation)[2], 0) else None


@_folder("SELECT")
def _select(operation: Operation) -> Folded:
    condition, x, y = _constants(operation)
    first, second = operation.operands[1:]
    assert first is not None and second is not None
    if condition is None or first.type != second.type or condition.type != TensorType.BOOL:
        return None
    if first.type.shape != condition.array.shape:
        return None
    if condition.is_splat:
        return x if condition.array.flat[0] else y
    return None if x is None or y is None else Constant(x.type, np.where(condition.array, x.array, y.array))


@_folder("RANGE")
def _range(operation: Operation) -> Folded:
    start, limit, delta = _constants(operation)
    kind = operation.result.type.element
    if start is None or limit is None or delta is None or not isinstance(kind, TensorType):
        return None
    first, last, step = (constant.array.reshape(-1)[0] for constant in (start, limit, delta))
    if first.dtype.kind == "f":
        count = math.ceil(abs((float(last) - float(first)) / float(step)))
    else:
        count = (abs(int(last) - int(first)) + abs(int(step)) - 1) // abs(int(step))
    numbers = []
    for _ in range(count):
        numbers.append(first)
        first = first + step
    return Constant(kind, np.array(numbers, numpy_dtype(kind)))


# what folders ask


def _constants(operation: Operation) -> list[Constant | None]:
    return [None if value is None else value.constant for value in operation.operands]


def _activation(operation: Operation) -> ActivationFunctionType:
    options = operation.options
    return ActivationFunctionType.NONE if options is None else options.fused_activation_function


def _unfused_operands(operation: Operation) -> tuple[Constant | None, Constant | None]:
    """The operands as far as they are constants, none with an activation or a quantized result."""
    if _activation(operation) or operation.result.type.quantized is not None:
        return None, None
    a, b = _constants(operation)
    return a, b


def _has_type_of_result(operation: Operation, position: int) -> bool:
    value = operation.operands[position]
    return value is not None and value.type == operation.result.type


def _is_splat_of(constant: Constant | None, number: int) -> bool:
    if constant is None or constant.array.dtype == object or not constant.is_splat:
        return False
    return bool(constant.array.flat[0] == number)


def _broadcast(
    operation: Operation, a: Constant | None, b: Constant | None, function: Callable[[Array, Array], Array]
) -> Constant | None:
    kind = operation.result.type.element
    if a is None or b is None or not isinstance(kind, TensorType):
        return None
    try:
        shape = np.broadcast_shapes(a.array.shape, b.array.shape)
    except ValueError:
        return None
    return Constant(kind, np.asarray(function(a.array, b.array), numpy_dtype(kind)).reshape(shape))


def _keep_dims(operation: Operation) -> bool:
    return operation.options is not None and bool(operation.options.keep_dims)
