"""Arithmetic with constants before and after convolutions goes into their weights and biases, padding into their own.

Source: optimize_patterns.td, optimize_pass.cc.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.quantization.ir import Constant, Operation, Value
from refquant.quantization.optimization.rules import (
    NO_ACTIVATION,
    Match,
    Rule,
    activation_of,
    const,
    constant_operation,
    declared,
    native,
    op,
    option,
    plain,
)
from refquant.quantization.optimization.shapes import broadcast_type, integers, shape_of
from refquant.quantization.rewrite import Rewriter
from refquant.tflite import schema
from refquant.tflite.schema import Padding

Array = npt.NDArray[Any]

RULES: list[Rule] = []


def _fits_channels(m: Match, weights: str) -> bool:
    """Whether the constant `value` is one number, or one for each channel of the output of a convolution."""
    shape = m.array("value").shape
    if any(n != 1 for n in shape[:-1]):
        return False
    depth = shape[-1] if shape else 1
    axis = -1 if m.operation("inner").name == "DEPTHWISE_CONV_2D" else 0
    return depth == 1 or shape_of(m[weights])[axis] == depth


def _constant(m: Match, name: str, shape: tuple[int, ...] | None = None) -> Value:
    """The same constant once more, perhaps in another shape."""
    array = m.array(name)
    return m.new_constant(array if shape is None else array.reshape(shape), m.constant(name).type)


def _computed(m: Match, a: Value, b: Value) -> Value:
    """The arithmetic of the root on two constants."""
    return m.again(m.root, [a, b], broadcast_type(a, b), **NO_ACTIVATION)


def _are_floats(m: Match, *names: str) -> bool:
    return all(m.array(name).dtype.kind == "f" for name in names)


@declared(
    RULES,
    "FuseBinaryOpWith",
    op("ADD SUB", plain("CONV_2D DEPTHWISE_CONV_2D", "input", "weights", const("bias"), name="inner"), const("value")),
    op("ADD SUB", plain("TRANSPOSE_CONV", "shape", "weights", "input", const("bias"), name="inner"), const("value")),
)
def _add_to_bias(m: Match) -> Value | None:
    """conv(x) + c: c is added to the bias."""
    inner = m.operation("inner")
    if not _are_floats(m, "bias", "value") or not _fits_channels(m, "weights") or not m["inner"].has_one_use:
        return None
    bias = _computed(m, _constant(m, "bias"), _constant(m, "value", (-1,)))
    return m.again(inner, [*inner.operands[:-1], bias], fused_activation_function=activation_of(m.root))


@declared(
    RULES,
    "FuseBinaryOpWithTransposeConvNoneBias",
    op("ADD SUB", plain("TRANSPOSE_CONV", "shape", "weights", "input", None, name="inner"), const("value")),
)
def _become_bias(m: Match) -> Value | None:
    """conv(x) + c without a bias: c becomes one, times 1 or -1."""
    inner = m.operation("inner")
    if not _are_floats(m, "value") or not _fits_channels(m, "weights") or not m["inner"].has_one_use:
        return None
    value = _constant(m, "value", (-1,))
    sign = np.full((), 1 if m.root.name == "ADD" else -1, m.array("value").dtype)
    multiplier = constant_operation(sign, m.constant("value").type, m.root.names)
    m.rewriter.insert_before(m.root, multiplier)
    bias = m.new("MUL", [value, multiplier.result], value.type, schema.MulOptions())
    return m.again(inner, [*inner.operands[:3], bias], fused_activation_function=activation_of(m.root))


@declared(
    RULES,
    "FuseMulOrDivWith",
    op(
        "DIV MUL",
        plain("CONV_2D DEPTHWISE_CONV_2D", "input", const("weights"), const("bias"), name="inner"),
        const("value"),
    ),
)
def _scale(m: Match) -> Value | None:
    """conv(x) * c: weights and bias are multiplied."""
    inner = m.operation("inner")
    if not _are_floats(m, "weights", "bias", "value") or not _fits_channels(m, "weights"):
        return None
    if not m["inner"].has_one_use:
        return None
    shape = (1, 1, 1, -1) if inner.name == "DEPTHWISE_CONV_2D" else (-1, 1, 1, 1)
    weights = _computed(m, _constant(m, "weights"), _constant(m, "value", shape))
    bias = _computed(m, _constant(m, "bias"), _constant(m, "value", (-1,)))
    return m.again(inner, [m["input"], weights, bias], fused_activation_function=activation_of(m.root))


@declared(
    RULES,
    "FuseMulOrDivWithTransposeConv",
    op(
        "DIV MUL",
        plain("TRANSPOSE_CONV", "shape", const("weights"), "input", const("bias"), name="inner"),
        const("value"),
    ),
    op("DIV MUL", plain("TRANSPOSE_CONV", "shape", const("weights"), "input", None, name="inner"), const("value")),
)
def _scale_transposed(m: Match) -> Value | None:
    """transpose_conv(x) * c: weights and bias, if any, are multiplied."""
    inner = m.operation("inner")
    if not _are_floats(m, "weights") or not _fits_channels(m, "weights") or not m["inner"].has_one_use:
        return None
    bias = None
    if "bias" in m.values and not _are_floats(m, "bias"):
        return None
    weights = _computed(m, _constant(m, "weights"), _constant(m, "value", (-1, 1, 1, 1)))
    if "bias" in m.values:
        bias = _computed(m, _constant(m, "bias"), _constant(m, "value"))
    activation = activation_of(m.root)
    return m.again(inner, [m["shape"], weights, m["input"], bias], fused_activation_function=activation)


_PADDED = op("PAD", "input", const("paddings"))


@declared(
    RULES,
    "FuseSamePadding",
    op("CONV_2D DEPTHWISE_CONV_2D CONV_3D", _PADDED, "weights", "bias", padding=Padding.VALID),
)
def _pad_same(m: Match) -> Value | None:
    """conv(pad(x)) where the padding is that of SAME."""
    axes = "dhw" if m.root.name == "CONV_3D" else "hw"
    shape, padded, kernel = shape_of(m["input"]), shape_of(m.root.operands[0]), shape_of(m["weights"])  # type: ignore[arg-type]
    first = 0 if m.root.name == "CONV_3D" else 1
    spatial = range(1, 1 + len(axes))
    if len(shape) < 1 + len(axes) or any(shape[i] < 0 for i in spatial):
        return None
    if not _is_balanced(m.constant("paddings"), spatial):
        return None
    for i, axis in zip(spatial, axes, strict=True):
        stride, dilation = option(m.root, f"stride_{axis}"), option(m.root, f"dilation_{axis}_factor")
        outputs = (shape[i] + stride - 1) // stride
        reach = (kernel[first + i - 1] - 1) * dilation + 1
        if (outputs - 1) * stride + reach - shape[i] != padded[i] - shape[i]:
            return None
    return m.again(m.root, [m["input"], *m.root.operands[1:]], padding=Padding.SAME)


def _is_balanced(paddings: Constant, spatial: range) -> bool:
    """Whether padding is as much after as before, or one more, and none in other axes."""
    if paddings.is_splat:
        return False
    amounts = np.array(integers(paddings)).reshape(-1, 2)
    others = [i for i in range(len(amounts)) if i not in spatial]
    difference = amounts[:, 1] - amounts[:, 0]
    return not amounts[others].any() and bool(np.all((difference == 0) | (difference == 1)))


#: of each operator that multiplies weights: the axis of the weights that is that of the output's channels
_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


@native(" ".join(_CHANNELS))
def fuse_scalar_before(product: Operation, rewriter: Rewriter) -> bool:
    """conv(x + c), conv(x * c) with one number c: it goes into the bias or into the weights."""
    before = product.defining(0)
    if before is None or before.name not in ("ADD", "SUB", "MUL", "DIV") or activation_of(before):
        return False
    value, weights = (_float_constant(v) for v in (before.operand(1), product.operand(1)))
    bias = _float_constant(product.operand(2))
    if value is None or value.array.size != 1 or weights is None:
        return False
    if product.operand(2) is not None and bias is None:
        return False
    number = value.array.reshape(())
    if before.name in ("MUL", "DIV"):
        scaled = weights.array * number if before.name == "MUL" else weights.array / number
        _take(product, rewriter, 1, Constant(weights.type, scaled))
    else:
        valid = product.name == "FULLY_CONNECTED" or option(product, "padding") == Padding.VALID
        added = _bias_for(product, weights.array, bias, -number if before.name == "SUB" else number) if valid else None
        if added is None:
            return False
        _take(product, rewriter, 2, Constant(weights.type, added))
    product.set_operand(0, before.operands[0])
    return True


def _float_constant(value: Value | None) -> Constant | None:
    constant = None if value is None else value.constant
    return constant if constant is not None and constant.array.dtype.kind == "f" else None


def _take(product: Operation, rewriter: Rewriter, position: int, constant: Constant) -> None:
    """Has a new constant be an operand; it is called after the operation."""
    made = constant_operation(constant.array, constant.type, product.names)
    made.attributes["restored"] = True
    rewriter.insert_before(product, made)
    product.set_operand(position, made.result)


def _bias_for(product: Operation, weights: Array, bias: Constant | None, number: Array) -> Array | None:
    """The bias of w (x + c) + b: b + w c, added up in the order of storage."""
    channel = _CHANNELS[product.name]
    channels, inner = weights.shape[channel], math.prod(weights.shape[channel + 1 :])
    if bias is not None and bias.array.size not in (1, channels):
        return None
    start = np.zeros(channels, weights.dtype) if bias is None else bias.array.reshape(-1)
    total: Array = np.array(np.broadcast_to(start, channels))
    for term in weights.reshape(-1, channels, inner).transpose(0, 2, 1).reshape(-1, channels):
        total = total + term * number
    return total
