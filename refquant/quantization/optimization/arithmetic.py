"""Arithmetic with constants, reductions and powers made simpler.

Source: optimize_patterns.td.
"""

from __future__ import annotations

import numpy as np

from refquant.quantization.ir import Value
from refquant.quantization.optimization.rules import (
    NO_ACTIVATION,
    Match,
    Rule,
    activation_of,
    const,
    declared,
    op,
    plain,
)
from refquant.quantization.optimization.shapes import (
    broadcast_type,
    ends_in_size_of,
    has_rank,
    integers,
    is_int32,
    is_scalar,
    is_tail,
    rank_of,
    shape_of,
)
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, TensorType

RULES: list[Rule] = []


@declared(RULES, "ReorderAddToAllowConstFold", op("ADD", plain("ADD", "x", const("a"), name="inner"), const("b")))
def _add_constants_first(m: Match) -> Value | None:
    """(x + a) + b -> x + (a + b)."""
    if activation_of(m.root) > ActivationFunctionType.RELU6 or not m["inner"].has_one_use:
        return None
    if not all(has_rank(m[name], 0, 4) for name in ("x", "a", "b")):
        return None
    a, b = (m.new_constant(m.array(name), m.constant(name).type) for name in ("a", "b"))
    total = m.again(m.root, [a, b], broadcast_type(a, b), **NO_ACTIVATION)
    return m.again(m.root, [m["x"], total])


@declared(RULES, "RealDivWithF32ConstDivisor", op("DIV", "x", const("divisor")))
def _multiply_by_reciprocal(m: Match) -> Value | None:
    """x / c -> x (1 / c)."""
    divisor = m.constant("divisor")
    if divisor.type != TensorType.FLOAT32:
        return None
    one = m.new_constant(np.ones((), np.float32), TensorType.FLOAT32)
    again = m.new_constant(divisor.array, divisor.type)
    reciprocal = m.new("DIV", [one, again], again.type, schema.DivOptions())
    return m.new("MUL", [m["x"], reciprocal], options=schema.MulOptions(activation_of(m.root)))


@declared(RULES, "OptimizeMul1ToIdentity", plain("MUL", "x", const("one")))
def _multiply_by_one(m: Match) -> Value | None:
    one = m.constant("one")
    return m["x"] if one.type == TensorType.FLOAT32 and np.all(one.array == 1) and m["x"].type == m.type else None


@declared(RULES, "AddComputedZeroLHS", plain("ADD", op("SUB", "y", "y"), "x"))
@declared(RULES, "AddComputedZeroRHS", plain("ADD", "x", op("SUB", "y", "y")))
def _add_nothing(m: Match) -> Value | None:
    """x + (y - y) -> x."""
    return m["x"] if m["x"].type == m.type else None


@declared(RULES, "OptimizePow", op("POW", "x", const("exponent")))
def _simple_power(m: Match) -> Value | None:
    x, exponent = m["x"], m.constant("exponent")
    if is_scalar(exponent, 1):
        return x
    if is_scalar(exponent, 2):
        return m.new("MUL", [x, x], options=schema.MulOptions())
    if is_scalar(exponent, 0.5):
        return m.new("SQRT", [x])
    return m.new("RSQRT", [x]) if is_scalar(exponent, -0.5) else None


@declared(RULES, "UndoBroadcastFullyConnectedBiasAdd", plain("ADD", "x", const("bias")))
def _flatten_bias_of_dense(m: Match) -> Value | None:
    users = m["bias"].users
    if not all(user.name == "ADD" and _maker(user.operands[0]) == "FULLY_CONNECTED" for user in users):
        return None
    return _flattened_bias(m, "FULLY_CONNECTED")


@declared(RULES, "UndoBroadcastConvBiasAdd", plain("ADD", "x", const("bias")))
def _flatten_bias_of_convolution(m: Match) -> Value | None:
    return _flattened_bias(m, "CONV_2D") if m["bias"].has_one_use else None


def _flattened_bias(m: Match, maker: str) -> Value | None:
    """A bias of 1 x 1 x c as a vector."""
    x, bias = m["x"], m["bias"]
    if _maker(x) != maker or not x.type.is_static or not ends_in_size_of(bias, bias) or not has_rank(bias, 2, 4):
        return None
    return m.again(m.root, [x, m.new_constant(m.array("bias").reshape(-1), m.constant("bias").type)])


def _maker(value: Value | None) -> str:
    return "" if value is None or value.owner is None else value.owner.name


_REDUCTIONS = "MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM"


@declared(
    RULES,
    "FoldReshapeTo",
    op("RESHAPE", op(_REDUCTIONS, "x", const("axes"), name="reduced", keep_dims=False), const("shape")),
)
def _keep_dims(m: Match) -> Value | None:
    """A RESHAPE that brings back the reduced dimensions."""
    x, axes, shape = m["x"], m.constant("axes"), m.constant("shape")
    if not is_int32(axes) or not is_int32(shape) or x.type.shape is None or not m["reduced"].has_one_use:
        return None
    wanted = [1 if i in integers(axes) else n for i, n in enumerate(shape_of(x))]
    if integers(shape) != wanted:
        return None
    again = m.new_constant(axes.array, axes.type)
    return m.again(m.operation("reduced"), [x, again], keep_dims=True)


@declared(RULES, "EliminateNoOpReductionOp", op(f"REDUCE_ANY REDUCE_ALL {_REDUCTIONS}", "x", const("axes")))
def _reduce_nothing(m: Match) -> Value | None:
    x, result = m["x"], m.root.result
    return x if is_tail(x, result) and is_tail(result, x) else None


@declared(RULES, "EliminateCumSumInclusive", op("CUMSUM", "x", const("axis"), exclusive=False))
def _sum_of_one(m: Match) -> Value | None:
    """The sums along an axis of length 1."""
    x, axes = m["x"], m.constant("axis")
    if not is_int32(axes) or x.type.shape is None:
        return None
    rank = rank_of(x)
    places = [axis + rank if axis < 0 else axis for axis in integers(axes)]
    return x if all(0 <= axis < rank and shape_of(x)[axis] == 1 for axis in places) else None
