"""Does a file keep to the TensorFlow Lite 8-bit quantization specification?

The published rules, operator by operator, are the table `RULES`; the functions below check them, and with the actual
constants in hand also what the specification takes for granted: that scales are usable numbers, that no accumulator
can overflow, that multipliers are not lost, that channels are not dead. uint8 models of the time before that
specification (asymmetric weights, one scale for a tensor) are held to the rules of their own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.report import Finding
from refquant.errors import RefquantError
from refquant.numerics.fixed_point import quantize_multiplier
from refquant.numerics.symmetric import along
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, TensorType
from refquant.tflite.tensor_types import numpy_dtype
from refquant.tflite.vectors import scales_of

_INT8, _UINT8, _INT16, _INT32, _INT64 = (
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
)
_QUANTIZED = (_INT8, _UINT8, _INT16)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the specification asks of one operator's tensors.

    `weights` and `bias` are input positions; `dimension` is the one along which weights may have a scale for each
    channel. `same_scale` means that the output (and every quantized input) has the scale and zero point of input 0.
    `output` gives the scale and zero point that an int8 output must have.
    """

    weights: int | None = None
    bias: int | None = None
    dimension: int = 0
    same_scale: bool = False
    output: tuple[float, int] | None = None


_SAME = Rule(same_scale=True)

# fmt: off
RULES: dict[str, Rule] = {
    "CONV_2D":                 Rule(weights=1, bias=2, dimension=0),
    "DEPTHWISE_CONV_2D":       Rule(weights=1, bias=2, dimension=3),
    "FULLY_CONNECTED":         Rule(weights=1, bias=2, dimension=0),
    "TRANSPOSE_CONV":          Rule(weights=1, bias=3, dimension=0),
    "LOGISTIC":                Rule(output=(1 / 256, -128)),
    "SOFTMAX":                 Rule(output=(1 / 256, -128)),
    "TANH":                    Rule(output=(1 / 128, 0)),
    "L2_NORMALIZATION":        Rule(output=(1 / 128, 0)),
    "LOG_SOFTMAX":             Rule(output=(16 / 256, 127)),
    "AVERAGE_POOL_2D":         _SAME,
    "BATCH_TO_SPACE_ND":       _SAME,
    "CONCATENATION":           _SAME,
    "DEPTH_TO_SPACE":          _SAME,
    "EXPAND_DIMS":             _SAME,
    "GATHER":                  _SAME,
    "MAX_POOL_2D":             _SAME,
    "MAXIMUM":                 _SAME,
    "MINIMUM":                 _SAME,
    "MIRROR_PAD":              _SAME,
    "PACK":                    _SAME,
    "PAD":                     _SAME,
    "PADV2":                   _SAME,
    "RESHAPE":                 _SAME,
    "RESIZE_BILINEAR":         _SAME,
    "RESIZE_NEAREST_NEIGHBOR": _SAME,
    "SLICE":                   _SAME,
    "SPACE_TO_BATCH_ND":       _SAME,
    "SPACE_TO_DEPTH":          _SAME,
    "SPLIT":                   _SAME,
    "SQUEEZE":                 _SAME,
    "STRIDED_SLICE":           _SAME,
    "TRANSPOSE":               _SAME,
    "UNPACK":                  _SAME,
}
#: outputs of int16 (16x8 quantization) and of uint8 (before the specification), for the operators above that fix them
_INT16_OUTPUT = {"LOGISTIC": (1 / 32768, 0), "SOFTMAX": (1 / 32768, 0), "TANH": (1 / 32768, 0)}
_UINT8_OUTPUT = {"LOGISTIC": (1 / 256, 0), "SOFTMAX": (1 / 256, 0), "TANH": (1 / 128, 128)}
# fmt: on

#: a fused activation that leaves fewer integers than this is worth a word
_FEW_CODES = 16


