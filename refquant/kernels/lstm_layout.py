"""Where an LSTM finds its weights among its inputs, and what all LSTM operators check about them.

An LSTM keeps a cell state c and an output state h. For each step of a sequence, with input x::

    forget = sigmoid(W_f x + R_f h + p_f * c + b_f)
    input  = sigmoid(W_i x + R_i h + p_i * c + b_i)      1 - forget where the input gate is coupled (CIFG)
    update = tanh   (W_c x + R_c h + b_c)
    c      = forget * c + input * update
    output = sigmoid(W_o x + R_o h + p_o * c + b_o)      with the new c
    h      = output * tanh(c)                            then P h + b_p where there is a projection

The peephole weights p, the input gate's weights, the projection and an auxiliary input with weights of its own are
optional. With layer normalization a gate is sigmoid(l * normalized(W x + R h + p * c) + b). Both states are variables:
they live on from one invoke to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refquant.kernels.registry import Operator, Shape
from refquant.tflite.schema import TensorType

_FLOAT32, _INT8, _INT16, _INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT16, TensorType.INT32

#: the gates in the order of their weights
GATES = ("input", "forget", "cell", "output")


@dataclass(frozen=True, slots=True)
class Gate:
    """The positions of what one gate needs among the inputs of the operator; None where there is none of it."""

    from_x: int
    from_h: int
    bias: int
    peephole: int | None = None
    layer_norm: int | None = None
    from_aux: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """One LSTM: the positions of its gates' and states' tensors, and its sizes.

    `gates` has no "input" where that gate is coupled to the forget gate.
    """

    gates: Mapping[str, Gate]
    projection: int | None
    projection_bias: int | None
    h: int
    c: int
    features: int
    cells: int
    outputs: int


def layout_of(
    op: Operator,
    *,
    first: int = 1,
    h: int,
    c: int,
    layer_norm: int | None = None,
    aux: int | None = None,
    diagonal: bool = False,
) -> Layout:
    """The layout of the LSTM whose weights begin at input `first`, checked; `layer_norm` is where coefficients begin,
    `aux` where the weights of an auxiliary input do.

    If `diagonal`, each of the matrices R may be one that has numbers on its diagonal alone: a vector of them.
    """
    present = [tensor is not None for tensor in op.inputs]
    coupled = not present[first]

    def optional(position: int) -> int | None:
        return position if position < len(present) and present[position] else None

    gates = {
        name: Gate(
            from_x=first + i,
            from_h=first + 4 + i,
            bias=first + 11 + i,
            peephole=None if name == "cell" else optional(first + 8 + (0, 1, 0, 2)[i]),
            layer_norm=None if layer_norm is None else optional(layer_norm + i),
            from_aux=None if aux is None else aux + i,
        )
        for i, name in enumerate(GATES)
        if not (coupled and name == "input")
    }
    cells, features = _matrix(op, first + 3)
    recurrent = op.input(first + 7).dims
    outputs = recurrent[0] if diagonal and len(recurrent) == 1 else _matrix(op, first + 7)[1]
    projection = optional(first + 15)
    layout = Layout(gates, projection, optional(first + 16), h, c, features, cells, outputs)
    if coupled and any(present[first + i] for i in (4, 8, 11)):
        raise op.invalid("an input gate without input weights has other weights")
    if len({gate.peephole is None for name, gate in gates.items() if name != "cell"}) > 1:
        raise op.invalid("the peephole weights must be all there or all absent")
    if len({gate.layer_norm is None for gate in gates.values()}) > 1:
        raise op.invalid("the coefficients of layer normalization must be all there or all absent")
    if projection is None and layout.projection_bias is not None:
        raise op.invalid("a bias of a projection without projection")
    if projection is None and cells != outputs:
        raise op.invalid(f"{cells} cells and {outputs} outputs need a projection")
    for position, shape in _shapes(layout).items():
        dims = op.input(position).dims
        is_diagonal = any(gate.from_h == position for gate in gates.values()) and dims == (cells,) == (outputs,)
        if dims != shape and not (diagonal and is_diagonal):
            raise op.invalid(f"input {position} must have shape {shape}, it has {dims}")
    if not (op.options.cell_clip >= 0 and op.options.proj_clip >= 0):
        raise op.invalid("its limits must be zero or more")
    return layout


def check_auxiliary_weights(op: Operator, layout: Layout, width: int) -> None:
    """Each gate has a matrix for an auxiliary input of that width."""
    for gate in layout.gates.values():
        assert gate.from_aux is not None
        if op.input(gate.from_aux).dims != (layout.cells, width):
            raise op.invalid(f"input {gate.from_aux} must have shape {(layout.cells, width)}")


def check_states(op: Operator, layout: Layout, batch: int, h_type: TensorType, c_type: TensorType) -> None:
    """Both states are variables with as many numbers as the batch has outputs and cells."""
    for position, size, type in ((layout.h, layout.outputs, h_type), (layout.c, layout.cells, c_type)):
        state = op.input(position)
        elements = 1
        for side in state.dims:
            elements *= side
        if not state.is_variable or elements != batch * size:
            raise op.invalid(f"input {position} must be a variable of {batch} x {size} numbers, it has {state.dims}")
        if state.type != type:
            raise op.unsupported(f"no kernel for a state of type {state.type.name}")


def check_types(op: Operator, layout: Layout, weights: TensorType, *, integer: bool = False) -> None:
    """Matrices have one type; vectors are float32, or int32 biases and int16 weights in an `integer` LSTM."""
    vector, bias = (_INT16, _INT32) if integer else (_FLOAT32, _FLOAT32)
    wanted: dict[int | None, TensorType] = {layout.projection: weights, layout.projection_bias: bias}
    for gate in layout.gates.values():
        diagonal = len(op.input(gate.from_h).dims) == 1
        wanted |= {
            gate.from_x: weights,
            gate.from_h: _FLOAT32 if diagonal else weights,
            gate.from_aux: weights,
            gate.bias: bias,
            gate.peephole: vector if integer else weights,
            gate.layer_norm: vector,
        }
    for position, type in wanted.items():
        if position is not None and op.input(position).type != type:
            found = op.input(position).type.name
            raise op.unsupported(f"input {position} is {found}, not {type.name}: no kernel for that")


def _shapes(layout: Layout) -> dict[int, Shape]:
    """The shape of each weight that is there, by position."""
    cells, outputs = layout.cells, layout.outputs
    shapes: dict[int | None, Shape] = {layout.projection: (outputs, cells), layout.projection_bias: (outputs,)}
    for gate in layout.gates.values():
        shapes |= {gate.from_x: (cells, layout.features), gate.from_h: (cells, outputs)}
        shapes |= dict.fromkeys((gate.bias, gate.peephole, gate.layer_norm), (cells,))
    return {position: shape for position, shape in shapes.items() if position is not None}


def _matrix(op: Operator, position: int) -> tuple[int, int]:
    dims = op.input(position).dims
    if len(dims) != 2:
        raise op.invalid(f"input {position} must be a matrix, it has shape {dims}")
    return dims[0], dims[1]
