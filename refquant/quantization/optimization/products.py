"""BATCH_MATMUL with the reshaping and transposing around it.

Source: optimize_patterns.td, optimize_pass.cc.
"""

from __future__ import annotations

import math

import numpy as np

from refquant.quantization.ir import Constant, Operation, Type, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    const,
    constant_operation,
    declared,
    names_of,
    native,
    op,
    option,
)
from refquant.quantization.optimization.shapes import (
    Shape,
    has_rank,
    integers,
    rank_of,
    same_element,
    shape_of,
)
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

RULES: list[Rule] = []

_BETWEEN_RESHAPES = op(
    "RESHAPE",
    op("BATCH_MATMUL", op("RESHAPE", "input", const("shape0"), name="initial"), "rhs", name="product"),
    const("shape1"),
)


def _rows(value: Value, first: int, last: int | None = None) -> int:
    """The product of the dimensions from `first` on, to `last` or else to the one but last."""
    shape = shape_of(value)
    return math.prod(shape[first : len(shape) - 1 if last is None else last + 1])


def _is_static(m: Match) -> bool:
    return m["input"].type.is_static and m["initial"].type.is_static and m.type.is_static


@declared(RULES, "FuseReshapesAroundBatchMatMulLHS", _BETWEEN_RESHAPES)
def _drop_reshapes(m: Match) -> Value | None:
    """A matrix of all rows at once, times a matrix: the batches need not be flattened."""
    return _without_reshapes(m, 0)


@declared(RULES, "FuseReshapesAroundBatchMatMulLHS1", _BETWEEN_RESHAPES)
def _drop_reshapes_of_one_batch(m: Match) -> Value | None:
    """The same with a first dimension of 1."""
    one = all(shape_of(m[name])[:1] == (1,) for name in ("rhs", "input"))
    return _without_reshapes(m, 1) if one else None


def _without_reshapes(m: Match, first: int) -> Value | None:
    x, initial, final = m["input"], m["initial"], m.root.result
    if not _is_static(m) or not has_rank(x, 2 + first) or rank_of(m["rhs"]) != 2 + first:
        return None
    if rank_of(initial) != 2 + first or (first == 0 and not has_rank(final, 2)):
        return None
    if shape_of(x)[-1:] != shape_of(initial)[-1:] or shape_of(x)[first:-1] != shape_of(final)[first:-1]:
        return None
    if _rows(x, first) != shape_of(initial)[-2] or _rows(final, first) != shape_of(m["product"])[-2]:
        return None
    return m.again(m.operation("product"), [x, m["rhs"]])


@declared(RULES, "FuseOutputReshape_BatchMatMulWithFlattenedContractingDims", _BETWEEN_RESHAPES)
def _keep_batch(m: Match) -> Value | None:
    """One batch whose last dimensions are flattened: the RESHAPE after goes, that before keeps the batch."""
    x, initial, final = m["input"], m["initial"], m.root.result
    if not _is_static(m) or not has_rank(x, 4) or rank_of(m["rhs"]) != 2 or rank_of(initial) != 2:
        return None
    if shape_of(x)[0] != 1 or shape_of(final)[:1] != (1,) or shape_of(m["product"])[-1] != shape_of(final)[-1]:
        return None
    if math.prod(shape_of(x)[2:]) != shape_of(initial)[-1] or _rows(x, 0, 1) != shape_of(initial)[-2]:
        return None
    if rank_of(final) < 2 or _rows(final, 0, 1) != shape_of(m["product"])[-2]:
        return None
    shape = (1, *shape_of(initial))
    return m.again(m.operation("product"), [m.reshape(x, shape, Type(x.type.element, shape)), m["rhs"]])


