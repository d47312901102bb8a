"""`calibrate`: the smallest and largest number of every tensor, over samples, as TensorFlow's calibrator records them.

What is recorded, in every subgraph that runs, of a tensor of type FLOAT32 without data in the file:

| when | what |
|---|---|
| before an operator runs | its inputs |
| while an LSTM runs | its intermediate tensors, see `refquant.kernels.lstm_calibration` |
| after it has run | its inputs once more: variables have changed, and an operator may have written in place |
| after that | its outputs |

The minimum begins at the largest float32 and the maximum at the *smallest normal* one, so that a tensor of numbers
below zero has a maximum of 1.17549435e-38. NaN is passed over. Of zeros with different signs the first one stays.

But for samples of a signature that is given by its key, the real calibrator runs with subnormal numbers suppressed by
the processor: results become zero, and a subnormal number compares equal to zero, so that here, too, the first one
stays, with its bits. So it is here, but that subnormal numbers enter an operator as they are, and that those inside an
operator stay.

Source: tools/optimize/calibration/{calibrator,calibration_logger,calibration_reader}.cc, and for the samples
python/optimize/{calibrator.py,calibration_wrapper.cc}, below tensorflow/lite.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter import border
from refquant.interpreter.interpreter import check_float_mode
from refquant.interpreter.plan import Step, SubgraphPlan, Subgraphs
from refquant.interpreter.sharing import SharedMemory
from refquant.kernels.products import BLOCK
from refquant.kernels.registry import Operator
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.repack import repacked
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
#: a list of arrays in the order of the model's inputs, a dict of arrays by name, or a signature's key and such a dict
Sample = list[Any] | dict[str, Any] | tuple[str | None, dict[str, Any]]
Samples = Iterable[Sample] | Callable[[], Iterable[Sample]]
#: a subgraph and a tensor of it
Key = tuple[int, int]

_LARGEST, _SMALLEST_NORMAL = np.finfo(np.float32).max, np.finfo(np.float32).tiny
_SMALLEST = np.finfo(np.float32).smallest_subnormal

#: operators that move float32 numbers but make none, so that subnormal ones stay
_MOVING = frozenset(
    "ABS BATCH_TO_SPACE_ND BITCAST BROADCAST_TO CONCATENATION DEPTH_TO_SPACE DYNAMIC_UPDATE_SLICE EMBEDDING_LOOKUP "
    "EXPAND_DIMS FILL GATHER GATHER_ND IF MATRIX_DIAG MATRIX_SET_DIAG MIRROR_PAD NEG PACK PAD PADV2 READ_VARIABLE "
    "RESHAPE REVERSE_SEQUENCE REVERSE_V2 SELECT SELECT_V2 SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V "
    "SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNIQUE UNPACK WHERE WHILE".split()
)


@dataclass(slots=True)
class Range:
    """The smallest and the largest number of a tensor, and the numbers of the samples that had them first.

    A sample is None where no number was below the largest float32, or none above the smallest normal one.
    """

    min: np.float32 = _LARGEST
    max: np.float32 = _SMALLEST_NORMAL
    min_sample: int | None = None
    max_sample: int | None = None

    def include(self, low: np.float32, high: np.float32, sample: int) -> None:
        """Makes the range reach from `low` to `high`."""
        if low < self.min:
            self.min, self.min_sample = low, sample
        if high > self.max:
            self.max, self.max_sample = high, sample


@dataclass(frozen=True)
class Statistics:
    """What `calibrate` found: the range of each tensor, by subgraph and index, and how many samples there were.

    A tensor that no operator read or wrote, or that held nothing but NaN, has no range.
    """

    ranges: Mapping[Key, Range]
    samples: int

    def apply(self, model: Model) -> Model:
        """The model, whose tensors carry their min and max as TensorFlow's calibrator writes them.

        The quantization table of a tensor that has a range is replaced, that of any other stays. An LSTM without
        intermediate tensors gets five, as the converter has it; vectors without elements are left out. Constants are
        shared with `model`. Raises `InvalidInputError` where the model has no such float32 tensors.
        """
        root = repacked(with_intermediate_tensors(model).root)
        for (number, index), found in self.ranges.items():
            subgraphs = root.subgraphs or []
            tensors = (subgraphs[number].tensors if number < len(subgraphs) else None) or []
            if index >= len(tensors) or tensors[index].type != TensorType.FLOAT32:
                raise InvalidInputError(f"the statistics are another model's: tensor {index} of subgraph {number}")
            tensors[index].quantization = schema.QuantizationParameters(
                min=np.array([found.min], np.float32), max=np.array([found.max], np.float32)
            )
        return model.with_root(root)


def calibrate(
    model: Model | str | os.PathLike[str] | bytes, representative_dataset: Samples, *, float_mode: str = "exact"
) -> Statistics:
    """Runs a float model on samples and records the range of every tensor, with the bits of TensorFlow's calibrator.

    `representative_dataset` is a function without arguments that gives samples, as in `tf.lite.TFLiteConverter`, or any
    iterable of them; each is a list of arrays in the order of the model's inputs, a dict of arrays by name, or a tuple
    of a signature's key and such a dict. The first sample of a signature gives its inputs their shapes; later ones may
    only differ from it where the model leaves a dimension open (-1). Variables live on from sample to sample.

    With `float_mode="fast"` products of float32 go through NumPy's BLAS, which adds them up in an order of its own: the
    statistics are then no runtime's, though near those of any.

    Raises `InvalidInputError` for what is no such dataset, naming sample and tensor, for NaN or infinity in a sample,
    for no samples at all, and for a model that is quantized already; `UnsupportedOperatorError` for an operator without
    a kernel. Warns (`UserWarning`) where finite samples lead to NaN, which is passed over, or to infinity.
    """
    if not isinstance(model, Model):
        model = Model.read(model)
    model = with_intermediate_tensors(model)
    _check_float(model)
    recorder = _Recorder(model)
    check_float_mode(float_mode)
    feeder = _Feeder(Subgraphs(model, "calibrator", fast=float_mode == "fast", preserves=False), recorder)
    for sample in _iterate(representative_dataset):
        feeder.feed(sample)
        recorder.sample += 1
    if not recorder.sample:
        raise InvalidInputError("the representative dataset gives no samples: give at least one")
    recorder.warn()
    return Statistics(recorder.ranges, recorder.sample)


def _check_float(model: Model) -> None:
    """A quantized model has activations with scales; quantized weights alone are no obstacle."""
    for number, subgraph in enumerate(model.subgraphs):
        for index, tensor in enumerate(subgraph.tensors or ()):
            quantization = tensor.quantization
            if quantization is None or quantization.scale is None or not len(quantization.scale):
                continue
            if tensor.type != TensorType.FLOAT32 and not model.buffer(tensor.buffer).size:
                raise InvalidInputError(
                    f"the model is quantized already: tensor {index} ({tensor.name!r}) of subgraph {number} is "
                    f"{TensorType(tensor.type).name} with a scale; calibrate the float model that it was made from"
                )


def _iterate(dataset: Samples) -> Iterable[Sample]:
    samples = dataset() if callable(dataset) else dataset
    if isinstance(samples, (str, bytes, dict, np.ndarray)) or not isinstance(samples, Iterable):
        raise InvalidInputError(
            "a representative dataset is a function that gives samples, or an iterable of them, "
            f"not {type(samples).__name__}"
        )
    return samples


class _Feeder:
    """Takes samples to the subgraphs that they are for."""

    def __init__(self, plans: Subgraphs, recorder: _Recorder) -> None:
        self._model = plans.model
        self._plans = plans
        self._plans.watch(recorder)
        self._plans.observe(recorder.observe)
        self._recorder = recorder
        self._prepared: set[str | None] = set()
        for number in range(len(plans.model.subgraphs)):
            self._plans[number]  # raises for an operator without kernel

    def feed(self, sample: Sample) -> None:
        """Runs one sample."""
        key, subgraph, values = self._resolved(sample)
        plan = self._plans[subgraph]
        if len(values) != len(plan.inputs):
            raise self._invalid(f"holds {len(values)} arrays, the model has {len(plan.inputs)} inputs")
        arrays = [self._array(plan, index, value) for index, value in zip(plan.inputs, values)]
        self._check_shapes(plan, arrays, is_first=key not in self._prepared)
        shapes = [array.shape for array in arrays]
        try:
            plan.plan_for(shapes)
        except RefquantError as error:
            raise type(error)(f"{self._place}, shapes {', '.join(map(str, shapes))}: {error}") from error
        if key not in self._prepared:
            self._plans.reset_variables()
            self._prepared.add(key)
        self._recorder.suppresses = key is None
        for index, array in zip(plan.inputs, arrays):
            plan.values[index] = border.inward(plan.tensors[index], array)
        plan.invoke()

    def _resolved(self, sample: Sample) -> tuple[str | None, int, Sequence[Any]]:
        """The key of the signature, its subgraph, and what is for each of its inputs."""
        if isinstance(sample, list):
            return None, 0, sample
        key, named = sample if isinstance(sample, tuple) and len(sample) == 2 else (None, sample)
        if not isinstance(named, dict) or not (key is None or isinstance(key, str)):
            raise self._invalid(
                "must be a list of arrays, a dict of arrays by name, or a tuple of a signature's key and such a dict; "
                f"it is {_described(sample)}"
            )
        signature = self._signature(key)
        names = {int(entry.tensor_index): entry.name or "" for entry in signature.inputs or ()}
        if named.keys() != set(names.values()):
            raise self._invalid(f"has arrays for {sorted(named, key=str)}, the model takes {sorted(names.values())}")
        inputs = self._plans[signature.subgraph_index].inputs
        if sorted(names) != inputs or (key is None and signature.subgraph_index):
            raise self._invalid(
                "goes by names, which TensorFlow's calibrator mixes up in this model, where the inputs are not in the "
                "order of the tensors: give a list of arrays in the order of the model's inputs"
            )
        return key, signature.subgraph_index, [named[names[index]] for index in inputs]

    def _signature(self, key: str | None) -> schema.SignatureDef:
        signatures = {entry.signature_key or "": entry for entry in self._model.root.signature_defs or ()}
        if key is None and len(signatures) == 1:
            return next(iter(signatures.values()))
        if key is None or key not in signatures:
            what = "goes by names without a signature's key" if key is None else f"is for a signature {key!r}"
            raise self._invalid(f"{what}, the model has the signatures {list(signatures)}")
        return signatures[key]

    def _array(self, plan: SubgraphPlan, index: int, value: Any) -> Array:
        tensor = plan.tensors[index]
        array = np.asarray(value, None if isinstance(value, np.ndarray) or tensor.dtype != object else object)
        wanted = border.reported_dtype(tensor)
        if array.dtype != wanted and not (tensor.type == TensorType.STRING and array.dtype.kind in "OSU"):
            raise self._invalid(f"{tensor.place} takes {np.dtype(wanted)}, got {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self._invalid(f"has NaN or infinity for {tensor.place}")
        return array

    def _check_shapes(self, plan: SubgraphPlan, arrays: Sequence[Array], is_first: bool) -> None:
        """Open sides take any size, and the other ones that of the model or else that of the first sample."""
        tables = plan.table.tensors or []
        for index, array in zip(plan.inputs, arrays):
            tensor, signature = plan.tensors[index], [int(n) for n in _present(tables[index].shape_signature)]
            if len(signature) == array.ndim and -1 in signature:
                wanted: Sequence[int] = [n if m == -1 else m for n, m in zip(array.shape, signature)]
            else:
                wanted = array.shape if is_first else tensor.dims
            if array.shape != tuple(wanted):
                source = f"{signature} (-1: any)" if -1 in signature else f"{tensor.dims}, as in an earlier sample"
                raise self._invalid(f"has shape {array.shape} for {tensor.place}, which takes {source}")

    @property
    def _place(self) -> str:
        return f"sample {self._recorder.sample} of the representative dataset"

    def _invalid(self, why: str) -> InvalidInputError:
        return InvalidInputError(f"{self._place}: {why}")


def _described(sample: Any) -> str:
    if isinstance(sample, np.ndarray):
        return f"an array of shape {sample.shape}, which goes into a list"
    if isinstance(sample, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in sample) or 'nothing'}"
    return f"of type {type(sample).__name__}"


@dataclass
class _Recorder:
    """Watches the operators and keeps the ranges.

    What has been recorded is not looked at again until it changes: an output is recorded when it is written.
    """

    model: Model
    sample: int = 0
    suppresses: bool = True  # subnormal numbers
    ranges: dict[Key, Range] = field(default_factory=dict)
    nan: dict[Key, int] = field(default_factory=dict)
    _memory: dict[int, SharedMemory] = field(default_factory=dict)
    _recorded: dict[int, set[int]] = field(default_factory=dict)  # in the present run of each subgraph

    def __post_init__(self) -> None:
        self._floats = [_recordable(self.model, subgraph) for subgraph in self.model.subgraphs]

    def before(self, plan: SubgraphPlan, step: Step) -> None:
        """Records inputs that nobody has written here: the model's own, and variables."""
        if step.operator.index == 0:
            self._recorded[plan.index] = set()
            if plan.index not in self._memory:
                self._memory[plan.index] = SharedMemory(plan)
        for tensor in step.operator.inputs:
            if tensor is not None and (tensor.is_variable or tensor.index not in self._recorded[plan.index]):
                self._record(plan, tensor.index)

    def after(self, plan: SubgraphPlan, step: Step) -> None:
        """Records what has changed."""
        inputs = {tensor.index for tensor in step.operator.inputs if tensor is not None}
        for index in self._memory[plan.index].overwritten(step):
            tensor = plan.tensors[index]
            if plan.values[index] is not None:
                output = plan.value(step.operator.output().index, step.operator)
                plan.values[index] = output.view(tensor.dtype).reshape(tensor.dims)
                self._recorded[plan.index].discard(index)
                if index in inputs:
                    self._record(plan, index)
        for index in inputs:
            if plan.tensors[index].is_variable:
                self._record(plan, index)
        for tensor in step.operator.outputs:
            if self.suppresses and tensor.dtype == np.float32 and step.operator.name not in _MOVING:
                plan.values[tensor.index] = _suppressed(plan.value(tensor.index, step.operator))
            self._record(plan, tensor.index)

    def observe(self, operator: Operator, numbers: dict[str, Any]) -> None:
        """Records the intermediate tensors of an LSTM."""
        if "intermediate" in numbers:
            tensor = operator.intermediates[numbers["intermediate"]]
            self._include((operator.subgraph, tensor.index), numbers["values"])

    def warn(self) -> None:
        """Warns of numbers that are none."""
        infinite = {
            key: found.min_sample if np.isinf(found.min) else found.max_sample
            for key, found in self.ranges.items()
            if np.isinf(found.min) or np.isinf(found.max)
        }
        for what, found in (("NaN, which is passed over", self.nan), ("infinity", infinite)):
            if found:
                (subgraph, index), sample = next(iter(found.items()))
                name = (self.model.subgraphs[subgraph].tensors or [])[index].name
                warnings.warn(
                    f"{len(found)} of {len(self.ranges)} tensors hold {what}: first tensor {index} ({name!r}) of "
                    f"subgraph {subgraph}, from sample {sample}",
                    stacklevel=3,
                )

    def _record(self, plan: SubgraphPlan, index: int) -> None:
        self._recorded[plan.index].add(index)
        value = plan.values[index]
        if index in self._floats[plan.index] and value is not None:
            self._include((plan.index, index), value)

    def _include(self, key: Key, values: Array) -> None:
        numbers = values
        if numbers.size and np.isnan(numbers.min()):
            self.nan.setdefault(key, self.sample)
            numbers = numbers[~np.isnan(numbers)]
        if not numbers.size:
            return
        found = self.ranges.setdefault(key, Range())
        low, high = numbers.min(), numbers.max()
        above_zeros = _SMALLEST_NORMAL if self.suppresses else _SMALLEST
        if abs(low) < above_zeros:
            flat = numbers.reshape(-1)
            low = found.min if found.min < above_zeros else flat[(abs(flat) < above_zeros).argmax()]
        found.include(low, high, self.sample)


def _suppressed(numbers: Array) -> Array:
    """Zeros for subnormal numbers, of their sign."""
    bits = np.ascontiguousarray(numbers).reshape(-1).view(np.uint32)
    for start in range(0, bits.size, BLOCK):
        magnitudes = bits[start : start + BLOCK] & 0x7FFFFFFF
        magnitudes -= 1  # so that zeros are the largest
        if magnitudes.min() < 0x7FFFFF:
            return np.where(abs(numbers) < _SMALLEST_NORMAL, numbers * np.float32(0), numbers)
    return numbers


def _recordable(model: Model, subgraph: schema.SubGraph) -> set[int]:
    """The float32 tensors without data in the file; data outside the FlatBuffer do not count."""
    buffers = model.root.buffers or []
    return {
        index
        for index, tensor in enumerate(subgraph.tensors or ())
        if tensor.type == TensorType.FLOAT32 and not _has_data(buffers[tensor.buffer])
    }


def _has_data(buffer: schema.Buffer) -> bool:
    return buffer.data is not None and len(buffer.data) > 0


def _present(vector: Any) -> Sequence[int]:
    return () if vector is None else vector
