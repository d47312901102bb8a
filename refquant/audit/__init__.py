"""Auditing a quantized model: the file, its float origin, its accuracy, a real runtime."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from refquant.audit import accuracy, derive
from refquant.audit.bisection import Bisection, bisect
from refquant.audit.comparison import RANDOM_SAMPLES, compare
from refquant.audit.report import (
    Accuracy,
    Comparison,
    ComparisonReport,
    Derivation,
    Finding,
    Report,
    TensorError,
)
from refquant.audit.reproduction import Reproduction
from refquant.audit.specification import check_specification
from refquant.errors import InvalidInputError, RuntimeFailedError
from refquant.tflite.model import Model

__all__ = [
    "Accuracy",
    "Bisection",
    "Comparison",
    "ComparisonReport",
    "Derivation",
    "Finding",
    "Report",
    "Reproduction",
    "TensorError",
    "audit",
    "bisect",
    "compare",
]

#: our profile and the real runtime that has its kernels, by the word for `against_runtime`
_AGAINST = {
    "tensorflow": ("reference", "tensorflow:reference"),
    "litert": ("reference", "litert:reference"),
    "micro": ("micro", "tflite-micro"),
}


def audit(
    model: Model | str | os.PathLike[str] | bytes,
    *,
    float_model: Model | str | os.PathLike[str] | bytes | None = None,
    samples: dict[str, npt.NDArray[Any]] | None = None,
    limit: int | None = None,
    against_runtime: str | None = None,
    progress: accuracy.Progress | None = None,
) -> Report:
    """Checks a quantized model and says what it found.

    Always: the file against the quantization specification. With `float_model`: the float model quantized again, every
    tensor compared, and the rule that explains each. With `samples` too (arrays of N real samples by input name,
    `labels` optional, at most `limit` of them used): which samples the ranges come from, where these gave them, error
    of each tensor and accuracy. With `against_runtime` ("tensorflow", "litert", "micro"): every
    operator's output there against ours, on the first samples or on random inputs.

    Raises `InvalidModelError`, `InvalidInputError`, `RuntimeUnavailableError` or `RuntimeFailedError`.
    """
    quantized = model if isinstance(model, Model) else Model.read(model)
    report = Report(str(model) if isinstance(model, (str, os.PathLike)) else "model")
    report.findings, report.checks = check_specification(quantized)
    original = float_model if float_model is None or isinstance(float_model, Model) else Model.read(float_model)
    rows, labels = (None, None) if samples is None else accuracy.real_samples(quantized, samples, limit)
    if original is not None:
        statistics = None if rows is None else derive.recorded(original, rows, progress or _silent)
        derived = derive.check_derivation(original, quantized, statistics)
        report.findings += derived.findings
        report.checks |= derived.counts
        report.derivations = derived.tensors
    if rows is not None and original is not None:
        report.tensors, report.accuracy = accuracy.measure(original, quantized, rows, labels, progress or _silent)
    elif rows is not None and against_runtime is None:
        raise InvalidInputError("samples alone show nothing: give the float model too, or a runtime to compare with")
    if against_runtime is not None:
        _compare_with(against_runtime, quantized, rows, report)
    return report


def _compare_with(runtime: str, model: Model, rows: list[npt.NDArray[Any]] | None, report: Report) -> None:
    """Fills in how a real runtime's numbers differ from ours."""
    if runtime not in _AGAINST:
        raise InvalidInputError(f"there is no runtime {runtime!r}: choose one of {', '.join(_AGAINST)}")
    samples = None
    if rows is not None:
        samples = [[array[n] for array in rows] for n in range(min(RANDOM_SAMPLES, len(rows[0])))]
    profile, word = _AGAINST[runtime]
    found = compare(model, {"refquant": profile, runtime: word}, samples=samples)
    for message in found.failures.values():
        raise RuntimeFailedError(message)
    report.runtime = found.runtimes[runtime]
    report.comparisons = found.comparisons
    for comparison in report.comparisons:
        if comparison.verdict.startswith("begins"):
            report.findings.append(_difference(comparison, report.runtime))
        elif comparison.verdict == "no answer" and comparison.note:
            report.findings.append(_silence(comparison, report.runtime))


def _difference(comparison: Comparison, runtime: str) -> Finding:
    return Finding(
        "error",
        "runtime-differs",
        f"{comparison.operator}, output {comparison.tensor}",
        str(comparison.difference),
        f"the bits of {runtime}",
        "on equal inputs this operator differs: the difference begins here; please report it to refquant",
    )


def _silence(comparison: Comparison, runtime: str) -> Finding:
    return Finding(
        "warning",
        "runtime-refuses",
        f"{comparison.operator}, output {comparison.tensor}",
        comparison.note,
        f"an answer of {runtime} and of refquant",
        "nothing that follows from this tensor was compared",
    )


def _silent(items: Iterable[int], _: int) -> Iterable[int]:
    return items