@dataclass(frozen=True, slots=True)
class _Place:
    """An operator in its model, with its tensors."""

    model: Model
    subgraph: int
    index: int
    operator: schema.Operator

    @property
    def name(self) -> str:
        return self.model.operator_name(self.operator)

    def __str__(self) -> str:
        return f"subgraph {self.subgraph}, operator {self.index} ({self.name})"

    def tensors(self, indices: object) -> list[schema.Tensor | None]:
        table = self.model.subgraphs[self.subgraph].tensors or []
        return [None if i < 0 else table[i] for i in np.asarray(() if indices is None else indices, np.int64).tolist()]

    def input(self, position: int | None) -> schema.Tensor | None:
        inputs = self.tensors(self.operator.inputs)
        return inputs[position] if position is not None and position < len(inputs) else None

    def output(self) -> schema.Tensor | None:
        outputs = self.tensors(self.operator.outputs)
        return outputs[0] if outputs else None


def check_specification(model: Model) -> tuple[list[Finding], dict[str, int]]:
    """Every finding about the file itself, and how many tensors, operators and rules were looked at."""
    findings: list[Finding] = []
    tensors = operators = 0
    for g, graph in enumerate(model.subgraphs):
        for i, tensor in enumerate(graph.tensors or ()):
            tensors += 1
            findings += _check_tensor(f"subgraph {g}, tensor {i} ({tensor.name})", tensor)
        for i, operator in enumerate(graph.operators or ()):
            place = _Place(model, g, i, operator)
            rule = RULES.get(place.name)
            operators += rule is not None
            for check in _CHECKS:
                try:
                    findings += check(place, rule or Rule())
                except RefquantError as error:  # a constant whose size contradicts its shape
                    findings.append(
                        Finding("error", "constant", str(place), str(error), "data that fit", "make the file anew")
                    )
    return list(dict.fromkeys(findings)), {"tensors": tensors, "operators with rules of the specification": operators}


def _zero_points(tensor: schema.Tensor | None) -> npt.NDArray[Any]:
    quantization = None if tensor is None else tensor.quantization
    missing = quantization is None or quantization.zero_point is None
    if missing or quantization is None:
        return np.zeros(scales_of(tensor).size, np.int64)
    return np.asarray(quantization.zero_point, np.int64)


def _usable(tensor: schema.Tensor | None) -> bool:
    """Whether the tensor has scales that later checks can compute with."""
    scales = scales_of(tensor)
    return (
        scales.size > 0
        and bool(np.all(np.isfinite(scales) & (scales > 0)))
        and _zero_points(tensor).size == scales.size
    )


def _check_tensor(place: str, tensor: schema.Tensor) -> Iterator[Finding]:
    """Scales that are usable numbers, as many as there are channels; zero points that the type can hold."""
    scales, zero_points = scales_of(tensor), _zero_points(tensor)
    if not scales.size or tensor.quantization is None:
        return
    bad = ~np.isfinite(scales) | (scales <= 0)
    if bad.any():
        i = int(np.argmax(bad))
        yield Finding(
            "error",
            "scale",
            place,
            f"scale {scales[i]} at channel {i}",
            "a finite number above 0",
            "calibrate with data that reach this tensor, or set the scale",
        )
    subnormal = (scales > 0) & (scales < np.finfo(np.float32).tiny)
    if subnormal.any():
        yield Finding(
            "warning",
            "scale-subnormal",
            place,
            f"scale {scales[np.argmax(subnormal)]:.3g}",
            f"at least {np.finfo(np.float32).tiny:.3g}",
            "processors that flush subnormal numbers read it as 0: the channel is dead, prune it",
        )
    if zero_points.size != scales.size:
        yield Finding(
            "error",
            "zero-point-count",
            place,
            f"{zero_points.size} zero points for {scales.size} scales",
            "one zero point for each scale",
            "write as many zero points as scales",
        )
    shape = [] if tensor.shape is None else list(tensor.shape)
    dimension = tensor.quantization.quantized_dimension
    if scales.size > 1 and (not 0 <= dimension < len(shape) or shape[dimension] != scales.size):
        yield Finding(
            "error",
            "quantized-dimension",
            place,
            f"{scales.size} scales along dimension {dimension} of shape {tuple(map(int, shape))}",
            "a dimension of that many channels",
            "set quantized_dimension to the dimension of the channels; newer runtimes refuse the file",
        )
    if tensor.type in (_INT8, _UINT8, _INT16):
        limits = np.iinfo(numpy_dtype(tensor.type))
        outside = (zero_points < limits.min) | (zero_points > limits.max)
        if outside.any():
            yield Finding(
                "error",
                "zero-point-range",
                place,
                f"zero point {zero_points[np.argmax(outside)]}",
                f"from {limits.min} to {limits.max}",
                "zero must be an integer of the type",
            )
        if tensor.type == _INT16 and np.any(zero_points != 0):
            yield Finding(
                "error",
                "zero-point-int16",
                place,
                f"zero point {zero_points[np.argmax(zero_points != 0)]}",
                "0",
                "int16 tensors are symmetric: quantize without zero point",
            )


