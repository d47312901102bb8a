"""Runtimes side by side: where a difference begins, where it was handed down, and runtimes that misbehave."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.audit import ComparisonReport
from refquant.audit.comparison import converted_samples, default_runtimes
from refquant.audit.differences import difference
from refquant.data import DIGITS_FLOAT, DIGITS_INT8
from refquant.runtimes import Command, client, is_installed
from refquant.runtimes.cut import Graph, cut_out
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite.schema import (
    AddOptions,
    AssignVariableOptions,
    MulOptions,
    ReadVariableOptions,
    TensorType,
    VarHandleOptions,
)
from tests.audit.wrong_runtimes import operators_of, run, wrong_in

NAMES = operators_of(DIGITS_INT8.read_bytes())
POOL = NAMES.index("MAX_POOL_2D")


def compared(other: Any, model: Any = DIGITS_INT8, **more: Any) -> ComparisonReport:
    return rq.compare(model, {"reference": "reference", "other": other}, number_of_samples=2, **more)


def verdicts(report: ComparisonReport) -> list[str]:
    return [c.verdict for c in report.comparisons]


def test_equal_runtimes() -> None:
    report = compared(run)
    assert report.equal and verdicts(report) == ["equal"] * len(NAMES)
    assert report.comparisons[0].elements == 2 * 8 * 8 * 16 and report.samples == 2


def test_where_a_difference_begins_and_where_it_was_handed_down() -> None:
    report = compared(wrong_in("MAX_POOL_2D"))
    assert not report.equal
    assert verdicts(report)[: POOL + 1] == ["equal"] * POOL + ["begins here"]
    assert "handed down" in verdicts(report)[POOL + 1 :]
    assert set(verdicts(report)[POOL + 1 :]) <= {"handed down", "equal"}
    pool = report.comparisons[POOL]
    assert (pool.different, pool.steps, pool.unit, pool.largest) == (pool.elements, 1, "LSB", 1.0)
    assert pool.operator == f"operator {POOL} (MAX_POOL_2D)" and pool.index == POOL


def test_a_second_difference_that_begins_on_inputs_that_differ() -> None:
    report = compared(wrong_in("MAX_POOL_2D", "SOFTMAX"))
    assert verdicts(report)[POOL] == "begins here"
    assert verdicts(report)[NAMES.index("SOFTMAX")] == "begins here too"


def test_the_first_named_or_another_is_compared_with() -> None:
    given = {"mine": wrong_in("MAX_POOL_2D"), "reference": "reference", "same": wrong_in("MAX_POOL_2D")}
    report = rq.compare(DIGITS_INT8, given, number_of_samples=1)
    assert report.against == "mine" and {c.verdict for c in report.of("same")} == {"equal"}
    assert report.of("reference")[POOL].verdict == "begins here"
    assert rq.compare(DIGITS_INT8, given, against="same", number_of_samples=1).against == "same"
    with pytest.raises(rq.InvalidInputError, match="'nobody' is none of the runtimes: mine, reference, same"):
        rq.compare(DIGITS_INT8, given, against="nobody")


def test_a_runtime_of_one_output_is_asked_tensor_by_tensor() -> None:
    wrong = wrong_in("MAX_POOL_2D")

    def one_output(content: bytes, inputs: list[Any]) -> list[Any]:
        assert len(rq.Model.read(content).subgraphs[0].outputs) == 1, "one output only"  # type: ignore[arg-type]
        return wrong(content, inputs)

    report = compared(one_output)
    assert verdicts(report) == verdicts(compared(wrong))
    assert (
        "other was asked for each tensor by a model of its own, since: other refused: AssertionError" in report.notes[0]
    )


def test_a_refusal_is_a_result_and_not_the_end() -> None:
    def without_pool(content: bytes, inputs: list[Any]) -> list[Any]:
        if "MAX_POOL_2D" in operators_of(content):
            raise NotImplementedError("no pooling")
        return run(content, inputs)

    report = compared(without_pool)
    assert verdicts(report) == ["equal"] * POOL + ["no answer"] * (len(NAMES) - POOL)
    notes = [c.note for c in report.comparisons]
    assert notes[POOL] == "other refused: NotImplementedError: no pooling" and not any(notes[POOL + 1 :])
    assert not report.equal and report.failures == {}


def test_a_runtime_without_any_answer() -> None:
    def broken(content: bytes, inputs: list[Any]) -> list[Any]:
        raise OSError("cable unplugged")

    report = compared(broken)
    assert report.failures == {"other": "other refused: OSError: cable unplugged"} and not report.equal
    with pytest.raises(rq.RuntimeFailedError, match="nothing to compare with: other refused: OSError: cable"):
        compared(broken, against="other")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda outputs: outputs[1:], "other gave 0 outputs, the model has 1"),
        (lambda outputs: [outputs[0].astype(np.float32)], r"output 0 \(.*\) should be int8, it is float32"),
        (lambda outputs: ["garbage"], "should be int8, it is <U7"),
        (lambda outputs: None, "should be int8, it is object"),
    ],
)
def test_answers_that_are_none(answer: Any, message: str) -> None:
    report = compared(lambda content, inputs: answer(run(content, inputs)[:1]))
    assert re.search(message, report.failures["other"])


def test_an_answer_of_another_shape() -> None:
    report = compared(lambda content, inputs: [output.reshape(-1) for output in run(content, inputs)])
    assert report.comparisons[0].verdict == "begins here"
    assert report.comparisons[0].note == "shape (1024,) instead of (1, 8, 8, 16)"
    assert report.comparisons[0].different == report.comparisons[0].elements


def test_kernels_that_only_the_whole_model_has_are_not_called_handed_down() -> None:
    wrong = wrong_in("MAX_POOL_2D", "SOFTMAX")

    def fusing(content: bytes, inputs: list[Any]) -> list[Any]:
        """SOFTMAX alone is right."""
        return (wrong if len(operators_of(content)) > 1 else run)(content, inputs)

    report = compared(fusing)
    last = report.comparisons[NAMES.index("SOFTMAX")]
    assert last.verdict == "unclear" and "alone the operator gives other bits in other" in last.note

    report = rq.compare(DIGITS_INT8, {"fusing": fusing, "reference": "reference"}, number_of_samples=2)
    last = report.comparisons[NAMES.index("SOFTMAX")]
    assert last.verdict == "unclear" and "alone the operator gives other bits in fusing" in last.note


def test_kernels_that_hang_on_what_is_asked_for_are_noted() -> None:
    wrong = wrong_in("SOFTMAX")

    def shy(content: bytes, inputs: list[Any]) -> list[Any]:
        outputs = rq.Model.read(content).subgraphs[0].outputs
        return (wrong if outputs is not None and len(outputs) == 1 else run)(content, inputs)

    report = compared(shy)
    assert set(verdicts(report)) == {"equal"}
    assert "other gives other outputs when no intermediate tensors are asked for: 10 of 10 elements" in report.notes[0]


def test_floats_in_units_in_the_last_place() -> None:
    def next_up(content: bytes, inputs: list[Any]) -> list[Any]:
        return [np.nextafter(output, np.float32(np.inf)) for output in run(content, inputs)]

    first = compared(next_up, DIGITS_FLOAT).comparisons[0]
    assert (first.different, first.steps, first.unit, first.verdict) == (first.elements, 1, "ULP", "begins here")


def test_distances_by_hand() -> None:
    x = np.float32([0.0, 1.0, np.nan, -1e-45])
    assert difference(x, x).different == 0
    found = difference(x, np.float32([-0.0, 1.0, np.nan, 1e-45]))
    assert (found.different, found.steps) == (2, 2)  # the sign of a zero, and from one subnormal over zero to the next
    assert difference(x, np.float32([0.0, 1.0, 3.0, 0.0])).steps == np.inf
    halves = np.array([0x3F80, 0x4000], np.uint16), np.array([0x3F82, 0x4000], np.uint16)
    found = difference(*halves, bfloat16=True)
    assert (found.different, found.steps, found.absolute) == (1, 2, 2**-6)
    wide = np.array([2**63 - 1]), np.array([-(2**63)])
    assert difference(*wide).steps == 2**64 - 1


def branches() -> rq.Model:
    """y = (x + 1) + (x + 2), and z = (x + 2) + 3."""
    x = TensorSpec(TensorType.INT32, (4,), name="x")
    constants = [TensorSpec(TensorType.INT32, data=np.array([n], np.int32), name=f"c{n}") for n in (1, 2, 3)]
    made = [TensorSpec(TensorType.INT32, (4,), name=name) for name in ("a", "b", "y", "z")]
    pairs = (([0, 1], 4), ([0, 2], 5), ([4, 5], 6), ([5, 3], 7))
    operators = [OperatorSpec("ADD", inputs, [output], AddOptions()) for inputs, output in pairs]
    return model_of(SubgraphSpec([x, *constants, *made], operators, [0], [6, 7]))


def test_cuts_hold_what_they_need() -> None:
    model = branches()
    graph = Graph(model)
    assert graph.leading_to([3]) == [1, 3] and graph.leading_to([2]) == [0, 1, 2]
    assert graph.frontier(0) == [4] and graph.frontier(1) == [4, 5] and graph.frontier(2) == [5, 6]
    cut = cut_out(model, [3], [7])
    assert list(cut.inputs) == [5]
    names = [tensor.name for tensor in cut.model.subgraphs[0].tensors or ()]
    assert names == ["c3", "b", "z"] and len(cut.model.root.buffers or ()) == 2
    (result,) = run(cut.model.tobytes(), [np.array([10, 20, 30, 40], np.int32)])
    assert result.tolist() == [13, 23, 33, 43]
    both = cut_out(model, graph.leading_to([2]), [6, 5])
    a, b = run(both.model.tobytes(), [np.array([10, 20, 30, 40], np.int32)])
    assert a.tolist() == [23, 43, 63, 83] and b.tolist() == [12, 22, 32, 42]


def test_weights_that_are_computed_stay_weights() -> None:
    half = TensorSpec(TensorType.FLOAT16, data=np.float16([1, 2]), name="half")
    others = [TensorSpec(TensorType.FLOAT32, (2,), name=name) for name in ("x", "weights", "y")]
    operators = [OperatorSpec("DEQUANTIZE", [0], [2]), OperatorSpec("ADD", [1, 2], [3], AddOptions())]
    model = model_of(SubgraphSpec([half, *others], operators, [1], [3]))
    cut = cut_out(model, [1], [3])
    assert list(cut.operators) == [0, 1] and list(cut.inputs) == [1]
    report = compared(run, model)
    assert verdicts(report) == ["not asked", "equal"] and report.equal
    assert Graph(model).asked == [3] and Graph(model).shown == [2, 3]


def test_every_operator_of_the_bundled_models_alone() -> None:
    for path in (DIGITS_INT8, DIGITS_FLOAT):
        model = rq.Model.read(path)
        interpreter = rq.Interpreter(model=model)
        interpreter.allocate_tensors()
        (sample,) = converted_samples(model, None, 1, 3)
        for detail, array in zip(interpreter.get_input_details(), sample):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        graph = Graph(model)
        for i, written in enumerate(graph.writes):
            cut = cut_out(model, [i], written)
            again = rq.Model.read(cut.model.tobytes())
            results = run(again.tobytes(), [interpreter.get_tensor(t) for t in cut.inputs])
            for t, result in zip(written, results):
                np.testing.assert_array_equal(result, interpreter.get_tensor(t))


def through_a_variable() -> rq.Model:
    """y = 1 + v, after 2 * x was assigned to v."""
    x = TensorSpec(TensorType.INT32, (4,), name="x")
    constants = [TensorSpec(TensorType.INT32, data=np.array([n], np.int32), name=f"c{n}") for n in (1, 2)]
    handle = TensorSpec(TensorType.RESOURCE, (1,), name="handle")
    made = [TensorSpec(TensorType.INT32, (4,), name=name) for name in ("product", "read", "y")]
    operators = [
        OperatorSpec("VAR_HANDLE", [], [3], VarHandleOptions(container="", shared_name="v")),
        OperatorSpec("MUL", [0, 2], [4], MulOptions()),
        OperatorSpec("ASSIGN_VARIABLE", [3, 4], [], AssignVariableOptions()),
        OperatorSpec("READ_VARIABLE", [3], [5], ReadVariableOptions()),
        OperatorSpec("ADD", [5, 1], [6], AddOptions()),
    ]
    return model_of(SubgraphSpec([x, *constants, handle, *made], operators, [0], [6]))


def test_differences_that_go_through_a_variable_are_not_said_to_begin_where_it_is_read() -> None:
    report = compared(wrong_in("MUL"), through_a_variable())
    assert [(c.tensor, c.verdict) for c in report.comparisons] == [
        ("product", "begins here"),
        ("read", "unclear"),
        ("y", "handed down"),
    ]
    assert "is a RESOURCE, which no input of a model can hold" in report.comparisons[1].note
    found = rq.bisect(through_a_variable(), wrong_in("MUL"), number_of_samples=1)
    assert found.index == 1 and found.tensor == "product"


def test_operators_that_refquant_does_not_know() -> None:
    """Two runtimes that do know it are compared all the same."""
    x, y = (TensorSpec(TensorType.INT8, (4,), name=name) for name in "xy")
    model = model_of(SubgraphSpec([x, y], [OperatorSpec("Mystery", [0], [1])], [0], [1]))
    given = {"one": lambda content, inputs: inputs, "two": lambda content, inputs: [inputs[0] ^ 1]}
    report = rq.compare(model, given, number_of_samples=1)
    assert [(c.operator, c.verdict) for c in report.comparisons] == [("operator 0 (Mystery)", "begins here")]
    report = rq.compare(model, {**given, "ours": "reference"}, number_of_samples=1)
    assert "refquant has no kernel of this operator" in report.failures["ours"]


def test_words() -> None:
    with pytest.raises(
        rq.InvalidInputError, match="there is no runtime 'toaster': choose from refquant's profiles ref"
    ):
        rq.compare(DIGITS_INT8, ["reference", "toaster"])
    with pytest.raises(rq.InvalidInputError, match="tensorflow has no kernels 'fast': choose one of reference, opt"):
        rq.compare(DIGITS_INT8, ["reference", "tensorflow:fast"])
    with pytest.raises(rq.InvalidInputError, match="at least two"):
        rq.compare(DIGITS_INT8, ["reference"])
    with pytest.raises(rq.InvalidInputError, match="named twice: reference"):
        rq.compare(DIGITS_INT8, ["reference", "reference"])
    with pytest.raises(rq.InvalidInputError, match="sample 0 holds 2 arrays, the model has 1 input"):
        compared(run, samples=[[np.zeros(1), np.zeros(1)]])
    words = default_runtimes()
    assert words[0] == "reference" and ("tensorflow" in words) == is_installed("tensorflow")


def test_what_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "is_installed", lambda name: False)
    report = rq.compare(DIGITS_INT8, ["reference", "litert", "micro"], number_of_samples=1)
    assert report.failures == {"litert": "litert is not installed: python -m pip install ai-edge-litert"}
    assert not report.equal and {c.runtime for c in report.comparisons} == {"micro"}


FUNCTIONS = """
import os, time
from tests.audit.wrong_runtimes import run, wrong_in

