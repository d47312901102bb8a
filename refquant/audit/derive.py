"""Are the weights, scales and biases of a quantized model the ones that its float origin gives?

Derives them anew with the converter's arithmetic (`refquant.numerics.weights`) and reports the first bit that
differs in each constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.pairs import Pair, pair_operators, tensor_of
from refquant.audit.report import Finding
from refquant.audit.specification import RULES
from refquant.numerics.weights import quantize_bias, quantize_symmetric, symmetric_scales
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]


#: operators whose activations are not int8: the converter computes their weights' scales in another, unknown order
_NOT_DERIVED = "operators not derived (activations are not int8)"


def check_derivation(float_model: Model, quantized_model: Model) -> tuple[list[Finding], dict[str, int]]:
    """A finding for each constant of the quantized model that the float model does not give, and what was derived."""
    findings: list[Finding] = []
    counts = {"weights derived": 0, "weight scales derived": 0, "biases derived": 0}
    for pair in pair_operators(float_model, quantized_model):
        rule = RULES.get(pair.name)
        if rule is None or rule.weights is None:
            continue
        weights = tensor_of(quantized_model, pair.quantized_operator.inputs, rule.weights)
        origin = _float_constant(float_model, pair, rule.weights)
        if weights is None or origin is None or weights.type != TensorType.INT8:
            continue
        x = tensor_of(quantized_model, pair.quantized_operator.inputs, 2 if rule.bias == 3 else 0)
        if x is None or x.type != TensorType.INT8:
            counts[_NOT_DERIVED] = counts.get(_NOT_DERIVED, 0) + 1
            continue
        values = quantized_model.constant(weights)
        where = f"{pair}, weights {weights.name}"
        scales = _scales(weights)
        if values is None or not scales.size:
            continue
        if values.shape != origin.shape:
            findings.append(_finding(where, "weights-shape", str(values.shape), str(origin.shape)))
            continue
        dimension = weights.quantization.quantized_dimension if weights.quantization and scales.size > 1 else None
        derived_scales = symmetric_scales(origin, dimension)
        findings += _compare_floats(where, "derived-weight-scale", scales, derived_scales)
        counts["weight scales derived"] += scales.size
        if derived_scales.size == scales.size:
            findings += _compare(where, "derived-weight", values, quantize_symmetric(origin, scales, dimension))
            counts["weights derived"] += values.size
        findings += _bias(float_model, quantized_model, pair, rule.bias, scales, counts)
    return findings, counts


def _bias(
    float_model: Model, quantized_model: Model, pair: Pair, position: int | None, scales: Array, counts: dict[str, int]
) -> list[Finding]:
    if position is None:
        return []
    bias = tensor_of(quantized_model, pair.quantized_operator.inputs, position)
    x = tensor_of(quantized_model, pair.quantized_operator.inputs, 2 if position == 3 else 0)
    origin = _float_constant(float_model, pair, position)
    if bias is None or origin is None or x is None or _scales(x).size != 1 or bias.type != TensorType.INT32:
        return []
    values = quantized_model.constant(bias)
    if values is None or values.shape != origin.shape:
        return []
    counts["biases derived"] += values.size
    derived = quantize_bias(origin, _scales(x)[0] * scales)
    return _compare(f"{pair}, bias {bias.name}", "derived-bias", values, derived)


def _float_constant(model: Model, pair: Pair, position: int) -> Array | None:
    tensor = tensor_of(model, pair.float_operator.inputs, position)
    if tensor is None or tensor.type != TensorType.FLOAT32:
        return None
    return model.constant(tensor)


def _scales(tensor: schema.Tensor) -> npt.NDArray[np.float32]:
    quantization = tensor.quantization
    return np.asarray(() if quantization is None or quantization.scale is None else quantization.scale, np.float32)


def _compare_floats(where: str, rule: str, found: Array, derived: Array) -> list[Finding]:
    if found.size != derived.size:
        return [_finding(where, rule, f"{found.size} scales", f"{derived.size}")]
    different = found != derived
    if not different.any():
        return []
    i = int(np.argmax(different))
    bits = [f"{v!s} (bits {v.view(np.uint32):#010x})" for v in (found[i], derived[i])]
    return [
        _finding(f"{where}, channel {i}", rule, f"{bits[0]}, {int(different.sum())} of {found.size} differ", bits[1])
    ]


def _compare(where: str, rule: str, found: Array, derived: Array) -> list[Finding]:
    different = np.argwhere(found != derived)
    if not len(different):
        return []
    i = tuple(different[0].tolist())
    return [
        _finding(f"{where} at {list(i)}", rule, f"{found[i]}, {len(different)} of {found.size} differ", str(derived[i]))
    ]


def _finding(where: str, rule: str, found: str, expected: str) -> Finding:
    return Finding(
        "error",
        rule,
        where,
        found,
        expected,
        "not what tensorflow 2.21.0 makes of the float model: another origin, another converter, or damage",
    )
