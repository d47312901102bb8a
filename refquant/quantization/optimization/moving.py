"""Operations that only move numbers: RESHAPE and what can be one, TRANSPOSE, slices, gathering, packing.

Source: optimize_patterns.td, optimize_pass.cc, tfl_canonicalize.td, tfl_ops.cc.
"""

from __future__ import annotations

import math

import numpy as np

from refquant.quantization.ir import Constant, Operation, Type, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    Tree,
    const,
    constant_operation,
    declared,
    native,
    op,
    option,
)
from refquant.quantization.optimization.shapes import (
    broadcast,
    broadcast_type,
    ends_in_size_of,
    has_rank,
    integers,
    is_int32,
    is_reduced_tail,
    is_tail,
    rank_of,
    same_element,
    shape_of,
    without_leading_ones,
)
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

RULES: list[Rule] = []

# arithmetic around RESHAPE and TILE

_ARITHMETIC = "ADD SUB DIV MUL"
_OTHER = "FLOOR_DIV FLOOR_MOD MINIMUM MAXIMUM LESS LESS_EQUAL GREATER GREATER_EQUAL"
_COMPARISONS = ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
_RESHAPED = op("RESHAPE", "input", const("shape"), name="reshaped")


def _binary(m: Match, a: Value, b: Value) -> Value:
    """The operation of the root on two other values."""
    kind = broadcast_type(a, b)
    return m.again(m.root, [a, b], Type(TensorType.BOOL, kind.shape) if m.root.name in _COMPARISONS else kind)


@declared(RULES, "MoveBinaryOpConstBeforeReshape", op(f"{_ARITHMETIC} {_OTHER}", _RESHAPED, const("value")))
def _move_before_reshape(m: Match) -> Value | None:
    """reshape(x) + c -> reshape(x + c) where c is the tail of both shapes."""
    x, reshaped, value = m["input"], m["reshaped"], m["value"]
    if not is_tail(value, reshaped) or not is_tail(value, x) or not reshaped.has_one_use:
        return None
    if not all(has_rank(v, 0, 4) for v in (x, reshaped, value)) or not same_element(x, value):
        return None
    return m.new("RESHAPE", [_binary(m, x, value), m["shape"]])


@declared(RULES, "MoveBinaryOpFlattenConstBeforeReshape", op(f"{_ARITHMETIC} {_OTHER}", _RESHAPED, const("value")))
def _move_flat_before_reshape(m: Match) -> Value | None:
    """The same where the last dimension of x is what c has elements, and x comes from FULLY_CONNECTED."""
    x, reshaped, value = m["input"], m["reshaped"], m["value"]
    tail = is_reduced_tail if m.root.name in _ARITHMETIC.split() else is_tail
    if not x.type.is_static or not tail(value, reshaped) or not ends_in_size_of(x, value) or not reshaped.has_one_use:
        return None
    if not all(has_rank(v, 0, 4) for v in (x, reshaped, value)):
        return None
    if x.owner is None or x.owner.name != "FULLY_CONNECTED":
        return None
    flat = m.new_constant(m.array("value").reshape(-1), m.constant("value").type)
    return m.new("RESHAPE", [_binary(m, x, flat), m["shape"]])


@declared(
    RULES,
    "MoveBinaryOpBeforeReshape",
    op(
        f"{_ARITHMETIC} {_OTHER}",
        op("RESHAPE", "input1", const("shape1"), name="a"),
        op("RESHAPE", "input2", const("shape2"), name="b"),
    ),
)
def _move_both_before_reshape(m: Match) -> Value | None:
    """reshape(x) + reshape(y) -> reshape(x + y)."""
    x, y, a, b = (m[name] for name in ("input1", "input2", "a", "b"))
    if not all(is_tail(*pair) for pair in ((a, b), (b, a), (x, y), (y, x))) or not same_element(x, y):
        return None
    once = (a is b and len(a.uses) == 2) or (a.has_one_use and b.has_one_use)
    if m.root.name in _ARITHMETIC.split() and not once:
        return None
    return m.new("RESHAPE", [_binary(m, x, y), m["shape1"]])


