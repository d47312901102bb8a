"""Where XNNPACK computes two operators as one, with other bits than one after the other.

A sum or mean of squares takes up each square by fused multiply-add. A sum that is then divided by the number of its
summands, or multiplied by the reciprocal, becomes a mean. The bounds of a RELU or its like after MAX_POOL_2D become
those of the pool where nobody else reads it, which shows in the sign of zeros. Other fusions change no bit.

Source: xnn_subgraph_optimize_common_subgraphs in src/subgraph.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from refquant.kernels.registry import Array, Kernel, Operator, Run, TensorInfo
from refquant.kernels.xnnpack.float_clamp import clamp, float_range, range_of
from refquant.kernels.xnnpack.float_pooling import max_pool_within
from refquant.kernels.xnnpack.float_reduction import mean, mean_of_squares, sum_of, sum_of_squares
from refquant.tflite.schema import ActivationFunctionType, TensorType

Fusion = tuple[Kernel, list[TensorInfo]]

_CLAMPS = {
    "RELU": ActivationFunctionType.RELU,
    "RELU6": ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": ActivationFunctionType.RELU_N1_TO_1,
}


def fusions(
    operators: Sequence[Operator], taken: Collection[int], outputs: Collection[int]
) -> Iterator[tuple[int, Kernel, list[TensorInfo]]]:
    """The positions of operators that are computed together with one before: by what kernel, and of what inputs.

    `taken` are the positions of those that XNNPACK takes, `outputs` the indices of the subgraph's outputs.
    """
    read = Counter([*outputs, *(tensor.index for op in operators for tensor in op.inputs if tensor is not None)])
    makers: dict[int, Operator] = {}
    reductions: dict[int, Fusion] = {}  # by their outputs
    for position in sorted(taken):
        op = operators[position]
        makers.update({tensor.index: op for tensor in op.outputs})
        if not op.outputs or op.output().type != TensorType.FLOAT32:
            continue
        if op.name in ("MEAN", "SUM"):
            reductions[op.output().index] = kernel, inputs = _reduction(op, makers.get(op.input(0).index))
            if inputs[0] is not op.input(0):
                yield position, kernel, inputs
        elif op.name in ("MUL", "DIV") and (total := _scaled_sum(op, makers)) is not None:
            kernel, inputs = reductions[total.output().index]
            yield position, _mean(mean if kernel is sum_of else mean_of_squares, total), inputs
        elif op.name in _CLAMPS and read[op.input(0).index] == 1:
            maker = makers.get(op.input(0).index)
            if maker is not None and maker.name == "MAX_POOL_2D":
                yield position, _pool(maker, float_range(_CLAMPS[op.name])), [maker.input(0)]


def _reduction(op: Operator, maker: Operator | None) -> Fusion:
    """The kernel of a sum or a mean, and its inputs."""
    if maker is not None and _is_square(maker):
        return (sum_of_squares if op.name == "SUM" else mean_of_squares), [maker.input(0), op.input(1)]
    return (sum_of if op.name == "SUM" else mean), [op.input(0), op.input(1)]


def _is_square(op: Operator) -> bool:
    if op.name == "SQUARE":
        return True
    is_product = op.name == "MUL" and op.input(0).index == op.input(1).index
    return is_product and op.options.fused_activation_function == ActivationFunctionType.NONE


def _scaled_sum(op: Operator, makers: dict[int, Operator]) -> Operator | None:
    """The sum that is multiplied or divided so that it becomes a mean, or None."""
    a, b = op.input(0), op.input(1)
    total, factor = (b, a) if not _is_number(b) and _is_number(a) else (a, b)
    maker = makers.get(total.index)
    if maker is None or maker.name != "SUM" or factor.value is None or not _is_number(factor):
        return None
    axes, shape = maker.input(1).value, maker.input(0).dims
    assert axes is not None  # XNNPACK takes no other
    count = prod(shape[int(axis)] for axis in axes.ravel())
    expected = np.float32(1) / np.float32(max(1, count)) if op.name == "MUL" else np.float32(count)
    return maker if count and factor.value.reshape(-1)[0] == expected else None


def _is_number(tensor: TensorInfo) -> bool:
    return tensor.value is not None and prod(tensor.dims) == 1


def _mean(kernel: Kernel, total: Operator) -> Kernel:
    """The mean in place of a sum and its quotient, whose activation stays."""

    def planned(op: Operator) -> Run:
        bounds, run = range_of(op), kernel(replace(op, options=total.options))

        def clamped(x: Array, axes: Array) -> Array:
            y = run(x, axes)
            assert isinstance(y, np.ndarray)
            return clamp(y, bounds)

        return clamped

    return planned


def _pool(pool: Operator, bounds: tuple[float, float]) -> Kernel:
    """The pool within its own bounds, brought within others."""
    low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in range_of(pool))
    return lambda op: max_pool_within(replace(op, options=pool.options), (low, high))
