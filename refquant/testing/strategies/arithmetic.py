"""Functions of two tensors, element by element, with broadcasting; and the sum of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, generators, numbers, quantized, scales, zero_points
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, TensorType

FLOAT32, FLOAT64, FLOAT16 = TensorType.FLOAT32, TensorType.FLOAT64, TensorType.FLOAT16
BFLOAT16, COMPLEX64, BOOL = TensorType.BFLOAT16, TensorType.COMPLEX64, TensorType.BOOL
INT8, INT16, INT32, INT64 = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64
UINT8, UINT16, UINT32, UINT64 = TensorType.UINT8, TensorType.UINT16, TensorType.UINT32, TensorType.UINT64

_OPTIONS: dict[str, Any] = {
    "ADD": schema.AddOptions,
    "SUB": schema.SubOptions,
    "MUL": schema.MulOptions,
    "DIV": schema.DivOptions,
}
_MOST_DIMENSIONS = {"ADD": 6, "SUB": 6, "MUL": 6, "DIV": 5, "MAXIMUM": 5, "MINIMUM": 5, "SELECT_V2": 5}
_activations = st.sampled_from(list(ActivationFunctionType))
_same_shapes = st.lists(st.integers(0, 4), max_size=4) | st.lists(st.integers(1, 2), min_size=5, max_size=8)

Shape = tuple[int, ...]


@st.composite
def fitting_shapes(draw: st.DrawFn, most: int, count: int = 2) -> list[Shape]:
    """Shapes that are the same, of up to eight dimensions, or that fit together in up to `most`; sometimes empty."""
    if draw(st.booleans()):
        return [tuple(draw(_same_shapes))] * count
    side = st.integers(1, 4) if draw(st.integers(0, 3)) else st.integers(0, 4)
    full = draw(st.lists(side, max_size=4))
    full = draw(st.permutations([*full, *[1] * draw(st.integers(0, most - len(full)))]))
    together = []
    for _ in range(count):
        dims = [n if draw(st.integers(0, 3)) else 1 for n in full]
        together.append(tuple(dims[draw(st.integers(0, len(dims))) if draw(st.booleans()) else 0 :]))
    return together


def _stretched(draw: st.DrawFn, shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes with up to two dimensions of 1 put into both: kernels that merge dimensions skip those."""
    for place in draw(st.lists(st.integers(0, max(map(len, shapes))), max_size=2)):
        shapes = [(*s[: len(s) - place], 1, *s[len(s) - place :]) if place <= len(s) else s for s in shapes]
    return list(shapes)


def case_of(draw: st.DrawFn, operator: str, specs: Sequence[TensorSpec], arrays: Sequence[Array], *more: Any) -> Case:
    """A model of these tensors, outputs and options; some inputs are constants, some are resized from other shapes.

    Some models have no options, which then are the default ones.
    """
    if more[1:] and draw(st.integers(0, 9)) == 0:
        more = (more[0], None)
    inputs, given = [], []
    constant = draw(st.integers(0, 2 * len(specs)))
    for i, (spec, array) in enumerate(zip(specs, arrays, strict=True)):
        shape = array.shape if draw(st.integers(0, 9)) else [1] * array.ndim
        data = array if i == constant else None
        inputs.append(TensorSpec(spec.type, shape, spec.scale, spec.zero_point, data=data))
        given += [array] if data is None else []
    return Case(single_operator_model(operator, inputs, *more), [given])


def _two(draw: st.DrawFn, operator: str, type: TensorType, most: int | None = None) -> tuple[Array, Array]:
    shapes = draw(fitting_shapes(most or _MOST_DIMENSIONS.get(operator, 4)))
    if operator in ("ADD", "SUB") or (operator, type) == ("SQUARED_DIFFERENCE", INT8):
        shapes = _stretched(draw, shapes)
    rng = draw(generators)
    x, y = (numbers(rng, type, shape) for shape in shapes)
    return x, y


@strategy(["ADD", "SUB", "MUL"], [FLOAT32, INT32, INT64])
@strategy(["ADD", "MUL"], {"INT16 without scale": INT16})
@strategy("MUL", [UINT32])
@strategy("DIV", [FLOAT32, INT32])
def plain(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers that stand for themselves, any fused activation; integers are not divided by zero."""
    x, y = _two(draw, operator, type)
    if operator == "DIV" and type == INT32:
        y = np.where(y == 0, 3, y).astype(y.dtype)
        x = np.where(x == -(2**31), 5, x).astype(x.dtype)  # divided by -1 it kills the real kernel
    options = _OPTIONS[operator](fused_activation_function=draw(_activations))
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)], options)


@strategy("MUL", [COMPLEX64])
def complex_product(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Complex numbers, some with infinities and NaN."""
    x, y = _two(draw, operator, type)
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)], schema.MulOptions())


