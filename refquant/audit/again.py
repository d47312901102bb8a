"""Quantizes the float origin of a model again, as the model was: with what of its settings can be read off it.

Mode, types of inputs and outputs, weights per channel or per tensor and the type of biases stand in the file. So does
the range of every activation, but for what scale and zero point do not tell: any range that gives both will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from itertools import chain

import numpy as np
import numpy.typing as npt

from refquant.audit.pairs import CONVERSIONS, Pair, pair_operators
from refquant.errors import InvalidInputError
from refquant.quantization.converter import Converter, Mode, OpsSet, Optimize, without_metadata
from refquant.quantization.intermediates import with_intermediate_tensors
from refquant.quantization.parameters import from_range
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.vectors import indices_of, scales_of

Ranges = dict[tuple[int, int], tuple[np.float32, np.float32]]

#: how many float32 neighbours of the ends of a range are tried on either side
_NEIGHBOURS = 8


def pair_models(float_model: Model, quantized: Model) -> list[Pair]:
    """The operators of all subgraphs, matched; raises `InvalidInputError` where they do not match."""
    counts = len(float_model.subgraphs), len(quantized.subgraphs)
    if counts[0] != counts[1]:
        raise InvalidInputError(
            f"the float model is not the origin of this one: {counts[0]} subgraphs there, {counts[1]} here"
        )
    return list(chain.from_iterable(pair_operators(float_model, quantized, number) for number in range(counts[0])))


def mode_of(model: Model) -> Mode:
    """How a model was quantized, by the types of its tensors."""
    found = set()
    for _, tensor, constant in _tensors(model):
        if tensor.type == TensorType.FLOAT16 and constant:
            found.add(Mode.FLOAT16)
        elif is_quantized(tensor) and tensor.type == TensorType.INT8:
            found.add(Mode.DYNAMIC_RANGE if constant else Mode.INT8)
    if _int16_inputs(model):
        return Mode.INT16
    return next((mode for mode in (Mode.INT8, Mode.DYNAMIC_RANGE, Mode.FLOAT16) if mode in found), Mode.NONE)


def quantize_again(float_model: Model, quantized: Model, pairs: list[Pair], *, older: bool = False) -> Model:
    """What the converter makes of the float model with the settings and ranges of the quantized one.

    `older`: by its older quantizer, which makes models of int16 activations in any case. Raises what
    `Converter.convert` raises.
    """
    mode = mode_of(quantized)
    if mode in (Mode.INT8, Mode.INT16):
        float_model = _with_ranges(float_model, ranges_of(float_model, quantized, pairs))
    converter = Converter(float_model)
    converter.optimizations = [Optimize.DEFAULT]
    converter.experimental_new_quantizer = not older
    converter._experimental_disable_per_channel = not _is_per_channel(quantized, lambda _: True)
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not _is_per_channel(
        quantized, lambda name: name == "FULLY_CONNECTED"
    )
    if mode is Mode.FLOAT16:
        converter.target_spec.supported_types = [np.float16]
    if mode is Mode.INT16:
        int16 = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = {int16, OpsSet.TFLITE_BUILTINS}
        if not any(tensor.type == TensorType.INT64 and is_quantized(tensor) for _, tensor, _ in _tensors(quantized)):
            converter._experimental_full_integer_quantization_bias_type = np.int32
    if mode in (Mode.INT8, Mode.INT16):
        converter.inference_input_type = _interface(quantized, "inputs")
        converter.inference_output_type = _interface(quantized, "outputs")
    return Model.read(converter.convert())


def ranges_of(float_model: Model, quantized: Model, pairs: list[Pair]) -> Ranges:
    """For each float32 tensor of the float model, by subgraph and index, a range that gives the scale it has here.

    Where an operator takes a tensor requantized, what its maker gave counts.
    """
    ranges: Ranges = {}
    for number, f, q in counterparts(float_model, quantized, pairs):
        theirs = (float_model.subgraphs[number].tensors or [])[f]
        ours = (quantized.subgraphs[number].tensors or [])[q]
        if theirs.type == TensorType.FLOAT32 and not float_model.buffer(theirs.buffer).size and is_quantized(ours):
            scales = scales_of(ours)
            if scales.size == 1 and ours.type in (TensorType.INT8, TensorType.INT16) and (number, f) not in ranges:
                ranges[number, f] = range_for(scales[0], zero_points_of(ours)[0], ours.type)
    return ranges


def range_for(scale: np.float32, zero_point: int, type: TensorType) -> tuple[np.float32, np.float32]:
    """A range of reals that becomes this scale and zero point, or one near by where none does.

    >>> low, high = range_for(np.float32(0.1), -28, TensorType.INT8)
    >>> float(round(low, 4)), float(round(high, 4))
    (-10.0, 15.5)
    """
    if type == TensorType.INT16:
        magnitudes = _near(np.float32(np.float64(scale) * 32767))  # and below the power of two of an LSTM's cell state
        magnitude = magnitudes[np.argmax(magnitudes / np.float32(32767) == scale)]
        return np.float32(-magnitude), np.float32(magnitude)
    low, high = (np.float32(np.float64(scale) * (q - zero_point)) for q in (-128, 127))
    lows, highs = (grid.ravel() for grid in np.meshgrid(_near(low), _near(high), indexing="ij"))
    found = from_range(lows, highs, axis=0)
    fits = (np.array(found.scales, np.float32) == scale) & (np.asarray(found.zero_points) == zero_point)
    return (lows[np.argmax(fits)], highs[np.argmax(fits)]) if fits.any() else (low, high)


def zero_points_of(tensor: schema.Tensor) -> list[int]:
    """The zero points of a tensor; 0 where it has a scale and none."""
    quantization = tensor.quantization
    if quantization is None or quantization.zero_point is None or not len(quantization.zero_point):
        return [0] * scales_of(tensor).size
    return indices_of(quantization.zero_point)


def type_name(tensor: schema.Tensor) -> str:
    """The name of the tensor's type, its number where there is no such type."""
    return tensor.type.name if isinstance(tensor.type, TensorType) else str(tensor.type)


