"""Models that are wrong in one place, made of valid ones: what a runtime must refuse and never answer wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.strategies.catalogue import Case
from refquant.testing.strategies.drawing import generators, numbers
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.table import Kind
from refquant.tflite.tensor_types import stored_bytes

Array = npt.NDArray[Any]

#: types a tensor is given in place of its own
_TYPES = [
    TensorType.FLOAT32,
    TensorType.INT8,
    TensorType.UINT8,
    TensorType.INT16,
    TensorType.INT32,
    TensorType.INT64,
    TensorType.BOOL,
    TensorType.FLOAT16,
    TensorType.COMPLEX64,
]
#: numbers an option is given in place of its own
_OPTIONS = [-(2**31), -7, -1, 0, 1, 2, 3, 100, 2**31 - 1]


@st.composite
def mutated(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """A case of `cases` with one change to its first operator or to one of that operator's tensors.

    An input or output is left out or added, a tensor changes its type, its rank, one side or its quantization, an
    option changes or all options are missing. Some changes leave the model valid. Inputs whose type or shape changes
    get other numbers.
    """
    case = draw(cases)
    model = Model.read(case.model.tobytes())
    draw(st.sampled_from(_CHANGES))(draw, model)
    rng = draw(generators)
    return Case(model, [_samples_for(model, rng, sample) for sample in case.samples])


def _samples_for(model: Model, rng: np.random.Generator, sample: Sequence[Array]) -> list[Array]:
    tensors = _tensors(model)
    arrays = []
    for position, index in enumerate(_inputs(model)):
        tensor = tensors[index]
        shape = tuple(int(n) for n in (tensor.shape if tensor.shape is not None else ()))
        array = numbers(rng, tensor.type, shape)
        kept = sample[position] if position < len(sample) else array
        arrays.append(kept if kept.dtype == array.dtype and kept.shape == shape else array)
    return arrays


def _inputs(model: Model) -> list[int]:
    inputs = model.subgraphs[0].inputs
    return [] if inputs is None else [int(i) for i in inputs]


def _tensors(model: Model) -> list[schema.Tensor]:
    return model.subgraphs[0].tensors or []


def _operator(model: Model) -> schema.Operator:
    return (model.subgraphs[0].operators or [])[0]


def _any_tensor(draw: st.DrawFn, model: Model) -> schema.Tensor:
    return draw(st.sampled_from(_tensors(model)))


def _omit_or_add(draw: st.DrawFn, model: Model) -> None:
    operator = _operator(model)
    side = draw(st.sampled_from(["inputs", "outputs"]))
    indices = [] if getattr(operator, side) is None else [int(i) for i in getattr(operator, side)]
    how = draw(st.sampled_from(["absent", "shorter", "longer", "swapped"]))
    if how == "longer" or not indices:
        indices.append(draw(st.integers(0, len(_tensors(model)) - 1)))
    elif how == "shorter":
        indices.pop()
    elif how == "absent":
        indices[draw(st.integers(0, len(indices) - 1))] = -1
    else:
        indices.reverse()
    setattr(operator, side, np.asarray(indices, np.int32))


def _change_type(draw: st.DrawFn, model: Model) -> None:
    tensor = _any_tensor(draw, model)
    tensor.type = draw(st.sampled_from(_TYPES))
    _fit_buffer(model, tensor)


def _change_shape(draw: st.DrawFn, model: Model) -> None:
    tensor = _any_tensor(draw, model)
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    how = draw(st.sampled_from(["more", "fewer", "other"]))
    if how == "more" or not shape:
        shape.insert(draw(st.integers(0, len(shape))), draw(st.integers(0, 3)))
    elif how == "fewer":
        shape.pop(draw(st.integers(0, len(shape) - 1)))
    else:
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 5))
    tensor.shape = np.asarray(shape, np.int32)
    _fit_buffer(model, tensor)


def _change_quantization(draw: st.DrawFn, model: Model) -> None:
    tensor = _any_tensor(draw, model)
    how = draw(st.sampled_from(["none", "scale", "zero point", "per channel"]))
    quantization = tensor.quantization or schema.QuantizationParameters()
    if how == "none":
        tensor.quantization = None
        return
    tensor.quantization = quantization
    scales: Array = np.array([0.5] if quantization.scale is None else quantization.scale, np.float32)
    zero_points: Array = np.zeros(len(scales), np.int64)
    if quantization.zero_point is not None and len(quantization.zero_point) == len(scales):
        zero_points = np.array(quantization.zero_point)
    if how == "scale":
        scales[:1] = draw(st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e-38, 1e30]))
    elif how == "zero point":
        zero_points[:1] = draw(st.sampled_from([-129, 127, 256, 1, 2**31, -(2**40)]))
    else:
        count = draw(st.integers(2, 5))
        scales, zero_points = np.full(count, 0.5, np.float32), np.zeros(count, np.int64)
        quantization.quantized_dimension = draw(st.integers(-1, 4))
    quantization.scale, quantization.zero_point = scales, zero_points


def _change_options(draw: st.DrawFn, model: Model) -> None:
    operator = _operator(model)
    options: Any = operator.builtin_options if operator.builtin_options is not None else operator.builtin_options_2
    scalars = [field for field in getattr(options, "FIELDS", ()) if field.kind is Kind.SCALAR]
    if not scalars or draw(st.integers(0, 5)) == 0:
        operator.builtin_options = operator.builtin_options_2 = None
        return
    field = draw(st.sampled_from(scalars))
    value: Any = draw(st.sampled_from(_OPTIONS))
    if field.of == "?":
        value = not getattr(options, field.name)
    elif field.of == "f":
        value = draw(st.sampled_from([0.0, -1.0, 0.5, 1e30, float("nan")]))
    elif field.of == "b":
        value = draw(st.integers(-1, 6))
    elif field.of in "BHIQ":
        value = abs(value)
    setattr(options, field.name, value)


_CHANGES: list[Callable[[st.DrawFn, Model], None]] = [
    _omit_or_add,
    _change_type,
    _change_shape,
    _change_quantization,
    _change_options,
]


def _fit_buffer(model: Model, tensor: schema.Tensor) -> None:
    """Gives a constant so many bytes as its new type and shape need: its own, cut or repeated."""
    buffers = model.root.buffers or []
    data = buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type == TensorType.STRING:
        return
    elements = int(np.prod([] if tensor.shape is None else tensor.shape, dtype=np.int64))
    buffers.append(schema.Buffer(data=np.resize(np.asarray(data, np.uint8), stored_bytes(tensor.type, elements))))
    tensor.buffer = len(buffers) - 1