@strategy(["ADD", "SUB", "MUL", "DIV"], [INT8, UINT8, INT16])
def with_scales(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any scales and zero points of which the output can be made, any fused activation."""
    x, y = _two(draw, operator, type)
    specs = [draw(quantized(type)) for _ in range(2)]
    if draw(st.integers(0, 4)) == 0:
        specs[1].scale = specs[0].scale
    left, right = (_scale(spec) for spec in specs)
    if operator == "DIV":
        rng, limits = draw(generators), np.iinfo(y.dtype)
        near = np.clip(rng.integers(-9, 10, y.shape) + np.asarray(specs[1].zero_point), limits.min, limits.max)
        y = np.where(rng.random(y.shape) < 0.5, near, y)
        y = np.where(y == 0, 1, y).astype(limits.dtype)  # whatever its zero point
        typical = left / right
    elif operator == "MUL":
        typical = left * right * 64
    else:
        typical = max(left, right)
    # the last multiplier of ADD must be below 1, which is the reason for its output's scale being so large
    least = -9 if operator == "ADD" or type == INT16 else -24 if operator == "SUB" else -14
    factor = draw(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]) | st.floats(0.1, 30) | st.floats(least, 14).map(np.exp2))
    out = TensorSpec(type, (), float(np.float32(typical * factor)), draw(zero_points(type)))
    options = _OPTIONS[operator](fused_activation_function=_activation_for(draw, out))
    if operator in ("ADD", "SUB"):
        options.pot_scale_int16 = draw(st.booleans()) and not _powers_of_two(*specs, out)
        if operator == "SUB" and 2 * max(left, right) == 2.0 ** (15 if type == INT16 else 20) * _scale(out):
            out.scale = float(2 * _scale(out))  # at exactly 1 the real kernel aborts
    return case_of(draw, operator, specs, [x, y], [out], options)


@strategy(
    ["MUL", "DIV"], {"INT8 without scale": INT8, "UINT8 without scale": UINT8, "INT16 without an input's scale": INT16}
)
def lacking_a_scale(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One or more of the tensors are not quantized: the real kernels take their scales for 0."""
    x, y = _two(draw, operator, type)
    if operator == "DIV":
        y = np.where(y == 0, 1, y).astype(y.dtype)
    specs = [draw(quantized(type) | st.builds(TensorSpec, st.just(type))) for _ in range(3)]
    lacking = 0 if type == INT16 else draw(st.integers(0, 2))  # MUL of an int16 output without scale is a plain one
    specs[lacking] = TensorSpec(type)
    if type == INT16 and specs[2].scale is None:
        specs[2] = draw(quantized(type))
    activation = ActivationFunctionType.NONE if specs[2].scale is None else _activation_for(draw, specs[2])
    options = _OPTIONS[operator](fused_activation_function=activation)
    return case_of(draw, operator, specs[:2], [x, y], [specs[2]], options)


def _activation_for(draw: st.DrawFn, out: TensorSpec) -> ActivationFunctionType:
    """Any activation whose bounds are integers of 32 bits at the scale of the output."""
    return draw(_activations) if _scale(out) > 2.0**-28 else ActivationFunctionType.NONE


def _scale(spec: TensorSpec) -> np.float64:
    """The scale of a tensor that has one."""
    return np.float64(np.asarray(spec.scale, np.float32))


def _powers_of_two(*specs: TensorSpec) -> bool:
    """Whether the kernels of int16 take the scales for powers of two, with some tolerance."""
    logs = np.log2([_scale(spec) for spec in specs])
    return bool(np.all(np.abs(logs - np.rint(logs)) < 2e-3))


@strategy(["ADD", "SUB"], {"INT16 powers of two": INT16})
def with_powers_of_two(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Scales that are powers of two, one of them the output's, the other not larger, with `pot_scale_int16`."""
    shapes = draw(fitting_shapes(6))
    if operator == "ADD":  # the real kernel aborts for shapes that differ
        shapes = [shapes[0]] * 2
    exponent, shift = draw(st.integers(-20, 3)), draw(st.integers(0, 15))
    pair = draw(st.permutations([2.0 ** (exponent - shift), 2.0**exponent]))
    rng = draw(generators)
    options = _OPTIONS[operator](fused_activation_function=draw(_activations), pot_scale_int16=True)
    specs = [TensorSpec(type, (), scale) for scale in pair]
    arrays = [numbers(rng, type, shape) for shape in shapes]
    return case_of(draw, operator, specs, arrays, [TensorSpec(type, (), 2.0**exponent)], options)


@strategy("MUL", {"INT16 to INT8": INT8, "INT16 to UINT8": UINT8})
def product_of_fractions(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """int16 numbers of one shape, with scales that nobody looks at, to 8 bits."""
    shape = draw(_same_shapes)
    rng = draw(generators)
    out = draw(quantized(type))
    options = schema.MulOptions(fused_activation_function=_activation_for(draw, out))
    specs = [TensorSpec(INT16, (), draw(st.none() | scales)) for _ in range(2)]
    return case_of(draw, operator, specs, [numbers(rng, INT16, shape) for _ in range(2)], [out], options)


@strategy("POW", [FLOAT32, INT32])
def power(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any bases; any exponents, many of them small whole numbers, and integers from 0 on."""
    x, y = _two(draw, operator, type)
    rng = draw(generators)
    small = rng.integers(0, 9, y.shape).astype(y.dtype)
    if type == FLOAT32:
        near = draw(st.sampled_from([0, 0, 9e-6, -9e-6, 2e-5, -3]))
        y = np.where(rng.random(y.shape) < 0.5, small + np.float32(near), y).astype(y.dtype)
    else:
        y = np.where((rng.random(y.shape) < 0.7) | (y < 0), small, y).astype(y.dtype)
        x = np.where(rng.random(x.shape) < 0.7, rng.integers(-99, 99, x.shape), x).astype(x.dtype)
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)], schema.PowOptions())


@strategy("FLOOR_DIV", [FLOAT32, INT8, INT16, INT32])
@strategy("FLOOR_MOD", [FLOAT32, INT8, INT16, INT32, INT64])
def floor(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers, but no division by zero, nor of the lowest integer by -1."""
    x, y = _two(draw, operator, type)
    if operator == "FLOOR_DIV" or type != FLOAT32:
        y = np.where(y == 0, 3, y).astype(y.dtype)
    if operator == "FLOOR_MOD" and type in (INT32, INT64):  # which kills the real kernel
        x = np.where(x == np.iinfo(x.dtype).min, 5, x).astype(x.dtype)
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)])


@strategy("SQUARED_DIFFERENCE", [FLOAT32, INT32])
@strategy(["BITWISE_XOR", "RIGHT_SHIFT"], [INT8, INT16, INT32, UINT8, UINT16, UINT32])
def of_numbers(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers."""
    x, y = _two(draw, operator, type)
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)])


@strategy("SQUARED_DIFFERENCE", [INT8])
def quantized_difference(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any scales and zero points of which the output can be made: its multiplier must be below 1."""
    x, y = _two(draw, operator, type, 6)
    specs = [draw(quantized(type)) for _ in range(2)]
    largest = max(_scale(spec) for spec in specs)
    factor = draw(st.sampled_from([2.0**-10, 0.25, 1.0, 4.0, 64.0]) | st.floats(-11.9, 20).map(np.exp2))
    out = TensorSpec(type, (), float(np.float32(largest * largest * factor)), draw(zero_points(type)))
    return case_of(draw, operator, specs, [x, y], [out])


@strategy(["MAXIMUM", "MINIMUM"], [FLOAT32, FLOAT16, BFLOAT16, INT8, UINT8, INT16, INT32, INT64])
def extreme(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers, NaN among the floats; those of 8 and 16 bits with a scale that nobody looks at, or none."""
    x, y = _two(draw, operator, type)
    spec = draw(quantized(type)) if type in (INT8, UINT8, INT16) and draw(st.booleans()) else TensorSpec(type)
    return case_of(draw, operator, [spec] * 2, [x, y], [TensorSpec(type, (), spec.scale, spec.zero_point)])


@strategy("ADD_N", [FLOAT32, INT32])
def sum_of_many(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Two to seven tensors of one shape."""
    shape = draw(_same_shapes)
    rng = draw(generators)
    arrays = [numbers(rng, type, shape) for _ in range(draw(st.integers(2, 7)))]
    return case_of(draw, operator, [TensorSpec(type)] * len(arrays), arrays, [TensorSpec(type)], schema.AddNOptions())


@strategy("ATAN2", [FLOAT32, FLOAT64, FLOAT16, BFLOAT16])
def angle(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers, in two tensors of one shape."""
    return _of_one_shape(draw, operator, type, draw(_same_shapes))


@strategy(
    ["STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"],
    [FLOAT16, FLOAT32, FLOAT64, BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64],
)
@strategy("STABLEHLO_AND", [BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64], oracle="optimized")
def of_stablehlo(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers, in two tensors of one shape, which must not be empty: that kills the real kernels."""
    return _of_one_shape(draw, operator, type, [max(n, 1) for n in draw(_same_shapes)])


def _of_one_shape(draw: st.DrawFn, operator: str, type: TensorType, shape: Sequence[int]) -> Case:
    rng = draw(generators)
    arrays = [numbers(rng, type, shape) for _ in range(2)]
    if type == BFLOAT16:  # NaN of either sign, which show where floats are read as their bits
        arrays = [np.where(rng.random(shape) < 0.1, np.uint16(0xFFC1), x).astype(x.dtype) for x in arrays]
    return case_of(draw, operator, [TensorSpec(type)] * 2, arrays, [TensorSpec(type)])


@strategy("STABLEHLO_SHIFT_LEFT", [INT8, INT16, INT32], oracle="optimized")
def shift_left(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Any numbers, shifted by 0 to 31 bits."""
    shape = draw(_same_shapes)
    rng = draw(generators)
    x = numbers(rng, type, shape)
    y = rng.integers(0, 32, shape).astype(x.dtype)
    return case_of(draw, operator, [TensorSpec(type)] * 2, [x, y], [TensorSpec(type)])
