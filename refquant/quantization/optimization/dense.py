"""FULLY_CONNECTED with the arithmetic and the reshaping around it.

Source: optimize_pass.cc, optimize_patterns.td.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.ir import Constant, Operation, Type, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    activation_of,
    changed_options,
    const,
    constant_operation,
    declared,
    fused_names,
    names_of,
    native,
    op,
    option,
)
from refquant.quantization.optimization.shapes import (
    broadcast,
    broadcast_type,
    has_rank,
    is_reduced_tail,
    is_scalar,
    rank_of,
    same_element,
    shape_of,
)
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, FullyConnectedOptionsWeightsFormat, TensorType

Array = npt.NDArray[Any]
Names = tuple[str, ...]

RULES: list[Rule] = []


def _is_default(dense: Operation) -> bool:
    return bool(option(dense, "weights_format") == FullyConnectedOptionsWeightsFormat.DEFAULT)


def _keeps_dims(dense: Operation) -> bool:
    return bool(option(dense, "keep_num_dims"))


def _dense_before(operation: Operation) -> Operation | None:
    maker = operation.defining(0)
    return maker if maker is not None and maker.name == "FULLY_CONNECTED" else None


def _put(
    place: Operation,
    rewriter: Rewriter,
    name: str,
    operands: list[Value | None],
    kind: Type,
    names: Names,
    options: Any = None,
) -> Value:
    made = Operation(name, operands, [kind], options=options, names=names)
    return rewriter.insert_before(place, made).result


def _put_constant(place: Operation, rewriter: Rewriter, array: Array, kind: TensorType, names: Names) -> Value:
    return rewriter.insert_before(place, constant_operation(array, kind, names)).result


def _put_dense(
    place: Operation,
    rewriter: Rewriter,
    dense: Operation,
    operands: list[Value | None],
    kind: Type,
    names: Names,
    **options: Any,
) -> Value:
    made = dense.copy(operands, [kind])
    made.options, made.names = changed_options(dense, **options), names
    return rewriter.insert_before(place, made).result


# arithmetic


@native("ADD")
def fuse_add_after(add: Operation, rewriter: Rewriter) -> bool:
    """fully_connected(x) + c: c is added to the bias."""
    dense, value = _dense_before(add), add.operand(1)
    if dense is None or value is None or value.constant is None or not dense.result.has_one_use:
        return False
    kind, wanted = dense.result.type, add.result.type
    if activation_of(dense) or not kind.shape or wanted.shape is None or kind.shape[-1] < 0:
        return False
    if kind.shape != wanted.shape and not wanted.is_static:
        return False
    bias = dense.operand(2)
    channels = kind.shape[-1]
    if not _is_vector_of(value, channels) or (bias is not None and not _is_vector_of(bias, channels)):
        return False
    if bias is not None and not same_element(bias, value):
        return False
    if bias is None:
        zeros = np.zeros(channels, value.constant.array.dtype)
        start = _put_constant(add, rewriter, zeros, value.constant.type, ())
    else:
        start = _as_vector(bias, channels, add, rewriter)
    added = _as_vector(value, channels, add, rewriter)
    total = _put(add, rewriter, "ADD", [start, added], broadcast_type(start, added), add.names, schema.AddOptions())
    operands = [*dense.operands[:2], total]
    names = fused_names([dense, add])
    fused = _put_dense(add, rewriter, dense, operands, kind, names, fused_activation_function=activation_of(add))
    if kind.shape != wanted.shape:
        assert wanted.shape is not None
        shape = _put_constant(add, rewriter, np.array(wanted.shape, np.int32), TensorType.INT32, add.names)
        fused = _put(add, rewriter, "RESHAPE", [fused, shape], wanted, add.names)
    rewriter.replace(add, fused)
    return True


def _is_vector_of(value: Value, size: int) -> bool:
    """Whether a value is a vector of this size, or a constant that can be made one."""
    if value.type.shape == (size,):
        return True
    constant = value.constant
    if constant is None or value.type.shape is None:
        return False
    shape = constant.array.shape
    return constant.is_splat or (constant.array.size == size and (not shape or shape[-1] == size))


def _as_vector(value: Value, size: int, place: Operation, rewriter: Rewriter) -> Value:
    if value.type.shape == (size,):
        return value
    constant, maker = value.constant, value.owner
    assert constant is not None and maker is not None
    array = np.broadcast_to(constant.array.reshape(-1)[:1], size) if constant.is_splat else constant.array.reshape(-1)
    return _put_constant(place, rewriter, np.ascontiguousarray(array), constant.type, maker.names)


@native("MUL")
def fuse_mul_after(mul: Operation, rewriter: Rewriter) -> bool:
    """fully_connected(x) * c: weights and bias are multiplied."""
    dense, value = _dense_before(mul), mul.operand(1)
    if dense is None or value is None or value.constant is None or not dense.result.has_one_use:
        return False
    weights, bias = dense.operand(1), dense.operand(2)
    if weights is None or weights.constant is None or (bias is not None and bias.constant is None):
        return False
    array = value.constant.array
    if dense.result.type != mul.result.type or activation_of(dense) or any(n != 1 for n in array.shape[:-1]):
        return False
    column = array.reshape(-1, 1)
    if broadcast(Type(value.constant.type, column.shape), weights.type) is None or not same_element(value, weights):
        return False
    factor = _put_constant(mul, rewriter, column, value.constant.type, mul.names)
    options = schema.MulOptions()
    scaled = _put(mul, rewriter, "MUL", [weights, factor], broadcast_type(weights, factor), mul.names, options)
    if bias is not None:
        bias = _put(mul, rewriter, "MUL", [bias, value], broadcast_type(bias, value), mul.names, schema.MulOptions())
    names, activation = fused_names([dense, mul]), activation_of(mul)
    operands = [dense.operands[0], scaled, bias]
    fused = _put_dense(mul, rewriter, dense, operands, mul.result.type, names, fused_activation_function=activation)
    rewriter.replace(mul, fused)
    return True


def _vector_before(dense: Operation, name: str) -> tuple[Operation, Value] | None:
    """The operation before, without activation, and the constant vector of float32 that is its second operand."""
    before = dense.defining(0)
    if not _is_default(dense) or before is None or before.name != name or activation_of(before):
        return None
    vector = before.operands[1]
    if vector is None or not _is_float32_constant(vector) or rank_of(vector) != 1:
        return None
    return before, vector


def _is_float32_constant(value: Value | None) -> bool:
    return value is not None and value.constant is not None and value.constant.type == TensorType.FLOAT32


@native("FULLY_CONNECTED")
def fuse_add_before(dense: Operation, rewriter: Rewriter) -> bool:
    """fully_connected(x + c): the bias becomes fully_connected(c)."""
    found = _vector_before(dense, "ADD")
    bias = dense.operand(2)
    if found is None or not _is_float32_constant(dense.operand(1)) or bias is None or not _is_float32_constant(bias):
        return False
    add, vector = found
    plain = {"fused_activation_function": ActivationFunctionType.NONE, "keep_num_dims": True}
    weights = dense.operands[1]
    new_bias = _put_dense(dense, rewriter, dense, [vector, weights, bias], bias.type, dense.names, **plain)
    names = fused_names([add, dense])
    operands = [add.operands[0], weights, new_bias]
    rewriter.replace(dense, _put_dense(dense, rewriter, dense, operands, dense.result.type, names))
    return True


@native("FULLY_CONNECTED")
def fuse_mul_before(dense: Operation, rewriter: Rewriter) -> bool:
    """fully_connected(x * c): the weights are multiplied."""
    found = _vector_before(dense, "MUL")
    weights = dense.operand(1)
    if found is None or weights is None or not _is_float32_constant(weights):
        return False
    mul, vector = found
    names = fused_names([mul, dense])
    kind = broadcast_type(weights, vector)
    scaled = _put(dense, rewriter, "MUL", [weights, vector], kind, names, schema.MulOptions())
    operands = [mul.operands[0], scaled, dense.operand(2)]
    rewriter.replace(dense, _put_dense(dense, rewriter, dense, operands, dense.result.type, names))
    return True


@native("FULLY_CONNECTED")
def remove_zero_bias(dense: Operation, rewriter: Rewriter) -> bool:
    """A bias of zeros goes."""
    return _drop_zeros(dense, 2)


@native("LSTM")
def remove_zero_bias_of_projection(lstm: Operation, rewriter: Rewriter) -> bool:
    """The same of the projection at the end of an LSTM.

    The converter drops zeros that are the bias of the input gate too, and refuses what it made then: here they stay.
    """
    return _drop_zeros(lstm, 17)


def _drop_zeros(operation: Operation, position: int) -> bool:
    """Has the operand at a position be absent if it is a constant of zeros, all of one sign."""
    value = operation.operand(position)
    constant = None if value is None else value.constant
    if constant is None or constant.array.dtype.kind != "f" or not constant.is_splat or constant.array.flat[0] != 0:
        return False
    operation.set_operand(position, None)
    return True


@native("FULLY_CONNECTED", benefit=0)
def constant_to_weights(dense: Operation, rewriter: Rewriter) -> bool:
    """A constant input and computed weights change places; the result is transposed."""
    x, weights, bias = (dense.operand(i) for i in range(3))
    if bias is not None or x is None or weights is None or x.constant is None or weights.constant is not None:
        return False
    if not (rank_of(x) == rank_of(weights) == 2) or dense.result.type.shape is None:
        return False
    kind = dense.result.type.element
    rows, columns = shape_of(x)[0], shape_of(weights)[0]
    inner = Type(kind, (columns, rows))
    swapped = _put_dense(dense, rewriter, dense, [weights, x, None], inner, dense.names, keep_num_dims=False)
    order = _put_constant(dense, rewriter, np.array([1, 0], np.int32), TensorType.INT32, dense.names)
    outer = Type(kind, (rows, columns))
    rewriter.replace(dense, _put(dense, rewriter, "TRANSPOSE", [swapped, order], outer, dense.names))
    return True


@declared(
    RULES,
    "DegenerateFCtoMul",
    op(
        "FULLY_CONNECTED",
        "input",
        const("weights"),
        None,
        keep_num_dims=True,
        weights_format=FullyConnectedOptionsWeightsFormat.DEFAULT,
    ),
)
def _of_one_column(m: Match) -> Value | None:
    """Weights of one column: a product with a vector."""
    x, weights = m["input"], m["weights"]
    if not has_rank(x, 0, 4) or rank_of(weights) != 2 or not x.type.is_static or shape_of(x)[-1:] != (1,):
        return None
    if not same_element(x, weights):
        return None
    vector = m.new_constant(m.array("weights").reshape(-1), m.constant("weights").type)
    return m.new("MUL", [x, vector], options=schema.MulOptions(activation_of(m.root)))


# reshaping


@native("FULLY_CONNECTED")
def remove_reshape_before(dense: Operation, rewriter: Rewriter) -> bool:
    """A RESHAPE before that keeps the last dimension goes: all others are made one anyway."""
    reshape, x = dense.defining(0), dense.operands[0]
    if reshape is None or reshape.name != "RESHAPE" or not _is_default(dense) or _keeps_dims(dense) or x is None:
        return False
    before, kind = reshape.operands[0], dense.result.type
    if before is None or not x.type.is_static or not before.type.is_static or not kind.is_static:
        return False
    if len(kind.shape or ()) != 2 or not shape_of(x) or shape_of(x)[-1:] != shape_of(before)[-1:]:
        return False
    dense.set_operand(0, before)
    return True


@native("RESHAPE")
def remove_reshape_after(reshape: Operation, rewriter: Rewriter) -> bool:
    """A RESHAPE after that restores all dimensions but the last goes."""
    dense = _dense_before(reshape)
    if dense is None or not _is_default(dense) or _keeps_dims(dense) or not dense.result.has_one_use:
        return False
    x, kind = dense.operands[0], reshape.result.type
    if x is None or not all(t.is_static for t in (x.type, dense.result.type, kind)):
        return False
    output, wanted = shape_of(dense.result), shape_of(reshape.result)
    if not output or not wanted or output[-1] != wanted[-1] or shape_of(x)[:-1] != wanted[:-1]:
        return False
    fused = _put_dense(reshape, rewriter, dense, [*dense.operands], kind, reshape.names, keep_num_dims=True)
    rewriter.replace(reshape, fused)
    return True


@native("RESHAPE", benefit=0)
def move_reshape_before(reshape: Operation, rewriter: Rewriter) -> bool:
    """fully_connected between two RESHAPEs: the second goes before it, where both can be one."""
    dense = _dense_before(reshape)
    before = None if dense is None else dense.defining(0)
    if dense is None or before is None or before.name != "RESHAPE" or not dense.result.has_one_use:
        return False
    x, kind = dense.operands[0], reshape.result.type
    if x is None or not all(t.is_static for t in (x.type, dense.result.type, kind)):
        return False
    wanted = shape_of(reshape.result)
    if len(wanted) < 2 or wanted[-1:] != shape_of(dense.result)[-1:]:
        return False
    shape = (*wanted[:-1], shape_of(x)[-1])
    new_shape = _put_constant(reshape, rewriter, np.array(shape, np.int32), TensorType.INT32, dense.names)
    moved = _put(reshape, rewriter, "RESHAPE", [x, new_shape], Type(x.type.element, shape), dense.names)
    operands = [moved, *dense.operands[1:]]
    fused = _put_dense(reshape, rewriter, dense, operands, kind, reshape.names, keep_num_dims=True)
    rewriter.replace(reshape, fused)
    return True


@native("RESHAPE", benefit=0)
def keep_dims_before_reshape(reshape: Operation, rewriter: Rewriter) -> bool:
    """fully_connected before a RESHAPE keeps its dimensions."""
    dense = _dense_before(reshape)
    if dense is None or _keeps_dims(dense) or not dense.result.has_one_use:
        return False
    x, kind = dense.operands[0], dense.result.type
    if x is None or x.type.shape is None or kind.shape is None or len(x.type.shape) == 2:
        return False
    wanted = Type(kind.element, (*x.type.shape[:-1], kind.shape[-1]))
    kept = _put_dense(reshape, rewriter, dense, [*dense.operands], wanted, dense.names, keep_num_dims=True)
    rewriter.replace(dense, kept)
    return True


@declared(
    RULES,
    "FuseSqueezingLhsReshapeIntoFC_Output",
    op("FULLY_CONNECTED", op("RESHAPE", "input", const("shape"), name="reshaped"), "weights", keep_num_dims=True),
)
def _fuse_squeezing(m: Match) -> Value | None:
    """A RESHAPE to a matrix that only drops dimensions of 1 goes."""
    x, reshaped = m["input"], m["reshaped"]
    if not x.type.is_static or not reshaped.type.is_static or not has_rank(x, 3) or rank_of(reshaped) != 2:
        return None
    if rank_of(m["weights"]) != 2 or not is_reduced_tail(x, reshaped):
        return None
    return m.again(m.root, [x, *m.root.operands[1:]], keep_num_dims=False)


# selection and lookup


_SELECTED = op("SELECT_V2", "condition", "zeros1", "input")
_SELECTED_LAST = op("SELECT_V2", "condition", "input", "zeros1")


@declared(
    RULES,
    "SimplifyDoubleSelectFCZerosLHS",
    op("SELECT_V2", "condition", "zeros2", op("FULLY_CONNECTED", _SELECTED, name="dense", keep_num_dims=True)),
)
@declared(
    RULES,
    "SimplifyDoubleSelectFCZerosRHS",
    op("SELECT_V2", "condition", op("FULLY_CONNECTED", _SELECTED_LAST, name="dense", keep_num_dims=True), "zeros2"),
)
def _select_once(m: Match) -> Value | None:
    """Rows that become zero after need not become zero before."""
    condition, dense = m["condition"], m.operation("dense")
    if not condition.type.is_static or shape_of(condition)[-1:] != (1,):
        return None
    if not _is_zero(m["zeros1"].constant) or not _is_zero(m["zeros2"].constant):
        return None
    operands = [m["input"], *dense.operands[1:]]
    product = _put_dense(m.root, m.rewriter, dense, operands, dense.result.type, dense.names)
    chosen = [product if value is m["dense"] else value for value in m.root.operands]
    return m.again(m.root, chosen)


def _is_zero(constant: Constant | None) -> bool:
    return constant is not None and constant.type == TensorType.FLOAT32 and not constant.array.any()


@declared(
    RULES,
    "ReplaceOneHotFullyConnectedWithLookup",
    op(
        "FULLY_CONNECTED",
        op("ONE_HOT", "indices", const("depth"), const("on"), const("off"), axis=-1),
        "weights",
        None,
        fused_activation_function=ActivationFunctionType.NONE,
        weights_format=FullyConnectedOptionsWeightsFormat.DEFAULT,
    ),
)
def _look_up(m: Match) -> Value | None:
    """fully_connected(one_hot(i)): column i of the weights."""
    indices, weights = m["indices"], m["weights"]
    if not is_scalar(m.constant("on"), 1) or not is_scalar(m.constant("off"), 0) or not weights.type.is_static:
        return None
    if indices.type.element != TensorType.INT32 or weights.type.element != TensorType.FLOAT32:
        return None
    table_type = Type(weights.type.element, shape_of(weights)[::-1])
    if not indices.type.is_static:
        if rank_of(indices) != 1:
            return None
        return m.new("EMBEDDING_LOOKUP", [indices, m.new("TRANSPOSE", [weights, m.new_shape([1, 0])], table_type)])
    count = int(np.prod(shape_of(indices)))
    names = names_of(indices, m.rewriter.function)
    number = m.put(constant_operation(np.array([count], np.int32), TensorType.INT32, names))
    flat = m.new("RESHAPE", [indices, number], Type(TensorType.INT32, (count,)))
    table = m.new("TRANSPOSE", [weights, m.new_shape([1, 0])], table_type)
    found = m.new("EMBEDDING_LOOKUP", [flat, table], Type(weights.type.element, (count, shape_of(weights)[0])))
    return m.reshape(found, shape_of(m.root.result))
