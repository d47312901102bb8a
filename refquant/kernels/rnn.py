"""RNN, one step, UNIDIRECTIONAL_SEQUENCE_RNN and BIDIRECTIONAL_SEQUENCE_RNN, all steps of a sequence.

    h = activation(b + W x + V aux + R h)               the auxiliary input aux only where there is one

float32, with weights in float32 or in eight bits ("hybrid"). The state h is a variable: it lives on from one invoke to
the next. Source: RnnBatchStep in kernels/internal/kernel_utils.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from refquant.kernels.constants import made_once
from refquant.kernels.recurrent import (
    LANES,
    Floats,
    Step,
    Values,
    check_misplaced,
    misplaced_rows,
    over_time,
    set_default_options,
    vector_activation,
    ways,
)
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.kernels.requantization import check_scales
from refquant.tflite.schema import BidirectionalSequenceRNNOptions, RNNOptions, SequenceRNNOptions, TensorType

_FLOAT32, _INT8, _UINT8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8
_AUX, _FORWARD_AUX, _BACKWARD_AUX = 9, 10, 11


@dataclass(frozen=True, slots=True)
class _Cell:
    """The positions of the inputs of one cell, and its size."""

    w: int
    r: int
    bias: int
    h: int
    aux: int | None
    units: int


@kernel("RNN")
def rnn(op: Operator) -> Run:
    """One step for a batch of inputs, (batch, features). Source: kernels/basic_rnn.cc."""
    set_default_options(op, RNNOptions())
    return _one_direction(op, 2, True)


@kernel("UNIDIRECTIONAL_SEQUENCE_RNN")
def unidirectional_sequence_rnn(op: Operator) -> Run:
    """All steps of sequences (batch, time, features), or (time, batch, features) where `time_major`.

    Source: kernels/unidirectional_sequence_rnn.cc.
    """
    set_default_options(op, SequenceRNNOptions())
    return _one_direction(op, 3, bool(op.options.time_major))


def _one_direction(op: Operator, rank: int, time_major: bool) -> Run:
    x, out = op.input(0), op.output()
    if len(x.dims) != rank:
        raise op.invalid(f"the input must have {rank} dimensions, it has shape {x.dims}")
    batch = x.dims[-2] if time_major else x.dims[0]
    cell = _cell(op, 1, None, batch)
    _check_types(op, [cell])
    out.shape = (*x.dims[:-1], cell.units)
    step_for = _step(op, cell)

    def run(*values: Array) -> Array:
        steps = values[0] if rank == 3 else values[0][None]
        outputs = over_time(step_for(values), steps, None, [values[cell.h]], time_major=time_major)
        return outputs.reshape(out.dims)

    return run


@kernel(
    "BIDIRECTIONAL_SEQUENCE_RNN",
    flaw="with weights in eight bits and `time_major`, tensorflow 2.21.0 goes through a sequence as often as it has "
    "steps, takes rows of the auxiliary input from the places that rows of the input have, and without `time_major` "
    "has the backward cell read the input where it should read the auxiliary one (all that refquant does, too, but it "
    "refuses an auxiliary input of which the real kernel leaves the end); with merged outputs, `time_major`, more than "
    "one sequence and symmetric quantization it dies, refquant gives the answer",
)
def bidirectional_sequence_rnn(op: Operator) -> Run:
    """One cell forwards through time and another one backwards; `merge_outputs` puts both in one output.

    An auxiliary input with weights joins the input of both cells; one without is the input of the backward cell.
    Source: kernels/bidirectional_sequence_rnn.cc.
    """
    set_default_options(op, BidirectionalSequenceRNNOptions())
    options, x = op.options, op.input(0)
    time_major, merge = bool(options.time_major), bool(options.merge_outputs)
    if len(op.inputs) != 12 or len(op.outputs) != (1 if merge else 2):
        raise op.invalid(f"it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected 12 and 1 or 2")
    if len(x.dims) != 3:
        raise op.invalid(f"the input must have 3 dimensions, it has shape {x.dims}")
    batch = x.dims[1] if time_major else x.dims[0]
    aux = op.optional_input(_AUX)
    weighted = op.optional_input(_FORWARD_AUX) is not None
    if weighted != (op.optional_input(_BACKWARD_AUX) is not None):
        raise op.invalid("auxiliary weights must be there for both cells or for none")
    forward = _cell(op, 1, _FORWARD_AUX if weighted else None, batch)
    backward = _cell(op, 5, _BACKWARD_AUX if weighted else None, batch)
    _check_types(op, [forward, backward])
    hybrid = op.input(forward.w).type != _FLOAT32
    misplaced = weighted and (hybrid or time_major)
    if aux is not None:
        wanted = op.input(_FORWARD_AUX).dims[1] if weighted else x.dims[2]
        if aux.dims != (*x.dims[:2], wanted) or aux.type != _FLOAT32:
            raise op.invalid(f"the auxiliary input must be float32 {(*x.dims[:2], wanted)}, it is {aux.dims}")
        if misplaced:
            check_misplaced(op, aux, x, time_major)
    elif weighted:
        raise op.invalid("auxiliary weights without auxiliary input")
    shape = x.dims[:2]
    if merge:
        op.output().shape = (*shape, forward.units + backward.units)
    else:
        op.output(0).shape, op.output(1).shape = (*shape, forward.units), (*shape, backward.units)
    forward_for, backward_for = _step(op, forward), _step(op, backward)
    passes = max(1, x.dims[0]) if hybrid and time_major else 1

    def run(*values: Array) -> Array | tuple[Array, ...]:
        x, aux = values[0], values[_AUX]
        backward_x = aux if aux is not None and not weighted and time_major else x
        own_aux = None if not weighted else misplaced_rows(aux, x.shape, time_major) if misplaced else aux
        outputs: tuple[Array, ...] = ()
        for _ in range(passes):
            outputs = (
                over_time(forward_for(values), x, own_aux, [values[forward.h]], time_major=time_major),
                over_time(
                    backward_for(values),
                    backward_x,
                    own_aux,
                    [values[backward.h]],
                    time_major=time_major,
                    backward=True,
                ),
            )
        return np.concatenate(outputs, axis=2) if merge else outputs

    return run


def _cell(op: Operator, first: int, aux: int | None, batch: int) -> _Cell:
    """The cell whose inputs begin at `first`, its shapes checked."""
    features = op.input(0).dims[-1]
    units = (*op.input(first).dims, 0)[0]
    wanted = {first: (units, features), first + 1: (units, units), first + 2: (units,), first + 3: (batch, units)}
    for position, shape in wanted.items():
        if op.input(position).dims != shape:
            raise op.invalid(f"input {position} must have shape {shape}, it has {op.input(position).dims}")
    if not op.input(first + 3).is_variable:
        raise op.invalid(f"input {first + 3} must be a variable")
    if aux is not None and (len(op.input(aux).dims) != 2 or op.input(aux).dims[0] != units):
        raise op.invalid(f"input {aux} must have {units} rows, it has shape {op.input(aux).dims}")
    return _Cell(first, first + 1, first + 2, first + 3, aux, units)


def _check_types(op: Operator, cells: list[_Cell]) -> None:
    weights = op.input(cells[0].w).type
    matrices = [op.input(i).type for cell in cells for i in (cell.w, cell.r, cell.aux) if i is not None]
    vectors = [op.input(i).type for cell in cells for i in (cell.bias, cell.h)]
    floats = {op.input(0).type, *vectors, *(out.type for out in op.outputs)}
    if weights not in (_FLOAT32, _INT8, _UINT8) or set(matrices) != {weights} or floats != {_FLOAT32}:
        raise op.unsupported()


def _step(op: Operator, cell: _Cell) -> Callable[[Values], Step]:
    """Given the values of the operator's inputs, the function for one step."""
    weights = op.input(cell.w).type
    positions = [i for i in (cell.w, cell.aux, cell.r) if i is not None]
    scales = dict.fromkeys(positions, np.float32(1))
    if weights != _FLOAT32:
        check_scales(op, *(op.input(i) for i in positions))
        scales = {i: op.input(i).scale for i in positions}
    prepare = ways(op, weights, LANES)
    matrices = {i: made_once(op.input(i), partial(prepare.matrix, scales[i])) for i in positions}
    activate = vector_activation(op)

    def with_values(values: Values) -> Step:
        prepared_matrices = {i: make(np.asarray(values[i])) for i, make in matrices.items()}

        def step(x: Floats, aux: Floats | None, h: Floats) -> tuple[Floats]:
            total: Floats = np.broadcast_to(np.asarray(values[cell.bias]), h.shape)
            for vectors, position in ((x, cell.w), (aux, cell.aux), (h, cell.r)):
                if vectors is not None and position is not None:
                    prepared = prepare.vectors(vectors)
                    if not prepared.is_zero:
                        total = prepared.add_product(total, prepared_matrices[position])
            return (activate(total),)

        return step

    return with_values
