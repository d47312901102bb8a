"""Our numbers against a real runtime's, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.accuracy import for_input
from refquant.audit.report import Comparison
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.tflite.model import Model

Array = npt.NDArray[Any]

#: our profile of each runtime's kernel set
PROFILES = {"reference": "reference", "micro": "micro"}


def compare(model: Model, runtime: Runtime, samples: list[list[Array]]) -> list[Comparison]:
    """Every operator's first output over all samples, ours and the runtime's, bit for bit.

    A difference begins at an operator whose inputs are equal and whose output is not; the rest was handed down.
    """
    interpreter = Interpreter(model=model, kernels=PROFILES[runtime.kernels])
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    converted = [[for_input(row, detail) for row, detail in zip(sample, details)] for sample in samples]
    theirs = runtime.run_all_sequence(model, converted)
    different: dict[int, int] = {}
    largest: dict[int, float] = {}
    elements: dict[int, int] = {}
    for sample, answer in zip(converted, theirs):
        for detail, array in zip(details, sample):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        for index, expected in answer.items():
            ours = interpreter.get_tensor(index)
            unequal = _bits(ours) != _bits(expected)
            elements[index] = elements.get(index, 0) + ours.size
            different[index] = different.get(index, 0) + int(np.count_nonzero(unequal))
            if unequal.any():
                gap = np.abs(ours[unequal].astype(np.float64) - expected[unequal].astype(np.float64))
                largest[index] = max(largest.get(index, 0.0), float(np.nanmax(gap, initial=0.0)))
    results = []
    tensors = interpreter.get_tensor_details()
    for number, operator in enumerate(model.subgraphs[0].operators or ()):
        inputs = [] if operator.inputs is None else [int(i) for i in operator.inputs]
        for output in [] if operator.outputs is None else [int(i) for i in operator.outputs]:
            verdict = "equal"
            if different.get(output):
                verdict = "handed down" if any(different.get(i) for i in inputs) else "begins here"
            results.append(
                Comparison(
                    f"operator {number} ({model.operator_name(operator)})",
                    tensors[output]["name"],
                    elements.get(output, 0),
                    different.get(output, 0),
                    largest.get(output, 0.0),
                    verdict,
                )
            )
    return results


def random_samples(model: Model, count: int, seed: int) -> list[list[Array]]:
    """Inputs from the whole range of integer types, and normal numbers for float ones."""
    generator = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        sample = []
        for detail in Interpreter(model=model).get_input_details():
            dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
            if dtype.kind == "f":
                sample.append(generator.standard_normal(shape).astype(dtype))
            elif dtype == np.bool_:
                sample.append(generator.integers(0, 2, shape).astype(dtype))
            else:
                limits = np.iinfo(dtype)
                sample.append(generator.integers(limits.min, limits.max, shape, dtype, endpoint=True))
        samples.append(sample)
    return samples


def _bits(array: Array) -> Array:
    """Floats as the integers that hold their bits (every NaN as one), other arrays as they are."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).view(f"u{array.itemsize}")
