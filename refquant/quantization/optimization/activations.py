"""Activations: fused into what comes before, recognized in maxima and minima, moved before what only moves numbers.

Source: optimize_patterns.td.
"""

from __future__ import annotations

from refquant.quantization.ir import Operation, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    changed_options,
    const,
    declared,
    fused_names,
    native,
    op,
    plain,
)
from refquant.quantization.optimization.shapes import (
    is_all,
    is_all_of_any_type,
    is_below,
    rank_of,
    same_element,
)
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType as Activation
from refquant.tflite.schema import TensorType

RULES: list[Rule] = []

FUSED = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}
_RELUS = " ".join(FUSED)
_TAKES_ACTIVATION = "CONV_2D DEPTHWISE_CONV_2D AVERAGE_POOL_2D MAX_POOL_2D ADD SUB DIV MUL"


@declared(RULES, "FuseActivation", op(_RELUS, plain(_TAKES_ACTIVATION, name="inner")))
def _fuse(m: Match) -> Value | None:
    """relu(add(x, y)) -> add with an activation."""
    if not m["inner"].has_one_use:
        return None
    inner = m.operation("inner")
    return m.again(inner, [*inner.operands], fused_activation_function=FUSED[m.root.name])


@native(_RELUS)
def fuse_into_fully_connected(relu: Operation, rewriter: Rewriter) -> bool:
    """relu(fully_connected(x)) -> fully_connected with an activation, also where others use the result without it."""
    dense = relu.defining(0)
    if dense is None or dense.name != "FULLY_CONNECTED":
        return False
    if dense.options is not None and dense.options.fused_activation_function:
        return False
    fused = dense.copy(types=[relu.result.type])
    fused.options = changed_options(dense, fused_activation_function=FUSED[relu.name])
    fused.names = fused_names([dense, relu])
    rewriter.replace(relu, rewriter.insert_before(relu, fused).result)
    return True


_OF_NUMBERS = "CEIL EXP FLOOR NEG RELU RELU_N1_TO_1 RELU6 ROUND TANH SQRT SQUARE LOGISTIC"
_OF_PLACES = "DEPTH_TO_SPACE EXPAND_DIMS SQUEEZE RESHAPE TRANSPOSE"


@declared(RULES, "ReorderElementwiseAndMoveOperations", op(_OF_NUMBERS, op(_OF_PLACES, "input", name="move")))
def _move_forward(m: Match) -> Value | None:
    """exp(reshape(x)) -> reshape(exp(x))."""
    move = m.operation("move")
    if not same_element(m["input"], m.root.result) or not m["move"].has_one_use:
        return None
    value = m.again(m.root, [m["input"]], m["input"].type)
    return m.again(move, [value, *move.operands[1:]])


@declared(RULES, "OptimizeReluSquaredDifference", op("RELU", op("SQUARED_DIFFERENCE", "a", "b")))
def _relu_of_square(m: Match) -> Value | None:
    """What is never negative needs no relu."""
    return m.new("SQUARED_DIFFERENCE", [m["a"], m["b"]])


@declared(RULES, "MatchReluPattern", op("MAXIMUM", "x", const("zero")))
def _relu(m: Match) -> Value | None:
    return m.new("RELU", [m["x"]]) if is_all(m.constant("zero"), 0) else None


@declared(RULES, "MinimumOfReluAnd6ToRelu6", op("MINIMUM", op("RELU", "x"), const("six")))
@declared(RULES, "MinimumOfReluAnd6ToRelu62", op("RELU", op("MINIMUM", "x", const("six"))))
def _relu6(m: Match) -> Value | None:
    return m.new("RELU6", [m["x"]]) if is_all_of_any_type(m.constant("six"), 6) else None


_BETWEEN = (
    op("MINIMUM", op("MAXIMUM", "x", const("low")), const("high")),
    op("MAXIMUM", op("MINIMUM", "x", const("high")), const("low")),
)


@declared(RULES, "MatchRelu0To1Pattern", *_BETWEEN)
def _relu_0_to_1(m: Match) -> Value | None:
    between = is_all(m.constant("low"), 0) and is_all(m.constant("high"), 1)
    return m.new("RELU_0_TO_1", [m["x"]]) if between else None


@declared(RULES, "MatchRelu1Pattern", *_BETWEEN)
def _relu_n1_to_1(m: Match) -> Value | None:
    between = is_all(m.constant("low"), -1) and is_all(m.constant("high"), 1)
    return m.new("RELU_N1_TO_1", [m["x"]]) if between else None


@declared(RULES, "MatchLeakyRelu", op("MAXIMUM", plain("MUL", "x", const("alpha"), name="product"), "x"))
def _leaky_relu(m: Match) -> Value | None:
    """maximum(alpha x, x)."""
    alpha = m.constant("alpha")
    if alpha.type != TensorType.FLOAT32 or not is_below(alpha, 1) or not m["product"].has_one_use:
        return None
    return m.new("LEAKY_RELU", [m["x"]], options=schema.LeakyReluOptions(float(alpha.array.flat[0])))


@declared(
    RULES,
    "FuseLeakyReluConst",
    op(
        "SELECT",
        op("GREATER_EQUAL", "x", const("zero"), name="comparison"),
        "x",
        plain("MUL", "x", const("alpha"), name="product"),
    ),
)
def _leaky_relu_of_select(m: Match) -> Value | None:
    """x where x >= 0, alpha x elsewhere."""
    alpha = m.constant("alpha")
    if alpha.type != TensorType.FLOAT32 or not is_all(m.constant("zero"), 0) or not alpha.is_splat:
        return None
    if not m["comparison"].has_one_use or not m["product"].has_one_use:
        return None
    return m.new("LEAKY_RELU", [m["x"]], options=schema.LeakyReluOptions(float(alpha.array.flat[0])))


@declared(
    RULES,
    "MatchPRelu",
    plain(
        "ADD",
        op("RELU", "x", name="relu"),
        plain("MUL", op("RELU", op("NEG", "x", name="negative")), "slope", name="product"),
    ),
)
def _prelu(m: Match) -> Value | None:
    """relu(x) + slope relu(-x), as Keras writes it."""
    if rank_of(m["slope"]) != rank_of(m["x"]) - 1:
        return None
    if not all(m[name].has_one_use for name in ("relu", "product", "negative")):
        return None
    return m.new("PRELU", [m["x"], m.new("NEG", [m["slope"]], m["slope"].type)])


@declared(
    RULES,
    "FuseEluConst",
    op(
        "SELECT",
        op("GREATER", "x", const("zero")),
        "x",
        plain(
            "SUB",
            op("EXP", op("SELECT", op("GREATER", "x", const("zero1")), const("zero2"), "x", name="select"), name="exp"),
            const("one"),
            name="difference",
        ),
    ),
)
def _elu(m: Match) -> Value | None:
    """x where x > 0, exp(x) - 1 elsewhere."""
    if not all(is_all(m.constant(name), 0) for name in ("zero", "zero1", "zero2")) or not is_all(m.constant("one"), 1):
        return None
    if not all(m[name].has_one_use for name in ("select", "exp", "difference")):
        return None
    return m.new("ELU", [m["x"]])
