"""`run_samples`: every tensor of every sample has the bits that it has alone, whatever ran together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import refquant as rq
from refquant.audit.comparison import random_samples
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter import batches, together
from refquant.numerics.processor import Processor, with_processor
from refquant.numerics.reciprocal_estimate import INTEL, ZEN
from refquant.testing import TensorSpec, single_operator_model
from refquant.testing.conformance import bits
from refquant.testing.float_graphs import FloatCase, float_models
from refquant.testing.strategies import Case, Family, families
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from tests.conftest import model_files
from tests.interpreter.test_state import running_sum

Array = npt.NDArray[Any]
FLOAT32 = TensorType.FLOAT32
COUNT = 5
BY_HAND = ("PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE", "CONCATENATION")


@pytest.fixture(autouse=True)
def planned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two samples are planned, too."""
    monkeypatch.setattr(batches, "_WORTH", 2)


@pytest.fixture
def ran_together(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the operators that have been planned for many samples."""
    names: set[str] = set()

    def noting(*arguments: Any) -> Any:
        step = together.step_for_stack(*arguments)
        names.update([] if step is None else [step.operator.name])
        return step

    monkeypatch.setattr(batches, "step_for_stack", noting)
    return names


def check(interpreter: rq.Interpreter, samples: Sequence[Sequence[Array]]) -> None:
    """Runs the samples alone and in batches; all tensors must be the same, and so what the interpreter is left with."""
    interpreter.allocate_tensors()
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    alone = []
    for sample in samples:
        interpreter.reset_all_variables()
        for index, array in zip(inputs, sample):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        alone.append(present(interpreter))
    tensors = sorted(set.intersection(*(set(found) for found in alone)))
    for found, expected in zip(interpreter.each_sample(samples, tensors=tensors), alone, strict=True):
        for index in tensors:
            assert_same(found[index], expected[index], index)
    left = present(interpreter)
    for index in tensors:
        assert_same(left[index], alone[-1][index], index)


def present(interpreter: rq.Interpreter) -> dict[int, Array]:
    found = {}
    for detail in interpreter.get_tensor_details():
        try:
            found[detail["index"]] = interpreter.get_tensor(detail["index"])
        except InvalidInputError:
            continue  # of no operator that runs
    return found


def assert_same(ours: Array, expected: Array, index: int) -> None:
    assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape), index
    if ours.dtype.name == "bfloat16":
        ours, expected = ours.view(np.uint16), expected.view(np.uint16)
    same = np.array_equal(bits(ours), bits(expected))  # every NaN as one
    assert same, f"tensor {index}"


def shuffled(sample: Sequence[Array], count: int = COUNT) -> list[list[Array]]:
    """The sample, and others of the same numbers in another order, so that indices stay indices."""
    rng = np.random.default_rng(0)
    others = [[rng.permutation(array.reshape(-1)).reshape(array.shape) for array in sample] for _ in range(count - 1)]
    return [list(sample), *others]


def images(model: rq.Model) -> list[list[Array]]:
    """Digits as the model takes them."""
    arrays = np.load(DIGITS_SAMPLES)["image"][:COUNT, None]
    is_float = model.tensor(rq.Interpreter(model=model).get_input_details()[0]["index"]).type == FLOAT32
    return [[array if is_float else (array * 255 - 128).astype(np.int8)] for array in arrays]


@pytest.mark.parametrize("kernels", ["reference", "optimized", "xnnpack", "calibrator", "micro"])
@pytest.mark.parametrize("path", [DIGITS_FLOAT, DIGITS_INT8])
def test_bundled_models(path: Any, kernels: str) -> None:
    if path == DIGITS_INT8 and kernels == "calibrator":
        pytest.skip("only float models run in this profile")
    model = rq.Model.read(path)
    for float_mode in ("exact", "fast"):
        check(rq.Interpreter(model=model, kernels=kernels, float_mode=float_mode), images(model))


@pytest.mark.parametrize("operator", [*together._RULES, *sorted(together.RENAMING)])
def test_operators(operator: str, ran_together: set[str]) -> None:
    """In shapes and types that the strategies draw; nearly all of them have a case that runs together."""
    variants = [family for family in families() if family.operator == operator]
    enough = max(2, 24 // len(variants))
    for count in (enough, 10 * enough):  # more, where none of the first ones may run together
        for family in variants:
            for case in drawn(family, count):
                for kernels in ("micro",) if family.oracle == "micro" else ("reference", "optimized", "xnnpack"):
                    check_case(case, kernels)
        if operator in ran_together or operator in (*together.RENAMING, *BY_HAND):
            return
    pytest.fail("nothing ran together")


def drawn(family: Family, count: int) -> list[Case]:
    cases: list[Case] = []

    @settings(max_examples=count, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(family.cases)
    def one(case: Case) -> None:
        cases.append(case)

    one()
    return cases


@pytest.mark.parametrize("operator", BY_HAND)
def test_operators_by_hand(operator: str, ran_together: set[str]) -> None:
    """Those that the strategies hardly ever draw in such a way that they may run together."""
    x = TensorSpec(TensorType.INT8, [2, 3], 0.5, 7)
    number = TensorSpec(TensorType.INT8, scale=0.5, zero_point=7, data=np.array(5, np.int8))
    paddings = TensorSpec(TensorType.INT32, data=np.array([[0, 0], [1, 2]], np.int32))
    order = TensorSpec(TensorType.INT32, data=np.array([0, 1], np.int32))
    inputs, options, width = {
        "PAD": ([x, paddings], None, 6),
        "PADV2": ([x, paddings, number], None, 6),
        "MIRROR_PAD": ([x, paddings], schema.MirrorPadOptions(), 6),
        "TRANSPOSE": ([x, order], None, 3),
        "CONCATENATION": ([x, x], schema.ConcatenationOptions(axis=-1), 6),
    }[operator]
    output = TensorSpec(TensorType.INT8, [2, width], 0.5, 7)
    model = single_operator_model(operator, inputs, [output], options=options)
    values = np.arange(6, dtype=np.int8).reshape(2, 3)
    check(rq.Interpreter(model=model), shuffled([values] * inputs.count(x)))
    assert operator in ran_together


def check_case(case: Case, kernels: str, count: int = COUNT) -> None:
    """Nothing where the model is refused alone as well, or with the numbers of the samples in another order."""
    try:
        interpreter = rq.Interpreter(model=case.model, kernels=kernels)
        for detail, array in zip(interpreter.get_input_details(), case.samples[0]):
            interpreter.resize_tensor_input(detail["index"], array.shape)
        check(interpreter, shuffled(case.samples[0], count))
    except RefquantError:
        return


@pytest.mark.parametrize("kernels", ["reference", "optimized", "xnnpack", "calibrator"])
def test_float_graphs(kernels: str) -> None:
    @settings(max_examples=25, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(float_models())
    def one(case: FloatCase) -> None:
        check_case(case, kernels, 3)

    one()


@pytest.mark.parametrize("path", [path for path in model_files() if path.stat().st_size < 40_000], ids=lambda p: p.stem)
def test_real_models(path: Path) -> None:
    for kernels in ("reference", "optimized", "xnnpack", "calibrator", "micro"):
        try:
            model = rq.Model.read(path)
            check(rq.Interpreter(model=model, kernels=kernels), random_samples(model, 3, seed=0))
        except RefquantError:
            continue  # refused, with these numbers at least


def test_wrong_rules_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums along the first axis, and the divisions whose result hangs on a number's place."""
    floats, bytes_ = TensorSpec(FLOAT32, [2, 3]), TensorSpec(TensorType.INT8, [1, 3])
    axis = TensorSpec(TensorType.INT32, data=np.array(0, np.int32))
    sums = single_operator_model("CUMSUM", [floats, axis], [floats], options=schema.CumsumOptions())
    quotients = single_operator_model("FLOOR_DIV", [bytes_, bytes_], [bytes_])
    cases = [
        ("CUMSUM", sums, [np.ones((2, 3), np.float32)]),
        ("FLOOR_DIV", quotients, [np.full((1, 3), -128, np.int8), np.full((1, 3), -1, np.int8)]),
    ]
    for operator, model, sample in cases:
        check(rq.Interpreter(model=model), shuffled(sample))
        monkeypatch.setitem(together._RULES, operator, together._rows_alike)
        with pytest.raises(AssertionError, match="tensor"):
            check(rq.Interpreter(model=model), shuffled(sample))


def test_what_does_not_run_in_batches() -> None:
    for model in (running_sum(), recurrent()):
        interpreter = rq.Interpreter(model=model)
        interpreter.allocate_tensors()
        assert batches.batch_size(interpreter._plans[0]) == 1
    interpreter = rq.Interpreter(DIGITS_INT8)
    interpreter.allocate_tensors()
    assert batches.batch_size(interpreter._plans[0]) > 100


def recurrent() -> rq.Model:
    """h = relu(x + h)."""
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    constants = [TensorSpec(FLOAT32, data=array) for array in (one, one, zero)]
    h = TensorSpec(FLOAT32, [1, 1], is_variable=True)
    options = schema.RNNOptions(fused_activation_function=schema.ActivationFunctionType.RELU)
    return single_operator_model(
        "RNN", [TensorSpec(FLOAT32, [1, 1]), *constants, h], [TensorSpec(FLOAT32, [1, 1])], options=options
    )


def test_state() -> None:
    interpreter = rq.Interpreter(model=recurrent())
    interpreter.allocate_tensors()
    samples = np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
    (output,) = (detail["index"] for detail in interpreter.get_output_details())
    assert interpreter.run_samples([samples])[output].ravel().tolist() == [1, 2, 3]
    interpreter.reset_all_variables()
    assert interpreter.run_samples([samples], keep_state=True)[output].ravel().tolist() == [1, 3, 6]
    assert [float(found[output][0, 0]) for found in interpreter.each_sample([[s] for s in samples])] == [1, 2, 3]


def test_stacked() -> None:
    """Outputs or other tensors; constants, too; batches that do not come out even."""
    interpreter = rq.Interpreter(DIGITS_INT8)
    interpreter.allocate_tensors()
    samples = np.concatenate([sample[0][None] for sample in images(interpreter.model)] * 30)
    (output,) = interpreter.run_samples([samples]).values()
    assert output.shape == (150, 1, 10) and np.array_equal(output[:5], output[145:])
    constant = next(
        t["index"]
        for t in interpreter.get_tensor_details()
        if interpreter._plans[0].tensors[t["index"]].value is not None
    )
    found = interpreter.run_samples([samples[:3]], tensors=[constant, 0])
    assert list(found) == [constant, 0] and np.array_equal(found[constant][2], interpreter.get_tensor(constant))
    assert np.array_equal(found[0], samples[:3])
    assert list(interpreter.each_sample([[samples[0]]] * 2, tensors=[])) == [{}, {}]


def test_observers_see_every_sample() -> None:
    interpreter = rq.Interpreter(DIGITS_INT8)
    interpreter.allocate_tensors()
    seen: list[str] = []
    interpreter.observe(lambda operator, numbers: seen.append(operator.name))
    interpreter.run_samples([np.concatenate([sample[0][None] for sample in images(interpreter.model)])])
    assert seen and len(seen) % COUNT == 0
    count = len(seen)
    interpreter.observe(None)
    interpreter.run_samples([np.concatenate([sample[0][None] for sample in images(interpreter.model)])])
    assert len(seen) == count


def test_processor_of_the_plan() -> None:
    """Batches, which are planned when they run, have the bits of the processor for which the model was planned."""
    place = TensorSpec(FLOAT32, [1, 2000])
    model = single_operator_model("GELU", [place], [place], options=schema.GeluOptions(approximate=False))
    samples = np.random.default_rng(0).normal(0, 3, (COUNT, 1, 2000)).astype(np.float32)
    found = []
    for estimates in (INTEL, ZEN):
        interpreter = rq.Interpreter(model=model)
        with with_processor(Processor(estimates=estimates)):
            check(interpreter, [[sample] for sample in samples])
            expected = interpreter.run_samples([samples])[1]
        interpreter._batches = None  # to be planned again, out of the block
        found.append(interpreter.run_samples([samples])[1])
        assert np.array_equal(found[-1], expected)
    assert not np.array_equal(*found)


def test_planned_anew() -> None:
    """Another shape of the input, other batches."""
    model = single_operator_model("RELU", [TensorSpec(FLOAT32, [1, 2])], [TensorSpec(FLOAT32, [1, 2])])
    interpreter = rq.Interpreter(model=model)
    for shape in ((1, 2), (2, 3)):
        interpreter.resize_tensor_input(0, shape)
        interpreter.allocate_tensors()
        samples = np.arange(-5, 5 * 6 - 5, dtype=np.float32)[: 5 * shape[0] * shape[1]].reshape(5, *shape)
        assert np.array_equal(interpreter.run_samples([samples])[1], np.maximum(samples, 0))


def test_refused() -> None:
    interpreter = rq.Interpreter(DIGITS_FLOAT)
    with pytest.raises(InvalidInputError, match="call allocate_tensors"):
        interpreter.run_samples([np.zeros((2, 1, 8, 8, 1), np.float32)])
    interpreter.allocate_tensors()
    for samples, message in (
        ([], "samples for 0 inputs, the model has 1"),
        ([np.zeros((1, 8, 8, 1), np.float32)], r"takes N samples as shape \(N, 1, 8, 8, 1\), got \(1, 8, 8, 1\)"),
        ([np.zeros((0, 1, 8, 8, 1), np.float32)], r"at least one, got \[0\]"),
        ([np.zeros((2, 1, 8, 8, 1))], "takes float32, got float64"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            interpreter.run_samples(samples)
    with pytest.raises(InvalidInputError, match="a sample of 2 arrays, the model has 1 inputs"):
        list(interpreter.each_sample([[1, 2]]))
    with pytest.raises(InvalidInputError, match="there is no tensor 1000"):
        interpreter.run_samples([np.zeros((2, 1, 8, 8, 1), np.float32)], tensors=[1000])


def test_intermediates_that_are_not_kept() -> None:
    interpreter = rq.Interpreter(DIGITS_INT8, experimental_preserve_all_tensors=False)
    check(interpreter, images(interpreter.model))
    intermediate = next(step.operator.outputs[0].index for step in interpreter._plans[0].steps)
    with pytest.raises(InvalidInputError, match="which invoke\\(\\) does not keep"):
        interpreter.run_samples([np.zeros((2, 1, 8, 8, 1), np.int8)], tensors=[intermediate])


def test_shapes_that_differ() -> None:
    model = single_operator_model(
        "UNIQUE",
        [TensorSpec(FLOAT32, [3])],
        [TensorSpec(FLOAT32, [3]), TensorSpec(TensorType.INT32, [3])],
        options=schema.UniqueOptions(idx_out_type=TensorType.INT32),
    )
    interpreter = rq.Interpreter(model=model)
    interpreter.allocate_tensors()
    samples = np.array([[1, 1, 1], [1, 2, 1]], np.float32)
    with pytest.raises(InvalidInputError, match="has not the same shape for all samples"):
        interpreter.run_samples([samples])
    assert [found[1].tolist() for found in interpreter.each_sample([[s] for s in samples])] == [[1], [1, 2]]
