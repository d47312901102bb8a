"""XNNPACK's float32 functions of one and of two tensors, element by element.

Sources: src/configs/unary-elementwise-config.c and binary-elementwise-config.c, which choose among the kernels of
f32-vunary, f32-vbinary and their like; operators/binary-elementwise-nd.c; delegates/xnnpack/xnnpack_delegate.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from refquant.kernels.elementwise import broadcast_shape
from refquant.kernels.registry import XNNPACK_FLOATS, Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.xnnpack.float_clamp import clamp, float_range, range_of
from refquant.numerics import flushed, xnnpack_functions
from refquant.numerics.flushed import flush
from refquant.numerics.selection import choose
from refquant.numerics.steps import noted
from refquant.tflite.schema import ActivationFunctionType, GeluOptions, LeakyReluOptions

Function = Callable[[Array], Array]
Pair = Callable[[Array, Array], Array]


def _unary(op: Operator, function: Function) -> Run:
    op.output().shape = op.input(0).dims
    return function


def _register(name: str, function: Function) -> None:
    def run(op: Operator) -> Run:
        return _unary(op, function)

    run.__name__, run.__doc__ = name.lower(), function.__doc__
    kernel(name, profile=XNNPACK_FLOATS)(run)


#: ABS alone keeps subnormal numbers: it takes off the sign by logic
_UNARY: dict[str, Function] = {
    "ABS": np.abs,
    "CEIL": lambda x: np.ceil(flush(x)),
    "COS": xnnpack_functions.cos,
    "ELU": xnnpack_functions.elu,
    "EXP": xnnpack_functions.exp,
    "FLOOR": lambda x: np.floor(flush(x)),
    "HARD_SWISH": xnnpack_functions.hard_swish,
    "LOGISTIC": xnnpack_functions.sigmoid,
    "NEG": lambda x: np.float32(0) - flush(x),
    "RELU": lambda x: clamp(x, float_range(ActivationFunctionType.RELU)),
    "RELU6": lambda x: clamp(x, float_range(ActivationFunctionType.RELU6)),
    "RELU_N1_TO_1": lambda x: clamp(x, float_range(ActivationFunctionType.RELU_N1_TO_1)),
    "ROUND": lambda x: np.rint(flush(x)),
    "RSQRT": xnnpack_functions.reciprocal_square_root,
    "SIN": xnnpack_functions.sin,
    "SQRT": xnnpack_functions.square_root,
    "SQUARE": lambda x: flushed.multiply(flush(x), flush(x)),
    "TANH": xnnpack_functions.tanh,
}
for _name, _function in _UNARY.items():
    _register(_name, _function)


@kernel("GELU", profile=XNNPACK_FLOATS)
def gelu(op: Operator) -> Run:
    """x / 2 * (1 + erf(x / sqrt 2)), or what is near it, by one quotient of polynomials or another."""
    approximate = isinstance(op.options, GeluOptions) and op.options.approximate
    return _unary(op, xnnpack_functions.approximate_gelu if approximate else xnnpack_functions.gelu)


@kernel("LEAKY_RELU", profile=XNNPACK_FLOATS)
def leaky_relu(op: Operator) -> Run:
    """alpha * x where x is less than 0, else x, which may be subnormal."""
    alpha = np.float32((op.options or LeakyReluOptions()).alpha)
    return _unary(op, lambda x: _sloped(x, alpha))


def _sloped(x: Array, slope: Array | np.float32) -> Array:
    flat = flush(x)
    return choose(flat < 0, flushed.multiply(flat, flush(slope)), x)


def _binary(op: Operator, function: Pair) -> Run:
    """Two tensors that broadcast, and the activation."""
    op.output().shape = broadcast_shape(op, op.input(0), op.input(1), 6)
    bounds = range_of(op)
    return lambda a, b: noted(
        "after the activation", clamp(noted("result before the activation", function(flush(a), flush(b))), bounds)
    )


@kernel("ADD", profile=XNNPACK_FLOATS)
def add(op: Operator) -> Run:
    """a + b."""
    return _binary(op, flushed.add)


@kernel("SUB", profile=XNNPACK_FLOATS)
def sub(op: Operator) -> Run:
    """a - b."""
    return _binary(op, flushed.subtract)


@kernel("MUL", profile=XNNPACK_FLOATS)
def mul(op: Operator) -> Run:
    """a * b."""
    return _binary(op, flushed.multiply)


@kernel("DIV", profile=XNNPACK_FLOATS)
def div(op: Operator) -> Run:
    """a / b."""
    return _binary(op, flushed.divide)


@kernel("SQUARED_DIFFERENCE", profile=XNNPACK_FLOATS)
def squared_difference(op: Operator) -> Run:
    """(a - b) * (a - b)."""
    op.output().shape = broadcast_shape(op, op.input(0), op.input(1), 6)

    def run(a: Array, b: Array) -> Array:
        difference = flushed.subtract(flush(a), flush(b))
        return flushed.multiply(difference, difference)

    return run


@kernel("MAXIMUM", profile=XNNPACK_FLOATS)
def maximum(op: Operator) -> Run:
    """The larger of a and b, see `_choice`."""
    return _choice(op, flushed.maximum)


@kernel("MINIMUM", profile=XNNPACK_FLOATS)
def minimum(op: Operator) -> Run:
    """The smaller of a and b, see `_choice`."""
    return _choice(op, flushed.minimum)


def _choice(op: Operator, function: Pair) -> Run:
    """`function` of the two in the order in which the processor compares them, as it gives the second where they are
    equal or no numbers.

    That is b, but where a is repeated along the last axes a. Where one is a constant of one number, it is the other,
    which is clamped and keeps its shape, though the constant may have more axes.
    """
    a, b = op.input(0), op.input(1)
    if _is_number(b) or _is_number(a):
        swapped, clamped = (True, a) if _is_number(b) else (False, b)
        op.output().shape = shape = clamped.dims
    else:
        swapped = _is_repeated(a.dims, b.dims)
        op.output().shape = shape = broadcast_shape(op, a, b, 6)

    def run(a: Array, b: Array) -> Array:
        a, b = flush(a), flush(b)
        return (function(b, a) if swapped else function(a, b)).reshape(shape)

    return run


def _is_number(tensor: TensorInfo) -> bool:
    return (tensor.value is not None or tensor.is_fixed) and prod(tensor.dims) == 1


def _is_repeated(a: Shape, b: Shape) -> bool:
    """Whether of the axes that are not 1 in both the last is 1 in `a`; also where there is none."""
    most = max(len(a), len(b))
    sides = zip((1,) * (most - len(a)) + a, (1,) * (most - len(b)) + b)
    longer = [pair for pair in sides if pair != (1, 1)]
    return not longer or longer[-1][0] == 1


@kernel("PRELU", profile=XNNPACK_FLOATS)
def prelu(op: Operator) -> Run:
    """alpha * x where x is less than 0, else x, which may be subnormal."""
    op.output().shape = broadcast_shape(op, op.input(0), op.input(1), 6)
    shape = op.output().dims
    return lambda x, alpha: _sloped(np.broadcast_to(x, shape), alpha)
