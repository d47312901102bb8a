"""Functions written out of smaller operations, recognized and made one operation.

Source: optimize_patterns.td, optimize_pass.cc.
"""

from __future__ import annotations

import numpy as np

from refquant.quantization.ir import Operation, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    Tree,
    activation_of,
    const,
    declared,
    native,
    op,
    option,
    plain,
)
from refquant.quantization.optimization.shapes import (
    integers,
    is_all,
    is_below,
    is_int32,
    is_last_axis,
    is_scalar,
    rank_of,
    shape_of,
)
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType

RULES: list[Rule] = []


def _constants_are(m: Match, **numbers: float) -> bool:
    """Whether the constants of these names consist of these numbers, as float32."""
    return all(is_all(m.constant(name), number) for name, number in numbers.items())


def _used_once(m: Match, *names: str) -> bool:
    return all(m[name].has_one_use for name in names)


# x relu6(x + 3) / 6


def _relu6_of_sum() -> Tree:
    return op("ADD", "x", const("three"), fused_activation_function=ActivationFunctionType.RELU6)


def _pair_of(tree: Tree) -> Tree:
    """Quantized and back again, as training with quantization in mind left it in the file."""
    return op("DEQUANTIZE", op("QUANTIZE", tree))


@declared(
    RULES,
    "MatchHardSwishPattern1",
    plain("MUL", plain("MUL", "x", _relu6_of_sum()), const("sixth")),
    plain("MUL", "x", plain("MUL", _relu6_of_sum(), const("sixth"))),
    plain("MUL", plain("MUL", _relu6_of_sum(), const("sixth")), "x"),
)
@declared(
    RULES,
    "MatchHardSwishQuantized",
    plain("MUL", _pair_of(plain("MUL", "x", _pair_of(_relu6_of_sum()))), const("sixth")),
)
def _hard_swish(m: Match) -> Value | None:
    exact = is_scalar(m.constant("three"), 3) and is_scalar(m.constant("sixth"), 0.166666666)
    return m.new("HARD_SWISH", [m["x"]]) if exact else None


@declared(RULES, "MatchHardSwishPattern5", plain("MUL", "x", plain("DIV", _relu6_of_sum(), const("six"))))
def _hard_swish_divided(m: Match) -> Value | None:
    return m.new("HARD_SWISH", [m["x"]]) if _constants_are(m, three=3, six=6) else None


@declared(RULES, "MatchHardSwishPattern6", plain("MUL", "x", plain("MUL", _relu6_of_sum(), const("sixth"))))
def _hard_swish_of_vectors(m: Match) -> Value | None:
    return m.new("HARD_SWISH", [m["x"]]) if _constants_are(m, three=3, sixth=0.166666672) else None


# x / sqrt(sum(x x))

_INVERSE = {"MUL": "RSQRT", "DIV": "SQRT"}


def _norms(root: str) -> list[Tree]:
    """The ways to write x / |x|: of the square, with a small number added, or as a lower limit; reshaped or not."""
    inverse = _INVERSE[root]
    square = op("SUM", op("SQUARE", "x", name="square"), const("axis"))
    product = op("SUM", plain("MUL", "x", "x", name="square"), const("axis"), keep_dims=False)
    kept = [square, plain("ADD", square, const("epsilon")), op("MAXIMUM", square, const("epsilon"))]
    length = op(inverse, product)
    dropped = [length, plain("ADD", length, const("epsilon")), op("MAXIMUM", length, const("epsilon"))]
    return [
        *(plain(root, "x", op(inverse, sum_of_squares)) for sum_of_squares in kept),
        *(plain(root, "x", op("RESHAPE", value, const("shape"), name="reshaped")) for value in dropped),
    ]


@declared(RULES, "L2NormalizePattern", *_norms("MUL"), *_norms("DIV"))
def _l2_normalization(m: Match) -> Value | None:
    axes, rank = m.constant("axis"), rank_of(m["square"])
    if not is_int32(axes) or not axes.array.size:
        return None
    if integers(axes)[0] not in (rank - 1, -1) and integers(axes) != list(range(rank)):
        return None
    if "epsilon" in m.values and not is_below(m.constant("epsilon"), 1e-3):
        return None
    if "reshaped" in m.values and not _adds_last_dimension(m.operation("reshaped")):
        return None
    return m.new("L2_NORMALIZATION", [m["x"]], options=schema.L2NormOptions())


def _adds_last_dimension(reshape: Operation) -> bool:
    value = reshape.operands[0]
    if value is None or value.type.shape is None or reshape.result.type.shape is None:
        return False
    return (*shape_of(value), 1) == shape_of(reshape.result)


# softmax


@declared(
    RULES,
    "OptimizeToSoftmax",
    plain("DIV", op("EXP", "x", name="exp"), op("SUM", "summed", const("axes"), name="sum", keep_dims=True)),
)
def _softmax(m: Match) -> Value | None:
    """exp(x) / sum(exp(x))."""
    axes, exp = m.constant("axes"), m["exp"]
    if m["summed"] is not exp or not is_int32(axes) or not is_last_axis(axes, exp):
        return None
    if len(exp.uses) != 2 or not m["sum"].has_one_use:
        return None
    return m.new("SOFTMAX", [m["x"]], options=schema.SoftmaxOptions(1.0))


