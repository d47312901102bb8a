"""Calibration without a real runtime: expected values by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import refquant as rq
from refquant.quantization.calibration import Statistics
from refquant.quantization.recorder import Range
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32
SMALLEST_NORMAL = np.finfo(np.float32).tiny
LARGEST = np.finfo(np.float32).max

Array = npt.NDArray[Any]


def floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def place(*shape: int, **settings: Any) -> TensorSpec:
    return TensorSpec(FLOAT32, shape, **settings)


def negation() -> rq.Model:
    return single_operator_model("NEG", [place(3)], [place(3)])


def ranges(statistics: Statistics) -> dict[tuple[int, int], tuple[float, float]]:
    return {key: (float(found.min), float(found.max)) for key, found in statistics.ranges.items()}


def with_signatures(model: rq.Model, *inputs: dict[str, int]) -> rq.Model:
    """The model with a signature "key0", "key1", … for each of its first subgraphs."""
    model.root.signature_defs = [
        schema.SignatureDef(
            signature_key=f"key{number}",
            subgraph_index=number,
            inputs=[schema.TensorMap(name=name, tensor_index=index) for name, index in named.items()],
            outputs=[],
        )
        for number, named in enumerate(inputs)
    ]
    return model


def test_extremes_over_samples_and_where_they_came_from() -> None:
    statistics = rq.calibrate(negation(), [[floats(1, -2, 3)], [floats(0, -4, 3)], [floats(5, 0, -4)]])
    assert statistics.samples == 3
    assert statistics.ranges[0, 0] == Range(np.float32(-4), np.float32(5), min_sample=1, max_sample=2)
    assert statistics.ranges[0, 1] == Range(np.float32(-5), np.float32(4), min_sample=2, max_sample=1)


def test_maximum_begins_at_the_smallest_normal_number() -> None:
    statistics = rq.calibrate(negation(), [[floats(-1, -2, -3)]])
    assert ranges(statistics) == {(0, 0): (-3, SMALLEST_NORMAL), (0, 1): (1, 3)}
    assert statistics.ranges[0, 0].max_sample is None


@pytest.mark.parametrize(("zeros", "negative"), [((0.0, -0.0), False), ((-0.0, 0.0), True)])
def test_first_zero_decides_the_sign(zeros: tuple[float, float], negative: bool) -> None:
    statistics = rq.calibrate(negation(), [[floats(1, *zeros)], [floats(*zeros[::-1], 1)]])
    assert np.signbit(statistics.ranges[0, 0].min) == negative


def test_first_subnormal_number_stays_as_a_zero_does() -> None:
    """With the key of a signature the real one does not suppress subnormal numbers."""
    model, tiny = with_signatures(negation(), {"x": 0}), np.float32(1e-40)
    assert rq.calibrate(model, [[floats(1, tiny, -tiny)]]).ranges[0, 0].min == tiny
    assert rq.calibrate(model, [("key0", {"x": floats(1, tiny, -tiny)})]).ranges[0, 0].min == -tiny


def test_subnormal_results_become_zero() -> None:
    model = with_signatures(single_operator_model("SQUARE", [place(2)], [place(2)]), {"x": 0})
    sample = floats(1, 1e-20)
    assert rq.calibrate(model, [[sample]]).ranges[0, 1].min == 0
    assert rq.calibrate(model, [("key0", {"x": sample})]).ranges[0, 1].min == sample[1] * sample[1] > 0


def test_nan_is_passed_over_with_a_warning() -> None:
    model = single_operator_model("SQRT", [place(3)], [place(3)])
    with pytest.warns(UserWarning, match=r"1 of 2 tensors hold NaN.*tensor 1 \('output0'\).*sample 1"):
        statistics = rq.calibrate(model, [[floats(1, 4, 9)], [floats(-1, 1, 16)]])
    assert ranges(statistics) == {(0, 0): (-1, 16), (0, 1): (1, 4)}


def test_tensor_of_nan_alone_has_no_range() -> None:
    model = single_operator_model("SQRT", [place(1)], [place(1)])
    with pytest.warns(UserWarning):
        assert ranges(rq.calibrate(model, [[floats(-1)]])) == {(0, 0): (-1, SMALLEST_NORMAL)}


def test_infinity_is_recorded_with_a_warning() -> None:
    model = single_operator_model("EXP", [place(1)], [place(1)])
    with pytest.warns(UserWarning, match=r"1 of 2 tensors hold infinity.*tensor 1.*sample 0"):
        assert ranges(rq.calibrate(model, [[floats(1000)]])) == {(0, 0): (1000, 1000), (0, 1): (LARGEST, np.inf)}


def test_constants_and_integers_are_not_recorded() -> None:
    model = single_operator_model("ADD", [place(3), place(data=floats(1, 2, 3))], [place(3)], schema.AddOptions())
    assert ranges(rq.calibrate(model, [[floats(1, 2, 3)]])) == {(0, 0): (1, 3), (0, 2): (2, 6)}
    model = single_operator_model("CAST", [TensorSpec(INT32, [2])], [place(2)])
    assert ranges(rq.calibrate(model, [[np.array([1, 2], np.int32)]])) == {(0, 1): (1, 2)}


def test_constants_outside_the_flatbuffer_are_recorded() -> None:
    """The real one does not see that they are constants."""
    model = single_operator_model("ADD", [place(3), place(data=floats(1, 2, 3))], [place(3)], schema.AddOptions())
    (buffer,) = [buffer for buffer in model.root.buffers or () if buffer.data is not None]
    buffer.data, data = None, buffer.data
    buffer.offset, buffer.size = 1 << 20, len(data)  # somewhere beyond the tables
    outside = rq.Model(model.root, np.pad(data, (1 << 20, 0)))
    assert ranges(rq.calibrate(outside, [[floats(1, 2, 3)]])) == {(0, 0): (1, 3), (0, 1): (1, 3), (0, 2): (2, 6)}


def chain(*operators: OperatorSpec, tensors: int, outputs: list[int]) -> rq.Model:
    """Operators on vectors of four; tensor 0 is the input, tensor 1 a constant of tens, tensor 2 the shape."""
    specs = [place(4), place(data=floats(10, 10, 10, 10)), TensorSpec(INT32, data=np.array([4], np.int32))]
    return model_of(SubgraphSpec([*specs, *[place(4)] * (tensors - 3)], operators, [0], outputs))


def add(a: int, b: int, out: int) -> OperatorSpec:
    return OperatorSpec("ADD", [a, b], [out], schema.AddOptions())


def test_input_that_is_written_over_is_recorded_again() -> None:
    """ADD leaves its sums in the memory of what only it reads: the calibrator finds them where 1 to 4 were."""
    model = chain(OperatorSpec("ABS", [0], [3]), add(3, 1, 4), OperatorSpec("ABS", [4], [5]), tensors=6, outputs=[5])
    found = ranges(rq.calibrate(model, [[floats(-1, 2, 3, 4)]]))
    assert found == {(0, 0): (-1, 4), (0, 3): (1, 14), (0, 4): (11, 14), (0, 5): (11, 14)}


@pytest.mark.parametrize(
    "last",
    [
        OperatorSpec("ABS", [3], [5]),  # somebody else reads the summand
        OperatorSpec("ABS", [0], [5]),  # the sum is an output of the model
    ],
)
def test_input_that_is_not_written_over(last: OperatorSpec) -> None:
    model = chain(OperatorSpec("ABS", [0], [3]), add(3, 1, 4), last, tensors=6, outputs=[4, 5])
    assert ranges(rq.calibrate(model, [[floats(-1, 2, 3, 4)]]))[0, 3] == (1, 4)


def test_reader_of_what_was_written_over() -> None:
    """y and z are the memory of x by other names: ADD(z) changes y, which MUL reads after it."""
    reshape = schema.ReshapeOptions(new_shape=np.array([4], np.int32))
    model = chain(
        OperatorSpec("ABS", [0], [3]),
        OperatorSpec("RESHAPE", [3, 2], [4], reshape),
        OperatorSpec("RESHAPE", [4, 2], [5], reshape),
        add(5, 1, 6),
        OperatorSpec("MUL", [4, 1], [7], schema.MulOptions()),
        add(6, 7, 8),
        tensors=9,
        outputs=[8],
    )
    found = ranges(rq.calibrate(model, [[floats(-1, 2, 3, 4)]]))
    assert found[0, 3] == (1, 4)
    assert found[0, 4] == found[0, 5] == (1, 14)
    assert found[0, 7] == (110, 140)


def loop() -> rq.Model:
    """While the sum of x is below 20: x becomes 2 x."""
    main = SubgraphSpec(
        [place(2), place(2)],
        [OperatorSpec("WHILE", [0], [1], schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2))],
        [0],
        [1],
    )
    axis = TensorSpec(INT32, data=np.array([0], np.int32))
    condition = SubgraphSpec(
        [place(2), axis, place(), place(data=np.array(20, np.float32)), TensorSpec(TensorType.BOOL)],
        [
            OperatorSpec("SUM", [0, 1], [2], schema.ReducerOptions()),
            OperatorSpec("LESS", [2, 3], [4], schema.LessOptions()),
        ],
        [0],
        [4],
    )
    body = SubgraphSpec(
        [place(2), place(data=np.array([2, 2], np.float32)), place(2)],
        [OperatorSpec("MUL", [0, 1], [2], schema.MulOptions())],
        [0],
        [2],
    )
    return model_of(main, condition, body)


def test_bodies_of_loops_are_recorded() -> None:
    assert ranges(rq.calibrate(loop(), [[floats(1, 2)]])) == {
        (0, 0): (1, 2),
        (0, 1): (8, 16),
        (1, 0): (1, 16),
        (1, 2): (3, 24),
        (2, 0): (1, 8),
        (2, 2): (2, 16),
    }


def counter() -> rq.Model:
    """A gate of an LSTM of one cell, of which only the states matter."""
    matrix, bias = place(data=np.ones((1, 1), np.float32)), place(data=floats(0))
    specs = [place(1, 1), *[matrix] * 8, None, None, None, *[bias] * 4, None, None]
    states = [place(1, 1, is_variable=True), place(1, 1, is_variable=True)]
    options = schema.LSTMOptions(fused_activation_function=schema.ActivationFunctionType.TANH)
    return single_operator_model("LSTM", [*specs, *states], [place(1, 1)], options)


def test_states_live_on_and_intermediate_tensors_are_added() -> None:
    model = counter()
    statistics = rq.calibrate(model, [[np.ones((1, 1), np.float32)]] * 5)
    count = len(model.subgraphs[0].tensors or ())
    (h, c), out = (count - 3, count - 2), count - 1
    assert statistics.ranges[0, h].max == statistics.ranges[0, out].max == statistics.ranges[0, count + 4].max
    assert statistics.ranges[0, h].min == 0 and statistics.ranges[0, c].min_sample == 0
    assert statistics.ranges[0, c].max_sample == 4
    calibrated = statistics.apply(model)
    tensors = calibrated.subgraphs[0].tensors or []
    assert [t.name for t in tensors[count:]] == [f"intermediate_0_{i}" for i in range(5)]
    assert [t.quantization is not None for t in tensors[count:]] == [False, False, False, False, True]
    assert (calibrated.subgraphs[0].operators or [])[0].intermediates.tolist() == list(range(count, count + 5))
    assert len(model.subgraphs[0].tensors or ()) == count


def test_basic_lstm_is_refused() -> None:
    specs = [place(1, 1), place(1, 1), place(data=np.ones((4, 2), np.float32)), place(data=floats(0, 0, 0, 0))]
    options = schema.LSTMOptions(kernel_type=schema.LSTMKernelType.BASIC)
    outputs = [place(1, 1), place(1, 1), place(1, 2), place(1, 4)]
    model = single_operator_model("LSTM", [*specs, place(1, 1)], outputs, options)
    with pytest.raises(rq.UnsupportedOperatorError, match="basic LSTM"):
        rq.calibrate(model, [[np.ones((1, 1), np.float32)] * 3])


def test_apply_replaces_the_tables_of_recorded_tensors_only() -> None:
    model = single_operator_model("ADD", [place(3), place(data=floats(1, 2, 3))], [place(3)], schema.AddOptions())
    tensors = model.subgraphs[0].tensors or []
    tensors[0].quantization = schema.QuantizationParameters(scale=floats(0.5), zero_point=np.array([3]))
    tensors[1].quantization = schema.QuantizationParameters(min=floats(7), max=floats(8))
    calibrated = rq.calibrate(model, [[floats(1, 2, 3)]]).apply(model)
    after = rq.Model.read(calibrated.tobytes()).subgraphs[0].tensors or []
    assert after[0].quantization == schema.QuantizationParameters(min=floats(1), max=floats(3))
    assert after[1].quantization == schema.QuantizationParameters(min=floats(7), max=floats(8))
    assert after[2].quantization == schema.QuantizationParameters(min=floats(2), max=floats(6))
    assert tensors[0].quantization.min is None


def test_apply_to_another_model() -> None:
    statistics = rq.calibrate(negation(), [[floats(1, 2, 3)]])
    with pytest.raises(rq.InvalidInputError, match="another model"):
        statistics.apply(single_operator_model("CAST", [TensorSpec(INT32, [2])], [place(2)]))


def test_dataset_may_be_a_function_an_iterator_or_a_list() -> None:
    samples = [[floats(1, 2, 3)], [floats(4, 5, 6)]]

    def generate() -> Iterator[list[Array]]:
        yield from samples

    expected = rq.calibrate(negation(), samples)
    assert rq.calibrate(negation(), generate) == expected
    assert rq.calibrate(negation().tobytes(), generate()) == expected


def test_first_sample_gives_the_shape() -> None:
    found = rq.calibrate(negation(), [[np.array([[1, 2], [3, 4]], np.float32)]])
    assert ranges(found) == {(0, 0): (1, 4), (0, 1): (-4, SMALLEST_NORMAL)}


def test_open_dimensions_take_any_size() -> None:
    model = negation()
    tensors = model.subgraphs[0].tensors or []
    tensors[0].shape_signature = np.array([-1], np.int32)
    assert rq.calibrate(model, [[floats(1, 2)], [floats(3, 4, 5, 6)]]).ranges[0, 0].max == 6


def test_samples_by_name() -> None:
    model = with_signatures(single_operator_model("SUB", [place(1), place(1)], [place(1)]), {"x": 0, "y": 1})
    for sample in ({"x": floats(5), "y": floats(3)}, ("key0", {"x": floats(5), "y": floats(3)})):
        assert ranges(rq.calibrate(model, [sample]))[0, 2] == (2, 2)


def test_several_signatures() -> None:
    parts = [SubgraphSpec([place(1), place(1)], [OperatorSpec(name, [0], [1])], [0], [1]) for name in ("NEG", "ABS")]
    model = with_signatures(model_of(*parts), {"x": 0}, {"x": 0})
    samples: list[Any] = [("key0", {"x": floats(1)}), ("key1", {"x": floats(-2)}), ("key0", {"x": floats(3)})]
    found = rq.calibrate(model, samples)
    assert ranges(found) == {
        (0, 0): (1, 3),
        (0, 1): (-3, SMALLEST_NORMAL),
        (1, 0): (-2, SMALLEST_NORMAL),
        (1, 1): (2, 2),
    }
    with pytest.raises(rq.InvalidInputError, match=r"sample 0 .*without a signature's key.*'key0', 'key1'"):
        rq.calibrate(model, [{"x": floats(1)}])


def test_names_that_the_real_calibrator_mixes_up() -> None:
    tensors, operator = [place(1), place(1), place(1)], OperatorSpec("SUB", [1, 0], [2], schema.SubOptions())
    model = with_signatures(model_of(SubgraphSpec(tensors, [operator], [1, 0], [2])), {"x": 1, "y": 0})
    with pytest.raises(rq.InvalidInputError, match="mixes up"):
        rq.calibrate(model, [{"x": floats(5), "y": floats(3)}])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([[floats(1, 2, 3)], [floats(1, 2, 3)] * 2], "sample 1 .*holds 2 arrays, the model has 1 inputs"),
        ([[floats(1, 2, 3)], [floats(1, 2)]], r"sample 1 .*has shape \(2,\) for tensor 0 \('input0'\)"),
        ([[np.array([1.0, 2, 3])]], r"sample 0 .*tensor 0 \('input0'\) takes float32, got float64"),
        ([[floats(1, 2, 3)], [floats(1, np.nan, 3)]], r"sample 1 .*NaN or infinity for tensor 0 \('input0'\)"),
        ([[floats(1, np.inf, 3)]], "sample 0 .*NaN or infinity"),
        ([floats(1, 2, 3)], "sample 0 .*an array of shape"),
        ([(floats(1, 2, 3),)], "sample 0 .*a tuple of ndarray"),
        ([("key7", {"x": floats(1, 2, 3)})], r"sample 0 .*signature 'key7'.*\['key0'\]"),
        ([{"y": floats(1, 2, 3)}], r"sample 0 .*arrays for \['y'\], the model takes \['x'\]"),
        ([{}], r"sample 0 .*arrays for \[\], the model takes \['x'\]"),
        ([], "no samples"),
        (lambda: 3, "a representative dataset is a function"),
        (floats(1, 2, 3), "a representative dataset is a function"),
        ({"x": floats(1, 2, 3)}, "a representative dataset is a function"),
        (None, "a representative dataset is a function"),
    ],
)
def test_bad_datasets(samples: Any, message: str) -> None:
    with pytest.raises(rq.InvalidInputError, match=message):
        rq.calibrate(with_signatures(negation(), {"x": 0}), samples)


def test_fast_calibration_is_near() -> None:
    """Either sum is off by at most n * 2**-24 * sum of |x * w|; which sums differ hangs on the processor's BLAS."""
    differences = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((50, 300), (40, 300)))
        model = single_operator_model(
            "FULLY_CONNECTED", [place(50, 300), place(data=w)], [place(50, 40)], schema.FullyConnectedOptions()
        )
        exact, fast = (rq.calibrate(model, [[x]], float_mode=mode).ranges[0, 2] for mode in ("exact", "fast"))
        bound = 300 * 2.0**-24 * (abs(x.astype(np.float64)) @ abs(w.T)).max()
        differences.append(max(abs(exact.min - fast.min), abs(exact.max - fast.max)))
        assert differences[-1] <= 2 * bound
    assert max(differences) > 0


def test_quantized_model_is_refused() -> None:
    model = single_operator_model("ABS", [TensorSpec(INT8, [1], scale=1)], [TensorSpec(INT8, [1], scale=1)])
    with pytest.raises(rq.InvalidInputError, match=r"quantized already: tensor 0 \('input0'\).*INT8"):
        rq.calibrate(model, [[np.zeros(1, np.int8)]])


def test_operator_without_kernel_is_refused_before_the_first_sample() -> None:
    def generate() -> Iterator[list[Array]]:
        raise AssertionError("asked for a sample")
        yield

    with pytest.raises(rq.UnsupportedOperatorError, match="NoSuchOperator"):
        rq.calibrate(single_operator_model("NoSuchOperator", [place(1)], [place(1)]), generate)


def test_shapes_that_do_not_fit_name_the_sample() -> None:
    model = single_operator_model("ADD", [place(2), place(2)], [place(2)], schema.AddOptions())
    with pytest.raises(rq.InvalidModelError, match=r"sample 0 .*shapes \(2,\), \(3,\)"):
        rq.calibrate(model, [[floats(1, 2), floats(1, 2, 3)]])
