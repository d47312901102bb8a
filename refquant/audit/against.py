"""Our numbers against a real runtime's, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.accuracy import for_input
from refquant.audit.report import Comparison
from refquant.interpreter import Interpreter
from refquant.numerics.processor import with_processor
from refquant.runtimes import Runtime
from refquant.runtimes.machine import this_processor
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Array = npt.NDArray[Any]

#: our profile of each runtime's kernel set
PROFILES = {"reference": "reference", "micro": "micro"}


def compare(model: Model, runtime: Runtime, samples: list[list[Array]]) -> list[Comparison]:
    """Every operator's first output over all samples, ours and the runtime's, bit for bit.

    A difference begins at an operator whose inputs are equal and whose output is not; the rest was handed down.
    """
    interpreter = Interpreter(model=model, kernels=PROFILES[runtime.kernels])
    with with_processor(this_processor()):
        interpreter.allocate_tensors()
        details = interpreter.get_input_details()
        converted = [[for_input(row, detail) for row, detail in zip(sample, details)] for sample in samples]
        theirs = runtime.run_all_sequence(model, converted)
        different: dict[int, int] = {}
        largest: dict[int, float] = {}
        elements: dict[int, int] = {}
        compared = sorted({index for answer in theirs for index in answer})
        for found, answer in zip(interpreter.each_sample(converted, tensors=compared, keep_state=True), theirs):
            for index, expected in answer.items():
                ours = found[index]
                unequal = _bits(ours) != _bits(expected)
                elements[index] = elements.get(index, 0) + ours.size
                different[index] = different.get(index, 0) + int(np.count_nonzero(unequal))
                if unequal.any() and ours.dtype != object:
                    gap = np.abs(_numbers(ours[unequal]) - _numbers(expected.view(ours.dtype)[unequal]))
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
    """Inputs from the whole range of integer types, normal numbers for float ones, short strings."""
    generator = np.random.default_rng(seed)
    places = Interpreter(model=model).get_input_details()
    inputs = [(model.tensor(detail["index"]).type, tuple(detail["shape"])) for detail in places]
    return [[_random(generator, type, shape) for type, shape in inputs] for _ in range(count)]


def _random(generator: np.random.Generator, type: TensorType, shape: tuple[int, ...]) -> Array:
    """Random values of a tensor type; of bfloat16 their bits."""
    dtype = numpy_dtype(type)
    if type == TensorType.STRING:
        return np.array([b"", b"a", b"tflite"], object)[generator.integers(0, 3, shape)].reshape(shape)
    if type == TensorType.BFLOAT16:
        return (generator.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if type in PACKED_BITS:
        return generator.integers(
            0, 2 ** (PACKED_BITS[type] - 1), shape, np.uint8 if type == TensorType.UINT4 else np.int8
        )
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype.kind == "c":
        return (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(dtype)
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _numbers(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _bits(array: Array) -> Array:
    """Floats as the integers that hold their bits (every NaN as one), other arrays as they are."""
    if array.dtype.name == "bfloat16":
        return array.view(np.uint16)
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).view(f"u{array.itemsize}")
