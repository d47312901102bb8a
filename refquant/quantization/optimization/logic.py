"""Selections, booleans, and comparisons of what was a boolean before.

Source: optimize_patterns.td.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.ir import Constant, Operation, Type, Value
from refquant.quantization.optimization.rules import (
    Match,
    Rule,
    Tree,
    const,
    constant_operation,
    declared,
    names_of,
    op,
)
from refquant.quantization.optimization.shapes import is_all_of_any_type, rank_of, shape_of
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

RULES: list[Rule] = []

_SELECTS = "SELECT SELECT_V2"


def _is_all(constant: Constant, truth: bool) -> bool:
    return constant.type == TensorType.BOOL and bool(np.all(constant.array == truth))


@declared(RULES, "OptimizeSelectFalse", op(_SELECTS, const("condition"), "x", "y"))
def _select_second(m: Match) -> Value | None:
    return m["y"] if m["y"].type == m.type and _is_all(m.constant("condition"), False) else None


@declared(RULES, "OptimizeSelectTrue", op(_SELECTS, const("condition"), "x", "y"))
def _select_first(m: Match) -> Value | None:
    return m["x"] if m["x"].type == m.type and _is_all(m.constant("condition"), True) else None


@declared(RULES, "OptimizeSelectNot", op(_SELECTS, op("LOGICAL_NOT", "condition"), "x", "y"))
def _select_the_other_way(m: Match) -> Value | None:
    return m.again(m.root, [m["condition"], m["y"], m["x"]])


@declared(RULES, "OptimizeSelectIsNoop", op(_SELECTS, "condition", const("x"), const("y")))
def _select_truth(m: Match) -> Value | None:
    condition = m["condition"]
    if condition.type != m.type:
        return None
    if _is_all(m.constant("x"), False) and _is_all(m.constant("y"), True):
        return m.new("LOGICAL_NOT", [condition])
    return condition if _is_all(m.constant("x"), True) and _is_all(m.constant("y"), False) else None


@declared(RULES, "EliminateLogical", op("LOGICAL_AND LOGICAL_OR", "x", const("constant")))
def _with_constant(m: Match) -> Value | None:
    """x and true, x or false: x; x and false, x or true: the constant."""
    constant = m.constant("constant")
    neutral = m.root.name == "LOGICAL_AND"
    if _is_all(constant, neutral):
        return m["x"] if m["x"].type == m.type else None
    return m["constant"] if _is_all(constant, not neutral) and m["constant"].type == m.type else None


_CAST = op("CAST", "truth")

#: what a comparison of a cast boolean with zero is: the boolean, its opposite, always true, never true
_Outcome = Callable[[Match], Value]


def _truth(m: Match) -> Value:
    return m["truth"]


def _opposite(m: Match) -> Value:
    return m.new("LOGICAL_NOT", [m["truth"]])


def _never(m: Match) -> Value:
    return m.new("ZEROS_LIKE", [m["truth"]])


def _always(m: Match) -> Value:
    return m.new("LOGICAL_NOT", [m.new("ZEROS_LIKE", [m["truth"]], m["truth"].type)])


#: the outcome where the boolean is on the left, and where it is on the right
_COMPARED_WITH_ZERO: dict[str, tuple[_Outcome, _Outcome]] = {
    "EQUAL": (_opposite, _opposite),
    "NOT_EQUAL": (_truth, _truth),
    "LESS": (_never, _truth),
    "LESS_EQUAL": (_opposite, _always),
    "GREATER": (_truth, _never),
    "GREATER_EQUAL": (_always, _opposite),
}


def _compared(position: int, *operands: Tree) -> None:
    @declared(RULES, "CompareCast", op(" ".join(_COMPARED_WITH_ZERO), *operands))
    def _compare_cast(m: Match) -> Value | None:
        if not is_all_of_any_type(m.constant("zero"), 0) or m["truth"].type != m.type:
            return None
        return _COMPARED_WITH_ZERO[m.root.name][position](m)


_compared(0, _CAST, const("zero"))
_compared(1, const("zero"), _CAST)


@declared(RULES, "ReshapeEqualOpToOneHotOp", op("EQUAL", "x", const("series")))
def _one_hot(m: Match) -> Value | None:
    """x == [0, 1, 2, …] with a last dimension of 1."""
    x, series = m["x"], m.constant("series")
    if series.type not in (TensorType.INT32, TensorType.INT64) or rank_of(x) < 2 or shape_of(x)[-1] != 1:
        return None
    if not x.type.is_static and rank_of(x) != 2:
        return None
    shape = series.array.shape
    if not shape or any(n != 1 for n in shape[:-1]) or series.array.reshape(-1).tolist() != list(range(shape[-1])):
        return None
    dropped = shape_of(x)[:-1] if x.type.is_static else (-1,)
    names = names_of(x, m.rewriter.function)
    sides = m.put(constant_operation(np.array(dropped, np.int32), TensorType.INT32, names))
    indices = m.put(Operation("RESHAPE", [x, sides], [Type(x.type.element, dropped)], names=names))
    depth = m.new_constant(np.array(series.array.size, np.int32), TensorType.INT32)
    on, off = (m.new_constant(np.array(truth), TensorType.BOOL) for truth in (True, False))
    return m.new("ONE_HOT", [indices, depth, on, off], options=schema.OneHotOptions(-1))


@declared(
    RULES,
    "FuseOneHotAndCastToFloat",
    op("CAST", op("ONE_HOT", "indices", "depth", const("on"), const("off"), name="hot")),
)
def _one_hot_of_floats(m: Match) -> Value | None:
    if m.type.element != TensorType.FLOAT32:
        return None
    on, off = (m.new_constant(_as_float(m.constant(name)), TensorType.FLOAT32) for name in ("on", "off"))
    return m.again(m.operation("hot"), [m["indices"], m["depth"], on, off])


def _as_float(constant: Constant) -> Array:
    if constant.array.dtype.kind == "f":
        return constant.array
    first = constant.array.reshape(-1)[:1]
    return np.array(first[0] if first.size else 0, np.float32)