def _check_weights(place: _Place, rule: Rule) -> Iterator[Finding]:
    """Symmetric weights from -127 to 127; per channel only along the dimension of the specification."""
    weights = place.input(rule.weights)
    if weights is None or weights.type != _INT8 or not scales_of(weights).size:
        return
    x = place.input(0)
    if x is not None and x.type == _UINT8:
        return
    where = f"{place}, weights {weights.name}"
    zero_points = _zero_points(weights)
    if np.any(zero_points != 0):
        yield Finding(
            "error",
            "weights-zero-point",
            where,
            f"zero point {zero_points[np.argmax(zero_points != 0)]}",
            "0",
            "quantize weights symmetrically",
        )
    values = place.model.constant(weights)
    if values is not None and np.any(values == -128):
        at = np.argwhere(values == -128)
        yield Finding(
            "error",
            "weights-range",
            where,
            f"-128 at {tuple(at[0].tolist())}, {len(at)} in all",
            "-127 to 127",
            "kernels may rely on it to add two products in 16 bits; quantize to -127",
        )
    dimension = weights.quantization.quantized_dimension if weights.quantization is not None else 0
    if scales_of(weights).size > 1 and dimension != rule.dimension:
        yield Finding(
            "error",
            "weights-dimension",
            where,
            f"scales along dimension {dimension}",
            f"along dimension {rule.dimension}",
            "the kernels take the output channels' dimension",
        )
    if values is not None and scales_of(weights).size > 1 and dimension == rule.dimension and dimension < values.ndim:
        dead = ~np.any(values, axis=tuple(i for i in range(values.ndim) if i != dimension))
        if dead.any():
            yield Finding(
                "note",
                "dead-channel",
                where,
                f"{int(dead.sum())} of {dead.size} channels are all zero, first {int(np.argmax(dead))}",
                "channels that compute something",
                "remove them: they cost time and give a constant",
            )


def _check_bias(place: _Place, rule: Rule) -> Iterator[Finding]:
    """int32 (int64 for int16 activations), zero point 0, scale equal to input times weight scale to the bit."""
    x, weights, bias = place.input(0), place.input(rule.weights), place.input(rule.bias)
    if x is not None and rule.bias == 3:
        x = place.input(2)  # TRANSPOSE_CONV has the output's shape first
    if x is None or bias is None or x.type not in _QUANTIZED or not (_usable(x) and _usable(weights)):
        return
    where = f"{place}, bias {bias.name}"
    allowed = (_INT32, _INT64) if x.type == _INT16 else (_INT32,)
    if bias.type not in allowed:
        yield Finding(
            "error",
            "bias-type",
            where,
            TensorType(bias.type).name,
            " or ".join(t.name for t in allowed),
            "quantize the bias as the sum that it is added to",
        )
        return
    if np.any(_zero_points(bias) != 0):
        yield Finding(
            "error",
            "bias-zero-point",
            where,
            f"zero point {_zero_points(bias).tolist()[0]}",
            "0",
            "a bias has no zero point",
        )
    expected = scales_of(x)[0] * scales_of(weights)
    found = scales_of(bias)
    if found.size and found.size == expected.size and np.any(found != expected):
        i = int(np.argmax(found != expected))
        steps = int(found[i : i + 1].view(np.int32)[0]) - int(expected[i : i + 1].view(np.int32)[0])
        values = place.model.constant(bias)
        severity = "warning" if x.type == _UINT8 or abs(steps) <= 1 else "error"
        if values is not None and not values.any():  # the converter shares one bias of zeros among operators
            severity = "note"
        yield Finding(
            severity,
            "bias-scale",
            f"{where}, channel {i}",
            f"{found[i]!s} ({steps:+d} ULP)",
            f"{expected[i]!s}",
            "the kernel adds the bias at input scale times weight scale, whatever is written",
        )
    elif found.size != expected.size:
        yield Finding(
            "error",
            "bias-scale-count",
            where,
            f"{found.size} scales",
            f"{expected.size}",
            "one scale for each scale of the weights",
        )


