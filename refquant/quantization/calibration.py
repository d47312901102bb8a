"""`calibrate`: the smallest and largest number of every tensor, over samples, as TensorFlow's calibrator records them.

What is recorded, in every subgraph that runs, of a tensor of type FLOAT32 without data in the file (see
`refquant.quantization.recorder`):

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter import border
from refquant.interpreter.batches import Batches
from refquant.interpreter.interpreter import check_float_mode
from refquant.interpreter.plan import SubgraphPlan, Subgraphs
from refquant.kernels.registry import Shape
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.recorder import Key, Range, Recorder, is_recorded_in_batches
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.repack import repacked
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
#: a list of arrays in the order of the model's inputs, a dict of arrays by name, or a signature's key and such a dict
Sample = list[Any] | dict[str, Any] | tuple[str | None, dict[str, Any]]
Samples = Iterable[Sample] | Callable[[], Iterable[Sample]]


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
    recorder = Recorder(model)
    check_float_mode(float_mode)
    feeder = _Feeder(Subgraphs(model, "calibrator", fast=float_mode == "fast", preserves=False), recorder)
    for sample in _iterate(representative_dataset):
        feeder.feed(sample)
    feeder.run()
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
    """Takes samples to the subgraphs that they are for, those of one kind in batches."""

    def __init__(self, plans: Subgraphs, recorder: Recorder) -> None:
        self._model = plans.model
        self._plans = plans
        self._plans.watch(recorder)
        self._plans.observe(recorder.observe)
        self._recorder = recorder
        self._prepared: set[str | None] = set()
        self._kind: tuple[str | None, list[Shape]] | None = None  # of the samples that wait: signature and shapes
        self._waiting: list[list[Array]] = []
        for number in range(len(plans.model.subgraphs)):
            self._plans[number]  # raises for an operator without kernel

    def feed(self, sample: Sample) -> None:
        """Takes one sample; it runs when there are enough of its kind, or when one of another kind comes."""
        try:
            key, plan, arrays = self._checked(sample)
        except RefquantError:
            self.run()
            raise
        kind = key, [array.shape for array in arrays]
        if kind != self._kind:
            self.run()
            self._prepare(plan, *kind)
            self._kind = kind
        self._waiting.append([border.inward(plan.tensors[index], array) for index, array in zip(plan.inputs, arrays)])
        if len(self._waiting) >= self._size:
            self.run()

    def run(self) -> None:
        """Runs the samples that wait."""
        samples, self._waiting = self._waiting, []
        if not samples:
            return
        batch = self._batches.planned(len(samples)) if len(samples) > 1 else None
        plan, recorder = self._plan, self._recorder
        if batch is not None:
            with recorder.batch(plan, len(samples)) as after:
                batch.run([list(arrays) for arrays in zip(*samples)], (*plan.inputs, *plan.outputs), after)
            recorder.sample += len(samples)
            return
        for arrays in samples:
            for index, array in zip(plan.inputs, arrays):
                plan.values[index] = array
            plan.invoke()
            recorder.sample += 1

    def _prepare(self, plan: SubgraphPlan, key: str | None, shapes: list[Shape]) -> None:
        """Plans the subgraph of samples of another kind."""
        try:
            plan.plan_for(shapes)
        except RefquantError as error:
            raise type(error)(f"{self._place}, shapes {', '.join(map(str, shapes))}: {error}") from error
        if key not in self._prepared:
            self._plans.reset_variables()
            self._prepared.add(key)
        self._recorder.suppresses = key is None
        self._plan = plan
        self._batches = Batches(plan, self._plans.reset_variables)
        self._size = self._batches.size if is_recorded_in_batches(plan) else 1

    def _checked(self, sample: Sample) -> tuple[str | None, SubgraphPlan, list[Array]]:
        """The key of the signature, the subgraph, and an array for each of its inputs."""
        key, subgraph, values = self._resolved(sample)
        plan = self._plans[subgraph]
        if len(values) != len(plan.inputs):
            raise self._invalid(f"holds {len(values)} arrays, the model has {len(plan.inputs)} inputs")
        arrays = [self._array(plan, index, value) for index, value in zip(plan.inputs, values)]
        self._check_shapes(plan, arrays, is_first=key not in self._prepared)
        return key, plan, arrays

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
        return f"sample {self._recorder.sample + len(self._waiting)} of the representative dataset"

    def _invalid(self, why: str) -> InvalidInputError:
        return InvalidInputError(f"{self._place}: {why}")


def _described(sample: Any) -> str:
    if isinstance(sample, np.ndarray):
        return f"an array of shape {sample.shape}, which goes into a list"
    if isinstance(sample, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in sample) or 'nothing'}"
    return f"of type {type(sample).__name__}"


def _present(vector: Any) -> Sequence[int]:
    return () if vector is None else vector
