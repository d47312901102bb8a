"""Reductions of a window that slides along every dimension: REDUCE_WINDOW, STABLEHLO_REDUCE_WINDOW."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.tflite.schema import ReduceWindowFunction, TensorType

_TYPES = (
    TensorType.FLOAT32,
    TensorType.FLOAT64,
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
    TensorType.BOOL,
)
_MOST_DIMENSIONS = 6

#: what becomes of the result so far and the next number
_FUNCTIONS: dict[int, Callable[[Array, Array], Array]] = {
    ReduceWindowFunction.ADD: np.add,
    ReduceWindowFunction.MUL: np.multiply,
    ReduceWindowFunction.MINIMUM: lambda a, b: np.where(a <= b, a, b),
    ReduceWindowFunction.MAXIMUM: lambda a, b: np.where(a >= b, a, b),
    ReduceWindowFunction.ALL: np.logical_and,
    ReduceWindowFunction.ANY: np.logical_or,
}
#: the operators that a body of STABLEHLO_REDUCE_WINDOW may consist of
_BODIES = {
    **dict.fromkeys(("ADD", "STABLEHLO_ADD"), ReduceWindowFunction.ADD),
    **dict.fromkeys(("MUL", "STABLEHLO_MULTIPLY"), ReduceWindowFunction.MUL),
    **dict.fromkeys(("MINIMUM", "STABLEHLO_MINIMUM"), ReduceWindowFunction.MINIMUM),
    **dict.fromkeys(("MAXIMUM", "STABLEHLO_MAXIMUM"), ReduceWindowFunction.MAXIMUM),
    **dict.fromkeys(("LOGICAL_AND", "STABLEHLO_AND"), ReduceWindowFunction.ALL),
    **dict.fromkeys(("LOGICAL_OR", "STABLEHLO_OR"), ReduceWindowFunction.ANY),
}


@kernel("REDUCE_WINDOW")
def reduce_window(op: Operator) -> Run:
    """`init`, and then each number in a window after the other, taken together by `reduce_function`.

    A window of size 0 holds no numbers, one of dilation 0 the same number again and again.
    The window has a shape, a stride and a dilation along each dimension, constant tensors of int64, and never reaches
    beyond the input. Integers wrap, all and any give 0 or 1. Source: kernels/stablehlo_reduce_window.cc.
    """
    x = _checked(op)
    window = [op.input(i) for i in range(2, 5)]
    if any(t.type != TensorType.INT64 for t in window):
        raise op.unsupported()
    rank = len(x.dims)
    if any(t.value is None or t.value.size < rank for t in window):
        raise op.invalid(f"window, strides and dilations must be constants of {rank} numbers")
    rows = [[int(n) for n in t.value.ravel()[:rank]] for t in window if t.value is not None]
    if op.options.reduce_function not in _FUNCTIONS:
        raise op.unsupported(f"reduce function {op.options.reduce_function}")
    run = _windows(op, _FUNCTIONS[op.options.reduce_function], x.dims, *rows)
    return lambda x, init, *_: run(x, init)


@kernel("STABLEHLO_REDUCE_WINDOW")
def stablehlo_reduce_window(op: Operator) -> Run:
    """As REDUCE_WINDOW, on an input that is dilated by `base_dilations` and padded, or cropped, beforehand.

    What is put in is `init` again. The function is the one operator in the subgraph of the body.
    """
    x = _checked(op)
    options, rank = op.options, len(x.dims)

    def numbers(name: str, count: int, otherwise: int) -> list[int]:
        given = getattr(options, name)
        row = [otherwise] * count if given is None or not len(given) else [int(n) for n in given]
        if len(row) != count or (name != "padding" and min(row) < 1):
            raise op.invalid(f"{name} {row} of a tensor of {rank} dimensions")
        return row

    if options.window_dimensions is None or not len(options.window_dimensions):
        raise op.invalid("the window has no dimensions")
    window = [numbers(name, rank, 1) for name in ("window_dimensions", "window_strides", "window_dilations")]
    dilations, padding = numbers("base_dilations", rank, 1), numbers("padding", 2 * rank, 0)
    if op.subgraphs is None:
        raise op.invalid("there are no subgraphs")
    body = op.subgraphs.operators(op, options.body_subgraph_index)
    if len(body) != 1 or body[0] not in _BODIES:
        raise op.unsupported(f"a body of {body}")
    shape, spread = _spread(op, x.dims, dilations, padding)
    run = _windows(op, _FUNCTIONS[_BODIES[body[0]]], shape, *window)
    return lambda x, init: run(spread(x, init), init)


def _checked(op: Operator) -> TensorInfo:
    x, init, out = op.input(0), op.input(1), op.output()
    if x.type not in _TYPES or not x.type == init.type == out.type:
        raise op.unsupported()
    if not 0 < len(x.dims) <= _MOST_DIMENSIONS:
        raise op.invalid(f"takes 1 to {_MOST_DIMENSIONS} dimensions, got shape {x.dims}")
    if not math.prod(init.dims):
        raise op.invalid("the initial value is empty")
    return x


def _windows(
    op: Operator,
    function: Callable[[Array, Array], Array],
    shape: Shape,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Callable[[Array, Array], Array]:
    """The function of the input and the initial value; sets the output's shape."""
    if min(*window, *dilations) < 0 or min(strides) < 1:
        raise op.invalid(f"a window of {window} with strides of {strides} and dilations of {dilations}")
    reach = [(n - 1) * dilation + 1 for n, dilation in zip(window, dilations)]
    out = tuple((n - r) // stride + 1 if n >= r else 0 for n, r, stride in zip(shape, reach, strides))
    op.output().shape = out
    dtype = op.output().dtype
    inner = np.dtype(np.int8) if dtype == np.bool_ else dtype  # truths are added and multiplied as bytes
    taps = window if math.prod(out) else [0]

    def run(x: Array, init: Array) -> Array:
        x = x.view(inner)
        result = np.full(out, init.ravel()[0], inner)
        for tap in np.ndindex(*taps):
            begins = [t * dilation for t, dilation in zip(tap, dilations)]
            places = (slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begins, out, strides))
            result = function(result, x[tuple(places)]).astype(inner)
        return result.astype(dtype)

    return run


def _spread(
    op: Operator, dims: Shape, dilations: Sequence[int], padding: Sequence[int]
) -> tuple[Shape, Callable[[Array, Array], Array]]:
    """The shape of the input once it is dilated and padded, and the function that does it."""
    before, after = padding[::2], padding[1::2]
    dilated = [(n - 1) * d + 1 if n or d == 1 else -1 for n, d in zip(dims, dilations)]
    if min(dilated) < 0:
        raise op.unsupported(f"a dilated input of shape {dims}")
    shape = tuple(n + b + a for n, b, a in zip(dilated, before, after))
    if any(padding) and (min(shape) < 1 or math.prod(shape) >= MOST_ELEMENTS):
        raise op.invalid(f"padding {list(padding)} makes a shape of {list(shape)}")

    def spread(x: Array, init: Array) -> Array:
        wide = np.full(dilated, init.ravel()[0], x.dtype)
        wide[tuple(slice(None, None, d) for d in dilations)] = x
        padded = np.full(shape, init.ravel()[0], x.dtype)
        kept = [max(0, n + min(b, 0) + min(a, 0)) for n, b, a in zip(dilated, before, after)]
        source = tuple(slice(max(-b, 0), max(-b, 0) + n) for b, n in zip(before, kept))
        target = tuple(slice(max(b, 0), max(b, 0) + n) for b, n in zip(before, kept))
        if all(kept):
            padded[target] = wide[source]
        return padded

    return shape, spread
