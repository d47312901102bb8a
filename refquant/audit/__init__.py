"""Auditing a quantized model: the file, its float origin, its accuracy, a real runtime."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from refquant.audit import accuracy, against, derive
from refquant.audit.report import Accuracy, Comparison, Derivation, Finding, Report, TensorError
from refquant.audit.specification import check_specification
from refquant.errors import InvalidInputError
from refquant.runtimes import open_runtime
from refquant.tflite.model import Model

__all__ = ["Accuracy", "Comparison", "Derivation", "Finding", "Report", "TensorError", "audit"]

_RANDOM_SAMPLES = 4


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
        with open_runtime(against_runtime) as runtime:
            report.runtime = f"{against_runtime} {runtime.version()}, {runtime.kernels} kernels"
            chosen = against.random_samples(quantized, _RANDOM_SAMPLES, seed=0)
            if rows is not None:
                chosen = [[array[n] for array in rows] for n in range(min(_RANDOM_SAMPLES, len(rows[0])))]
            report.comparisons = against.compare(quantized, runtime, chosen)
        for comparison in report.comparisons:
            if comparison.verdict == "begins here":
                report.findings.append(_difference(comparison, report.runtime))
    return report


def _difference(comparison: Comparison, runtime: str) -> Finding:
    return Finding(
        "error",
        "runtime-differs",
        f"{comparison.operator}, output {comparison.tensor}",
        f"{comparison.different} of {comparison.elements} elements differ by up to {comparison.largest:g}",
        f"the bits of {runtime}",
        "all inputs of this operator are equal: the difference begins here; please report it to refquant",
    )


def _silent(items: Iterable[int], _: int) -> Iterable[int]:
    return items