@declared(RULES, "RemoveRedundantReshapeUsedAsLhsTo", op(_ARITHMETIC, _RESHAPED, "other"))
@declared(RULES, "RemoveRedundantReshapeUsedAsRhsTo", op(_ARITHMETIC, "other", _RESHAPED))
def _rely_on_broadcasting(m: Match) -> Value | None:
    """A RESHAPE that only adds dimensions of 1 in front goes."""
    x, reshaped, other = m["input"], m["reshaped"], m["other"]
    if not x.type.is_static or not other.type.is_static or not is_reduced_tail(reshaped, x):
        return None
    if not rank_of(x) <= rank_of(reshaped) <= rank_of(other):
        return None
    if not reshaped.has_one_use and any(user.name not in _ARITHMETIC.split() for user in reshaped.users):
        return None
    if not has_rank(x, 0, 4) or not has_rank(other, 0, 4):
        return None
    left = m.root.operands[1] is other and m.root.operands[0] is reshaped
    return m.again(m.root, [x, other] if left else [other, x])


_TILED = op("TILE", "input", const("times"))


@declared(RULES, "FuseTileBroadcastToBinaryOp1", op(_ARITHMETIC, _TILED, "other"))
@declared(RULES, "FuseTileBroadcastToBinaryOp2", op(_ARITHMETIC, "other", _TILED))
def _drop_tile(m: Match) -> Value | None:
    """A TILE that broadcasting does as well goes."""
    x, other = m["input"], m["other"]
    if not has_rank(x, 0, 4) or not has_rank(other, 0, 4) or broadcast(x.type, other.type) != m.type.shape:
        return None
    return m.again(m.root, [x, other] if m.root.operands[1] is other else [other, x])


# what can be a RESHAPE


@declared(RULES, "ConvertSqueezeToReshape", op("SQUEEZE", "x"))
def _squeeze(m: Match) -> Value | None:
    shape = m.type.shape
    return None if shape is None or sum(n < 0 for n in shape) > 1 else m.reshape(m["x"], shape)


@declared(RULES, "ConvertExpandDimsToReshape", op("EXPAND_DIMS", "x"))
def _expand_dims(m: Match) -> Value | None:
    return m.reshape(m["x"], shape_of(m.root.result)) if m.type.is_static else None


@declared(RULES, "ConvertTrivialTransposeOpToReshapeOp", op("TRANSPOSE", "x", const("order")))
def _transpose_of_ones(m: Match) -> Value | None:
    """A TRANSPOSE that only moves dimensions of 1."""
    x = m["x"]
    if not x.type.is_static or not m.type.is_static:
        return None
    shape = shape_of(x)
    order = [axis + len(shape) if axis < 0 else axis for axis in integers(m.constant("order"))]
    if len(order) != len(shape) or not all(0 <= axis < len(shape) for axis in order):
        return None
    moved = [axis for axis in order if shape[axis] != 1]
    return m.reshape(x, shape_of(m.root.result)) if moved == sorted(moved) else None


@declared(
    RULES,
    "ConvertTrasposeReshapeTransposeToReshape",
    op("TRANSPOSE", op("RESHAPE", op("TRANSPOSE", "x", "order2", name="first"), "shape", name="middle"), "order1"),
)
def _transpose_twice_around_reshape(m: Match) -> Value | None:
    x, first, middle = m["x"], m["first"], m["middle"]
    if any(v.type.shape is None for v in (x, first, middle, m.root.result)):
        return None
    squeezed = without_leading_ones(shape_of(x))
    if without_leading_ones(shape_of(first)) != shape_of(middle) or squeezed != shape_of(m.root.result):
        return None
    return m.reshape(x, squeezed)


@native("BROADCAST_TO")
def broadcast_as_reshape(broadcast_to: Operation, rewriter: Rewriter) -> bool:
    """BROADCAST_TO that leaves the number of elements is a RESHAPE."""
    x, shape = broadcast_to.operands[:2]
    kind = broadcast_to.result.type
    if x is None or shape is None or not x.type.is_static or not kind.is_static or kind.shape is None:
        return False
    if math.prod(shape_of(x)) != math.prod(kind.shape):
        return False
    names = broadcast_to.names
    cast_options = schema.CastOptions(shape.type.element, TensorType.INT32)  # type: ignore[arg-type]
    cast = Operation("CAST", [shape], [shape.type.of(TensorType.INT32)], options=cast_options, names=names)
    new_shape = rewriter.insert_before(broadcast_to, cast).result
    reshape = Operation("RESHAPE", [x, new_shape], [kind], names=names)
    rewriter.replace(broadcast_to, rewriter.insert_before(broadcast_to, reshape).result)
    return True