@declared(RULES, "FuseInputReshape_BatchMatMulWithFlattenedRhsDims", _BETWEEN_RESHAPES)
def _drop_reshape_before(m: Match) -> Value | None:
    """One batch, and columns that are split up after: the RESHAPE before goes."""
    x, initial, final = m["input"], m["initial"], m.root.result
    if not _is_static(m) or rank_of(m["rhs"]) != 2 or rank_of(x) != 3 or rank_of(initial) != 2:
        return None
    if shape_of(x)[0] != 1 or shape_of(x)[-1] != shape_of(initial)[-1] or _rows(x, 0, 1) != shape_of(initial)[-2]:
        return None
    if math.prod(shape_of(final)[2:]) != shape_of(m["product"])[-1]:
        return None
    kind = Type(m["product"].type.element, (1, *shape_of(m["product"])))
    product = m.again(m.operation("product"), [x, m["rhs"]], kind)
    return m.new("RESHAPE", [product, m.new_constant(m.array("shape1"), m.constant("shape1").type)])


def _swaps_last_two(constant: Constant) -> bool:
    order = integers(constant)
    rank = len(order)
    return rank >= 2 and order == [*range(rank - 2), rank - 1, rank - 2]


_TRANSPOSED = op("TRANSPOSE", "input", const("order"), name="transposed")


@declared(RULES, "FuseTransposeIntoBatchMatMulLHS", op("BATCH_MATMUL", _TRANSPOSED, "rhs", adj_x=False))
def _transpose_left(m: Match) -> Value | None:
    return m.again(m.root, [m["input"], m["rhs"]], adj_x=True) if _swaps_last_two(m.constant("order")) else None


@declared(RULES, "FuseTransposeIntoBatchMatMulRHS", op("BATCH_MATMUL", "lhs", _TRANSPOSED, adj_x=False, adj_y=False))
def _become_fully_connected(m: Match) -> Value | None:
    """x times a transposed matrix is what FULLY_CONNECTED does."""
    x = m["input"]
    if rank_of(x) != 2 or not x.type.is_static or not _swaps_last_two(m.constant("order")):
        return None
    options = schema.FullyConnectedOptions(
        keep_num_dims=True, asymmetric_quantize_inputs=option(m.root, "asymmetric_quantize_inputs")
    )
    product = m.new("FULLY_CONNECTED", [m["lhs"], x, None], options=options)
    assert product.owner is not None
    product.owner.attributes["implied"] = (1, names_of(m["lhs"], m.rewriter.function))
    return product


@declared(RULES, "FuseTransposeIntoBatchMatMulRHSAdjY", op("BATCH_MATMUL", "lhs", _TRANSPOSED, adj_y=False))
def _transpose_right(m: Match) -> Value | None:
    if not m["transposed"].has_one_use or not _swaps_last_two(m.constant("order")):
        return None
    return m.again(m.root, [m["lhs"], m["input"]], adj_y=True)


@declared(
    RULES,
    "FuseTransposeAfterBatchMatmul",
    op("TRANSPOSE", op("BATCH_MATMUL", "lhs", "rhs", name="product", adj_x=False, adj_y=True), const("order")),
)
def _swap_factors(m: Match) -> Value | None:
    """(a b')' is b a'."""
    return m.again(m.operation("product"), [m["rhs"], m["lhs"]]) if _swaps_last_two(m.constant("order")) else None


@declared(
    RULES,
    "BMMMoveConstantInputToRHS",
    op("BATCH_MATMUL", const("constant"), "rhs", adj_x=False, adj_y=False),
)
def _constant_to_the_right(m: Match) -> Value | None:
    """A constant column on the left and what it multiplies change places."""
    constant, rhs = m["constant"], m["rhs"]
    if rank_of(constant) != 2 or rank_of(rhs) != 2 or shape_of(constant)[-1] != 1 or not same_element(constant, rhs):
        return None
    if m.type.shape is None or len(m.type.shape) != 2:
        return None
    kind = Type(m.type.element, m.type.shape[::-1])
    return m.new("TRANSPOSE", [m.again(m.root, [rhs, constant], kind, adj_x=True, adj_y=True), m.new_shape([1, 0])])


