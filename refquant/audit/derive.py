"""Is a quantized model what the converter makes of its float origin, and which rule explains each tensor?

The float model is quantized again by refquant's own quantizer, with the settings and ranges that the quantized model
shows; then every tensor of both is compared, and of the first bit that differs in each there is a finding.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.accuracy import Progress, for_input
from refquant.audit.again import (
    counterparts,
    is_quantized,
    mode_of,
    pair_models,
    quantize_again,
    type_name,
    zero_points_of,
)
from refquant.audit.pairs import CONVERSIONS, Pair
from refquant.audit.report import Derivation, Finding
from refquant.audit.rules import Rules
from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter import Interpreter
from refquant.quantization.calibration import Statistics, calibrate
from refquant.quantization.converter import Mode
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.parameters import of_statistics
from refquant.quantization.recorder import Range
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of, scales_of

Array = npt.NDArray[Any]
#: a subgraph and a tensor of it
Key = tuple[int, int]


@dataclass
class Derived:
    """What came of it: findings, counts of what was compared, and a line for each tensor."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tensors: list[Derivation] = field(default_factory=list)
    compared: set[Key] = field(default_factory=set)


def check_derivation(float_model: Model, quantized: Model, statistics: Statistics | None = None) -> Derived:
    """Compares a quantized model with what its float origin gives; `statistics` of samples tell whence ranges come.

    Raises `InvalidInputError` where the float model is not the origin, or is not a float model.
    """
    float_model = with_intermediate_tensors(float_model)
    pairs = pair_models(float_model, quantized)
    mode = mode_of(quantized)
    if mode is Mode.NONE:
        return Derived([_not_quantized()])
    result = min(_candidates(float_model, quantized, pairs, mode), key=lambda found: len(found.findings))
    recorded = {} if statistics is None else _recorded(float_model, quantized, pairs, statistics)
    unequal = {finding.place.split(" at ")[0].split(", channel ")[0] for finding in result.findings}
    for number, subgraph in enumerate(quantized.subgraphs):
        ranges = {index: found for (place, index), found in recorded.items() if place == number}
        rules = Rules(quantized, number, mode, ranges)
        for index, tensor in enumerate(subgraph.tensors or ()):
            place = _place(quantized, number, index)
            equal = place not in unequal if (number, index) in result.compared else None
            result.tensors.append(Derivation(place, tensor.name or "", type_name(tensor), rules.of(index), equal))
    return result


def recorded(float_model: Model, rows: list[Array], progress: Progress) -> Statistics | None:
    """The ranges that samples give (one array of N samples for each input); None where they are no real numbers."""
    details = Interpreter(model=float_model).get_input_details()
    if any(array.dtype.kind != "f" for array, d in zip(rows, details) if np.dtype(d["dtype"]).kind == "f"):
        return None

    def samples() -> Iterator[list[Array]]:
        for n in progress(range(len(rows[0])), len(rows[0])):
            yield [for_input(array[n], detail) for array, detail in zip(rows, details)]

    return calibrate(float_model, samples)


def _candidates(float_model: Model, quantized: Model, pairs: list[Pair], mode: Mode) -> Iterator[Derived]:
    """By the newer quantizer, and where that does not give the model, by the older one."""
    for older in (False, True) if mode is Mode.INT8 else (False,):
        try:
            again = quantize_again(float_model, quantized, pairs, older=older)
            found = _compared(again, quantized)
        except RefquantError as error:
            if isinstance(error, InvalidInputError) and not older:
                raise
            found = Derived([_finding("model", "derived-model", "a quantized model", f"an error: {error}")])
        yield found
        if not found.findings:
            return


def _compared(again: Model, quantized: Model) -> Derived:
    """Both models, tensor by tensor; tensors are matched by the operators that make and take them."""
    result = Derived()
    for number, derived, found in _matched(again, quantized, result.findings):
        result.compared.add((number, found))
        result.findings += _compare(again, quantized, number, derived, found, result.counts)
    result.counts["tensors derived"] = len(result.compared)
    return result


def _matched(again: Model, quantized: Model, findings: list[Finding]) -> Iterator[tuple[int, int, int]]:
    """Each tensor that an operator takes or makes, once: subgraph, tensor of the model made again, its counterpart.

    From the operators that compute it goes back through QUANTIZE and DEQUANTIZE; where one side has one that the other
    has not, there is a finding.
    """
    work = _of_operators(pair_models(again, quantized), again, quantized)
    for number, pairs in work.items():
        makers = [_conversions(model, number) for model in (again, quantized)]
        done: set[int] = set()
        while pairs:
            derived, found = pairs.popleft()
            if found in done:
                continue
            done.add(found)
            yield number, derived, found
            theirs, ours = makers[0].get(derived), makers[1].get(found)
            if theirs is not None and ours is not None and theirs[0] == ours[0]:
                pairs.append((theirs[1], ours[1]))
            elif theirs is not ours:
                names = ("no conversion" if maker is None else maker[0] for maker in (ours, theirs))
                findings.append(_finding(_place(quantized, number, found), "derived-conversion", *names))


def _of_operators(pairs: list[Pair], again: Model, quantized: Model) -> dict[int, deque[tuple[int, int]]]:
    """For each subgraph the tensors at the same places of matched operators, and at its borders."""
    found: dict[int, deque[tuple[int, int]]] = {number: deque() for number in range(len(quantized.subgraphs))}
    for field_ in ("inputs", "outputs", "intermediates"):
        for pair in pairs:
            found[pair.subgraph].extend(pair.tensors(field_))
    for number, tensors in found.items():
        for side in ("inputs", "outputs"):
            tensors.extend(zip(*(indices_of(getattr(m.subgraphs[number], side)) for m in (again, quantized))))
    return found