def is_quantized(tensor: schema.Tensor) -> bool:
    """Whether the tensor has a scale."""
    return scales_of(tensor).size > 0


def _near(end: np.float32) -> npt.NDArray[np.float32]:
    """An end of a range and its neighbours, itself first; 0 stays alone, as the other end must not cross it."""
    if end == 0:
        return np.zeros(1, np.float32)
    steps = np.array(sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs))
    return (np.array(end).view(np.int32) + steps).astype(np.int32).view(np.float32)


def _tensors(model: Model) -> Iterator[tuple[int, schema.Tensor, bool]]:
    """Each tensor with its subgraph and whether it is a constant."""
    for number, subgraph in enumerate(model.subgraphs):
        for tensor in subgraph.tensors or ():
            yield number, tensor, model.buffer(tensor.buffer).size > 0


def _int16_inputs(model: Model) -> bool:
    """Whether operators with weights in int8 take activations in int16; LSTMs do so inside in int8 models too."""
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for operator in subgraph.operators or ():
            inputs = indices_of(operator.inputs)
            if model.operator_name(operator) not in CONVERSIONS and inputs and inputs[0] >= 0:
                tensor = tensors[inputs[0]]
                if tensor.type == TensorType.INT16 and is_quantized(tensor):
                    return True
    return False


def _is_per_channel(model: Model, chosen: Callable[[str], bool]) -> bool:
    """Whether any constant of the chosen operators has several scales; True where all have one channel or none."""
    counts = []
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for operator in subgraph.operators or ():
            if not chosen(model.operator_name(operator)):
                continue
            for index in indices_of(operator.inputs)[1:2]:
                tensor = tensors[index] if index >= 0 else None
                if tensor is not None and tensor.type == TensorType.INT8 and model.buffer(tensor.buffer).size:
                    counts.append(scales_of(tensor).size)
    return not counts or max(counts) > 1


def _interface(model: Model, side: str) -> TensorType:
    """The type of quantized inputs or outputs of the model, FLOAT32 where none is quantized."""
    subgraph = model.subgraphs[0]
    types = [(subgraph.tensors or [])[index] for index in indices_of(getattr(subgraph, side))]
    return next((tensor.type for tensor in types if is_quantized(tensor)), TensorType.FLOAT32)


def counterparts(float_model: Model, quantized: Model, pairs: list[Pair]) -> Iterator[tuple[int, int, int]]:
    """Subgraph, tensor of the float model, tensor here: first the ones that tell most of what was recorded.

    A tensor that is not int8 or int16 here counts as what a QUANTIZE makes of it, where there is one.
    """
    behind = {number: _behind(quantized, number) for number in range(len(quantized.subgraphs))}
    for number, subgraph in enumerate(quantized.subgraphs):
        inputs = indices_of(float_model.subgraphs[number].inputs), indices_of(subgraph.inputs)
        yield from ((number, f, behind[number].get(q, q)) for f, q in zip(*inputs))
    for field in ("outputs", "intermediates", "inputs"):
        for pair in pairs:
            yield from ((pair.subgraph, f, behind[pair.subgraph].get(q, q)) for f, q in pair.tensors(field))


def _behind(model: Model, number: int) -> dict[int, int]:
    """What the first QUANTIZE makes of each tensor that it takes and that is not int8 or int16 already."""
    subgraph = model.subgraphs[number]
    found: dict[int, int] = {}
    for operator in subgraph.operators or ():
        if model.operator_name(operator) == "QUANTIZE":
            for x, y in zip(indices_of(operator.inputs), indices_of(operator.outputs)):
                if x >= 0 and (subgraph.tensors or [])[x].type not in (TensorType.INT8, TensorType.INT16):
                    found.setdefault(x, y)
    return found


def _with_ranges(model: Model, ranges: Ranges) -> Model:
    model = with_intermediate_tensors(without_metadata(model))
    root = copy(model.root)
    root.subgraphs = deepcopy(root.subgraphs)
    for (number, index), (low, high) in ranges.items():
        (root.subgraphs or [])[number].tensors[index].quantization = schema.QuantizationParameters(  # type: ignore[index]
            min=np.array([low], np.float32), max=np.array([high], np.float32)
        )
    return model.with_root(root)
