"""Pruning of whole filters: the smaller model computes what the whole one does when nobody reads what was removed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from refquant import Interpreter, data
from refquant.compression.pruning import FilterPruned, prune_filters
from refquant.compression.weights import replace_constants
from refquant.errors import InvalidInputError
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.compression.channel_graphs import NOBODY, Network, networks


def residual(type: TensorType, rng: np.random.Generator) -> Model:
    """Two convolutions whose outputs are added, a depthwise convolution, and a convolution that reads them."""
    real = type == TensorType.FLOAT32

    def weight(*shape: int, axis: int = 0) -> TensorSpec:
        if real:
            return TensorSpec(type, data=rng.normal(size=shape).astype(np.float32))
        scale = rng.uniform(0.01, 0.02, shape[axis]).astype(np.float32)
        data = rng.integers(-127, 128, shape).astype(np.int8)
        return TensorSpec(type, data=data, scale=scale, zero_point=[0] * len(scale), quantized_dimension=axis)

    def place(channels: int) -> TensorSpec:
        return TensorSpec(type, [1, 4, 4, channels], *(() if real else (0.05, 3)))

    def bias(of: TensorSpec, size: int) -> TensorSpec:
        if real:
            return TensorSpec(type, data=rng.normal(size=size).astype(np.float32))
        scale = np.float32(0.05) * np.asarray(of.scale, np.float32)
        return TensorSpec(
            TensorType.INT32, data=rng.integers(-99, 99, size).astype(np.int32), scale=scale, zero_point=[0] * size
        )

    a, b, d, e = weight(6, 1, 1, 3), weight(6, 1, 1, 3), weight(1, 3, 3, 6, axis=3), weight(2, 1, 1, 6)
    db = bias(d, 6)
    db.quantized_dimension = 0
    tensors = [place(3), a, bias(a, 6), b, bias(b, 6), d, db, e, bias(e, 2), *(place(6) for _ in range(4)), place(2)]
    conv = schema.Conv2DOptions(stride_w=1, stride_h=1)
    depth = schema.DepthwiseConv2DOptions(stride_w=1, stride_h=1, depth_multiplier=1)
    operators = [
        OperatorSpec("CONV_2D", [0, 1, 2], [9], conv, version=3),
        OperatorSpec("CONV_2D", [0, 3, 4], [10], conv, version=3),
        OperatorSpec("ADD", [9, 10], [11], schema.AddOptions(), version=2),
        OperatorSpec("DEPTHWISE_CONV_2D", [11, 5, 6], [12], depth, version=3),
        OperatorSpec("CONV_2D", [12, 7, 8], [13], conv, version=3),
    ]
    return model_of(SubgraphSpec(tensors, operators, [0], [13]))


def run(model: Model, value: Any) -> Any:
    interpreter = Interpreter(model_content=model.tobytes())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("type", [TensorType.FLOAT32, TensorType.INT8])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 0.99])
def test_outputs_are_those_of_the_model_that_ignores_the_removed_filters(type: TensorType, fraction: float) -> None:
    rng = np.random.default_rng(7)
    model = residual(type, rng)
    result = prune_filters(model, fraction)
    first, second = result.filters
    assert first.removed == second.removed
    assert first.after == 6 - int(6 * fraction)
    reader = model.constant(model.tensor(7))
    assert reader is not None
    reader = reader.copy()
    reader[..., list(first.removed)] = 0
    masked = replace_constants(model, {(0, 7): reader})
    value = rng.normal(size=(1, 4, 4, 3)).astype(np.float32)
    if type == TensorType.INT8:
        value = rng.integers(-128, 128, value.shape).astype(np.int8)
    assert np.array_equal(run(result.model, value), run(masked, value))
    if fraction >= 0.2:
        assert len(result.model.tobytes()) < len(model.tobytes())
    assert [(s.operator, s.reason) for s in result.skipped] == [("CONV_2D", "its channels reach a model output")]


def test_the_smallest_sums_of_norms_go() -> None:
    model = residual(TensorType.FLOAT32, np.random.default_rng(1))
    a, b = (model.constant(model.tensor(i)) for i in (1, 3))
    assert a is not None
    assert b is not None
    total = np.abs(a).sum((1, 2, 3)) + np.abs(b).sum((1, 2, 3))
    assert prune_filters(model, 0.5).filters[0].removed == tuple(sorted(np.argsort(total)[:3].tolist()))


@pytest.mark.parametrize("fraction", [1, -0.1, float("nan"), "0.5", True])
def test_a_fraction_out_of_range_is_refused(fraction: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"fraction must be in \[0, 1\)"):
        prune_filters(residual(TensorType.FLOAT32, np.random.default_rng(1)), fraction)


def removed_from(network: Network, result: FilterPruned) -> set[tuple[int, int]]:
    """The filters that went: the tensor of their weight, and which."""
    places = {f"tensor{index}": index for index in range(len(network.tensors))}
    return {(places[entry.name], i) for entry in result.filters for i in entry.removed}


def pruned(network: Network, fraction: float) -> FilterPruned | None:
    """None where nothing can go."""
    try:
        return prune_filters(network.model(), fraction)
    except InvalidInputError as error:
        assert "no filters that can go" in str(error)
        return None


def stored(model: Model) -> int:
    """The bytes of all constants."""
    return sum(model.buffer(index).size for index in range(len(model.root.buffers or ())))


def sample(network: Network) -> Any:
    shape = network.tensors[network.input].shape
    if network.quantized:
        return network.rng.integers(-128, 128, shape).astype(np.int8)
    return network.rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["float32", "int8", "float16", "hybrid"])
@pytest.mark.parametrize("fraction", [0.3, 0.8])
def test_networks_compute_what_they_do_without_readers_of_the_removed_channels(kind: Any, fraction: float) -> None:
    """Equal to the bit, floats too: their sums begin at +0.0 and go from left to right, where zeros change nothing.

    Kernels with float activations and int8 weights scale their input by its largest value, of all its channels: there
    the removed channels are zero from the filters on. They also take a weight with a single scale for one that is
    quantized per tensor, and compute otherwise: an operator that is left with one filter has other bits.
    """

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(networks(kind))
    def compare(network: Network) -> None:
        result = pruned(network, fraction)
        if result is None:
            return
        removed = removed_from(network, result)
        for _, _, origins in network.readers + network.others:
            assert all(origin <= removed or origin.isdisjoint(removed) for origin in origins)
        for index, shape in network.without(removed).items():
            assert tuple(result.model.tensor(index).shape) == shape
        value, masked = sample(network), network.masked(removed, everywhere=kind == "hybrid")
        if kind != "hybrid" or all(entry.after > 1 for entry in result.filters):
            assert run(result.model, value).tobytes() == run(masked, value).tobytes()
        if removed:
            assert stored(result.model) < stored(network.model())

    compare()


def test_each_operator_its_own_fraction() -> None:
    digits = Model.read(data.DIGITS_INT8)
    result = prune_filters(digits, operators={"*dense*": 0.5, "*conv2d_2*": 0.25})
    assert [(entry.operator, entry.before, entry.after) for entry in result.filters] == [
        ("CONV_2D", 32, 24),
        ("FULLY_CONNECTED", 32, 16),
    ]
    assert [entry.reason for entry in result.skipped].count("not chosen") == 2
    with pytest.raises(InvalidInputError, match="no weight fits 'nothing'"):
        prune_filters(digits, 0.5, operators=["nothing"])
    with pytest.raises(InvalidInputError, match="'functional_1/digit_1/MatMul' of FULLY_CONNECTED: its channels reach"):
        prune_filters(digits, 0.5, operators=["functional_1/digit_1/MatMul"])
    with pytest.raises(InvalidInputError, match=r"fraction must be in \[0, 1\), not 2"):
        prune_filters(digits, 0.5, operators={"CONV_2D": 2})
    with pytest.raises(InvalidInputError, match="give a fraction"):
        prune_filters(digits)


def small(*, kind: Any = "float32", channels: int = 4) -> tuple[Network, Any]:
    """A network that begins with a convolution."""
    network = Network(kind, np.random.default_rng(5))
    x = network.place([1, 4, 3, 2], [NOBODY] * 2)
    network.input = x.tensor
    return network, network.convolve(x, channels)


def reasons(model: Model, **arguments: Any) -> dict[str, str]:
    return {entry.name: entry.reason for entry in prune_filters(model, 0.5, **arguments).skipped}


def test_filters_that_are_added_go_together_or_stay_together() -> None:
    network, x = small()
    y = network.convolve(x, 4)
    z = network.arithmetic("ADD", x, y)
    network.output = network.dense(network.dense(z, 8), 2).tensor
    model = network.model()
    first, second, third = prune_filters(model, operators={"tensor1": 0.25, "CONV_2D": 0.5, "*": 0.75}).filters
    assert first.removed == second.removed and first.after == 3, "the smaller of the fractions"
    assert third.after == 2
    assert reasons(model, operators=["tensor1", "FULLY_CONNECTED"]) == {
        "tensor1": "its filters go with those of 'tensor4', which is not chosen",
        "tensor4": "not chosen",
        "tensor15": "its channels reach a model output",
    }


def test_filters_joined_with_the_input_stay() -> None:
    network, x = small(channels=2)
    z = network.arithmetic("ADD", x, type(x)(network.input, x.shape, x.origins))
    network.output = network.dense(network.dense(z, 4), 2).tensor
    assert reasons(network.model())["tensor1"] == (
        "its channels are joined with those of 'tensor0', which are no filters"
    )


def test_refusals_say_why() -> None:
    network, x = small()
    grouped, weight = network.weight((4, 1, 1, 2), 0)
    out = network.place(x.shape, [NOBODY] * 4)
    options = schema.Conv2DOptions(stride_w=1, stride_h=1)
    y = network.run("CONV_2D", [x.tensor, weight, network.bias(4, grouped)], out, options)
    z = network.convolve(y, 6)
    turned = network.place([1, 3, 4, 6], z.origins)
    turned = network.run("TRANSPOSE", [z.tensor, network.integers([0, 2, 1, 3])], turned, schema.TransposeOptions())
    hidden = network.dense(turned, 4)
    network.output = network.dense(hidden, 2).tensor
    found = reasons(network.model())
    assert found["tensor1"] == "its channels reach CONV_2D: it is a grouped convolution"
    assert found[f"tensor{grouped}"] == "it is a grouped convolution"
    assert found[f"tensor{network.readers[1][0]}"] == (
        "its channels reach TRANSPOSE, through which they are not followed"
    )


def test_a_weight_of_two_operators_and_a_buffer_of_two_tensors() -> None:
    """One weight is cut once, and its operators' channels go together; tensors of one buffer are cut on their own."""
    network, x = small()
    stored, bias = network.readers[0][0], network.operators[0].inputs[2]
    again = network.place(x.shape, x.origins)
    options = schema.Conv2DOptions(stride_w=1, stride_h=1)
    y = network.run("CONV_2D", [network.input, stored, bias], again, options, 3)
    network.output = network.dense(network.dense(network.concatenation(x, y, 3), 6), 2).tensor
    result = prune_filters(network.model(), 0.5)
    assert result.filters[0].after == 2
    value, removed = sample(network), removed_from(network, result)
    assert np.array_equal(run(result.model, value), run(network.masked(removed), value))

    network, x = small()
    y = network.convolve(x, 4)
    network.output = network.dense(network.dense(network.arithmetic("MUL", x, y), 6), 2).tensor
    biases = [operator.inputs[2] for operator in network.operators[:2]]
    network.tensors[biases[1]].data = network.tensors[biases[0]].data
    model = network.model()
    tensors = model.subgraphs[0].tensors or []
    (model.root.buffers or [])[tensors[biases[1]].buffer] = schema.Buffer()
    tensors[biases[1]].buffer = tensors[biases[0]].buffer
    result = prune_filters(model, 0.5)
    shared = [result.model.tensor(index) for index in biases]
    assert shared[0].buffer == shared[1].buffer == tensors[biases[0]].buffer
    assert len(result.model.root.buffers or ()) == len(model.root.buffers or ())
    value, removed = sample(network), removed_from(network, result)
    assert np.array_equal(run(result.model, value), run(network.masked(removed), value))