def _constant_before(value: Value | None) -> list[int] | None:
    return None if value is None or value.constant is None else integers(value.constant)


def _put_reshape(place: Operation, rewriter: Rewriter, value: Value, shape: Shape, names: tuple[str, ...]) -> Value:
    constant = constant_operation(np.array(shape, np.int32), TensorType.INT32, names)
    constant.attributes["restored"] = True
    places = rewriter.insert_before(place, constant).result
    reshape = Operation("RESHAPE", [value, places], [Type(value.type.element, shape)], names=names)
    return rewriter.insert_before(place, reshape).result


@native("TRANSPOSE")
def fuse_around_product(transpose: Operation, rewriter: Rewriter) -> bool:
    """transpose(reshape(a reshape(transpose(b)))) is one product of b and a."""
    x, order = transpose.operands[:2]
    reshape = transpose.defining(0)
    if x is None or not x.type.is_static or rank_of(x) != 3 or _constant_before(order) != [1, 2, 0]:
        return False
    product = None if reshape is None or reshape.name != "RESHAPE" else reshape.defining(0)
    if reshape is None or product is None or product.name != "BATCH_MATMUL" or option(product, "adj_y"):
        return False
    inner = product.defining(1)
    if inner is None or inner.name != "RESHAPE" or inner.operands[0] is None or reshape.operands[0] is None:
        return False
    if not _adds_one_before_last(reshape.operands[0], reshape.result):
        return False
    if not _adds_one_before_last(inner.result, inner.operands[0]):
        return False
    turned = inner.defining(0)
    if turned is None or turned.name != "TRANSPOSE" or turned.operands[0] is None:
        return False
    permutation = _constant_before(turned.operands[1])
    rank = rank_of(inner.operands[0])
    if permutation is None or rank < 3 or permutation != [*range(2, rank), 0, 1]:
        return False
    b = turned.operands[0]
    shape = (*shape_of(b)[:2], math.prod(shape_of(b)[2:]))
    flat = _put_reshape(transpose, rewriter, b, shape, product.names)
    again = product.copy([flat, product.operands[0]], [transpose.result.type])
    again.options.adj_x, again.options.adj_y = False, not option(product, "adj_x")
    again.names = transpose.names
    rewriter.replace(transpose, rewriter.insert_before(transpose, again).result)
    return True


def _adds_one_before_last(small: Value, large: Value) -> bool:
    """Whether a matrix of m x n became … x 1 x n."""
    if not small.type.is_static or not large.type.is_static or rank_of(small) != 2 or rank_of(large) < 2:
        return False
    return shape_of(small)[-1] == shape_of(large)[-1] and shape_of(large)[-2] == 1


@native("BATCH_MATMUL")
def fuse_before_product(product: Operation, rewriter: Rewriter) -> bool:
    """a reshape(transpose(b)) where the last two axes come to the front and become one: a reshape(b)', transposed."""
    reshape = product.defining(1)
    if reshape is None or reshape.name != "RESHAPE" or reshape.operands[0] is None:
        return False
    before, after = reshape.operands[0], reshape.result
    if not before.type.is_static or not after.type.is_static or rank_of(before) < 2 or rank_of(after) < 1:
        return False
    transpose = reshape.defining(0)
    if shape_of(before)[2:] != shape_of(after)[1:] or transpose is None or transpose.name != "TRANSPOSE":
        return False
    order = _constant_before(transpose.operands[1])
    rank = rank_of(before)
    if order is None or rank < 3 or order != [rank - 2, rank - 1, *range(rank - 2)] or transpose.operands[0] is None:
        return False
    shape = (*shape_of(after)[1:], shape_of(after)[0])
    flat = _put_reshape(product, rewriter, transpose.operands[0], shape, product.names)
    again = product.copy([product.operands[0], flat])
    again.options.adj_y = not option(product, "adj_y")
    rewriter.replace(product, rewriter.insert_before(product, again).result)
    return True