@native("RESHAPE")
def merge_reshapes(reshape: Operation, rewriter: Rewriter) -> bool:
    """reshape(reshape(x)): the first one goes."""
    before = reshape.defining(0)
    if before is None or before.name != "RESHAPE":
        return False
    again = reshape.copy([before.operands[0], reshape.operands[1]])
    rewriter.replace(reshape, rewriter.insert_before(reshape, again).result)
    return True


# TRANSPOSE


@declared(
    RULES,
    "FoldDoubleTranspose",
    op("TRANSPOSE", op("TRANSPOSE", "x", const("order1"), name="inner"), const("order2")),
)
def _transpose_twice(m: Match) -> Value | None:
    if not m["inner"].has_one_use:
        return None
    order1, order2 = (integers(m.constant(name)) for name in ("order1", "order2"))
    return m.new("TRANSPOSE", [m["x"], m.new_shape(order1[axis] for axis in order2)])


@native("TRANSPOSE")
def remove_transpose(transpose: Operation, rewriter: Rewriter) -> bool:
    """A TRANSPOSE that leaves all axes where they are goes."""
    x, order = transpose.operands[:2]
    if x is None or order is None or order.constant is None:
        return False
    if integers(order.constant) != list(range(order.constant.array.size)):
        return False
    rewriter.replace(transpose, x)
    return True


@native("TRANSPOSE", benefit=2)
def decrease_rank(transpose: Operation, rewriter: Rewriter) -> bool:
    """More than six dimensions, some of them 1: those go for the time of the transposition."""
    x, order = transpose.operands[:2]
    if x is None or order is None or order.constant is None or not x.type.is_static or rank_of(x) < 7:
        return False
    shape = shape_of(x)
    kept = [axis for axis, n in enumerate(shape) if n != 1]
    if len(kept) == len(shape):
        return False
    match = Match(transpose, rewriter)
    match.operations = [transpose, order.owner] if order.owner is not None else [transpose]
    squeezed = tuple(shape[axis] for axis in kept)
    permutation = [kept.index(axis) for axis in integers(order.constant) if axis in kept]
    flat = match.reshape(x, squeezed, Type(x.type.element, squeezed))
    moved = tuple(squeezed[axis] for axis in permutation)
    turned = match.new("TRANSPOSE", [flat, match.new_shape(permutation)], Type(x.type.element, moved))
    rewriter.replace(transpose, match.reshape(turned, shape_of(transpose.result)))
    return True


@native("SQUEEZE", benefit=0)
def transpose_after_squeeze(squeeze: Operation, rewriter: Rewriter) -> bool:
    """squeeze(transpose(x)) -> transpose(squeeze(x))."""
    transpose = squeeze.defining(0)
    if transpose is None or transpose.name != "TRANSPOSE":
        return False
    x, order = transpose.operands[:2]
    if x is None or order is None or order.constant is None or x.type.shape is None:
        return False
    turned = shape_of(transpose.result)
    dims = option(squeeze, "squeeze_dims")
    squeezed = sorted(int(axis) for axis in dims) if dims is not None and len(dims) else []
    squeezed = squeezed or [axis for axis, n in enumerate(turned) if n == 1]
    permutation = integers(order.constant)
    gone = sorted(permutation[axis] for axis in squeezed)
    left = [axis for axis in range(len(turned)) if axis not in gone]
    new_order = [left.index(permutation[i]) for i in range(len(turned)) if i not in squeezed]
    names = squeeze.names
    inner = Type(squeeze.result.type.element, tuple(shape_of(x)[axis] for axis in left))
    options = schema.SqueezeOptions(np.array(gone, np.int32))
    value = rewriter.insert_before(squeeze, Operation("SQUEEZE", [x], [inner], options=options, names=names)).result
    constant = constant_operation(np.array(new_order, np.int32), TensorType.INT32, names)
    moved = Operation("TRANSPOSE", [value, rewriter.insert_before(squeeze, constant).result], [squeeze.result.type])
    moved.names = names
    rewriter.replace(squeeze, rewriter.insert_before(squeeze, moved).result)
    return True


