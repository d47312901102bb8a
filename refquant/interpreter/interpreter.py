"""`Interpreter`: the surface of `tf.lite.Interpreter` over the kernels of refquant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refquant.errors import InvalidInputError
from refquant.interpreter import border
from refquant.interpreter.batches import Batches
from refquant.interpreter.details import details, signature_of
from refquant.interpreter.plan import SubgraphPlan, Subgraphs, first_value
from refquant.kernels.blocks import number_of_threads
from refquant.kernels.registry import MOST_ELEMENTS, Array, Observer, TensorInfo
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

#: the profiles: whose bits the results are
PROFILES = ("reference", "optimized", "xnnpack", "calibrator", "micro")


def check_float_mode(float_mode: str) -> None:
    """Raises InvalidInputError for what is none."""
    if float_mode not in ("exact", "fast"):
        raise InvalidInputError(f"there is no float_mode {float_mode!r}: choose 'exact' or 'fast'")


class Interpreter:
    """Runs a model with the bits of one real runtime.

    The methods, the keys of the details and the dtypes are those of `tf.lite.Interpreter`, so a program written for
    it runs after its import is changed. Beyond it: any tensor can be read after `invoke`, nothing is overwritten.
    `refquant.interpreter.border` tells which arrays stand for strings, bfloat16, packed integers and resources.

    Give the model as `model_path`, `model_content` (bytes) or `model` (a `Model`). `kernels` names the runtime whose
    bits are wanted: ``"reference"`` (TensorFlow's BUILTIN_REF resolver), ``"optimized"`` (its optimized kernels without
    delegates), ``"xnnpack"`` (what `tf.lite.Interpreter` is unless told otherwise: the kernels of the
    delegate XNNPACK for the operators that it takes, see `refquant.kernels.xnnpack.delegation`, the optimized kernels
    for the others), ``"calibrator"`` (the optimized kernels as the converter's calibrator runs them: CONV_2D on four
    threads and LSTM with other sums) or ``"micro"`` (TFLite Micro's reference kernels). With `float_mode`
    ``"exact"`` float kernels keep that runtime's order of operations; ``"fast"`` leaves the sums of products of float32
    to NumPy's BLAS, and they are those of no runtime (see `refquant.kernels.fast_products`); XNNPACK's are exact in any
    mode.
    `num_threads` is how many threads convolutions are spread over: 1 unless told, for -1 as many as there are
    processors. The results are the same bits for any number. (How many BLAS uses is its own matter:
    OPENBLAS_NUM_THREADS.)
    `experimental_preserve_all_tensors` is True here, unlike there; with False `invoke` lets go of each intermediate
    after the last operator that reads it, needs less memory, and only inputs, outputs, constants and variables can be
    read afterwards.

    Raises `InvalidModelError` for a bad model, `UnsupportedOperatorError` for an operator without a kernel (here, or
    in `allocate_tensors` where its types tell), `InvalidInputError` for bad arguments.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        model_content: bytes | None = None,
        *,
        model: Model | None = None,
        kernels: str = "reference",
        float_mode: str = "exact",
        num_threads: int | None = None,
        experimental_preserve_all_tensors: bool = True,
    ) -> None:
        if sum(source is not None for source in (model_path, model_content, model)) != 1:
            raise InvalidInputError("give exactly one of model_path, model_content and model")
        if kernels not in PROFILES:
            raise InvalidInputError(f"there are no kernels {kernels!r}: choose one of {', '.join(PROFILES)}")
        check_float_mode(float_mode)
        if num_threads is not None and num_threads < -1:
            raise InvalidInputError(f"num_threads must be -1 or more, got {num_threads}")
        if model is None:
            model = Model.read(model_content if model_path is None else model_path)  # type: ignore[arg-type]
        self.model = model
        self.kernels = kernels
        self._plans = Subgraphs(
            model,
            kernels,
            fast=float_mode == "fast",
            preserves=experimental_preserve_all_tensors,
            threads=number_of_threads(num_threads),
        )
        self._plan(0)
        self._allocated: set[int] = set()
        self._batches: Batches | None = None

    def allocate_tensors(self) -> None:
        """Plans every operator for the present input shapes; call it again after `resize_tensor_input`.

        Variables get their first values. Nothing happens where nothing has been resized since (but an input of strings
        counts as resized). Raises `InvalidModelError` or `UnsupportedOperatorError` with the place.
        """
        self._allocate(0)

    def get_input_details(self) -> list[dict[str, Any]]:
        """A dictionary for each input: name, index, shape, shape_signature, dtype, quantization, …"""
        return [self._details(0, index) for index in self._plans[0].inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """A dictionary for each output, as `get_input_details`."""
        return [self._details(0, index) for index in self._plans[0].outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """A dictionary for each tensor of a subgraph, as `get_input_details`."""
        return [self._details(subgraph_index, index) for index in range(len(self._plan(subgraph_index).tensors))]

    def num_subgraphs(self) -> int:
        """How many subgraphs the model has."""
        return len(self.model.subgraphs)

    def resize_tensor_input(self, input_index: int, tensor_size: Any, strict: bool = False) -> None:
        """Gives an input another shape; with `strict`, only dimensions that the model leaves open (-1) may change."""
        tensor = self._input(0, input_index)
        try:
            shape = tuple(int(n) for n in np.atleast_1d(np.asarray(tensor_size, np.int64)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"a shape is a sequence of whole numbers, got {tensor_size!r}") from error
        if any(n < 0 for n in shape) or np.prod(shape, dtype=object) >= MOST_ELEMENTS:
            raise InvalidInputError(
                f"the new shape of {tensor.place} must be 0 to {MOST_ELEMENTS - 1} elements, got {shape}"
            )
        if strict:
            signature = signature_of(tensor, self._table(0, tensor.index))
            if len(shape) != len(signature) or any(s not in (-1, n) for s, n in zip(signature, shape)):
                raise InvalidInputError(f"{tensor.place} takes shapes {signature} (-1: any), got {shape}")
        self._resize(0, tensor, shape)

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copies an array into an input (or a variable); dtype and shape must be the tensor's own."""
        self._require_allocation(0)
        self._set(0, tensor_index, value)

    def invoke(self) -> None:
        """Runs the model. Raises `InvalidInputError` where an input was not set (the real one reads memory then)."""
        self._require_allocation(0)
        self._invoke(0)

    def run_samples(
        self, samples: Sequence[Any], *, tensors: Sequence[int] | None = None, keep_state: bool = False
    ) -> dict[int, Array]:
        """Runs the model on N samples: the outputs, by the index of their tensor, each of shape (N, …).

        `samples` has an array of shape (N, …) for each input, in the order of `get_input_details`, where … is the shape
        of the tensor; `tensors` names those that are wanted instead of the outputs. All bits are those of `set_tensor`
        and `invoke` N times over, and the interpreter is left as by the last time; but operators that allow it run on
        many samples together, which takes less time, in small models above all. Variables start anew with each sample
        unless `keep_state`.

        Raises `InvalidInputError` for samples of another dtype or shape than the input's, or of different numbers, and
        where a tensor has another shape for each sample: take them from `each_sample` then.

        >>> import numpy as np
        >>> import refquant as rq
        >>> from refquant.data import DIGITS_FLOAT, DIGITS_SAMPLES
        >>> interpreter = rq.Interpreter(DIGITS_FLOAT)
        >>> interpreter.allocate_tensors()
        >>> images = np.load(DIGITS_SAMPLES)["image"][:, None]
        >>> images.shape
        (360, 1, 8, 8, 1)
        >>> (outputs,) = interpreter.run_samples([images]).values()
        >>> outputs.shape
        (360, 1, 10)
        """
        self._require_allocation(0)
        arrays = self._stacked_inputs(samples)
        results = list(self._each(zip(*arrays), tensors, keep_state))
        found = {}
        for index in results[0]:
            arrays = [result[index] for result in results]
            if len({array.shape for array in arrays}) > 1:
                place = self._tensor(0, index).place
                raise InvalidInputError(f"{place} has not the same shape for all samples: take them from each_sample")
            found[index] = np.stack(arrays)
        return found

    def each_sample(
        self, samples: Iterable[Sequence[Any]], *, tensors: Sequence[int] | None = None, keep_state: bool = False
    ) -> Iterator[dict[int, Array]]:
        """As `run_samples`, but takes sample after sample from an iterable and gives one result after the other.

        A sample holds an array for each input, as `set_tensor` takes it. Some are taken ahead, as many as run at once.
        """
        self._require_allocation(0)
        return self._each((self._inputs_of(sample) for sample in samples), tensors, keep_state)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """A copy of any tensor: input, constant, variable, intermediate or output of the last `invoke`."""
        tensor = self._tensor(subgraph_index, tensor_index)
        return border.outward(tensor, self._value(subgraph_index, tensor_index).copy())

    def tensor(self, tensor_index: int) -> Callable[[], Array]:
        """A function that returns the tensor's present array without a copy; an input's may be written to."""
        self._require_allocation(0)
        plan = self._plans[0]
        tensor = self._tensor(0, tensor_index)
        if tensor.index in plan.inputs and plan.values[tensor.index] is None:
            plan.values[tensor.index] = first_value(tensor)

        def view() -> Array:
            value = border.outward(tensor, self._value(0, tensor.index).view())
            value.flags.writeable = value.flags.writeable and tensor.index in plan.inputs
            return value

        return view

    def reset_all_variables(self) -> None:
        """Sets all variable tensors back to their first values; what VAR_HANDLE names and hash tables stay."""
        self._plans.reset_variables()

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """The signatures: key, and the names of its inputs and outputs, sorted."""
        return {
            key: {
                "inputs": sorted(entry.name or "" for entry in signature.inputs or ()),
                "outputs": sorted(entry.name or "" for entry in signature.outputs or ()),
            }
            for key, signature in self._signatures().items()
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A function that takes a signature's inputs by keyword and returns its outputs in a dictionary."""
        signatures = self._signatures()
        if signature_key is None:
            if len(signatures) != 1:
                raise InvalidInputError(f"the model has {len(signatures)} signatures: name one of {list(signatures)}")
            (signature_key,) = signatures
        if signature_key not in signatures:
            raise InvalidInputError(f"there is no signature {signature_key!r}: the model has {list(signatures)}")
        return SignatureRunner(self, signature_key, signatures[signature_key])

    def observe(self, observer: Observer | None) -> None:
        """Has the kernels hand their inner numbers to `observer(operator, numbers)` in each `invoke` to come."""
        self._plans.observe(observer)

    # What follows serves several subgraphs: subgraph 0 for the methods above, any for a signature.

    def _plan(self, subgraph: int) -> SubgraphPlan:
        if not isinstance(subgraph, (int, np.integer)) or not 0 <= subgraph < len(self.model.subgraphs):
            raise InvalidInputError(
                f"subgraph {subgraph!r}: the model has subgraphs 0 to {len(self.model.subgraphs) - 1}"
            )
        return self._plans[int(subgraph)]

    def _allocate(self, subgraph: int) -> None:
        plan = self._plan(subgraph)
        if subgraph not in self._allocated or any(plan.tensors[i].type == TensorType.STRING for i in plan.inputs):
            plan.plan()
            self._allocated.add(subgraph)
            self._batches = None

    def _resize(self, subgraph: int, tensor: TensorInfo, shape: tuple[int, ...]) -> None:
        if shape != tensor.shape or subgraph not in self._allocated:
            tensor.shape = shape
            self._plans[subgraph].values[tensor.index] = None
            self._allocated.discard(subgraph)

    def _require_allocation(self, subgraph: int) -> None:
        if subgraph not in self._allocated:
            raise InvalidInputError("the tensors are not allocated: call allocate_tensors() first")

    def _signatures(self) -> dict[str, schema.SignatureDef]:
        return {s.signature_key or "": s for s in self.model.root.signature_defs or ()}

    def _tensor(self, subgraph: int, index: int) -> TensorInfo:
        tensors = self._plan(subgraph).tensors
        if not isinstance(index, (int, np.integer)) or not 0 <= index < len(tensors):
            raise InvalidInputError(f"there is no tensor {index!r}: subgraph {subgraph} has 0 to {len(tensors) - 1}")
        return tensors[index]

    def _input(self, subgraph: int, index: int) -> TensorInfo:
        tensor = self._tensor(subgraph, index)
        if tensor.index not in self._plan(subgraph).inputs:
            raise InvalidInputError(f"{tensor.place} is not an input: inputs are {self._plan(subgraph).inputs}")
        return tensor

    def _set(self, subgraph: int, index: int, value: Any) -> None:
        plan = self._plan(subgraph)
        tensor = self._tensor(subgraph, index)
        if tensor.index not in plan.inputs and not tensor.is_variable:
            raise InvalidInputError(f"{tensor.place} is neither an input nor a variable: inputs are {plan.inputs}")
        plan.values[tensor.index] = border.inward(tensor, value)

    def _invoke(self, subgraph: int) -> None:
        plan = self._plan(subgraph)
        for index in plan.inputs:
            if plan.values[index] is None:
                raise InvalidInputError(f"{plan.tensors[index].place} was not set: call set_tensor({index}, array)")
        plan.invoke()

    def _each(
        self, samples: Iterable[Sequence[Array]], tensors: Sequence[int] | None, keep_state: bool
    ) -> Iterator[dict[int, Array]]:
        plan = self._plans[0]
        wanted = [self._tensor(0, index) for index in (plan.outputs if tensors is None else tensors)]
        for tensor in wanted:
            self._check_has_value(tensor)
        if self._batches is None:
            self._batches = Batches(plan, self.reset_all_variables)
        for result in self._batches.each(samples, [tensor.index for tensor in wanted], keep_state):
            yield {tensor.index: border.outward(tensor, result[tensor.index]) for tensor in wanted}

    def _check_has_value(self, tensor: TensorInfo) -> None:
        """Raises InvalidInputError for a tensor of subgraph 0 that has no value after a run."""
        plan = self._plans[0]
        self._check_is_kept(plan, tensor)
        is_written = any(tensor in step.operator.outputs for step in plan.steps)
        if not (is_written or tensor.index in plan.inputs or tensor.is_variable or tensor.value is not None):
            raise InvalidInputError(f"{tensor.place} never has a value: no operator writes it")

    def _inputs_of(self, sample: Sequence[Any]) -> list[Array]:
        """The arrays of a sample, one for each input."""
        inputs = self._plans[0].inputs
        if len(sample) != len(inputs):
            raise InvalidInputError(f"a sample of {len(sample)} arrays, the model has {len(inputs)} inputs")
        return [border.inward(self._tensor(0, index), array) for index, array in zip(inputs, sample)]

    def _stacked_inputs(self, samples: Sequence[Any]) -> list[Array]:
        """The arrays of many samples, one for each input, which have the samples as their first axis."""
        inputs = [self._tensor(0, index) for index in self._plans[0].inputs]
        if len(samples) != len(inputs):
            raise InvalidInputError(f"samples for {len(samples)} inputs, the model has {len(inputs)}")
        arrays = [np.asarray(array) for array in samples]
        for tensor, array in zip(inputs, arrays):
            if array.ndim == 0 or array.shape[1:] != tensor.dims:
                shape = ", ".join(map(str, ("N", *tensor.dims)))
                raise InvalidInputError(f"{tensor.place} takes N samples as shape ({shape}), got {array.shape}")
        counts = [len(array) for array in arrays]
        if len(set(counts)) != 1 or not counts[0]:
            raise InvalidInputError(f"all inputs must have the same number of samples, at least one, got {counts}")
        return [border.inward(replace(t, shape=array.shape), array) for t, array in zip(inputs, arrays)]

    def _value(self, subgraph: int, index: int) -> Array:
        tensor = self._tensor(subgraph, index)
        plan = self._plan(subgraph)
        value = plan.values[tensor.index]
        if value is None:
            self._check_is_kept(plan, tensor)
            raise InvalidInputError(f"{tensor.place} has no value yet: set the inputs and call invoke() first")
        return value

    def _check_is_kept(self, plan: SubgraphPlan, tensor: TensorInfo) -> None:
        if plan.is_dropped(tensor.index):
            raise InvalidInputError(
                f"{tensor.place} is an intermediate, which invoke() does not keep: "
                "make the Interpreter with experimental_preserve_all_tensors=True"
            )

    def _details(self, subgraph: int, index: int) -> dict[str, Any]:
        return details(self._plan(subgraph).tensors[index], self._table(subgraph, index))

    def _table(self, subgraph: int, index: int) -> schema.Tensor:
        return (self._plan(subgraph).table.tensors or [])[index]


class SignatureRunner:
    """A signature as a function: inputs by keyword, outputs in a dictionary (made by `get_signature_runner`)."""

    def __init__(self, interpreter: Interpreter, key: str, signature: schema.SignatureDef) -> None:
        self._interpreter = interpreter
        self._key = key
        self._subgraph = int(signature.subgraph_index)
        self._inputs = _by_name(signature.inputs)
        self._outputs = _by_name(signature.outputs)

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        """Runs the signature; an input of another shape than the last one is planned anew."""
        if inputs.keys() != self._inputs.keys():
            raise InvalidInputError(
                f"signature {self._key!r} takes the inputs {sorted(self._inputs)}, got {sorted(inputs)}"
            )
        interpreter = self._interpreter
        for name, value in inputs.items():
            tensor = interpreter._input(self._subgraph, self._inputs[name])
            interpreter._resize(self._subgraph, tensor, np.shape(value))
        interpreter._allocate(self._subgraph)
        for name, value in inputs.items():
            interpreter._set(self._subgraph, self._inputs[name], value)
        interpreter._invoke(self._subgraph)
        return {name: interpreter.get_tensor(i, self._subgraph) for name, i in sorted(self._outputs.items())}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """The details of each input, by name."""
        return {name: self._interpreter._details(self._subgraph, i) for name, i in sorted(self._inputs.items())}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """The details of each output, by name."""
        return {name: self._interpreter._details(self._subgraph, i) for name, i in sorted(self._outputs.items())}


def _by_name(entries: list[schema.TensorMap] | None) -> Mapping[str, int]:
    return {entry.name or "": int(entry.tensor_index) for entry in entries or ()}
