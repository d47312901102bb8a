"""What the older, flatbuffer quantizer of the TFLite converter knows of each operator: one table to read.

The converter uses that quantizer for int16 activations with int8 weights (16x8), and for int8 where its newer one is
switched off. An operator that is not in `OPERATORS` stays float; so does, with int16 activations, one with
`int16=False`.

Where the numbers come from:

- An activation has a range, its smallest and largest number in the calibration. In int8 it gets a scale and a zero
  point, in int16 a scale only.
- A constant (`weights`, and any constant input) is symmetric int8, with one scale or, along `axis`, one for each
  channel. With int16 activations a constant that meets activations on equal terms is int16
  (`constants_as_activations`, and the operators with `same_scale`).
- A bias has the scale input * weights; it is int32, with int16 activations int64 unless told.
- The output of an operator with `same_scale` takes the scale and zero point of its first quantized input, whatever its
  own range; with `all_inputs` it is the other way round: the inputs are requantized to the scale of the output.
- A fixed scale and zero point stands for functions whose range is known, such as the logistic one.

The properties are those of tensorflow 2.21.0. Source: GetOperatorProperty in
converter/tools/optimize/operator_property.cc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Fixed(NamedTuple):
    """A scale and zero point that hang on no data."""

    scale: float
    zero_point: int


class Derived(NamedTuple):
    """A scale that is a product: of the scales of inputs, of those of intermediate tensors, and a factor."""

    inputs: tuple[int, ...] = ()
    intermediates: tuple[int, ...] = ()
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class TensorProperty:
    """How one tensor of an operator is quantized.

    `bits` is 8 for activations (which become int16 with int16 activations) and weights, 16 for what is symmetric int16
    in any case, 10 for int16 from -512 to 512, 32 for int32 at the `derived` scale. `axis` is the dimension of the
    channels of weights that have a scale for each channel. `state`: a variable, quantized where it stands.
    `power_of_two`: its range is extended to a power of two.
    """

    bits: int = 8
    axis: int | None = None
    fixed_int8: Fixed | None = None
    fixed_int16: Fixed | None = None
    derived: Derived | None = None
    state: bool = False
    power_of_two: bool = False


@dataclass(frozen=True, slots=True)
class OperatorProperty:
    """How an operator is quantized: its inputs, outputs and intermediate tensors by position, in the order of work.

    `version` is the least version of the operator that takes quantized tensors. `shared_range` names an input and an
    output that are one tensor in truth and get one range.
    """

    version: int
    inputs: Mapping[int, TensorProperty] = field(default_factory=dict)
    outputs: Mapping[int, TensorProperty] = field(default_factory=dict)
    bias: int | None = None
    intermediates: Mapping[int, TensorProperty] = field(default_factory=dict)
    shared_range: tuple[int, int] | None = None
    all_inputs: bool = False
    all_outputs: bool = False
    same_scale: bool = False
    constants_as_activations: bool = False
    int16: bool = True


_ACTIVATION = TensorProperty()
_WEIGHTS = TensorProperty()
_INT16 = TensorProperty(bits=16)


def _activations(*positions: int) -> dict[int, TensorProperty]:
    return dict.fromkeys(positions, _ACTIVATION)


def _map(version: int, *, int16: bool = True) -> OperatorProperty:
    """One activation in, one out, each with a range of its own."""
    return OperatorProperty(version, _activations(0), _activations(0), int16=int16)


def _fixed(version: int, int8: Fixed, int16: Fixed | None = None) -> OperatorProperty:
    """One activation in; the output has a fixed scale and zero point."""
    output = TensorProperty(fixed_int8=int8, fixed_int16=int16)
    return OperatorProperty(version, _activations(0), {0: output}, int16=int16 is not None)


def _move(version: int, *, input: int = 0, int16: bool = True) -> OperatorProperty:
    """Numbers are moved or picked, so the output keeps the scale of the input."""
    return OperatorProperty(version, _activations(input), _activations(0), same_scale=True, int16=int16)


def _divide(version: int, *, input: int = 0) -> OperatorProperty:
    """The input is divided among all outputs, which keep its scale."""
    return OperatorProperty(version, _activations(input), all_outputs=True, same_scale=True)


def _join(version: int) -> OperatorProperty:
    """All inputs are brought to the scale of the output."""
    return OperatorProperty(version, outputs=_activations(0), all_inputs=True, same_scale=True)


def _binary(version: int) -> OperatorProperty:
    """Two activations in, one out; a constant among them counts as an activation."""
    return OperatorProperty(version, _activations(0, 1), _activations(0), constants_as_activations=True)


def _compare(version: int) -> OperatorProperty:
    """Two activations in; the output is bool."""
    return OperatorProperty(version, _activations(0, 1), int16=False)


def _product(version: int, *, axis: int, input: int = 0, bias: int = 2) -> OperatorProperty:
    """Activations times weights plus a bias; the weights have a scale for each channel."""
    inputs = {input: _ACTIVATION, 1: TensorProperty(axis=axis)}
    return OperatorProperty(version, inputs, _activations(0), bias=bias)


def _lstm(layer_norm: bool, projection: bool, peephole: bool) -> OperatorProperty:
    """The LSTM with 20 or 24 inputs; its cell state is int16, its biases are int32 at derived scales.

    The biases of the gates have the scale input * weights, with layer normalization that of its coefficients / 1024.
    The intermediate tensors are the four normalized gates (without layer normalization not used) and the hidden state.
    """
    gates = range(4)
    inputs = _activations(0) | dict.fromkeys(range(1, 9), _WEIGHTS)
    if peephole:
        inputs |= dict.fromkeys((9, 10, 11), _INT16)
    if projection:
        inputs |= {16: _WEIGHTS}
    inputs |= {19: TensorProperty(bits=16, state=True, power_of_two=True)}
    if layer_norm:
        inputs |= dict.fromkeys((20, 21, 22, 23), _INT16)
    for gate in gates:
        scale = Derived(inputs=(20 + gate,), factor=2.0**-10) if layer_norm else Derived(inputs=(0, 1 + gate))
        inputs |= {12 + gate: TensorProperty(bits=32, derived=scale)}
    if projection:
        inputs |= {17: TensorProperty(bits=32, derived=Derived(inputs=(16,), intermediates=(4,)))}
    return OperatorProperty(
        version=2,
        inputs=inputs,
        outputs=_activations(0),
        intermediates=dict.fromkeys(gates, _INT16 if layer_norm else _ACTIVATION) | {4: _ACTIVATION},
        shared_range=(18, 0),
        int16=False,
    )


#: operators by name, all but LSTM, whose properties hang on its inputs (see `operator_property`)
OPERATORS: dict[str, OperatorProperty] = {
    # products of activations and weights
    "CONV_2D": _product(3, axis=0),
    "DEPTHWISE_CONV_2D": _product(3, axis=3),
    "FULLY_CONNECTED": _product(4, axis=0),
    "TRANSPOSE_CONV": _product(3, axis=0, input=2, bias=3),
    "SVDF": OperatorProperty(
        version=3,
        inputs={
            0: _ACTIVATION,
            1: _WEIGHTS,
            2: TensorProperty(bits=10),  # time weights: 6 bits are kept for the sum
            4: TensorProperty(bits=16, state=True),
            3: TensorProperty(bits=32, derived=Derived(inputs=(2, 4))),
        },
        outputs=_activations(0),
        int16=False,
    ),
    # arithmetic
    "ADD": _binary(2),
    "BATCH_MATMUL": _binary(2),
    "MUL": _binary(2),
    "SQUARED_DIFFERENCE": _binary(2),
    "SUB": _binary(2),
    "PRELU": OperatorProperty(1, _activations(0, 1), _activations(0), int16=False),
    "ABS": _map(2),
    "EXP": _map(2),
    "GELU": _map(2),
    "HARD_SWISH": _map(1, int16=False),
    "LEAKY_RELU": _map(2),
    "LOG": _map(2),
    "QUANTIZE": _map(2),
    "RELU": _map(2),
    "RELU6": _map(2),
    "RELU_N1_TO_1": _map(1, int16=False),
    "RSQRT": _map(2),
    "WHERE": _map(1),
    # functions whose range is known
    "L2_NORMALIZATION": _fixed(2, int8=Fixed(1 / 128, 0)),
    "LOGISTIC": _fixed(2, int8=Fixed(1 / 256, -128), int16=Fixed(1 / 32768, 0)),
    "LOG_SOFTMAX": _fixed(2, int8=Fixed(16 / 256, 127)),
    "SOFTMAX": _fixed(2, int8=Fixed(1 / 256, -128), int16=Fixed(1 / 32768, 0)),
    "TANH": _fixed(2, int8=Fixed(1 / 128, 0), int16=Fixed(1 / 32768, 0)),
    # reductions and pooling
    "AVERAGE_POOL_2D": _move(2),
    "MAX_POOL_2D": _move(2),
    "MEAN": _map(2),
    "REDUCE_MAX": _move(2),
    "REDUCE_MIN": _move(2),
    "REDUCE_PROD": _map(2),
    "SUM": _move(2),  # in int8 too, where its rule means to free it: it asks for the type before quantization, FLOAT32
    # operators that move or pick numbers
    "BATCH_TO_SPACE_ND": _move(2),
    "BROADCAST_TO": _move(3),
    "DEPTH_TO_SPACE": _move(2, int16=False),
    "EXPAND_DIMS": _move(1),
    "FILL": _move(3, input=1),
    "GATHER": _move(2),
    "GATHER_ND": _move(3),
    "MIRROR_PAD": _move(2),
    "PAD": _move(2),
    "PADV2": _move(2),
    "RESHAPE": _move(1),
    "RESIZE_BILINEAR": _move(2),
    "RESIZE_NEAREST_NEIGHBOR": _move(2),
    "REVERSE_V2": _move(3),
    "SCATTER_ND": _move(1, input=1),
    "SELECT": OperatorProperty(1, _activations(1, 2), _activations(0), same_scale=True),
    "SLICE": _move(2),
    "SPACE_TO_BATCH_ND": _move(2),
    "SPACE_TO_DEPTH": _move(2, int16=False),
    "SQUEEZE": _move(1),
    "STRIDED_SLICE": _move(2),
    "TILE": _move(3),
    "TRANSPOSE": _move(2),
    "SPLIT": _divide(2, input=1),
    "SPLIT_V": _divide(2),
    "UNPACK": _divide(1),
    "CONCATENATION": _join(2),
    "MAXIMUM": _join(2),
    "MINIMUM": _join(2),
    "PACK": _join(2),
    # operators whose outputs are not quantized
    "ARG_MAX": OperatorProperty(2, _activations(0), int16=False),
    "SHAPE": OperatorProperty(1, _activations(0)),
    "EQUAL": _compare(2),
    "GREATER": _compare(2),
    "GREATER_EQUAL": _compare(2),
    "LESS": _compare(2),
    "LESS_EQUAL": _compare(2),
    "NOT_EQUAL": _compare(2),
    # variables: what is assigned and what is read has one range, that of the variable
    "ASSIGN_VARIABLE": OperatorProperty(1, _activations(1), constants_as_activations=True),
    "READ_VARIABLE": OperatorProperty(1, outputs=_activations(0)),
    "VAR_HANDLE": OperatorProperty(1),
}

_LSTMS = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
_BASIC_LSTM_INPUTS = 5
_PEEPHOLE, _PROJECTION, _LAYER_NORM = 11, 16, 21  # inputs of an LSTM that tell its variant


def operator_property(name: str, inputs: Sequence[int]) -> OperatorProperty | None:
    """The properties of an operator by its name and the indices of its inputs, or None where it stays float.

    >>> operator_property("SOFTMAX", [0]).outputs[0].fixed_int8
    Fixed(scale=0.00390625, zero_point=-128)
    """
    if name not in _LSTMS:
        return OPERATORS.get(name)
    if len(inputs) == _BASIC_LSTM_INPUTS:
        return None
    present = [position < len(inputs) and inputs[position] >= 0 for position in (_LAYER_NORM, _PROJECTION, _PEEPHOLE)]
    return _lstm(*present)