@native("TRANSPOSE", benefit=0)
def reshape_before_transposes(outer: Operation, rewriter: Rewriter) -> bool:
    """transpose(reshape(transpose(x))) of a matrix x -> transpose(transpose(reshape(x)))."""
    reshape = outer.defining(0)
    inner = None if reshape is None or reshape.name != "RESHAPE" else reshape.defining(0)
    if reshape is None or inner is None or inner.name != "TRANSPOSE" or inner.result.type.shape is None:
        return False
    order, shape = (None if v is None else v.constant for v in (inner.operand(1), reshape.operand(1)))
    if order is None or integers(order) != [1, 0] or shape is None or reshape.result.type.shape is None:
        return False
    sizes = integers(shape)
    totals = np.cumprod(sizes).tolist()
    ends = [i for i, total in enumerate(totals) if total == shape_of(inner.result)[0]]
    if not ends:
        return False
    split = ends[-1] + 1
    new_shape = (*sizes[split:], *sizes[:split])
    back = len(sizes) - split
    permutation = [*range(back, len(sizes)), *range(back)]
    kind = reshape.result.type.element

    def put(operation: Operation) -> Value:
        return rewriter.insert_before(outer, operation).result

    places = put(constant_operation(np.array(new_shape, np.int32), TensorType.INT32, reshape.names))
    first = put(Operation("RESHAPE", [inner.operands[0], places], [Type(kind, new_shape)], names=reshape.names))
    turns = put(constant_operation(np.array(permutation, np.int32), TensorType.INT32, inner.names))
    rewriter.replace(reshape, put(Operation("TRANSPOSE", [first, turns], [reshape.result.type], names=inner.names)))
    return True


@declared(
    RULES,
    "ReorderNCHWTransposeAdd",
    op("ADD", op("TRANSPOSE", "input", "order", name="transpose"), const("bias"), name="sum"),
)
def _add_before_transpose(m: Match) -> Value | None:
    """transpose(conv) + bias of N x C x 1 x 1: the sum before the transposition."""
    x, order, bias = m["input"], m["order"].constant, m["bias"]
    if order is None or integers(order) != [0, 3, 1, 2] or m.array("bias").dtype.kind != "f":
        return None
    if rank_of(bias) != 4 or shape_of(bias)[2:] != (1, 1) or x.owner is None or x.owner.name != "CONV_2D":
        return None
    if not m.root.result.has_one_use or not m["transpose"].has_one_use:
        return None
    batch, channels = shape_of(bias)[:2]
    moved = m.new_constant(m.array("bias").reshape(batch, 1, 1, channels), m.constant("bias").type)
    return m.new("TRANSPOSE", [m.again(m.root, [x, moved], broadcast_type(x, moved)), m["order"]])


# slices, gathering, packing


@declared(RULES, "OptimizeSliceOp", op("SLICE", "x", const("begin"), const("size")))
def _slice_of_all(m: Match) -> Value | None:
    x, begins, sizes = m["x"], integers(m.constant("begin")), integers(m.constant("size"))
    if x.type.shape is None or not len(begins) == len(sizes) == len(x.type.shape) or any(begins):
        return None
    return x if all(size in (-1, n) for size, n in zip(sizes, x.type.shape, strict=True)) else None


@declared(
    RULES,
    "OptimizeStridedSlice",
    op(
        "STRIDED_SLICE",
        "x",
        const("begin"),
        const("end"),
        const("strides"),
        begin_mask=0,
        end_mask=0,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
        offset=False,
    ),
)
def _slice_without_strides(m: Match) -> Value | None:
    """STRIDED_SLICE with strides of 1 and without masks is a SLICE."""
    begins, ends = m.array("begin"), m.array("end")
    if np.any(m.array("strides") != 1) or np.any(begins < 0) or len(begins) != len(ends) or np.any(ends < begins):
        return None
    begin = m.new_constant(begins, m.constant("begin").type)
    return m.new("SLICE", [m["x"], begin, m.new_shape((ends - begins).tolist())])