def test_a_shape_that_two_operators_share() -> None:
    """Two reshapes read one constant, and only one of them loses channels."""
    network, x = small()
    shape = network.integers([1, 12, 4])
    ends = []
    for place in (x, network.convolve(x, 4)):
        options = schema.ReshapeOptions(new_shape=np.array([1, 12, 4], np.int32))
        out = network.place([1, 12, 4], place.origins)
        ends.append(network.run("RESHAPE", [place.tensor, shape], out, options))
    network.output = network.dense(network.dense(ends[0], 6), 2).tensor
    model = network.model()
    model.subgraphs[0].outputs = np.array([network.output, ends[1].tensor], np.int32)
    result = prune_filters(model, 0.5)
    assert result.filters[0].name == "tensor1"
    assert tuple(result.model.tensor(ends[0].tensor).shape) == (1, 12, 2)
    assert np.array_equal(result.model.constant(result.model.tensor(shape)), [1, 12, 4])
    value, removed = sample(network), removed_from(network, result)
    assert np.array_equal(run(result.model, value), run(network.masked(removed), value))


def test_any_batch() -> None:
    """A computed shape is that of what is left, for every batch; its scalars serve other sides too."""
    network, x = small()
    network.any_batch = True
    network.output = network.dense(network.dense(network.transpose_convolve(x, 6), 6), 2).tensor
    result = prune_filters(network.model(), 0.5)
    assert [(entry.operator, entry.before, entry.after) for entry in result.filters] == [
        ("CONV_2D", 4, 2),
        ("TRANSPOSE_CONV", 6, 3),
        ("FULLY_CONNECTED", 6, 3),
    ]
    values = network.rng.normal(size=(3, 4, 3, 2)).astype(np.float32)
    interpreter = Interpreter(model=result.model)
    interpreter.resize_tensor_input(network.input, values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(network.input, values)
    interpreter.invoke()
    masked = network.masked(removed_from(network, result))
    expected = np.concatenate([run(masked, value[np.newaxis]) for value in values])
    assert np.array_equal(interpreter.get_tensor(network.output), expected)


def test_a_shape_that_says_more_keeps_its_channels() -> None:
    network, x = small()
    hidden = network.dense(x, 6)
    whole = network.constant(TensorSpec(TensorType.INT32, [2]))
    network.operators.append(OperatorSpec("SHAPE", [hidden.tensor], [whole], schema.ShapeOptions(TensorType.INT32)))
    cast = network.constant(TensorSpec(TensorType.FLOAT32, [2]))
    network.operators.append(OperatorSpec("CAST", [whole], [cast], schema.CastOptions()))
    last = network.dense(hidden, 2)
    out = network.place([1, 2], last.origins)
    network.output = network.run("ADD", [last.tensor, cast], out, schema.AddOptions()).tensor
    weight = f"tensor{network.readers[1][0]}"
    assert reasons(network.model())[weight] == (
        "CAST reads the shape of its output, and with it the number of channels"
    )
