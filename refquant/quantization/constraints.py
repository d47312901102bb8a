"""What the converter's quantizer demands of each operator, as one table.

A row says for one operator:

* ``quantized``: whether the operator has an integer form; those without stay in float, between DEQUANTIZE and QUANTIZE;
* ``same_scale``: whether all its float operands and results must have one scale and zero point, as operators have that
  only move or choose numbers;
* ``output``: the scale and zero point that the results must have in 8 and in 16 bits, where the values are known
  beforehand;
* ``weight``: which operand is a weight and along which axis it has a scale for each channel (None: one scale): a
  constant there is symmetric, -127 to 127. Any other constant takes the range of its values and all of -128 to 127;
* ``bias``: which operand is a bias and the operands whose scales are multiplied to give its scale; it has 32 bits;
* ``dynamic``: which operands dynamic-range quantization makes int8 where the activations stay float, whether a kernel
  then computes with integers ("hybrid": it quantizes its activations as it goes) or the weights are made float again
  before use, and whether a hybrid kernel is told to quantize its activations asymmetrically.

Source: the traits and interfaces in converter/ir/tfl_ops.td. Where that is not what the published specification of
8-bit quantization says, `DEPARTURES` says how.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weight:
    """Operand `operand` is a weight with a scale for each index of `axis` (None: one scale for all)."""

    operand: int
    axis: int | None


@dataclass(frozen=True, slots=True)
class Bias:
    """Operand `operand` is a bias whose scale is the product of the scales of the operands `of`, and a factor."""

    operand: int
    of: tuple[int, ...]
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Output:
    """Scale and zero point of results whose values are known beforehand, in 8 and in 16 bits."""

    int8: tuple[float, int]
    int16: tuple[float, int]


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Operands that dynamic-range quantization makes int8; whether the kernel is hybrid, and asymmetrically so.

    They have one scale each, but one for each channel where `weight` says so, or along `axis`.
    """

    operands: tuple[int, ...]
    hybrid: bool = True
    asymmetric: bool = False
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """One row of the table; the docstring of the module says what each column means."""

    quantized: bool = True
    same_scale: bool = False
    output: Output | None = None
    weight: Weight | None = None
    bias: Bias | None = None
    dynamic: Dynamic | None = None


_LSTM_WEIGHTS = (*range(1, 12), 16)
_BIDIRECTIONAL_WEIGHTS = (*range(1, 12), 16, *range(18, 29), 33, *range(40, 48))

_FREE = Constraint()
_SAME = Constraint(same_scale=True)
_NOTHING = Constraint(quantized=False)

