"""Which operators may run on many samples together, their tensors stacked along the first axis.

An operator may where each row of its output, counted along the first axis, is computed from the same row of what varies
from sample to sample, and in the same way whatever the number of rows: then the rows of N samples have the bits of N
runs. What varies are the inputs of the model and all that is computed from them; constants, and what is computed from
these alone, are the same for every sample.

| rule | operators | may where |
|---|---|---|
| `_rows_alike` | element by element | what does not vary has one row, or lower rank |
| `_images` | convolutions, fully connected layers, pooling, resizing | only the first input varies |
| `_vectors` | SOFTMAX and others along the last axis | the last axis is not the first |
| `_axis_in_options` | CONCATENATION, PACK, UNPACK | all inputs vary, the axis is not the first |
| `_axes_in_input` | SPLIT, reductions, ARG_MAX, … | the axes are constants, none of them the first |
| `_first_stays` | TRANSPOSE, paddings | a constant says that the first axis stays as it is |

A kernel that a profile has for itself counts as another operator: those are mostly orders of float sums that hang on
the number of rows or on a row's place in memory. So do the products of `float_mode="fast"`. No rule have, for the same
kind of reason, CAST and FLOOR_DIV (numbers that fill a register are not like the rest), POW (one exponent is not like
many) and sums of products of other types than `_SUMS` (hybrid ones look at all rows before they quantize one, those of
int16 may leave the 32 bits of an accumulator). Where two NaNs meet in a sum, NumPy's loops give the result the sign of
the one or the other by its place in an array; here, as everywhere in refquant, a NaN is a NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypeGuard

from refquant.errors import RefquantError
from refquant.interpreter.plan import Step, SubgraphPlan
from refquant.kernels import registry
from refquant.kernels.registry import Operator, TensorInfo
from refquant.tflite.schema import TensorType

#: whether an operator may, given the tensors that vary from sample to sample
Rule = Callable[[Operator, Collection[int]], bool]


def _rows_alike(op: Operator, varying: Collection[int]) -> bool:
    rank = len(op.output().dims)
    return all(
        len(tensor.dims) == rank if tensor.index in varying else len(tensor.dims) < rank or tensor.dims[0] == 1
        for tensor in op.inputs
        if tensor is not None
    )


_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
#: types of activations and weights whose sums, or those of each row, hang on nothing else
_SUMS = (
    (TensorType.FLOAT32, TensorType.FLOAT32),
    (TensorType.INT8, TensorType.INT8),
    (TensorType.UINT8, TensorType.UINT8),
)


def _images(op: Operator, varying: Collection[int]) -> bool:
    image, *others = op.inputs
    if image is None or any(tensor is not None and tensor.index in varying for tensor in others):
        return False
    filters = others[0] if others else None
    return op.name not in _WEIGHTED or (image.type, filters.type if filters is not None else None) in _SUMS


def _vectors(op: Operator, varying: Collection[int]) -> bool:
    return len(op.input(0).dims) > 1


def _axis_in_options(op: Operator, varying: Collection[int]) -> bool:
    rank = max(len(op.input(0).dims), len(op.output().dims))
    return op.options.axis % rank != 0 and all(t is not None and t.index in varying for t in op.inputs)


def _axes_in_input(op: Operator, varying: Collection[int]) -> bool:
    data, axes = (1, 0) if op.name == "SPLIT" else (0, 2 if op.name == "SPLIT_V" else 1)
    value, rank = op.input(axes).value, len(op.input(data).dims)
    return value is not None and all(int(axis) % rank for axis in value.reshape(-1))


def _first_stays(op: Operator, varying: Collection[int]) -> bool:
    """The first row of the second input, the place of the first axis or the paddings around it, is zero."""
    value = op.input(1).value
    others = [tensor for tensor in op.inputs[1:] if tensor is not None and tensor.index in varying]
    return value is not None and not others and not value[:1].any()


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        "ABS NEG SIGN SQUARE SQRT RSQRT EXP LOG SIN COS FLOOR CEIL ROUND QUANTIZE DEQUANTIZE LOGICAL_NOT "
        "RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU ELU GELU HARD_SWISH LOGISTIC TANH "
        "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL "
        "LOGICAL_AND LOGICAL_OR SELECT_V2".split(),
        _rows_alike,
    ),
    **dict.fromkeys(
        "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D RESIZE_BILINEAR "
        "RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE".split(),
        _images,
    ),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"), _vectors),
    **dict.fromkeys(("CONCATENATION", "PACK", "UNPACK"), _axis_in_options),
    **dict.fromkeys(
        "SPLIT SPLIT_V ARG_MAX ARG_MIN MEAN SUM REDUCE_MAX REDUCE_MIN".split(),
        _axes_in_input,
    ),
    **dict.fromkeys(("TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD"), _first_stays),
}
#: operators whose rule holds for the kernels that profiles have for themselves, too
_OF_PROFILES = frozenset(("DEPTHWISE_CONV_2D", "LOGISTIC", "TANH"))
#: operators whose output is their first input in another shape: so it is for many samples
RENAMING = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))


def step_for_stack(plan: SubgraphPlan, step: Step, varying: Collection[int], count: int) -> Step | None:
    """The operator of `step` planned for `count` samples together; None where it is to run on one after the other.

    So it is, too, where its kernel refuses the larger shape.
    """
    op = step.operator
    rows = {tensor.dims[:1] for tensor in (*op.inputs, *op.outputs) if _varies(tensor, varying)}
    if len(rows) != 1 or not all(rows) or not _has_rule(step) or not _RULES[op.name](op, varying):
        return None

    def stacked(tensor: TensorInfo) -> TensorInfo:
        return replace(tensor, shape=(count * tensor.dims[0], *tensor.dims[1:]))

    together = replace(
        op,
        observer=None,
        inputs=[stacked(tensor) if _varies(tensor, varying) else tensor for tensor in op.inputs],
        outputs=[stacked(tensor) for tensor in op.outputs],
    )
    wanted = [tensor.shape for tensor in together.outputs]
    planned = Step(together, step.kernel)
    try:
        plan.plan_step(planned)
    except RefquantError:
        return None
    return planned if list(planned.shapes) == wanted else None


def _varies(tensor: TensorInfo | None, varying: Collection[int]) -> TypeGuard[TensorInfo]:
    return tensor is not None and tensor.index in varying


def _has_rule(step: Step) -> bool:
    op = step.operator
    if op.is_custom or op.name not in _RULES:
        return False
    common = registry.find(op.name, custom=False, profile="")
    per_row = any(
        len(t.scales) > 1 and t.quantized_dimension == 0 for t in (op.inputs[0], *op.outputs) if t is not None
    )
    return not per_row and (step.kernel is common or op.name in _OF_PROFILES)