@native("SLICE")
def narrow_slice(operation: Operation, rewriter: Rewriter) -> bool:
    """Begin and size as int32; one at a time."""
    for position in (1, 2):
        value = operation.operands[position]
        if value is not None and value.constant is not None and value.constant.type == TensorType.INT64:
            made = constant_operation(value.constant.array.astype(np.int32), TensorType.INT32, operation.names)
            made.attributes["restored"] = True
            operation.set_operand(position, rewriter.insert_before(operation, made).result)
            return True
    return False


@native("PAD")
def narrow_paddings(operation: Operation, rewriter: Rewriter) -> bool:
    """The amounts of padding as int32."""
    value = operation.operands[1]
    if value is None or value.constant is None or value.owner is None or value.constant.type != TensorType.INT64:
        return False
    made = constant_operation(value.constant.array.astype(np.int32), TensorType.INT32, value.owner.names)
    operation.set_operand(1, rewriter.insert_before(operation, made).result)
    rewriter.modified(operation)
    return True


@declared(RULES, "OptimizeIdentityGatherNdOp", op("GATHER_ND", "x", const("indices")))
@declared(RULES, "OptimizeIdentityScatterNdOp", op("SCATTER_ND", const("indices"), "x", "shape"))
def _gather_all(m: Match) -> Value | None:
    """All rows in their order."""
    x, indices = m["x"], m.constant("indices")
    if not is_int32(indices) or x.type != m.type or not x.type.shape:
        return None
    rows = x.type.shape[0]
    return x if indices.array.shape == (rows, 1) and integers(indices) == list(range(rows)) else None


@native("GATHER_ND")
def twice_as_large(gather: Operation, rewriter: Rewriter) -> bool:
    """Rows twice, turned, columns twice, turned back: the way JAX writes RESIZE_NEAREST_NEIGHBOR of a square image."""
    chain = _only_users(gather, "TRANSPOSE", "GATHER_ND", "TRANSPOSE")
    if chain is None:
        return False
    turn, again, last = chain
    x, indices = gather.operands[:2]
    if x is None or indices is None or indices.type.element != TensorType.INT32 or not has_rank(indices, 2, 2):
        return False
    if x.type.element != TensorType.FLOAT32 or not has_rank(x, 4, 4) or not has_rank(gather.result, 1):
        return False
    side, one, width, depth = shape_of(x)
    if one != 1 or side != width or shape_of(gather.result)[0] != 2 * side:
        return False
    if not all(_names_each_row_twice(operation.operands[1]) for operation in (gather, again)):
        return False
    if not _is_constant(turn.operands[1], [2, 1, 0, 3]) or not _is_constant(last.operands[1], [1, 2, 0, 3]):
        return False

    def put_constant(numbers: list[int]) -> Value:
        constant = constant_operation(np.array(numbers, np.int32), TensorType.INT32, gather.names)
        return rewriter.insert_before(gather, constant).result

    def put(name: str, operands: list[Value | None], kind: Type, options: object = None) -> Value:
        made = Operation(name, operands, [kind], options=options, names=gather.names)
        return rewriter.insert_before(gather, made).result

    image = (1, side, side, depth)
    reshaped = put("RESHAPE", [x, put_constant([*image])], Type(gather.result.type.element, image))
    size = put_constant([2 * side, 2 * side])
    options = schema.ResizeNearestNeighborOptions()
    rewriter.replace(last, put("RESIZE_NEAREST_NEIGHBOR", [reshaped, size], last.result.type, options))
    return True


def _only_users(operation: Operation, *names: str) -> list[Operation] | None:
    """The operation's only user, that one's only user, and so on, if they have these names."""
    users: list[Operation] = []
    for name in names:
        user = operation.result.only_user
        if user is None or user.name != name:
            return None
        users.append(user)
        operation = user
    return users


def _is_constant(value: Value | None, numbers: list[int]) -> bool:
    """Whether a value is a constant of these integers."""
    return value is not None and value.constant is not None and integers(value.constant) == numbers