right, wrong = run, wrong_in("MAX_POOL_2D")

def hang(model, inputs):
    time.sleep(60)

def die(model, inputs):
    os.abort()
"""


def test_functions_by_name_run_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_for_this_test.py").write_text(FUNCTIONS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    words = {name: f"made_for_this_test:{name}" for name in ("right", "wrong", "hang", "die", "missing")}
    report = rq.compare(DIGITS_INT8, {"reference": "reference", **words}, number_of_samples=1, timeout=2)
    assert {c.verdict for c in report.of("right")} == {"equal"}
    assert report.of("wrong")[POOL].verdict == "begins here"
    assert report.failures["hang"] == "hang gave no answer in 2 seconds"
    assert report.failures["die"].startswith("die died: SIGABRT")
    assert "missing cannot be started: AttributeError" in report.failures["missing"]


SCRIPT = """
import sys, time

how, model, inputs, outputs = sys.argv[1:]
if how == "hang":
    time.sleep(60)
if how == "fail":
    sys.exit("the board is on fire")
if how == "garbage":
    open(outputs, "w").write("42")
if how in ("garbage", "nothing"):
    sys.exit()

import numpy as np
import refquant as rq
from tests.audit.wrong_runtimes import run

with open(model, "rb") as file:
    content = file.read()
