"""Products of matrices: fully connected layers, batches of products, layers of low rank over time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, scale_in_blocks, single_operator_model
from refquant.testing.sparse import encode
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import activations, generators, numbers, scales, zero_points
from refquant.tflite import schema
from refquant.tflite.schema import (
    ActivationFunctionType,
    BatchMatMulOptions,
    FullyConnectedOptions,
    FullyConnectedOptionsWeightsFormat,
    SVDFOptions,
    TensorType,
)
from refquant.tflite.tensor_types import PACKED_BITS, numpy_dtype

Array = npt.NDArray[Any]

FLOAT32, INT8, UINT8, INT16 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT16
INT2, INT4, INT32, INT64 = TensorType.INT2, TensorType.INT4, TensorType.INT32, TensorType.INT64


@dataclass(frozen=True)
class Types:
    """Of activations, weights, bias and output; `is_sparse` for weights without their zeros."""

    x: TensorType
    w: TensorType
    bias: TensorType
    y: TensorType
    is_sparse: bool = False


def _combinations() -> dict[str, Types]:
    """Every combination of integers that the kernel takes: it looks at little but the type of the output."""
    found = {}
    for x, own in ((UINT8, UINT8), (INT8, INT8), (INT16, INT8)):
        for w in (UINT8, INT8, INT4, INT2):
            for y in (UINT8, INT8, INT16):
                is_wide = x == y == INT16
                if w in PACKED_BITS and not (y == INT8 or is_wide):
                    continue  # read as if they were not packed, so beyond their end
                if y == INT16 and x == UINT8 != w:
                    continue
                label = (x.name if w == own else f"{x.name}x{w.name}") + ("" if x == y else f" to {y.name}")
                found[label] = Types(x, w, INT32, y)
                if is_wide:
                    found[f"{label} INT64 bias"] = Types(x, w, INT64, y)
    return found


_HYBRID = {f"FLOAT32 hybrid {w.name}": Types(FLOAT32, w, FLOAT32, FLOAT32) for w in (INT8, UINT8, INT4, INT2)}
_ALL = st.sampled_from(ActivationFunctionType)
_ALL_BUT_SIGN = st.sampled_from([a for a in ActivationFunctionType if a != ActivationFunctionType.SIGN_BIT])
#: of the scale of an output to that of the products: some make ties, some multipliers beyond what shifts can do
_RATIOS = st.floats(2**-4, 2**18) | st.sampled_from([1.0, 4.0, 256.0, 2.0**-35, 2.0**-20, 3e-7, 1e-3, 1e9])

#: a tensor and its numbers, which are inputs of the model unless the tensor holds them as a constant
Operand = tuple[TensorSpec, Array]


@dataclass
class _Layer:
    """What a fully connected layer is made of: shapes of input and weights, options, and where numbers come from."""

    x_shape: tuple[int, ...]
    outputs: int
    inputs: int
    options: FullyConnectedOptions
    rng: np.random.Generator


@strategy(
    "FULLY_CONNECTED",
    {
        "FLOAT32": Types(FLOAT32, FLOAT32, FLOAT32, FLOAT32),
        "FLOAT32 sparse": Types(FLOAT32, FLOAT32, FLOAT32, FLOAT32, is_sparse=True),
        **_HYBRID,
        "FLOAT32 hybrid sparse INT8": Types(FLOAT32, INT8, FLOAT32, FLOAT32, is_sparse=True),
    },
)
def fully_connected(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Inputs of rank 0 to 4, flattened or not, with numbers to spare or none at all; with a bias or none.

    Weights and bias are constants or not. Those of integers have one scale, one for each output or none, with inputs
    quantized symmetrically or not. Sparse float weights have any layout, sparse integers that of 1 x 16 blocks.
    """
    layer = draw(_layers(types.is_sparse and types.w == INT8))
    is_hybrid = types.w != FLOAT32
    if is_hybrid:
        functions = _ALL_BUT_SIGN if types.is_sparse else _ALL  # SIGN_BIT shows the sign of NaN, which differs there
        layer.options.fused_activation_function = draw(functions)
        layer.options.asymmetric_quantize_inputs = draw(st.booleans())
    w = TensorSpec(types.w)
    if is_hybrid and draw(st.integers(0, 9)):
        w.scale = draw(_weight_scales(layer.outputs))
    weights = numbers(layer.rng, types.w, (layer.outputs, layer.inputs))
    bias = numbers(layer.rng, FLOAT32, (layer.outputs,))
    x, y = TensorSpec(FLOAT32), TensorSpec(FLOAT32)
    return _case(draw, operator, types, layer, x, (w, weights), (TensorSpec(FLOAT32), bias), y)


