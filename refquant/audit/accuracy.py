"""What quantization cost, on samples: error of every tensor, and accuracy where there are labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.pairs import pair_operators
from refquant.audit.report import Accuracy, TensorError
from refquant.errors import InvalidInputError
from refquant.interpreter import Interpreter
from refquant.numerics import affine
from refquant.tflite.model import Model

Array = npt.NDArray[Any]
Progress = Callable[[Iterable[int], int], Iterable[int]]


@dataclass(slots=True)
class _Sums:
    """What is kept of one tensor over the samples."""

    signal: float = 0.0
    noise: float = 0.0
    low: int = 0
    high: int = 0
    count: int = 0
    worst: tuple[float, int, int, float, float] = (-1.0, 0, 0, 0.0, 0.0)

    def add(self, sample: int, real: Array, quantized: Array, integers: Array) -> None:
        difference = np.abs(real.astype(np.float64) - quantized)
        self.signal += float(np.sum(real.astype(np.float64) ** 2))
        self.noise += float(np.sum(difference**2))
        limits = np.iinfo(integers.dtype)
        self.low += int(np.count_nonzero(integers == limits.min))
        self.high += int(np.count_nonzero(integers == limits.max))
        self.count += real.size
        at = int(np.argmax(difference)) if difference.size else 0
        if difference.size and difference.ravel()[at] > self.worst[0]:
            real_at, quantized_at = float(real.ravel()[at]), float(quantized.ravel()[at])
            self.worst = (float(difference.ravel()[at]), sample, at, real_at, quantized_at)

    def decibels(self) -> float:
        if self.noise == 0:
            return float("inf")
        return 10 * float(np.log10(self.signal / self.noise)) if self.signal else float("-inf")


def measure(
    float_model: Model, quantized_model: Model, samples: list[Array], labels: Array | None, progress: Progress
) -> tuple[list[TensorError], Accuracy | None]:
    """Runs both models on the samples (one array of N samples for each input, real numbers).

    Returns the error of every tensor that an operator of both writes and that is quantized, in order, and with
    `labels` (N whole numbers) the accuracy of both.
    """
    pairs = pair_operators(float_model, quantized_model)
    original, quantized = Interpreter(model=float_model), Interpreter(model=quantized_model)
    for interpreter in (original, quantized):
        interpreter.allocate_tensors()
    details = quantized.get_tensor_details()
    written = [(int(p.float_operator.outputs[0]), int(p.quantized_operator.outputs[0])) for p in pairs]  # type: ignore[index]
    answers = [interpreter.get_output_details()[0]["index"] for interpreter in (original, quantized)]
    found = zip(
        _each(original, samples, [*(theirs for theirs, _ in written), answers[0]]),
        _each(quantized, samples, [*(ours for _, ours in written), answers[1]]),
    )
    sums: dict[int, _Sums] = {}
    correct = [0, 0]
    agreement = 0
    count = len(samples[0])
    for n, both in zip(progress(range(count), count), found):
        for i, (theirs, ours) in enumerate(written):
            scale, zero_point = details[ours]["quantization"]
            real, integers = both[0][theirs], both[1][ours]
            if scale and integers.dtype.kind in "iu" and integers.dtype.itemsize <= 2 and real.shape == integers.shape:
                dequantized = affine.dequantize(integers, scale, zero_point)
                sums.setdefault(i, _Sums()).add(n, real, dequantized, integers)
        if labels is not None:
            largest = [int(np.argmax(tensors[answer])) for tensors, answer in zip(both, answers)]
            correct = [c + (place == labels[n]) for c, place in zip(correct, largest)]
            agreement += largest[0] == largest[1]
    errors = [
        TensorError(
            details[int(pairs[i].quantized_operator.outputs[0])]["name"],  # type: ignore[index]
            str(pairs[i]),
            s.decibels(),
            s.low / max(s.count, 1),
            s.high / max(s.count, 1),
            s.worst[1:],
        )
        for i, s in sums.items()
    ]
    if labels is None:
        return errors, None
    return errors, Accuracy(count, float(correct[0] / count), float(correct[1] / count), agreement / count)


def share_correct(model: Model, samples: list[Array], labels: Array, progress: Progress) -> float:
    """The share of the samples whose largest number in the first output stands at the place of the label."""
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    answer = interpreter.get_output_details()[0]["index"]
    correct, count = 0, len(labels)
    for n, tensors in zip(progress(range(count), count), _each(interpreter, samples, [answer])):
        correct += int(np.argmax(tensors[answer])) == labels[n]
    return float(correct / count)


def real_samples(model: Model, arrays: dict[str, Array], limit: int | None) -> tuple[list[Array], Array | None]:
    """From the arrays of an .npz: N samples for each input, and the labels (`labels` or `y`) if there are any.

    An input is found by its name, by the last part of its name, or, where the model has one input and one array is
    left, as that array.
    """
    arrays = dict(arrays)
    labels = next((arrays.pop(name) for name in ("labels", "y") if name in arrays), None)
    interpreter = Interpreter(model=model)
    found = []
    for detail in interpreter.get_input_details():
        name, shape = detail["name"], tuple(detail["shape"])
        key = name if name in arrays else name.removeprefix("serving_default_").split(":")[0]
        if key not in arrays:
            if len(arrays) != 1 or len(interpreter.get_input_details()) != 1:
                raise InvalidInputError(f"the samples have no array for input {name!r}: they hold {sorted(arrays)}")
            (key,) = arrays
        array = arrays[key]
        if array.dtype.kind not in "fiu" or array.ndim == 0:
            raise InvalidInputError(f"samples {key!r} must be numbers, they are {array.dtype} of shape {array.shape}")
        if array.shape[1:] == shape[1:] and shape[:1] == (1,):
            array = array[:, None]
        elif array.shape[1:] != shape:
            raise InvalidInputError(
                f"samples {key!r} must have shape (N, {', '.join(map(str, shape))}), they have {array.shape}"
            )
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise InvalidInputError(f"samples {key!r} hold NaN or infinity")
        found.append(array[:limit])
    lengths = {len(array) for array in found} | ({len(labels[:limit])} if labels is not None else set())
    if len(lengths) != 1 or lengths == {0}:
        raise InvalidInputError(
            f"inputs and labels must hold the same number of samples, at least one: {sorted(lengths)}"
        )
    return found, None if labels is None else labels[:limit]


def for_input(row: Array, detail: dict[str, Any]) -> Array:
    """One sample as an input takes it: quantized where the sample is real and the input is not."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind not in "fiub":  # strings, bfloat16, complex numbers: nothing to convert
        return row
    if row.dtype.kind == "f" and dtype.kind in "iu" and scale:
        return affine.quantize(row, scale, zero_point, dtype)
    if (row.dtype.kind in "iu" and dtype.kind == "f") or row.dtype.kind == dtype.kind:
        return row.astype(dtype)
    raise InvalidInputError(f"input {detail['name']!r} takes {dtype}, the samples are {row.dtype}")


def _each(interpreter: Interpreter, samples: list[Array], tensors: list[int]) -> Iterator[dict[int, Array]]:
    """These tensors for each of the real samples, in turn."""
    details = interpreter.get_input_details()
    converted = ([for_input(row, detail) for row, detail in zip(rows, details)] for rows in zip(*samples))
    return interpreter.each_sample(converted, tensors=tensors)