def _check_accumulator(place: _Place, rule: Rule) -> Iterator[Finding]:
    """The largest sum that any input can give, from the actual weights and bias, must fit the accumulator."""
    x, weights, bias = place.input(0), place.input(rule.weights), place.input(rule.bias)
    if place.name == "TRANSPOSE_CONV" or x is None or weights is None or x.type not in _QUANTIZED:
        return
    if not (_usable(x) and _usable(weights)) or weights.type not in (_INT8, _UINT8) or scales_of(x).size != 1:
        return
    values = place.model.constant(weights)
    bias_values = None if bias is None else place.model.constant(bias)
    if values is None or rule.dimension >= values.ndim:
        return
    limits = np.iinfo(numpy_dtype(x.type))
    zero = int(_zero_points(x)[0])
    w = np.moveaxis(
        values.astype(np.int64) - along(_zero_points(weights), values.ndim, rule.dimension), rule.dimension, 0
    )
    w = w.reshape(len(w), -1)
    positive, negative = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
    high = positive * (int(limits.max) - zero) + negative * (int(limits.min) - zero)
    low = positive * (int(limits.min) - zero) + negative * (int(limits.max) - zero)
    if bias_values is not None and bias_values.size == len(w) and bias_values.dtype.kind == "i":
        high, low = high + bias_values.ravel(), low + bias_values.ravel()
    bits = 64 if bias_values is not None and bias_values.dtype == np.int64 else 32
    worst = max(int(high.max(initial=0)), -int(low.min(initial=0)))
    if worst >= 2 ** (bits - 1):
        i = int(np.argmax(np.maximum(high, -low)))
        yield Finding(
            "error",
            "accumulator-overflow",
            f"{place}, channel {i}",
            f"a sum of up to {worst:,} is possible",
            f"below 2**{bits - 1} = {2 ** (bits - 1):,}",
            "the sum wraps around: make the layer narrower, its weights smaller or its bias smaller",
        )


def _check_multiplier(place: _Place, rule: Rule) -> Iterator[Finding]:
    """input scale * weight scale / output scale must survive as a 31-bit mantissa and a shift."""
    x, weights, out = place.input(0), place.input(rule.weights), place.output()
    if rule.weights is None or x is None or out is None or x.type not in _QUANTIZED or out.type not in _QUANTIZED:
        return
    if not (_usable(x) and _usable(weights) and _usable(out)):
        return
    real = (
        scales_of(x)[0].astype(np.float64)
        * scales_of(weights).astype(np.float64)
        / scales_of(out)[0].astype(np.float64)
    )
    multiplier, shift = quantize_multiplier(real)
    if np.any(multiplier == 0):
        i = int(np.argmax(multiplier == 0))
        yield Finding(
            "warning",
            "multiplier-lost",
            f"{place}, channel {i}",
            f"multiplier {real[i]:.3g} becomes 0",
            "at least 2**-32",
            "the channel gives its zero point whatever the input: check the scales",
        )
    if np.any(shift > 30):
        i = int(np.argmax(shift > 30))
        yield Finding(
            "error",
            "multiplier-overflow",
            f"{place}, channel {i}",
            f"multiplier {real[i]:.3g}",
            "below 2**30",
            "the shift is beyond what the kernels define: check the scales",
        )


