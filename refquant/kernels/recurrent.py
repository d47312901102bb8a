"""What LSTMs and RNNs share: products of vectors and matrices, activations, steps over time.

Where weights have eight bits ("hybrid"), vectors of float32 are quantized on the fly, each with a scale of its own, and
their products with int8 weights are scaled back before they are added. Weights of type uint8 are taken as int8 of the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from refquant.kernels.fused_activation import activation_of_vector, clamp_float
from refquant.kernels.hybrid import is_zero, sums_with
from refquant.kernels.registry import Array, Operator, Shape, TensorInfo
from refquant.numerics.dynamic_range import asymmetric_quantize, symmetric_quantize
from refquant.numerics.eigen_products import product_with
from refquant.numerics.steps import told_of_part
from refquant.tflite.schema import ActivationFunctionType, TensorType

Floats = npt.NDArray[np.float32]
Function = Callable[[Floats], Floats]
Values = Sequence[Array | None]  # of the operator's inputs
Step = Callable[..., tuple[Array, ...]]  # x, aux and the states to the new states, of which the first is the output


class Vectors(Protocol):
    """Vectors [batch, n] that are multiplied with matrices."""

    is_zero: bool

    def add_product(self, total: Floats, matrix: Any) -> Floats:
        """total [batch, rows] and the products with a matrix [rows, n], which `ways` has prepared."""


class EigenVectors:
    """Vectors of float32 as LSTMs multiply them with matrices of float32: in Eigen's orders."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self.is_zero = is_zero(vectors)

    def add_product(self, total: Floats, matrix: Function) -> Floats:
        """With one vector the sum is limited to finite numbers, with more of them the product."""
        product = matrix(self.vectors)
        if len(product) == 1:
            return clamp_float(product + total, ActivationFunctionType.NONE)
        return clamp_float(product, ActivationFunctionType.NONE) + total


class LaneVectors:
    """Vectors of float32 as RNNs multiply them with matrices of float32: in four partial sums.

    The four are added up from the first to the last, and to the total; products beyond the last full four go to the
    total one by one. Source: NeonMatrixBatchVectorMultiplyAccumulate in internal/optimized/neon_tensor_utils.cc.
    """

    is_zero = False  # no product is skipped

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def add_product(self, total: Floats, matrix: Floats) -> Floats:
        """The total and the products."""
        products = self.vectors[:, None, :] * matrix
        whole = products.shape[-1] - products.shape[-1] % 4
        lanes = np.zeros((*products.shape[:-1], 4), np.float32)
        for start in range(0, whole, 4):
            lanes = lanes + products[..., start : start + 4]
        total = total + (((lanes[..., 0] + lanes[..., 1]) + lanes[..., 2]) + lanes[..., 3])
        for column in range(whole, products.shape[-1]):
            total = total + products[..., column]
        return total


class QuantizedVectors:
    """Vectors of float32, quantized for matrices of int8."""

    def __init__(self, vectors: Floats, asymmetric: bool) -> None:
        self.is_zero = is_zero(vectors)
        if asymmetric:
            self.q, self.scale, self.zero_point = asymmetric_quantize(vectors)
        else:
            self.q, self.scale = symmetric_quantize(vectors)
            self.zero_point = np.zeros(len(vectors), np.int32)

    def add_product(self, total: Floats, matrix: QuantizedMatrix) -> Floats:
        """Exact integer sums, less zero point times the sum of a row, rounded to float32 and scaled."""
        sums = matrix.sums(self.q) - self.zero_point[:, None] * matrix.rows
        return total + sums.astype(np.int32).astype(np.float32) * (self.scale * matrix.scale)[:, None]


class QuantizedMatrix:
    """A matrix of int8, or of uint8 that are taken as such, and its scale."""

    def __init__(self, scale: np.float32, matrix: Array) -> None:
        weights = matrix.view(np.int8)
        self.sums, self.rows, self.scale = sums_with(weights.T), weights.sum(axis=1, dtype=np.int64), scale


class Ways(NamedTuple):
    """How vectors and matrices are prepared for each other; a matrix comes after its scale, 1 where it has none."""

    vectors: Callable[[Floats], Vectors]
    matrix: Callable[[np.float32, Array], Any]


EIGEN = Ways(EigenVectors, lambda _, matrix: product_with(matrix))
LANES = Ways(LaneVectors, lambda _, matrix: matrix)


def ways(op: Operator, weights: TensorType, floats: Ways) -> Ways:
    """The ways for matrices of type `weights`; `floats` are those for float32."""
    if weights == TensorType.FLOAT32:
        return floats
    asymmetric = bool(op.options.asymmetric_quantize_inputs)
    return Ways(lambda vectors: QuantizedVectors(vectors, asymmetric), QuantizedMatrix)


def set_default_options(op: Operator, options: Any) -> None:
    """Gives the operator these options, all zero, if it has none or another operator's, as the real reader does."""
    if type(op.options) is not type(options):
        op.options = options


def vector_activation(op: Operator) -> Callable[[Floats], Floats]:
    """The activation that the options name, as it is applied to whole vectors."""
    return activation_of_vector(op.options.fused_activation_function)


def over_time(
    step: Step, x: Array, aux: Array | None, states: Sequence[Array], *, time_major: bool, backward: bool = False
) -> Array:
    """All steps of a batch of sequences, which change the states; the outputs, in the order of x.

    The sequences of a batch take each step together if `time_major`, else they go through it one after the other.
    """
    if time_major:
        outputs = np.empty((len(x), *states[0].shape), states[0].dtype)
        for t in reversed(range(len(x))) if backward else range(len(x)):
            with told_of_part(outputs.shape, t):
                results = step(x[t], None if aux is None else aux[t], *states)
            for state, new in zip(states, results, strict=True):
                state[...] = new
            outputs[t] = states[0]
        return outputs
    result = np.empty((*x.shape[:2], states[0].shape[1]), states[0].dtype)
    for b in range(len(x)):
        own_aux = None if aux is None else aux[b, :, None]
        own_states = [state[b : b + 1] for state in states]
        with told_of_part(result.shape, b):
            outputs = over_time(step, x[b, :, None], own_aux, own_states, time_major=True, backward=backward)
        result[b] = outputs[:, 0]
    return result


def misplaced_rows(aux: Array, shape: Shape, time_major: bool) -> Array:
    """An auxiliary input as real kernels read it: in steps as far apart as those of an input of this shape."""
    width, each, steps = aux.shape[2], shape[1] if time_major else 1, shape[0] if time_major else shape[0] * shape[1]
    starts = np.arange(steps) * each * shape[2]
    return aux.reshape(-1)[starts[:, None] + np.arange(each * width)].reshape(aux.shape)


def check_misplaced(op: Operator, aux: TensorInfo, x: TensorInfo, time_major: bool) -> None:
    """Raises UnsupportedOperatorError where `misplaced_rows` go beyond the auxiliary input."""
    steps = x.dims[0] if time_major else x.dims[0] * x.dims[1]
    if aux.dims[2] < x.dims[2] and steps > 1:
        raise op.unsupported("an auxiliary input narrower than the input, of which the real kernel leaves the end,")
