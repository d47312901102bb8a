"""What is asked for and what it is asked of: the tensor by name, the element, one sample of inputs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refquant.audit.accuracy import for_input
from refquant.audit.comparison import random_samples
from refquant.audit.explain.observe import with_operators
from refquant.errors import InvalidInputError
from refquant.interpreter import Interpreter, border
from refquant.interpreter.plan import Subgraphs, first_value
from refquant.kernels.registry import Array, TensorInfo
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.tensor_types import PACKED_BITS
from refquant.tflite.vectors import indices_of


def tensor_number(model: Model, wanted: str | int) -> int:
    """The number of a tensor of the main subgraph, by its name or its number.

    Raises InvalidInputError, with the names that come nearest, for one that the model does not have.
    """
    names = [tensor.name or "" for tensor in model.subgraphs[0].tensors or ()]
    if isinstance(wanted, str) and wanted in names:
        if names.count(wanted) > 1:
            numbers = [i for i, name in enumerate(names) if name == wanted]
            raise InvalidInputError(f"the tensors {numbers} are all called {wanted!r}: give a number")
        return names.index(wanted)
    if not isinstance(wanted, str) or wanted.lstrip("-").isdigit():
        if not 0 <= int(wanted) < len(names):
            raise InvalidInputError(f"there is no tensor {wanted}: the model has tensors 0 to {len(names) - 1}")
        return int(wanted)
    near = [name for name in names if name and wanted.lower() in name.lower()]
    near = (near or difflib.get_close_matches(wanted, [n for n in names if n], n=5, cutoff=0.3))[:5]
    advice = f"; the nearest are {', '.join(map(repr, near))}" if near else ""
    raise InvalidInputError(f"there is no tensor {wanted!r}{advice}; the model has {len(names)}, 0 to {len(names) - 1}")


def checked_index(place: str, shape: tuple[int, ...], index: Sequence[int] | int) -> tuple[int, ...]:
    """The index of an element of a tensor of this shape; raises InvalidInputError where there is none such."""
    numbers = tuple(int(n) for n in np.atleast_1d(np.asarray(index, np.int64)))
    if len(numbers) != len(shape):
        raise InvalidInputError(
            f"{place} has {len(shape)} dimensions, {shape}: an index has {len(shape)} numbers, got {len(numbers)}"
            + _valid(shape)
        )
    if any(not 0 <= n < size for n, size in zip(numbers, shape)):
        raise InvalidInputError(f"{place} of shape {shape} has no element {list(numbers)}{_valid(shape)}")
    return numbers


def _valid(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return ": it is empty"
    return f": valid are {list([0] * len(shape))} to {[n - 1 for n in shape]}" if shape else ""


def sample_of(model: Model, data: Any, seed: int) -> tuple[list[Array], str]:
    """One sample, an array for each input as the interpreter holds it, and whence it is."""
    bare = inputs_alone(model)
    own = Subgraphs(bare, "reference")[0].tensors
    places = [replace(t, index=number) for t, number in zip(own, indices_of(model.subgraphs[0].inputs))]
    if data is None:
        (arrays,) = random_samples(bare, 1, seed)
        about = f"random inputs, seed {seed}" if places else "no inputs"
    else:
        arrays, about = _in_order(places, _public_names(model), data), "inputs as given"
    details = Interpreter(model=bare).get_input_details()
    return [_converted(*both) for both in zip(places, details, arrays)], about


def _public_names(model: Model) -> dict[int, str]:
    """What the signatures of the main subgraph call the inputs, by the numbers of their tensors."""
    signatures = [s for s in model.root.signature_defs or () if s.subgraph_index == 0]
    return {entry.tensor_index: entry.name or "" for s in signatures for entry in s.inputs or ()}


def _in_order(places: Sequence[TensorInfo], public: Mapping[int, str], data: Any) -> list[Array]:
    """The arrays of a sample in the order of the inputs."""
    if isinstance(data, Mapping):
        names = [next((n for n in (p.name, public.get(p.index)) if n in data), None) for p in places]
        missing = [place.name for place, name in zip(places, names) if name is None]
        if missing:
            inputs = ", ".join(repr(place.name) for place in places)
            raise InvalidInputError(f"no data for input {missing[0]!r}: the model has {inputs}")
        return [np.asarray(data[name]) for name in names if name is not None]
    arrays = [data] if isinstance(data, np.ndarray) else [np.asarray(array) for array in data]
    if len(arrays) != len(places):
        raise InvalidInputError(f"data for {len(arrays)} inputs, the model has {len(places)}")
    return arrays


def _converted(place: TensorInfo, details: dict[str, Any], array: Array) -> Array:
    """The array as the interpreter holds it; one of another shape with as many dimensions resizes the input."""
    if array.ndim != len(place.dims):
        raise InvalidInputError(f"{place.place} takes shape {place.dims}, the data have {array.shape}")
    if array.dtype != place.dtype and place.type not in PACKED_BITS:
        array = for_input(array, details)
    return border.inward(replace(place, shape=array.shape), array)


def inputs_alone(model: Model) -> Model:
    """A model of the inputs and nothing else, which any interpreter takes: they are its outputs, too."""
    numbers = indices_of(model.subgraphs[0].inputs)
    bare = with_operators(model, [], range(len(numbers)), range(len(numbers)))
    tensors = model.subgraphs[0].tensors or []
    bare.subgraphs[0].tensors = [tensors[number] for number in numbers]
    bare.root.signature_defs = [_renumbered(s, numbers) for s in model.root.signature_defs or ()] or None
    return bare


def _renumbered(signature: schema.SignatureDef, numbers: Sequence[int]) -> schema.SignatureDef:
    """A signature of the main subgraph whose outputs are left out; others without entries."""
    entries = signature.inputs or [] if signature.subgraph_index == 0 else []
    inputs = [
        schema.TensorMap(name=entry.name, tensor_index=numbers.index(entry.tensor_index))
        for entry in entries
        if entry.tensor_index in numbers
    ]
    return schema.SignatureDef(
        inputs=inputs, outputs=[], signature_key=signature.signature_key, subgraph_index=signature.subgraph_index
    )


def given_tensor(model: Model, number: int, inputs: Sequence[Array]) -> tuple[TensorInfo, Array, str]:
    """A tensor that no operator writes: its facts, its array, and what it is."""
    inputs_of_model = indices_of(model.subgraphs[0].inputs)
    bare = with_operators(model, [], inputs_of_model, inputs_of_model)
    plan = Subgraphs(bare, "micro")[0]  # the profile that takes most
    tensor = plan.tensors[number]
    if number in plan.inputs:
        position = plan.inputs.index(number)
        return tensor, inputs[position], f"input {position} of the model"
    if tensor.value is not None:
        return tensor, tensor.value, "a constant of the file"
    if tensor.is_variable:
        return tensor, first_value(tensor), "a variable, here before the first run"
    raise InvalidInputError(f"{tensor.place} never has a value: no operator writes it")


def writer_of(model: Model, number: int) -> tuple[int, int] | None:
    """The operator that writes a tensor, and which of its outputs that is; None where none does."""
    for position, operator in enumerate(model.subgraphs[0].operators or ()):
        outputs = indices_of(operator.outputs)
        if number in outputs:
            return position, outputs.index(number)
    return None