def _names_each_row_twice(indices: Value | None) -> bool:
    """Whether indices are 0, 0, 1, 1, 2, 2, …"""
    if indices is None or indices.constant is None:
        return False
    return all(row == place // 2 for place, row in enumerate(integers(indices.constant)))


@declared(RULES, "ReorderGatherAndCast", op("GATHER", op("CAST", "x", name="cast"), "indices"))
def _gather_before_cast(m: Match) -> Value | None:
    if not m["cast"].has_one_use:
        return None
    gathered = m.again(m.root, [m["x"], m["indices"]], m.type.of(m["x"].type.element))  # type: ignore[arg-type]
    return m.again(m.operation("cast"), [gathered])


def _row(i: int) -> Tree:
    return op("RESHAPE", op("SLICE", "x", const(f"begin{i}"), const(f"size{i}")))


@declared(
    RULES,
    "FuseSliceAndPack",
    *(op("PACK", *(_row(i) for i in range(rows))) for rows in (3, 4)),
)
def _pack_all(m: Match) -> Value | None:
    """Rows 0, 1, 2 (and 3) of one tensor packed again."""
    if len(m.root.operands) != sum(name.startswith("begin") for name in m.values):
        return None
    for i in range(len(m.root.operands)):
        begin, size = m.constant(f"begin{i}"), m.constant(f"size{i}")
        if not is_int32(begin) or not is_int32(size) or begin.array.tolist() != [i] or size.array.tolist() != [1]:
            return None
    return m["x"]


@native("PACK", benefit=2)
def unpacked_before(pack: Operation, rewriter: Rewriter) -> bool:
    """pack(unpack(x)) is x."""
    unpack = pack.defining(0)
    if unpack is None or unpack.name != "UNPACK" or option(pack, "axis") != option(unpack, "axis"):
        return False
    if len(pack.operands) != len(unpack.results):
        return False
    if any(value is not result for value, result in zip(pack.operands, unpack.results, strict=True)):
        return False
    x = unpack.operands[0]
    assert x is not None
    rewriter.replace(pack, x)
    return True


@native("PACK", benefit=2)
def pack_of_one(pack: Operation, rewriter: Rewriter) -> bool:
    """PACK of one operand is a RESHAPE."""
    if len(pack.operands) != 1 or not pack.result.type.is_static:
        return False
    return _become_reshape(pack, pack.operands[0], rewriter)


@native("CONCATENATION")
def concatenated_rows(concatenation: Operation, rewriter: Rewriter) -> bool:
    """concatenation(unpack(x)) along the same axis is a RESHAPE."""
    unpack = concatenation.defining(0)
    options = concatenation.options
    if unpack is None or unpack.name != "UNPACK" or (options is not None and options.fused_activation_function):
        return False
    if len(unpack.results) != len(concatenation.operands) or not concatenation.result.type.is_static:
        return False
    if any(value is not result for value, result in zip(concatenation.operands, unpack.results, strict=True)):
        return False
    x = unpack.operands[0]
    assert x is not None
    if len(unpack.results) > 1:
        axes = (option(unpack, "axis"), rank_of(x)), (option(concatenation, "axis"), rank_of(concatenation.result))
        if len({axis + rank if axis < 0 else axis for axis, rank in axes}) > 1:
            return False
    return _become_reshape(concatenation, x, rewriter)


def _become_reshape(operation: Operation, x: Value | None, rewriter: Rewriter) -> bool:
    shape = constant_operation(np.array(shape_of(operation.result), np.int32), TensorType.INT32, operation.names)
    shape.attributes["restored"] = True
    rewriter.insert_before(operation, shape)
    reshape = Operation("RESHAPE", [x, shape.result], [operation.result.type], names=operation.names)
    rewriter.replace(operation, rewriter.insert_before(operation, reshape).result)
    return True


@native("TOPK_V2")
def fewer_of_top(top: Operation, rewriter: Rewriter) -> bool:
    """TOPK_V2 of which only the first k are used finds only those."""
    found = [_first_of(result) for result in top.results]
    used = [k for k, result in zip(found, top.results, strict=True) if result.is_used]
    if None in found or not used or len(set(used)) > 1:
        return False
    number = used[0]
    assert number is not None
    k = constant_operation(np.array(number, np.int32), TensorType.INT32, top.names)
    k.attributes["restored"] = True
    rewriter.insert_before(top, k)
    types = [Type(result.type.element, (*shape_of(result)[:-1], number)) for result in top.results]
    fewer = rewriter.insert_before(top, top.copy([top.operands[0], k.result], types))
    for result, new in zip(top.results, fewer.results, strict=True):
        if result.is_used:
            part = result.users[0]
            part.replace(new)
    top.erase()
    return True


def _first_of(value: Value) -> int | None:
    """How many along the last axis a SLICE, the only user, takes from the first on; 0 without a user."""
    if not value.is_used:
        return 0
    part = value.only_user
    if part is None or part.name != "SLICE" or not value.type.is_static or not part.result.type.is_static:
        return None
    begin, size = (None if v is None else v.constant for v in part.operands[1:])
    if begin is None or size is None or begin.array.any() or not shape_of(value) or not shape_of(part.result):
        return None
    last = int(size.array.flat[-1])
    elements = math.prod(shape_of(value)) // shape_of(value)[-1] * last
    return last if last and elements == math.prod(shape_of(part.result)) else None


@native("STRIDED_SLICE")
def end_as_offset(part: Operation, rewriter: Rewriter) -> bool:
    """STRIDED_SLICE from x to x + c: the end as an offset from the beginning."""
    end = part.defining(2)
    if end is None or end.name not in ("ADD", "SUB") or part.operands[1] is not end.operands[0]:
        return False
    added, strides = (None if v is None else v.constant for v in (end.operand(1), part.operand(3)))
    if added is None or strides is None or added.array.ndim > 1:
        return False
    if any(option(part, mask) for mask in ("begin_mask", "end_mask", "ellipsis_mask")):
        return False
    return _take_offset(part, end, added, rewriter)


def _take_offset(part: Operation, end: Operation, added: Constant, rewriter: Rewriter) -> bool:
    array = np.broadcast_to(added.array, shape_of(end.result)[:1]).copy()
    offset = rewriter.insert_before(part, constant_operation(array, added.type, end.names)).result
    again = part.copy([*part.operands[:2], offset, part.operands[3]])
    again.options.offset = True
    rewriter.replace(part, rewriter.insert_before(part, again).result)
    return True


@native("BROADCAST_TO")
def squeeze_around_broadcast(broadcast_to: Operation, rewriter: Rewriter) -> bool:
    """reshape(broadcast_to(reshape(x))) in six dimensions or more: dimensions of 1 on either side go."""
    inner, outer = broadcast_to.defining(0), broadcast_to.result.only_user
    if inner is None or inner.name != "RESHAPE" or outer is None or outer.name != "RESHAPE":
        return False
    x, shape, kind = inner.operands[0], broadcast_to.operands[1], broadcast_to.result.type
    if x is None or shape is None or math.prod(shape_of(shape)) < 6:
        return False
    if not inner.result.type.is_static or not kind.is_static or not outer.result.type.is_static:
        return False
    if not ends_in_size_of(x, inner.result) or not ends_in_size_of(outer.result, broadcast_to.result):
        return False
    sides = shape_of(broadcast_to.result)
    front = len(sides) - len(without_leading_ones(sides))
    back = len(sides) - len(without_leading_ones(sides[::-1]))
    small, large = shape_of(inner.result)[front : len(sides) - back], sides[front : len(sides) - back]

    def put(operation: Operation) -> Value:
        return rewriter.insert_before(broadcast_to, operation).result

    places = put(constant_operation(np.array(small, np.int32), TensorType.INT32, inner.names))
    kinds = Type(inner.result.type.element, small), Type(TensorType.FLOAT32, large)
    value = put(Operation("RESHAPE", [x, places], [kinds[0]], names=inner.names))
    rewriter.replace(inner, value)
    wanted = put(constant_operation(np.array(large, np.int64), TensorType.INT64, broadcast_to.names))
    again = put(Operation("BROADCAST_TO", [value, wanted], [kinds[1]], names=broadcast_to.names))
    rewriter.replace(broadcast_to, again)
    return True