CONSTRAINTS: dict[str, Constraint] = {
    # sums of products: weights per channel, bias in the scale of the products
    "CONV_2D": Constraint(weight=Weight(1, 0), bias=Bias(2, (0, 1)), dynamic=Dynamic((1,))),
    "DEPTHWISE_CONV_2D": Constraint(weight=Weight(1, 3), bias=Bias(2, (0, 1)), dynamic=Dynamic((1,))),
    "FULLY_CONNECTED": Constraint(weight=Weight(1, 0), bias=Bias(2, (0, 1)), dynamic=Dynamic((1,), asymmetric=True)),
    "TRANSPOSE_CONV": Constraint(weight=Weight(1, 0), bias=Bias(3, (1, 2)), dynamic=Dynamic((1,), hybrid=False)),
    "SVDF": Constraint(bias=Bias(3, (2, 4)), dynamic=Dynamic((1, 2), asymmetric=True)),
    "BATCH_MATMUL": Constraint(dynamic=Dynamic((1,), asymmetric=True)),
    # recurrent; LSTM: states, weights and biases each in a way of its own, see `refquant.quantization.recurrent`
    "LSTM": Constraint(dynamic=Dynamic(_LSTM_WEIGHTS, asymmetric=True)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Constraint(dynamic=Dynamic(_LSTM_WEIGHTS, asymmetric=True)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": Constraint(dynamic=Dynamic(_BIDIRECTIONAL_WEIGHTS, asymmetric=True)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": Constraint(dynamic=Dynamic((1, 2), asymmetric=True)),
    # tables of which rows are taken
    "EMBEDDING_LOOKUP": Constraint(dynamic=Dynamic((1,), hybrid=False, axis=0)),
    "GATHER": Constraint(same_scale=True, dynamic=Dynamic((0,), hybrid=False)),
    # a slope per channel, yet one scale for all
    "PRELU": Constraint(weight=Weight(1, None)),
    # results within limits that are known beforehand
    "SOFTMAX": Constraint(output=Output((1 / 256, -128), (1 / 32768, 0))),
    "LOGISTIC": Constraint(output=Output((1 / 256, -128), (1 / 65536, -32768))),
    "LOG_SOFTMAX": Constraint(output=Output((16 / 256, 127), (16 / 256, 127))),
    "TANH": Constraint(output=Output((1 / 128, 0), (1 / 32768, 0))),
    "L2_NORMALIZATION": Constraint(output=Output((1 / 128, 0), (1 / 32768, 0))),
    # numbers that are only moved or chosen keep their scale
    **dict.fromkeys(
        """
        AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_TO CONCATENATION DEPTH_TO_SPACE EXPAND_DIMS
        FILL GATHER_ND MAXIMUM MAX_POOL_2D MINIMUM MIRROR_PAD PACK PAD PADV2 REDUCE_MAX REDUCE_MIN RESHAPE
        RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SCATTER_ND SELECT SELECT_V2 SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH
        SPLIT SPLIT_V SQUEEZE STRIDED_SLICE TILE TOPK_V2 TRANSPOSE UNPACK
        """.split(),
        _SAME,
    ),
    # every operand and result has a scale of its own
    **dict.fromkeys(
        """
        ABS ADD ARG_MAX ARG_MIN DIV EQUAL EXP FAKE_QUANT GELU
        GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG BASIC_LSTM MATRIX_DIAG MATRIX_SET_DIAG MEAN MUL
        ONE_HOT RANK REDUCE_PROD RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 REVERSE_SEQUENCE REVERSE_V2 RSQRT SHAPE
        SPARSE_TO_DENSE SQRT SQUARED_DIFFERENCE SUB SUM UNIQUE
        """.split(),
        _FREE,
    ),
    # one scale for all, but no integer form
    "ADD_N": Constraint(quantized=False, same_scale=True),
    # a bias, but no integer form
    "CONV_3D": Constraint(quantized=False, bias=Bias(2, (0, 1))),
}

_ROOM = (
    "the page has the bias in the scale of input times weight, and weights up to 127; where the bias would then be "
    "2**30 or more, both scales are made larger until it is not, and the weights stay below 127"
)

#: where the converter does other things than it is said to: by the specification of 8-bit quantization
#: (tensorflow/lite/g3doc/performance/quantization_spec.md), "the page", or by the converter's own source
DEPARTURES: dict[str, str] = {
    "CONV_2D": _ROOM,
    "DEPTHWISE_CONV_2D": _ROOM,
    "FULLY_CONNECTED": (
        "the page of tensorflow.org has one scale for all weights, that of the LiteRT repository one for each output; "
        f"the converter makes the latter, unless told otherwise. And {_ROOM}"
    ),
    "NOT_EQUAL": "the page has it on int8, and so has the kernel; the converter leaves it in float, unlike EQUAL",
    "DYNAMIC_UPDATE_SLICE": (
        "the page does not have it; the source has it keep its scale, as SLICE does; the released converter of "
        "tensorflow 2.21.0 leaves it in float"
    ),
}


def constraint_of(name: str) -> Constraint:
    """The row of an operator; operators without one stay in float."""
    return CONSTRAINTS.get(name, _NOTHING)
