"""From the arrays of files to samples that a model takes, and from its outputs back to arrays for a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError
from refquant.interpreter import Interpreter
from refquant.numerics import affine

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Place:
    """An input or output of a model, with the names by which it goes: the one to show first."""

    names: tuple[str, ...]
    details: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file."""
        return tuple(int(n) for n in self.details["shape"])

    @property
    def open_shape(self) -> tuple[int, ...]:
        """The shape, with -1 for each dimension that the model leaves open."""
        return tuple(int(n) for n in self.details["shape_signature"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its arrays."""
        dtype: np.dtype[Any] = np.dtype(self.details["dtype"])
        return dtype

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample may have this shape."""
        return len(shape) == len(self.open_shape) and all(n in (-1, m) for n, m in zip(self.open_shape, shape))

    def __str__(self) -> str:
        return f"input {self.names[0]!r}"


class Entry:
    """The way into a model: its main subgraph, or one of its signatures.

    `inputs` and `outputs` are in the order of the subgraph, or sorted by name for a signature. The main subgraph
    borrows the names of the model's only signature, where it has one.
    """

    def __init__(self, interpreter: Interpreter, signature: str | None = None) -> None:
        self._interpreter = interpreter
        if signature is None:
            interpreter.allocate_tensors()
            self._runner = None
            inputs, outputs = _public_names(interpreter)
            self.inputs = _places(interpreter.get_input_details(), inputs, "input")
            self.outputs = _places(interpreter.get_output_details(), outputs, "output")
        else:
            self._runner = interpreter.get_signature_runner(signature)
            self.inputs = [Place((k, d["name"]), d) for k, d in self._runner.get_input_details().items()]
            self.outputs = [Place((k, d["name"]), d) for k, d in self._runner.get_output_details().items()]

    def run(self, samples: Iterable[Sequence[Array]], *, reset: bool) -> Iterator[list[Array]]:
        """The outputs for each sample in turn, which has an array for each input, of one shape in all samples.

        `reset` sets variables to their first values before each.
        """
        interpreter = self._interpreter
        if self._runner is not None:
            for sample in samples:
                if reset:
                    interpreter.reset_all_variables()
                results = self._runner(**{place.names[0]: array for place, array in zip(self.inputs, sample)})
                yield [results[place.names[0]] for place in self.outputs]
            return
        samples = iter(samples)
        first = next(samples)
        planned = [details["shape"] for details in interpreter.get_input_details()]
        if any(tuple(shape) != array.shape for shape, array in zip(planned, first)):
            for place, array in zip(self.inputs, first):
                interpreter.resize_tensor_input(place.details["index"], array.shape)
            interpreter.allocate_tensors()
        for found in interpreter.each_sample(chain([first], samples), keep_state=not reset):
            yield [found[place.details["index"]] for place in self.outputs]


class Batch:
    """Samples: one array for each input in each. An input with a single sample serves all of them.

    `many` tells whether the outputs get a dimension for the samples, `stacked` whether that is a new one in front.
    Raises `InvalidInputError` for an array that the model does not take.
    """

    def __init__(self, inputs: Sequence[Place], arrays: Sequence[Array], quantize: bool) -> None:
        self.notes: list[str] = []
        self._rows: list[tuple[Array, bool]] = []
        self.stacked = False
        for place, array in zip(inputs, arrays):
            samples, extra = _as_samples(place, array)
            self._rows.append((self._converted(place, samples, quantize), extra or len(samples) > 1))
            self.stacked |= extra
        counts = {len(rows) for rows, many in self._rows if many and len(rows) != 1}
        if len(counts) > 1:
            told = ", ".join(f"{place.names[0]!r} {len(rows)}" for place, (rows, _) in zip(inputs, self._rows))
            raise InvalidInputError(f"the inputs hold different numbers of samples: {told}")
        self._count = counts.pop() if counts else 1
        self.many = any(many for _, many in self._rows)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[Array]]:
        for i in range(self._count):
            yield [rows[i if len(rows) > 1 else 0] for rows, _ in self._rows]

    def _converted(self, place: Place, array: Array, quantize: bool) -> Array:
        """The array in the dtype of the input."""
        is_bfloat16 = place.dtype.name == "bfloat16"
        if array.dtype == place.dtype or (place.dtype.kind == "S" and array.dtype.kind in "SU"):
            return array
        if is_bfloat16 and array.dtype == np.uint16:  # its bits
            return array
        if array.dtype.kind != "f":
            raise InvalidInputError(f"{place} takes {place.dtype}, the file holds {array.dtype}")
        if place.dtype.kind == "f" or is_bfloat16:
            return _as_float(place, array)
        scale, zero_point = place.details["quantization"]
        if place.dtype.kind not in "iu" or not scale:
            raise InvalidInputError(f"{place} takes {place.dtype} and is not quantized, the file holds {array.dtype}")
        if not quantize:
            raise InvalidInputError(
                f"{place} takes {place.dtype}, the file holds {array.dtype}: give --quantize-inputs to quantize it "
                f"with the input's scale {np.float32(scale)} and zero point {zero_point}"
            )
        if not np.isfinite(array).all():
            raise InvalidInputError(f"{place}: the file holds NaN or infinity, which cannot be quantized")
        limits = np.iinfo(place.dtype)
        low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
        outside = np.count_nonzero((array < low - scale / 2) | (array > high + scale / 2))
        if outside:
            self.notes.append(
                f"{place}: {outside} of {array.size} values lie outside {low:.6g} to {high:.6g} and saturate"
            )
        return affine.quantize(array, np.float32(scale), zero_point, place.dtype)


def joined(outputs: Sequence[Place], results: Sequence[Sequence[Array]], batch: Batch, real: bool) -> dict[str, Array]:
    """One array for each output, by name; with `real`, quantized ones as float32. Samples are joined as they came.

    Files take no strings of different lengths and no bfloat16: strings get one length, bfloat16 comes as its bits.
    """
    arrays = {}
    for position, place in enumerate(outputs):
        values = [result[position] for result in results]
        if len({value.shape for value in values}) > 1:
            raise InvalidInputError(f"output {place.names[0]!r} has another shape for each sample: run them one by one")
        rows = not batch.stacked and values[0].shape[:1] == (1,)
        array = values[0] if not batch.many else np.concatenate(values) if rows else np.stack(values)
        scale, zero_point = place.details["quantization"]
        if real and scale and array.dtype.kind in "iu":
            array = affine.dequantize(array, np.float32(scale), zero_point)
        if array.dtype == object:
            array = array.astype(np.bytes_)
        arrays[place.names[0]] = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
    return arrays


def _as_samples(place: Place, array: Array) -> tuple[Array, bool]:
    """The array with its samples along a new first dimension, and whether the file had that dimension already."""
    if array.ndim == len(place.shape) and place.shape[:1] == (1,) and place.takes((1, *array.shape[1:])):
        samples, extra = array[:, None], False
    elif place.takes(array.shape):
        samples, extra = array[None], False
    elif place.takes(array.shape[1:]) and array.ndim:
        samples, extra = array, True
    else:
        shape = ", ".join("?" if n < 0 else str(n) for n in place.open_shape)
        many = f"(N, {shape})" if shape else "(N,)"
        raise InvalidInputError(f"{place} takes shape ({shape}), or {many} for N samples; the file holds {array.shape}")
    if not len(samples):
        raise InvalidInputError(f"{place}: the file holds no samples, its shape is {array.shape}")
    return samples, extra


def _as_float(place: Place, array: Array) -> Array:
    with np.errstate(over="ignore"):
        converted: Array = array.astype(place.dtype)
    if np.count_nonzero(np.isinf(converted)) != np.count_nonzero(np.isinf(array)):
        raise InvalidInputError(f"{place} takes {place.dtype}, the file holds {array.dtype} values beyond its range")
    return converted


def _public_names(interpreter: Interpreter) -> tuple[dict[int, str], dict[int, str]]:
    """Names of inputs and outputs by tensor, from the model's only signature if that is the main subgraph's."""
    signatures = interpreter.model.root.signature_defs or []
    if len(signatures) != 1 or signatures[0].subgraph_index != 0:
        return {}, {}
    inputs, outputs = signatures[0].inputs or [], signatures[0].outputs or []
    return {e.tensor_index: e.name or "" for e in inputs}, {e.tensor_index: e.name or "" for e in outputs}


def _places(details: Sequence[dict[str, Any]], public: dict[int, str], kind: str) -> list[Place]:
    """Inputs or outputs with their names; those that would not tell them apart give way to numbers."""
    shown = [public.get(d["index"]) or d["name"] for d in details]
    places = []
    for position, (name, d) in enumerate(zip(shown, details)):
        names = (name, d["name"]) if name and shown.count(name) == 1 else (f"{kind}_{position}",)
        places.append(Place(tuple(dict.fromkeys(names)), d))
    return places
