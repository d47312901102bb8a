"""Operators on the diagonals of matrices: MATRIX_DIAG, MATRIX_SET_DIAG."""

from __future__ import annotations

import numpy as np

from refquant.kernels.moving import moved, require_type
from refquant.kernels.registry import Array, Operator, Run, kernel

_FLAW = (
    "with types that it does not know, tensorflow 2.21.0 takes numbers for float32 and may die; refquant refuses them"
)


@kernel("MATRIX_DIAG", flaw=_FLAW)
def matrix_diag(op: Operator) -> Run:
    """Square matrices with the rows of x on their diagonals and zeros elsewhere. Source: kernels/matrix_diag.cc."""
    x, out = moved(op)
    if not x.dims:
        raise op.invalid("the input must have at least one dimension")
    size = x.dims[-1]
    out.shape = (*x.dims, size)
    on_diagonal = np.eye(size, dtype=bool)
    return lambda x: np.where(on_diagonal, x[..., None], x.dtype.type(0))


@kernel("MATRIX_SET_DIAG", flaw=_FLAW)
def matrix_set_diag(op: Operator) -> Run:
    """Matrices with their diagonals replaced by the rows of the second input. Source: kernels/matrix_set_diag.cc."""
    x, out = moved(op)
    diagonal = require_type(op, 1, x.type)
    if len(x.dims) < 2 or diagonal.dims != (*x.dims[:-2], min(x.dims[-2:])):
        raise op.invalid(f"diagonals of shape {diagonal.dims} do not fit matrices of shape {x.dims}")
    out.shape = x.dims
    i = np.arange(min(x.dims[-2:]))

    def run(x: Array, diagonal: Array) -> Array:
        result = x.copy()
        result[..., i, i] = diagonal
        return result

    return run
