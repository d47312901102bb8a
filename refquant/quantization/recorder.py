"""What `calibrate` records: the numbers of float32 tensors, as the operators of a model read and write them.

`refquant.quantization.calibration` says what is recorded when. Samples that run together are recorded together, with
the same result as one after the other: a range and the samples that it comes from, the sign of a first zero, the order
of warnings.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refquant.interpreter.batches import AfterStep, Samples, varying_tensors
from refquant.interpreter.plan import Step, SubgraphPlan
from refquant.interpreter.sharing import SharedMemory
from refquant.kernels.products import BLOCK
from refquant.kernels.registry import Array, Operator, Shape, TensorInfo
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

#: a subgraph and a tensor of it
Key = tuple[int, int]
#: numbers of a tensor, and of all samples of a batch, that are to be recorded
Event = tuple[Key, Samples]

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


@dataclass
class Recorder:
    """Watches the operators and keeps the ranges; `sample` is the number of the present sample, or of the first of a
    batch.

    What has been recorded is not looked at again until it changes: an output is recorded when it is written.
    """

    model: Model
    sample: int = 0
    suppresses: bool = True  # subnormal numbers
    ranges: dict[Key, Range] = field(default_factory=dict)
    nan: dict[Key, int] = field(default_factory=dict)
    _memory: dict[int, SharedMemory] = field(default_factory=dict)
    _runs: dict[int, _Run] = field(default_factory=dict)  # the present one of each subgraph

    def __post_init__(self) -> None:
        self._floats = [_recordable(self.model, subgraph) for subgraph in self.model.subgraphs]

    def before(self, plan: SubgraphPlan, step: Step) -> None:
        """Records what the operator reads, where nobody has written it here: the model's inputs, and variables."""
        if step.operator.index == 0:
            number = plan.index
            self._runs[number] = self._run(
                plan, (), lambda index, values: self._include((number, index), np.asarray(values))
            )
        self._runs[plan.index].read(step, plan.values)

    def after(self, plan: SubgraphPlan, step: Step) -> None:
        """Records what has changed."""
        self._runs[plan.index].write(step, plan.values)

    @contextmanager
    def batch(self, plan: SubgraphPlan, count: int) -> Iterator[AfterStep]:
        """Records a run of `Batch`, which is to call the function that this gives after each operator."""
        events: list[Event] = []
        run = self._run(plan, (count,), lambda index, samples: events.append(((plan.index, index), samples)))

        def after(step: Step, values: list[Any]) -> None:
            run.read(step, values)
            run.write(step, values)

        yield after
        self._include_batch(events, count)

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

    def _run(self, plan: SubgraphPlan, lead: Shape, include: Callable[[int, Samples], None]) -> _Run:
        if plan.index not in self._memory:
            self._memory[plan.index] = SharedMemory(plan)
        return _Run(plan, lead, self._memory[plan.index], self._floats[plan.index], self.suppresses, include)

    def _include_batch(self, events: list[Event], count: int) -> None:
        """All that was recorded of a batch, as if one sample had come after the other."""
        rows: dict[Key, list[Array]] = {}
        for key, samples in events:
            rows.setdefault(key, []).append(np.asarray(samples).reshape(count, -1))
        if any(array.size and np.isnan(array.min()) for arrays in rows.values() for array in arrays):
            first = self.sample
            for number in range(count):
                self.sample = first + number
                for key, samples in events:
                    self._include(key, samples[number])
            self.sample = first
            return
        for key, arrays in rows.items():
            self._include(key, arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1), count)

    def _include(self, key: Key, values: Array, count: int = 1) -> None:
        """Makes the range of a tensor reach to the numbers of the present sample, or of `count` (without NaN)."""
        numbers = values.reshape(-1)
        if numbers.size and np.isnan(numbers.min()):
            self.nan.setdefault(key, self.sample)
            numbers = numbers[~np.isnan(numbers)]
        if not numbers.size:
            return
        found = self.ranges.setdefault(key, Range())
        of_each = numbers.size // count
        low, high = numbers.min(), numbers.max()
        above_zeros = _SMALLEST_NORMAL if self.suppresses else _SMALLEST
        if abs(low) >= above_zeros:
            if low < found.min:
                found.min, found.min_sample = low, self.sample + int(numbers.argmin()) // of_each
        elif found.min >= above_zeros:
            first = int((abs(numbers) < above_zeros).argmax())
            found.min, found.min_sample = numbers[first], self.sample + first // of_each
        if high > found.max:
            found.max, found.max_sample = high, self.sample + int(numbers.argmax()) // of_each


def is_recorded_in_batches(plan: SubgraphPlan) -> bool:
    """Whether samples that run in batches can be recorded so: not where an operator reads constants alone, which is
    recorded in each run, or has intermediate tensors."""
    varying = varying_tensors(plan)
    return all(
        not step.operator.intermediates
        and any(tensor is not None and tensor.index in varying for tensor in step.operator.inputs)
        for step in plan.steps
    )


@dataclass
class _Run:
    """A run of a subgraph that is recorded: of one sample, or with `lead` (N,) of N samples.

    `include(index, numbers)` takes what is recorded.
    """

    plan: SubgraphPlan
    lead: Shape
    memory: SharedMemory
    floats: set[int]
    suppresses: bool
    include: Callable[[int, Samples], None]
    recorded: set[int] = field(default_factory=set)

    def read(self, step: Step, values: Sequence[Any]) -> None:
        """Records inputs of an operator that are not recorded yet, and variables."""
        for tensor in step.operator.inputs:
            if tensor is not None and (tensor.is_variable or tensor.index not in self.recorded):
                self._record(tensor.index, values)

    def write(self, step: Step, values: list[Any]) -> None:
        """Puts right what the real operator leaves in memory, and records it."""
        inputs = {tensor.index for tensor in step.operator.inputs if tensor is not None}
        for index in self.memory.overwritten(step):
            if values[index] is not None:
                values[index] = self._in_place(self.plan.tensors[index], values[step.operator.output().index])
                self.recorded.discard(index)
                if index in inputs:
                    self._record(index, values)
        for index in inputs:
            if self.plan.tensors[index].is_variable:
                self._record(index, values)
        for tensor in step.operator.outputs:
            if self.suppresses and tensor.dtype == np.float32 and step.operator.name not in _MOVING:
                values[tensor.index] = _suppressed(values[tensor.index])
            self._record(tensor.index, values)

    def _record(self, index: int, values: Sequence[Any]) -> None:
        self.recorded.add(index)
        samples = values[index]
        if index in self.floats and samples is not None:
            self.include(index, samples)

    def _in_place(self, tensor: TensorInfo, output: Samples) -> Samples:
        """The tensor, in whose memory the output of an operator stands."""
        if isinstance(output, list):
            return [array.view(tensor.dtype).reshape(tensor.dims) for array in output]
        return output.view(tensor.dtype).reshape(*self.lead, *tensor.dims)


def _suppressed(samples: Samples) -> Samples:
    """Zeros for subnormal numbers, of their sign."""
    if isinstance(samples, list):
        return [_suppressed_in(array) for array in samples]
    return _suppressed_in(samples)


def _suppressed_in(numbers: Array) -> Array:
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