def _conversions(model: Model, number: int) -> dict[int, tuple[str, int]]:
    """Of each tensor that a QUANTIZE or DEQUANTIZE makes: which of the two, and from which tensor."""
    return {
        y: (model.operator_name(operator), x)
        for operator in model.subgraphs[number].operators or ()
        if model.operator_name(operator) in CONVERSIONS
        for x, y in zip(indices_of(operator.inputs), indices_of(operator.outputs))
    }


def _compare(
    again: Model, quantized: Model, number: int, derived: int, found: int, counts: Counter[str]
) -> list[Finding]:
    expected = (again.subgraphs[number].tensors or [])[derived]
    tensor = (quantized.subgraphs[number].tensors or [])[found]
    place = _place(quantized, number, found)
    values, derived_values = quantized.constant(tensor), again.constant(expected)
    kind = _kind(tensor, values is not None)
    if tensor.type != expected.type:
        return [_finding(place, f"derived-{kind}-type", type_name(tensor), type_name(expected))]
    ours, theirs = scales_of(tensor), scales_of(expected)
    findings = _compare_floats(place, f"derived-{kind}-scale", ours, theirs)
    if values is not None and ours.size:
        counts[f"{kind} scales derived"] += ours.size
    findings += _compare_zero_points(place, kind, tensor, expected)
    if (values is None) != (derived_values is None):
        return [*findings, _finding(place, f"derived-{kind}", *(_there(v) for v in (values, derived_values)))]
    if values is None or derived_values is None:
        return findings
    if values.shape != derived_values.shape:
        return [*findings, _finding(place, f"derived-{kind}-shape", str(values.shape), str(derived_values.shape))]
    counts[f"{'biases' if kind == 'bias' else kind + 's'} derived"] += values.size
    return findings + _compare_values(place, f"derived-{kind}", values, derived_values)


def _kind(tensor: schema.Tensor, constant: bool) -> str:
    if not constant:
        return "activation"
    if not is_quantized(tensor):
        return "constant"
    return "bias" if tensor.type in (TensorType.INT32, TensorType.INT64) else "weight"


def _there(values: Array | None) -> str:
    return "no constant" if values is None else "a constant"


def _recorded(float_model: Model, quantized: Model, pairs: list[Pair], statistics: Statistics) -> dict[Key, Range]:
    """The ranges that samples gave to the tensors of the quantized model: those that become its scale, zero point."""
    found: dict[Key, Range] = {}
    for number, f, q in counterparts(float_model, quantized, pairs):
        range_ = statistics.ranges.get((number, f))
        tensor = (quantized.subgraphs[number].tensors or [])[q]
        if range_ is None or (number, q) in found or not is_quantized(tensor):
            continue
        bits = 16 if tensor.type == TensorType.INT16 else 8
        expected = of_statistics(float(range_.min), float(range_.max), bits)
        parameters = np.array(expected.scales, np.float32).tolist(), list(expected.zero_points)
        if (scales_of(tensor).tolist(), zero_points_of(tensor)) == parameters:
            found[number, q] = range_
    return found


def _compare_zero_points(place: str, kind: str, tensor: schema.Tensor, expected: schema.Tensor) -> list[Finding]:
    sides = [zero_points_of(tensor), zero_points_of(expected)]
    axes = [t.quantization.quantized_dimension if t.quantization else 0 for t in (tensor, expected)]
    if len(sides[1]) > 1 and axes[0] != axes[1]:
        return [_finding(place, f"derived-{kind}-axis", *map(str, axes))]
    if sides[0] == sides[1]:
        return []
    return [_finding(place, f"derived-{kind}-zero-point", *(str(side[:4]) for side in sides))]


def _compare_floats(place: str, rule: str, found: Array, derived: Array) -> list[Finding]:
    if found.size != derived.size:
        return [_finding(place, rule, f"{found.size} scales", f"{derived.size}")]
    different = found != derived
    if not different.any():
        return []
    i = int(np.argmax(different))
    bits = [f"{v!s} (bits {v.view(np.uint32):#010x})" for v in (found[i], derived[i])]
    return [
        _finding(f"{place}, channel {i}", rule, f"{bits[0]}, {int(different.sum())} of {found.size} differ", bits[1])
    ]


def _compare_values(place: str, rule: str, found: Array, derived: Array) -> list[Finding]:
    words = [a.view(f"u{a.itemsize}") if a.dtype.kind == "f" else a for a in (found, derived)]
    different = np.argwhere(words[0] != words[1])
    if not len(different):
        return []
    i = tuple(different[0].tolist())
    return [
        _finding(f"{place} at {list(i)}", rule, f"{found[i]}, {len(different)} of {found.size} differ", str(derived[i]))
    ]


def _place(model: Model, subgraph: int, index: int) -> str:
    name = (model.subgraphs[subgraph].tensors or [])[index].name
    return f"{f'subgraph {subgraph}, ' if len(model.subgraphs) > 1 else ''}tensor {index} ({name})"


def _not_quantized() -> Finding:
    found, expected = "no tensor has a scale or is a constant of float16", "a quantized model"
    return Finding("note", "not-quantized", "model", found, expected, "nothing was derived from the float model")


def _finding(place: str, rule: str, found: str, expected: str) -> Finding:
    return Finding(
        "error",
        rule,
        place,
        found,
        expected,
        "not what tensorflow 2.21.0 makes of the float model: another origin, another converter, or damage",
    )