def _check_same_scale(place: _Place, rule: Rule) -> Iterator[Finding]:
    """Operators that move numbers without computing keep scale and zero point."""
    if not rule.same_scale:
        return
    tensors = [
        t for t in (*place.tensors(place.operator.inputs), *place.tensors(place.operator.outputs)) if t is not None
    ]
    quantized = [t for t in tensors if t.type in _QUANTIZED and scales_of(t).size]
    if len(quantized) < 2:
        return
    first = quantized[0]
    for other in quantized[1:]:
        if not np.array_equal(scales_of(first), scales_of(other)) or not np.array_equal(
            _zero_points(first), _zero_points(other)
        ):
            legacy = first.type == _UINT8
            yield Finding(
                "note" if legacy else "error",
                "same-scale",
                f"{place}, tensor {other.name}",
                _affine(other),
                f"{_affine(first)}, as {first.name}",
                "uint8 kernels rescale, at the cost of a rounding"
                if legacy
                else "the kernel copies integers: real values change by the ratio of the scales",
            )


def _check_fixed_output(place: _Place, rule: Rule) -> Iterator[Finding]:
    """Operators with a known range have one scale and zero point for it."""
    out = place.output()
    if rule.output is None or out is None or not _usable(out):
        return
    by_type = {_INT8: rule.output, _INT16: _INT16_OUTPUT.get(place.name), _UINT8: _UINT8_OUTPUT.get(place.name)}
    fixed = by_type.get(TensorType(out.type)) if out.type in by_type else None
    if fixed is None:
        return
    scale, zero_point = np.float32(fixed[0]), fixed[1]
    if scales_of(out)[0] != scale or _zero_points(out)[0] != zero_point:
        near = abs(float(scales_of(out)[0]) / float(scale) - 1) < 1e-3 and _zero_points(out)[0] == zero_point
        yield Finding(
            "warning" if near else "error",
            "fixed-output",
            f"{place}, output {out.name}",
            _affine(out),
            f"scale {scale!s}, zero point {zero_point}",
            "the kernel gives integers of that scale",
        )


def _check_activation(place: _Place, rule: Rule) -> Iterator[Finding]:
    """A fused activation must leave enough of the output's integers to say something."""
    activation = getattr(place.operator.builtin_options, "fused_activation_function", ActivationFunctionType.NONE)
    bounds = {
        ActivationFunctionType.RELU: (0.0, np.inf),
        ActivationFunctionType.RELU6: (0.0, 6.0),
        ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    }.get(activation)
    out = place.output()
    if bounds is None or out is None or out.type not in _QUANTIZED or not _usable(out):
        return
    limits = np.iinfo(numpy_dtype(out.type))
    scale, zero = float(scales_of(out)[0]), int(_zero_points(out)[0])
    low = max(float(limits.min), zero + np.round(bounds[0] / scale))
    high = min(float(limits.max), zero + np.round(bounds[1] / scale))
    codes = int(max(high - low + 1, 0))
    if codes < _FEW_CODES:
        yield Finding(
            "warning",
            "narrow-range",
            f"{place}, output {out.name}",
            f"{codes} integers are left by {ActivationFunctionType(activation).name}",
            f"at least {_FEW_CODES}",
            "the output is nearly constant: calibrate again, or choose its range by hand",
        )
    elif codes < (limits.max - limits.min + 1) // 2:
        yield Finding(
            "note",
            "unused-codes",
            f"{place}, output {out.name}",
            f"{codes} of {limits.max - limits.min + 1} "
            f"integers can occur after {ActivationFunctionType(activation).name}",
            "most of them",
            "the range reaches beyond the activation: half a bit or more is wasted",
        )


_CHECKS: tuple[Callable[[_Place, Rule], Iterator[Finding]], ...] = (
    _check_weights,
    _check_bias,
    _check_accumulator,
    _check_multiplier,
    _check_same_scale,
    _check_fixed_output,
    _check_activation,
)


def _affine(tensor: schema.Tensor) -> str:
    return f"scale {scales_of(tensor)[0]!s}, zero point {_zero_points(tensor)[0] if _zero_points(tensor).size else '-'}"