@strategy("FULLY_CONNECTED", {**_combinations(), "INT8 sparse": Types(INT8, INT8, INT32, INT8, is_sparse=True)})
def fully_connected_of_integers(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """As for floats. Weights have one scale or one for each output, any zero points, and the sums ends and ties."""
    layer = draw(_layers(types.is_sparse))
    is_wide = types.x == types.y == INT16
    if is_wide:
        layer.options.quantized_bias_type = draw(st.sampled_from([INT64, FLOAT32])) if types.bias == INT64 else INT32
    x = TensorSpec(types.x, (), draw(scales), draw(zero_points(INT8 if types.x == INT16 != types.y else types.x)))
    w = TensorSpec(types.w, (), draw(_weight_scales(layer.outputs if types.x != UINT8 != types.w else 1)))
    if types.w not in PACKED_BITS and not types.is_sparse:
        w.zero_point = draw(zero_points(types.w))
    products = _product(x, w)
    y_scale = float(products.max()) * max(draw(_RATIOS), 2.0**-16)  # much smaller, and the bias seems off
    y = TensorSpec(types.y, (), max(y_scale, 2.0**-28), draw(zero_points(types.y)))
    weights = numbers(layer.rng, types.w, (layer.outputs, layer.inputs))
    bias_type = types.bias if is_wide else draw(st.sampled_from([INT32, INT32, INT64]))
    bias = numbers(layer.rng, bias_type, (layer.outputs,))
    bias = bias >> layer.rng.integers(0, 40 if bias_type == INT64 and is_wide else 24)
    bias_spec = TensorSpec(bias_type, (), products)
    return _case(draw, operator, types, layer, x, (w, weights), (bias_spec, bias.astype(numpy_dtype(bias_type))), y)


@strategy("FULLY_CONNECTED", {"UINT8 to INT16 shuffled": Types(UINT8, UINT8, INT32, INT16)})
def fully_connected_shuffled(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Weights in blocks of 4 by 16, one row of input or four; the second output is the workspace."""
    rows, outputs, inputs = draw(st.sampled_from([1, 4])), 4 * draw(st.integers(1, 3)), 16 * draw(st.integers(1, 4))
    rng = draw(generators)
    x = TensorSpec(UINT8, (rows, inputs), draw(scales), draw(zero_points(UINT8)))
    w = TensorSpec(UINT8, (), draw(scales), draw(zero_points(UINT8)), data=numbers(rng, UINT8, (outputs, inputs)))
    product = float(_product(x, w)[0])
    bias = TensorSpec(INT32, (), product, data=numbers(rng, INT32, (outputs,)) >> np.int32(rng.integers(0, 24)))
    y = TensorSpec(INT16, (), max(product * max(draw(_RATIOS), 2.0**-16), 2.0**-28))
    options = FullyConnectedOptions(
        weights_format=FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8,
        fused_activation_function=draw(activations),
        keep_num_dims=draw(st.booleans()),
    )
    outputs_of_model = [y, TensorSpec(UINT8, (rows, inputs))]
    model = single_operator_model(operator, [x, w, bias], outputs_of_model, options)
    return Case(model, [[numbers(rng, UINT8, (rows, inputs))]])


@strategy("FULLY_CONNECTED", {"FLOAT32 hybrid INT4 blockwise": Types(FLOAT32, INT4, FLOAT32, FLOAT32)})
def fully_connected_in_blocks(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Weights with a scale for each block of 32 in a row, in a table of float16."""
    rows, outputs, blocks = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rng = draw(generators)
    w = TensorSpec(INT4, data=numbers(rng, INT4, (outputs, 32 * blocks)))
    bias = TensorSpec(FLOAT32, data=numbers(rng, FLOAT32, (outputs,)))
    x = numbers(rng, FLOAT32, (rows, 32 * blocks))
    options = FullyConnectedOptions(keep_num_dims=draw(st.booleans()))
    model = single_operator_model(operator, [TensorSpec(FLOAT32, x.shape), w, bias], [TensorSpec(FLOAT32)], options)
    scale_in_blocks(model, 1, rng.random((outputs, blocks)).astype(np.float16), 32)
    return Case(model, [[x]])


@st.composite
def _layers(draw: st.DrawFn, of_16: bool) -> _Layer:
    """Shapes and options; the number of inputs is a multiple of 16 where that is wanted."""
    inputs = 16 * draw(st.integers(1, 8)) if of_16 else draw(st.integers(1, 40) | st.sampled_from([0, 1, 64, 130]))
    outputs = draw(st.integers(1, 12) | st.sampled_from([0, 1, 40]))
    options = FullyConnectedOptions(fused_activation_function=draw(activations), keep_num_dims=draw(st.booleans()))
    lead = draw(st.sampled_from([(), (1,), (3,), (5,), (2, 2), (1, 2, 3), (0,), (2, 0)]))
    x_shape: tuple[int, ...] = (*lead, inputs)
    if not options.keep_num_dims and inputs and draw(st.integers(0, 3)) == 0:  # rows need not be rows of the shape
        size = prod(lead) * inputs + draw(st.integers(0, inputs - 1))
        x_shape = () if size == 1 else (size,)
    return _Layer(x_shape, outputs, inputs, options, draw(generators))


def _weight_scales(channels: int) -> st.SearchStrategy[Any]:
    """One scale, or one for each of so many channels."""
    return scales | st.lists(scales, min_size=max(1, channels), max_size=max(1, channels))


def _product(x: TensorSpec, w: TensorSpec) -> npt.NDArray[np.float32]:
    """The scales of a bias: those of input and weights multiplied."""
    product: npt.NDArray[np.float32] = np.asarray(x.scale, np.float32) * np.atleast_1d(np.asarray(w.scale, np.float32))
    return product


def _case(
    draw: st.DrawFn,
    operator: str,
    types: Types,
    layer: _Layer,
    x: TensorSpec,
    w: Operand,
    bias: Operand,
    y: TensorSpec,
) -> Case:
    """A case of two samples; tensors of packed or sparse weights, and of none, are constants, others perhaps."""
    w_spec, weights = w
    x.shape = layer.x_shape
    open_tensors: list[Operand] = []
    if types.is_sparse:
        w_spec.shape = weights.shape
        w_spec.data, w_spec.sparsity = _sparse(draw, layer.rng, weights, types)
    elif types.w in PACKED_BITS or weights.size == 0 or draw(st.integers(0, 3)):
        w_spec.data = weights
    else:
        w_spec.shape = weights.shape
        open_tensors.append((w_spec, weights))
    inputs: list[TensorSpec | None] = [x, w_spec]
    needs_bias = types.x != INT16 and types.y == INT16  # the real kernel dies without
    kind = draw(st.sampled_from(["constant", "constant", "input", "none", "absent"]))
    if needs_bias or kind in ("constant", "input"):
        spec, values = bias
        if kind == "input" and values.size:
            spec.shape = values.shape
            open_tensors.append(bias)
        else:
            spec.data = values
        inputs.append(spec)
    elif kind == "none":
        inputs.append(None)
    samples = [
        [numbers(layer.rng, types.x, layer.x_shape), *(layer.rng.permuted(values) for _, values in open_tensors)]
        for _ in range(2)
    ]
    if draw(st.booleans()) and x.shape:
        x.shape = (2, *x.shape[1:])  # and the samples resize it
    return Case(single_operator_model(operator, inputs, [y], layer.options, version=14), samples)


def _sparse(
    draw: st.DrawFn, rng: np.random.Generator, weights: Array, types: Types
) -> tuple[Array, schema.SparsityParameters]:
    """Weights with zeros, and one number at least, encoded."""
    outputs, inputs = weights.shape
    if types.w == INT8:
        kept = np.repeat(rng.random((outputs, inputs // 16)) < 0.5, 16, axis=1)
        kept[:1, :16] = True
        return encode(np.where(kept, weights, 0).astype(np.int8), [0, 1, 2], [False, True, False], {1: 16})
    dense = np.where(rng.random(weights.shape) < 0.5, weights, 0).astype(np.float32)
    dense[:1, :1] = 1
    blocks = {d: 2 for d in (0, 1) if weights.shape[d] % 2 == 0 and draw(st.booleans())}
    order = [*draw(st.permutations([0, 1])), *(2 + i for i in range(len(blocks)))]
    formats = [*draw(st.tuples(st.booleans(), st.booleans())), *(False for _ in blocks)]
    return encode(dense, order, formats, blocks)


@strategy(
    "BATCH_MATMUL",
    {
        "FLOAT32": (FLOAT32, FLOAT32, FLOAT32),
        "FLOAT32 hybrid INT8": (FLOAT32, INT8, FLOAT32),
        "INT8": (INT8, INT8, INT8),
        "INT8 to INT32": (INT8, INT8, INT32),
        "INT16": (INT16, INT16, INT16),
    },
)
def batch_matmul(draw: st.DrawFn, operator: str, types: tuple[TensorType, TensorType, TensorType]) -> Case:
    """Tensors of 2 to 5 dimensions, either repeated along some, transposed or not, constant or not, some of nothing.

    Only of float32 with int8 there is something to add up: the real kernel dies of rows of nothing.

    Of float32 with int8, rows are quantized symmetrically or not, columns have one scale, one each, or none.
    """
    is_hybrid = types[0] != types[1]
    rng = draw(generators)
    options = BatchMatMulOptions(
        adj_x=draw(st.booleans()),
        adj_y=draw(st.booleans()),
        asymmetric_quantize_inputs=is_hybrid and draw(st.booleans()),
    )
    depth = draw(st.integers(1, 40) | st.sampled_from([1, 300] if is_hybrid else [0, 1, 300]))
    rows, columns = (draw(st.integers(1, 7) | st.sampled_from([0, 1])) for _ in range(2))
    lead = draw(st.lists(st.integers(1, 3) | st.sampled_from([0, 1]), max_size=3))
    leads = [[n if draw(st.integers(0, 3)) else 1 for n in lead][draw(st.integers(0, len(lead))) :] for _ in range(2)]
    if options.adj_x and leads[1] and leads[1][-1] == 1 and leads[0]:
        leads[0][-1] = 1  # the real kernel computes the first product only
    if is_hybrid and len(leads[1]) == 3 and (options.asymmetric_quantize_inputs or leads[1][0] == 0):
        leads[1][0] = 1  # it reads beyond the weights, or beyond their sums
    shapes = [
        (*leads[0], *((depth, rows) if options.adj_x else (rows, depth))),
        (*leads[1], *((columns, depth) if options.adj_y else (depth, columns))),
    ]
    specs, arrays = [], []
    for type, shape in zip(types, shapes):
        spec = TensorSpec(type, shape)
        if type != FLOAT32:
            spec.scale, spec.zero_point = draw(scales), draw(zero_points(type))
        specs.append(spec)
        arrays.append(numbers(rng, type, shape))
    output = TensorSpec(types[2])
    if is_hybrid:
        specs[1].scale = draw(st.none() | _weight_scales(columns))
        specs[1].zero_point, specs[1].quantized_dimension = 0, len(shapes[1]) - (2 if options.adj_y else 1)
    elif types[2] != FLOAT32:
        product = float(_product(*specs)[0])
        output.scale = max(product * draw(_RATIOS), 2.0**-28)
        output.zero_point = draw(zero_points(types[2]))
    is_open = [draw(st.booleans()) or not array.size for array in arrays]
    for spec, array, open_ in zip(specs, arrays, is_open):
        if not open_:
            spec.data = array
    samples = [[rng.permuted(array) for array, open_ in zip(arrays, is_open) if open_] for _ in range(2)]
    return Case(single_operator_model(operator, specs, [output], options), samples)


@strategy(
    "SVDF",
    {
        "FLOAT32": Types(FLOAT32, FLOAT32, FLOAT32, FLOAT32),
        "FLOAT32 hybrid INT8": Types(FLOAT32, INT8, FLOAT32, FLOAT32),
        "FLOAT32 hybrid UINT8": Types(FLOAT32, UINT8, FLOAT32, FLOAT32),
        "INT8": Types(INT8, INT8, INT32, INT8),
        "INT8xUINT8": Types(INT8, UINT8, INT32, INT8),
    },
)
def svdf(draw: st.DrawFn, operator: str, types: Types) -> Case:
    """Any rank and memory, inputs to fill the memory and more; weights and bias constant or not.

    Of integers the state and the time weights are int16; floats have any activation but SIGN_BIT, which shows the sign
    of NaN.
    """
    is_float, rng = types.x == FLOAT32, draw(generators)
    rank, units, memory = draw(st.integers(1, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 10))
    batch, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    options = SVDFOptions(
        rank=rank,
        fused_activation_function=draw(_ALL_BUT_SIGN) if is_float else ActivationFunctionType.RELU,
        asymmetric_quantize_inputs=is_float and types.w != FLOAT32 and draw(st.booleans()),
    )
    x = TensorSpec(types.x, (batch, inputs))
    features = TensorSpec(types.w, data=numbers(rng, types.w, (rank * units, inputs)))
    time_type = types.w if is_float else INT16
    times = TensorSpec(time_type, data=numbers(rng, time_type, (rank * units, memory)))
    bias_values = numbers(rng, types.bias, (units,))
    if not is_float:
        bias_values = bias_values >> np.int32(rng.integers(0, 24))
    bias = TensorSpec(types.bias, data=bias_values) if draw(st.booleans()) else None
    state = TensorSpec(FLOAT32 if is_float else INT16, (batch, memory * rank * units), is_variable=True)
    y = TensorSpec(types.y)
    if types.w != FLOAT32:
        features.scale, times.scale = draw(scales), draw(scales)
    if not is_float:
        x.scale, x.zero_point = draw(scales), draw(zero_points(INT8))
        state.scale = float(_product(x, features)[0]) * draw(st.floats(2**-4, 2**10))
        y.scale = float(_product(state, times)[0]) * draw(_RATIOS)
        y.zero_point = draw(zero_points(INT8))
    if types.w == FLOAT32 and draw(st.booleans()):
        features.shape, features.data = (rank * units, inputs), None
    samples = []
    for _ in range(draw(st.integers(1, memory + 3))):
        sample = [numbers(rng, types.x, (batch, inputs))]
        if features.data is None:
            sample.append(numbers(rng, types.w, (rank * units, inputs)))
        samples.append(sample)
    return Case(single_operator_model(operator, [x, features, times, bias, state], [y], options), samples)
