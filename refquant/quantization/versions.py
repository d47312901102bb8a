"""The version of every operator, and of the oldest runtime that has them all, as the TFLite converter writes them.

An operator of a kind gets a higher version when a new type, option or rank is added to its kernels, so the version is a
function of the operator as it stands in the model. `_RULES` is that function: of each operator's rules the first whose
conditions all hold gives the version, and an operator for which none does has version 1.

Source: tflite/converter/tools/versioning/{op_version,op_signature}.cc, as of TensorFlow 2.21.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refquant.errors import InvalidModelError, UnsupportedOperatorError
from refquant.quantization.releases import RELEASES
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import LSTMKernelType, TensorType
from refquant.tflite.vectors import indices_of

FLOAT32, FLOAT16, BFLOAT16, FLOAT64 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16, TensorType.FLOAT64
INT2, INT4, INT8, INT16 = TensorType.INT2, TensorType.INT4, TensorType.INT8, TensorType.INT16
INT32, INT64, UINT4, UINT8 = TensorType.INT32, TensorType.INT64, TensorType.UINT4, TensorType.UINT8
UINT16, UINT32, COMPLEX64 = TensorType.UINT16, TensorType.UINT32, TensorType.COMPLEX64
BOOL, STRING = TensorType.BOOL, TensorType.STRING


def update_versions(model: Model) -> None:
    """Sets the version of each operator code to the highest that any of its operators needs.

    Custom operators have version 1, and so has a code that no operator uses. Raises as `operator_version` does.
    """
    codes = model.root.operator_codes or []
    for code in codes:
        code.version = 1
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or ():
            code = model.operator_code(operator)
            code.version = max(code.version, operator_version(model, subgraph, operator))


def operator_version(model: Model, subgraph: schema.SubGraph, operator: schema.Operator) -> int:
    """The version of one operator of the model; 1 for a custom one.

    Raises `InvalidModelError` for an operator that lacks an input or an output that its version depends on, and
    `UnsupportedOperatorError` for one that the converter has no version for.
    """
    name = model.operator_name(operator)
    signature = _Signature(
        name,
        [_tensor(subgraph, index, name) for index in indices_of(operator.inputs)],
        [_tensor(subgraph, index, name) for index in indices_of(operator.outputs)],
        operator.builtin_options,
    )
    if model.is_custom(operator):
        return 1
    for version, *conditions in _RULES.get(name, ()):
        if all(condition(signature) for condition in conditions):
            return version
    return 1


def minimum_runtime_version(model: Model) -> str:
    """The oldest release of the runtime that has every operator of the model in the version that the model asks for.

    Such as "2.3.0"; empty where no release is known for any of them. What the table does not list is passed over.
    """
    releases = [
        release
        for subgraph in model.subgraphs
        for operator in subgraph.operators or ()
        if (release := _release(model.operator_name(operator), model.operator_version(operator)))
    ]
    return max(releases, key=lambda release: [int(number) for number in release.split(".")], default="")


def _release(name: str, version: int) -> str | None:
    releases = RELEASES.get(name, "").split()
    if not 1 <= version <= len(releases) or releases[version - 1] == "-":
        return None
    return releases[version - 1]


@dataclass(slots=True)
class _Signature:
    """What the version of an operator depends on; an optional input that is absent is None."""

    name: str
    inputs: Sequence[schema.Tensor | None]
    outputs: Sequence[schema.Tensor | None]
    options: Any

    def input(self, index: int) -> schema.Tensor | None:
        if index >= len(self.inputs):
            raise InvalidModelError(f"{self.name} with {len(self.inputs)} inputs: its version depends on input {index}")
        return self.inputs[index]

    def output(self, index: int) -> schema.Tensor | None:
        if index >= len(self.outputs):
            raise InvalidModelError(
                f"{self.name} with {len(self.outputs)} outputs: its version depends on output {index}"
            )
        return self.outputs[index]


def _tensor(subgraph: schema.SubGraph, index: int, name: str) -> schema.Tensor | None:
    tensors = subgraph.tensors or []
    if index >= len(tensors):
        raise InvalidModelError(f"{name}: tensor {index} does not exist, the subgraph has {len(tensors)}")
    return tensors[index] if index >= 0 else None


def _shape(tensor: schema.Tensor | None) -> tuple[int, ...]:
    return () if tensor is None or tensor.shape is None else tuple(int(n) for n in tensor.shape)


def _scales(tensor: schema.Tensor | None) -> list[np.float32]:
    if tensor is None or tensor.quantization is None or tensor.quantization.scale is None:
        return []
    return [np.float32(scale) for scale in tensor.quantization.scale]


Condition = Callable[[_Signature], bool]
Rule = tuple[Any, ...]  # (version, *conditions)


def _takes(*types: TensorType, at: int = 0) -> Condition:
    """Input `at` has one of these types."""

    def condition(op: _Signature) -> bool:
        tensor = op.input(at)
        return tensor is not None and tensor.type in types

    return condition


def _gives(*types: TensorType, at: int = 0) -> Condition:
    """Output `at` has one of these types."""

    def condition(op: _Signature) -> bool:
        tensor = op.output(at)
        return tensor is not None and tensor.type in types

    return condition


def _either(*conditions: Condition) -> Condition:
    return lambda op: any(condition(op) for condition in conditions)


def _types(x: TensorType, weights: TensorType, y: TensorType, at: int = 1) -> Condition:
    """The types of the input, of the weights (input `at`) and of the output."""
    conditions = _takes(x), _takes(weights, at=at), _gives(y)
    return lambda op: all(condition(op) for condition in conditions)


def _option(name: str, *values: Any) -> Condition:
    """The option is one of these values; without values, it is not 0."""

    def condition(op: _Signature) -> bool:
        value = getattr(op.options, name, 0)
        return value in values if values else bool(value)

    return condition


def _rank(holds: Callable[[int], bool], at: int = 0) -> Condition:
    return lambda op: holds(len(_shape(op.input(at))))


def _broadcasts_beyond_rank_4(op: _Signature) -> bool:
    shapes = [_shape(tensor) for tensor in op.inputs]
    return len(shapes) >= 2 and shapes[0] != shapes[1] and max(map(len, shapes)) > 4


def _quantized(*inputs: int) -> Condition:
    """One of these inputs has a table of quantization, be it an empty one."""
    return lambda op: any((tensor := op.input(at)) is not None and tensor.quantization is not None for at in inputs)


def _scale_for_each(axis: int) -> Condition:
    """The weights (input 1) have a scale for each index of the axis, which may be one."""

    def condition(op: _Signature) -> bool:
        shape, scales = _shape(op.input(1)), _scales(op.input(1))
        return len(shape) > axis and len(scales) == shape[axis] > 0

    return condition


def _per_channel(tensor: schema.Tensor | None) -> bool:
    """More scales than one, as many as the quantized dimension is long."""
    scales, shape = _scales(tensor), _shape(tensor)
    if tensor is None or tensor.quantization is None or len(scales) <= 1:
        return False
    axis = tensor.quantization.quantized_dimension
    return axis < len(shape) and shape[axis] == len(scales)


def _per_row(op: _Signature) -> bool:
    scales, shape = _scales(op.input(1)), _shape(op.input(1))
    return len(scales) > 1 and len(shape) > 0 and shape[0] == len(scales)


def _grouped(op: _Signature) -> bool:
    """The filter has fewer channels than the input: a convolution in groups."""
    x, filters = _shape(op.input(0)), _shape(op.input(1))
    return bool(x) and x[3] != filters[3]


def _product_of_scales_at_least_one(op: _Signature) -> bool:
    """input scale 1 × input scale 2 / output scale, in float32, is 1 or more."""
    scales = [_scales(tensor)[:1] for tensor in (op.input(0), op.input(1), op.output(0))]
    if not all(scales):
        return False
    (a,), (b,), (y,) = scales
    return a != 0 and b != 0 and y != 0 and bool(a * b / y >= 1)


def _no_version(op: _Signature) -> bool:
    raise UnsupportedOperatorError(f"{op.name} with input and weights of int16: the converter fails on it")


def _is_sparse(op: _Signature) -> bool:
    weights = op.input(1)
    return weights is not None and weights.sparsity is not None


_HYBRID = _types(FLOAT32, INT8, FLOAT32)
_ASYMMETRIC = _option("asymmetric_quantize_inputs")


def _of_type(versions: dict[TensorType, int], at: int = 0) -> list[Rule]:
    """The rules of an operator whose version depends on the type of one input only."""
    return [(version, _takes(type, at=at)) for type, version in versions.items()]


_BY_OPERATOR: list[tuple[str, list[Rule]]] = [
    # products
    (
        "CONV_2D",
        [
            (8, _types(INT16, INT8, INT16)),  # here the type of the bias is an option, which is never "no type"
            (6, _grouped),
            (0, _takes(INT16), _takes(INT16, at=1), _no_version),
            (3, _types(INT8, INT8, INT8)),
            (7, _types(INT8, INT4, INT8)),
            (5, _HYBRID, _scale_for_each(axis=0)),
            (2, _HYBRID),
        ],
    ),
    (
        "DEPTHWISE_CONV_2D",
        [
            (0, _takes(INT16), _takes(INT16, at=1), _no_version),
            (6, _HYBRID, _scale_for_each(axis=3)),
            (4, _HYBRID),
            (3, _types(INT8, INT8, INT8)),
            (7, _types(INT8, INT4, INT8)),
            (
                2,
                lambda op: op.options is None or op.options.dilation_w_factor != 1 or op.options.dilation_h_factor != 1,
            ),
        ],
    ),
    (
        "FULLY_CONNECTED",
        [
            (14, _takes(INT2, at=1)),
            (13, _types(INT16, INT4, INT16)),
            (12, _HYBRID, _scale_for_each(axis=0)),
            (11, _types(INT16, INT8, INT16)),  # the type of the bias, as above
            (8, _is_sparse),
            (7, _types(INT16, INT16, INT16)),
            (6, lambda op: len(op.inputs) == 2),
            (5, _option("keep_num_dims")),
            (4, _types(INT8, INT8, INT8)),
            (10, _types(INT8, INT4, INT8)),
            (9, _HYBRID, _ASYMMETRIC),
            (3, _HYBRID),
            (2, _option("weights_format")),
        ],
    ),
    (
        "TRANSPOSE_CONV",
        [
            (5, _types(INT16, INT8, INT16)),  # the type of the bias, as above
            (4, _option("fused_activation_function")),
            (3, lambda op: len(op.inputs) == 4 and op.inputs[3] is not None),
            (2, _takes(INT8, at=1)),
        ],
    ),
    ("BATCH_MATMUL", [(3, _takes(INT16)), (2, _takes(INT8)), (4, _HYBRID, _ASYMMETRIC)]),
    ("SVDF", [(3, _takes(INT8)), (4, _HYBRID, _ASYMMETRIC), (2, _HYBRID)]),
    ("EMBEDDING_LOOKUP", [(4, _either(_takes(INT4, at=1), _per_row)), (5, _takes(INT2, at=1))]),
    # recurrent
    (
        "LSTM",
        [
            (2, _option("kernel_type", LSTMKernelType.BASIC)),
            (5, _types(INT16, INT8, INT16, at=2)),
            (4, _types(FLOAT32, INT8, FLOAT32, at=2), _ASYMMETRIC),
            (3, _types(FLOAT32, INT8, FLOAT32, at=2)),
        ],
    ),
    (
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [
            (5, _types(INT16, INT8, INT16, at=2)),
            (4, _option("diagonal_recurrent_tensors")),
            (3, _types(FLOAT32, INT8, FLOAT32, at=2), _ASYMMETRIC),
            (2, _types(FLOAT32, INT8, FLOAT32, at=2)),
        ],
    ),
    (
        "RNN UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_LSTM",
        [(3, _takes(INT8, at=1), _gives(FLOAT32), _ASYMMETRIC), (2, _takes(INT8, at=1), _gives(FLOAT32))],
    ),
    # arithmetic of two tensors
    (
        "ADD",
        [
            (5, _takes(INT16), lambda op: not _quantized(0)(op)),
            (4, _takes(INT64)),
            (3, _takes(INT16), _gives(INT16), lambda op: op.options is not None and not op.options.pot_scale_int16),
            (2, _takes(INT8)),
        ],
    ),
    (
        "SUB",
        [
            (5, _takes(INT16), _gives(INT16), lambda op: op.options is not None and not op.options.pot_scale_int16),
            (4, _takes(INT64)),
            (3, _broadcasts_beyond_rank_4),
            (2, _takes(INT8)),
        ],
    ),
    (
        "MUL",
        [
            (7, _takes(INT16), lambda op: not _quantized(0, 1)(op)),
            (7, _takes(UINT32)),
            (6, _takes(COMPLEX64)),
            (5, _takes(INT64)),
            (4, _takes(INT16)),
            (3, _product_of_scales_at_least_one),
            (2, _takes(INT8)),
        ],
    ),
    ("DIV", [(2, _broadcasts_beyond_rank_4)]),
    ("MAXIMUM MINIMUM", [(4, _takes(INT16), _gives(INT16)), (3, _broadcasts_beyond_rank_4), (2, _takes(INT8))]),
    ("SQUARED_DIFFERENCE", _of_type({INT8: 2})),
    ("FLOOR_DIV", _of_type({INT16: 3, INT8: 3, FLOAT32: 2})),
    ("FLOOR_MOD", _of_type({INT16: 2, INT8: 2})),
    # comparison and choice
    ("EQUAL", _of_type({INT16: 5, STRING: 3, INT8: 2})),
    ("NOT_EQUAL", _of_type({INT16: 4, STRING: 3, INT8: 2})),
    ("LESS GREATER_EQUAL", _of_type({INT16: 3, INT8: 2})),
    ("GREATER LESS_EQUAL", _of_type({INT8: 2})),
    (
        "SELECT",
        [(4, _takes(UINT32)), (3, _either(*(_rank(lambda rank: rank == 5, at) for at in range(3)))), (2, _takes(INT8))],
    ),
    ("SELECT_V2", _of_type({UINT32: 2})),
    ("WHERE", [(1, _takes(BOOL)), (2,)]),
    # functions of one number, and over a row
    ("ABS", [(5, _takes(INT32)), (3, _takes(INT16), _quantized(0)), (4, _takes(INT16)), (2, _takes(INT8, UINT8))]),
    ("SIGN", _of_type({INT32: 2})),
    ("EXP LOG SQRT", _of_type({INT8: 2, INT16: 2})),
    ("RSQRT RELU6", _of_type({INT16: 3, INT8: 2})),
    ("RELU", _of_type({INT16: 3, INT8: 2, UINT8: 2})),
    ("LEAKY_RELU", _of_type({INT16: 2})),
    ("GELU", _of_type({INT8: 2, UINT8: 2})),
    ("TANH LOGISTIC", [(3, _takes(INT16), _gives(INT16)), (2, _takes(INT8))]),
    ("SOFTMAX", _of_type({INT16: 3, INT8: 2})),
    ("LOG_SOFTMAX", _of_type({INT8: 2})),
    ("L2_NORMALIZATION", [(2, _gives(INT8))]),
    # windows and reductions
    ("AVERAGE_POOL_2D MAX_POOL_2D", [(3, _takes(INT16), _gives(INT16)), (2, _takes(INT8))]),
    (
        "RESIZE_BILINEAR",
        [(4, _takes(INT16)), (3, _option("half_pixel_centers")), (2, _takes(INT8))],
    ),
    (
        "RESIZE_NEAREST_NEIGHBOR",
        [
            (4, _takes(INT16)),
            (3, _either(_option("half_pixel_centers"), _option("align_corners"))),
            (2, _takes(INT8)),
        ],
    ),
    ("MEAN REDUCE_MAX REDUCE_MIN", _of_type({INT16: 3, INT8: 2})),
    ("SUM", _of_type({INT8: 2})),
    ("REDUCE_PROD", _of_type({INT8: 2, INT16: 2})),
    ("ARG_MAX ARG_MIN", _of_type({BOOL: 3, INT8: 2})),
    ("TOPK_V2", [(3, _either(_takes(INT16), _takes(INT16, at=1), _gives(INT16, at=1))), (2, _takes(INT8))]),
    # moving numbers
    ("CONCATENATION", _of_type({INT4: 5, UINT32: 4, INT16: 3, INT8: 2})),
    ("PACK", [(2, _takes(INT8)), (3, _takes(INT16), _gives(INT16)), (4, _takes(UINT32))]),
    ("UNPACK", [(2, _takes(INT8, UINT8)), (3, _takes(BOOL)), (4, _takes(INT16), _gives(INT16))]),
    ("SPLIT", _of_type({INT16: 4, INT32: 3, INT8: 2}, at=1)),
    ("SPLIT_V", _of_type({INT8: 2})),
    (
        "SLICE",
        [
            (7, _takes(INT4)),
            (6, _takes(UINT32)),
            (5, _rank(lambda rank: rank > 4)),
            *_of_type({INT16: 4, STRING: 3, INT8: 2}),
        ],
    ),
    (
        "STRIDED_SLICE",
        [
            (8, _option("offset")),
            (7, _takes(UINT32)),
            (6, _either(_option("ellipsis_mask"), _option("new_axis_mask"))),
            (5, _takes(STRING)),
            (4, _rank(lambda rank: rank > 4)),
            *_of_type({BOOL: 3, INT8: 2}),
        ],
    ),
    (
        "TRANSPOSE",
        [
            (7, _takes(INT4)),
            (6, _rank(lambda rank: rank > 5)),
            (5, _takes(INT16)),
            (4, _rank(lambda rank: rank > 4)),
            *_of_type({BOOL: 3, INT8: 2}),
        ],
    ),
    ("PAD PADV2", [(5, _takes(BOOL)), (4, _rank(lambda rank: rank > 4)), *_of_type({INT16: 3, INT8: 2})]),
    ("MIRROR_PAD", _of_type({INT16: 3, INT8: 2})),
    (
        "SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND",
        [(4, _takes(INT16)), (3, _rank(lambda rank: rank != 4)), (2, _takes(INT8))],
    ),
    ("SPACE_TO_DEPTH DEPTH_TO_SPACE", _of_type({INT8: 2})),
    ("TILE", _of_type({INT8: 3, STRING: 2})),
    ("SQUEEZE", _of_type({STRING: 2})),
    ("REVERSE_V2", _of_type({INT8: 3, BOOL: 2})),
    ("BROADCAST_TO", [(3, _takes(INT8, INT16)), (2,)]),  # version 1 was taken back
    ("FILL", _of_type({FLOAT16: 4, INT8: 3, INT16: 3, BOOL: 2, STRING: 2}, at=1)),
    ("RANGE", _of_type({INT64: 2})),
    # looking up
    (
        "GATHER",
        [
            (7, _takes(INT4)),
            (6, _takes(INT16, at=1)),
            (5, _option("batch_dims")),
            *_of_type({INT16: 4, BOOL: 3, INT8: 2}),
        ],
    ),
    ("GATHER_ND", [(5, _takes(BOOL)), (4, _takes(INT16, at=1)), (3, _takes(INT16)), (2, _takes(STRING))]),
    ("SPARSE_TO_DENSE", _of_type({INT8: 3, UINT8: 3, INT64: 2}, at=2)),
    ("DYNAMIC_UPDATE_SLICE", [*_of_type({INT4: 5, INT16: 4, FLOAT16: 3}), (2, _takes(INT64, at=2))]),
    # between types
    ("FAKE_QUANT", [(2, _option("narrow_range"))]),
    (
        "QUANTIZE",
        [
            (5, _either(_takes(UINT4), _gives(UINT4))),
            (4, _either(_takes(INT4), _gives(INT4))),
            (3, lambda op: _per_channel(op.output(0))),
            (2, _gives(INT16)),
        ],
    ),
    (
        "DEQUANTIZE",
        [
            *_of_type({INT2: 7, INT4: 6, INT16: 3, FLOAT16: 3}),
            (5, _takes(INT8), lambda op: _per_channel(op.input(0))),
            (2, _takes(INT8)),
        ],
    ),
    (
        "CAST",
        [
            (8, _either(_takes(INT2, UINT4), _gives(INT2, UINT4))),
            (7, _either(_takes(BFLOAT16), _gives(BFLOAT16))),
            (6, _takes(INT4), _gives(FLOAT32)),
            (5, _either(_takes(FLOAT64, FLOAT16), _gives(FLOAT64, FLOAT16))),
            (4, _either(_takes(UINT16), _gives(UINT16))),
            (3, _either(_takes(INT8), _gives(INT8))),
            (2, _either(_takes(UINT32), _gives(UINT32))),
        ],
    ),
]

_RULES: dict[str, list[Rule]] = {name: rules for names, rules in _BY_OPERATOR for name in names.split()}