if how == "raw":
    detail = rq.Interpreter(model_content=content).get_input_details()[0]
    array = np.fromfile(inputs, detail["dtype"]).reshape(detail["shape"])
else:
    array = np.load(inputs)["input_0"]
results = run(content, [array])
if how == "raw":
    with open(outputs, "wb") as file:
        file.write(b"".join(r.tobytes() for r in results))
else:
    np.savez(outputs, **{f"output_{i}": r for i, r in enumerate(results)})
"""


def command_of(tmp_path: Path, how: str, files: str = "{inputs} {outputs}") -> Command:
    script = tmp_path / "run me.py"
    script.write_text(SCRIPT)
    return Command(f"'{sys.executable}' '{script}' {how} {{model}} {files}", 1 if how == "hang" else 60)


@pytest.mark.parametrize("how", ["plain", "raw"])
def test_commands(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    command = command_of(tmp_path, how, "{raw_inputs} {raw_outputs}" if how == "raw" else "{inputs} {outputs}")
    report = rq.compare(DIGITS_INT8, {"reference": "reference", "board": command}, number_of_samples=1)
    assert report.failures == {} and verdicts(report) == ["equal"] * len(NAMES)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "board: exit status 1; the board is on fire"),
        ("nothing", "board: it ended well but wrote no file of outputs"),
        ("garbage", "board: its file of outputs is no .npz or .npy file of plain arrays"),
        ("hang", "board: gave no answer in 1 seconds"),
    ],
)
def test_commands_that_misbehave(tmp_path: Path, how: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    model = cut_out(branches(), [0], [4]).model
    report = rq.compare(model, {"reference": "reference", "board": command_of(tmp_path, how)}, number_of_samples=1)
    assert message in report.failures["board"]


def test_commands_that_cannot_be() -> None:
    report = rq.compare(
        DIGITS_INT8, {"reference": "reference", "board": Command("/nowhere/x {model} {inputs} {outputs}")}
    )
    assert "board: cannot be started: /nowhere/x: No such file" in report.failures["board"]
    for template in ("run {model} {inputs}", "run {inputs} {outputs}", "run 'x {model} {inputs} {outputs}"):
        with pytest.raises(rq.InvalidInputError, match="the command"):
            Command(template)