@declared(
    RULES,
    "FoldNormalizationIntoSoftmax",
    op(
        "SOFTMAX",
        plain("SUB", "x", op("REDUCE_MAX", "x", const("axes"), name="max", keep_dims=True), name="difference"),
    ),
)
def _softmax_without_maximum(m: Match) -> Value | None:
    """softmax(x - max(x)): the operator subtracts the maximum anyway."""
    axes = m.constant("axes")
    if not is_int32(axes) or not is_last_axis(axes, m["x"]) or not _used_once(m, "difference", "max"):
        return None
    return m.again(m.root, [m["x"]])


@declared(
    RULES,
    "FoldNormalizationIntoSoftmaxJaxWithAxisMinus1",
    op(
        "SOFTMAX",
        plain(
            "SUB",
            "x",
            op(
                "RESHAPE",
                op(
                    "MAXIMUM",
                    op("REDUCE_MAX", "x", const("axes"), name="max", keep_dims=False),
                    const("lowest"),
                    name="maximum",
                ),
                const("shape"),
                name="reshaped",
            ),
            name="difference",
        ),
    ),
)
def _softmax_of_jax(m: Match) -> Value | None:
    axes, lowest = m.constant("axes"), m.array("lowest")
    if not is_int32(axes) or not is_last_axis(axes, m["x"]) or lowest.dtype != np.float32 or lowest.size != 1:
        return None
    if lowest.flat[0] > np.finfo(np.float32).min or not _used_once(m, "maximum", "reshaped", "difference", "max"):
        return None
    return m.again(m.root, [m["x"]])


@native("SUB")
def log_softmax(difference: Operation, rewriter: Rewriter) -> bool:
    """y - log(sum(exp(y))) with y = x - max(x)."""
    log, y = difference.defining(1), difference.defining(0)
    total = None if log is None or log.name != "LOG" else log.defining(0)
    exp = None if total is None or total.name != "SUM" else total.defining(0)
    if activation_of(difference) or log is None or total is None or exp is None or exp.name != "EXP":
        return False
    if y is None or y.name != "SUB" or exp.defining(0) is not y or len(y.result.uses) != 2:
        return False
    maximum = y.defining(1)
    if maximum is None or maximum.name != "REDUCE_MAX" or maximum.operands[0] is not y.operands[0]:
        return False
    if not all(o.result.has_one_use for o in (log, total, exp, maximum)):
        return False
    if not all(option(o, "keep_dims") and _is_over_last_axis(o) for o in (total, maximum)):
        return False
    made = Operation("LOG_SOFTMAX", [y.operands[0]], [difference.result.type], names=difference.names)
    rewriter.replace(difference, rewriter.insert_before(difference, made).result)
    return True


def _is_over_last_axis(reduction: Operation) -> bool:
    x, axes = reduction.operands[:2]
    return x is not None and axes is not None and axes.constant is not None and is_last_axis(axes.constant, x)


@declared(
    RULES,
    "RemoveSoftmaxOpBefore",
    op("ARG_MIN ARG_MAX", op("SOFTMAX LOG_SOFTMAX", "x", name="softmax"), const("axes")),
)
def _arg_max_of_softmax(m: Match) -> Value | None:
    """Softmax does not change which is the largest."""
    axes = m.constant("axes")
    if not m["softmax"].has_one_use or not is_int32(axes) or not is_last_axis(axes, m["x"]):
        return None
    return m.again(m.root, [m["x"], m["axes"]])


# 1 / (1 + exp(-x))


@declared(
    RULES,
    "FuseSigmoid",
    plain(
        "DIV",
        const("one"),
        plain("ADD", op("EXP", op("NEG", "x", name="negative"), name="exp"), const("one1"), name="sum"),
    ),
)
def _logistic(m: Match) -> Value | None:
    if not _constants_are(m, one=1, one1=1) or not _used_once(m, "negative", "exp", "sum"):
        return None
    return m.new("LOGISTIC", [m["x"]])


# gelu


def _gelus() -> list[Tree]:
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), with the half at either place and three ways to write x^3."""
    square = plain("MUL", "x", "x", name="square")
    cubes = [
        op("POW", "x", const("three"), name="cube"),
        plain("MUL", "x", square, name="cube"),
        plain("MUL", square, "x", name="cube"),
    ]
    trees = []
    for cube in cubes:
        term = plain("MUL", cube, const("coefficient"), name="term")
        inner = plain("MUL", plain("ADD", "x", term, name="inner_sum"), const("root"), name="inner")
        outer = plain("ADD", op("TANH", inner, name="tanh"), const("one"), name="outer_sum")
        trees.append(plain("MUL", plain("MUL", "x", const("half"), name="halved"), outer))
        trees.append(plain("MUL", "x", plain("MUL", outer, const("half"), name="halved")))
    return trees


@declared(RULES, "MatchGeluApproximate", *_gelus())
def _gelu(m: Match) -> Value | None:
    if not _constants_are(m, half=0.5, one=1, root=0.797884583, coefficient=0.044715):
        return None
    names = ["halved", "outer_sum", "tanh", "inner", "inner_sum", "term", "cube"]
    if "three" in m.values and not _constants_are(m, three=3):
        return None
    if not _used_once(m, *names, *(["square"] if "square" in m.values else [])):
        return None
    return m.new("GELU", [m["x"]], options=schema.GeluOptions(True))
