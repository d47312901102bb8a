"""The first operator where a runtime leaves the oracle, and the smallest model that shows it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.audit import Bisection
from refquant.data import DIGITS_INT8
from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.tflite.schema import AddOptions, MulOptions, SubOptions, TensorType
from tests.audit.wrong_runtimes import Runtime, operators_of, run, wrong_in

NAMES = operators_of(DIGITS_INT8.read_bytes())
POOL, SOFTMAX = NAMES.index("MAX_POOL_2D"), NAMES.index("SOFTMAX")


def bisected(runtime: Any, model: Any = DIGITS_INT8, **more: Any) -> Bisection:
    return rq.bisect(model, runtime, name="other", **{"number_of_samples": 2, **more})


def one_output(runtime: Runtime) -> Runtime:
    def limited(content: bytes, inputs: list[Any]) -> list[Any]:
        assert len(rq.Model.read(content).subgraphs[0].outputs) == 1, "one output only"  # type: ignore[arg-type]
        return runtime(content, inputs)

    return limited


@pytest.mark.parametrize("operator", ["CONV_2D", "MAX_POOL_2D", "SOFTMAX"])
def test_the_first_operator_that_differs(operator: str) -> None:
    found = bisected(wrong_in(operator))
    assert found.index == NAMES.index(operator) and found.operator == f"operator {found.index} ({operator})"
    assert found.difference is not None and found.difference.steps == 1 and found.sample == 0
    made = found.reproduction
    assert made is not None and made.reproduces and list(made.operators) == [found.index]
    assert operators_of(made.model.tobytes()) == [operator]
    np.testing.assert_array_equal(made.expected[0] ^ 1, made.actual[0])  # type: ignore[index]


def test_runs_are_halved() -> None:
    """Of one sample: the whole, three halvings of nine operators or four, all before it, twice the operator itself."""
    found = bisected(wrong_in("SOFTMAX"), number_of_samples=1)
    assert found.index == SOFTMAX == 8 and found.runs <= 8


def test_nothing_to_find() -> None:
    found = bisected(run)
    assert found.equal and found.index is None and found.reproduction is None
    assert found.runs == 4  # of each sample the model as it is, and all its tensors


def vanishing() -> rq.Model:
    """y = 0 * (x + 1) - 3: whatever the addition does, nobody sees it."""
    x = TensorSpec(TensorType.INT32, (4,), name="x")
    constants = [TensorSpec(TensorType.INT32, data=np.array([n], np.int32), name=f"c{n}") for n in (1, 0, 3)]
    made = [TensorSpec(TensorType.INT32, (4,), name=name) for name in ("a", "b", "y")]
    operators = [
        OperatorSpec("ADD", [0, 1], [4], AddOptions()),
        OperatorSpec("MUL", [4, 2], [5], MulOptions()),
        OperatorSpec("SUB", [5, 3], [6], SubOptions()),
    ]
    return model_of(SubgraphSpec([x, *constants, *made], operators, [0], [6]))


@pytest.mark.parametrize("limit", [lambda runtime: runtime, one_output])
@pytest.mark.parametrize("wrong", [("ADD",), ("ADD", "SUB")])
def test_differences_that_vanish_again_are_found(limit: Any, wrong: tuple[str, ...]) -> None:
    found = bisected(limit(wrong_in(*wrong)), vanishing())
    assert found.index == 0 and found.tensor == "a" and found.reproduction is not None
    assert list(found.reproduction.operators) == [0]


def test_the_earliest_of_all_samples() -> None:
    """The first sample shows the SOFTMAX, the second an operator before it."""
    late, early = wrong_in("SOFTMAX"), wrong_in("SOFTMAX", "MAX_POOL_2D")
    rows = [[np.zeros((1, 8, 8, 1), np.int8)], [np.ones((1, 8, 8, 1), np.int8)]]

    def runtime(content: bytes, inputs: list[Any]) -> list[Any]:
        return (early if inputs[0].flat[0] == 1 else late)(content, inputs)

    found = bisected(runtime, samples=rows)
    assert (found.index, found.sample) == (POOL, 1)
    assert bisected(runtime, samples=rows[:1]).index == SOFTMAX


def test_fused_operators_are_reproduced_with_their_neighbours() -> None:
    wrong = wrong_in("SOFTMAX")

    def fusing(content: bytes, inputs: list[Any]) -> list[Any]:
        return (wrong if len(operators_of(content)) > 1 else run)(content, inputs)

    found = bisected(fusing)
    assert found.index == SOFTMAX and found.reproduction is not None and found.reproduction.reproduces
    assert list(found.reproduction.operators) == [SOFTMAX - 1, SOFTMAX]
    assert "with what it needs to show the difference: operators 7 (FULLY_CONNECTED), 8 (SOFTMAX)" in (
        found.reproduction.text()
    )


def test_a_runtime_of_moods_is_told_of() -> None:
    wrong, calls = wrong_in("SOFTMAX"), []

    def moody(content: bytes, inputs: list[Any]) -> list[Any]:
        calls.append(len(operators_of(content)))
        return (wrong if len(calls) == 1 else run)(content, inputs)

    found = bisected(moody, number_of_samples=1)
    assert found.index is not None and found.reproduction is not None and not found.reproduction.reproduces
    assert "the runtime does not give the same bits every time" in found.notes[-1]


def test_where_a_runtime_gives_no_answer(tmp_path: Path) -> None:
    def without_pool(content: bytes, inputs: list[Any]) -> list[Any]:
        if "MAX_POOL_2D" in operators_of(content):
            raise NotImplementedError("no pooling")
        return run(content, inputs)

    found = bisected(without_pool)
    assert found.index == POOL and found.failure == "other refused: NotImplementedError: no pooling"
    assert found.reproduction is not None and list(found.reproduction.operators) == [POOL]
    found.reproduction.save(tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "model.tflite",
        "inputs.npz",
        "expected.npz",
        "report.md",
    }
    assert "# MAX_POOL_2D: other gives no answer" in (tmp_path / "report" / "report.md").read_text()


def test_what_is_written_shows_the_difference_again(tmp_path: Path) -> None:
    wrong, folder = wrong_in("MAX_POOL_2D"), tmp_path / "report"
    made = bisected(wrong).reproduction
    assert made is not None
    made.save(folder)
    inputs, expected, actual = (dict(np.load(folder / f"{name}.npz")) for name in ("inputs", "expected", "actual"))
    content = (folder / "model.tflite").read_bytes()
    detail = rq.Interpreter(model_content=content).get_input_details()[0]
    assert list(inputs) == [detail["name"]]
    (array,) = inputs.values()
    np.testing.assert_array_equal(run(content, [array])[0], *expected.values())
    np.testing.assert_array_equal(wrong(content, [array])[0], *actual.values())
    report = rq.compare(folder / "model.tflite", {"reference": "reference", "other": wrong}, samples=[[array]])
    assert [c.verdict for c in report.comparisons] == ["begins here"]
    assert stat.S_IMODE(folder.stat().st_mode) & 0o700 == 0o700
    text = (folder / "report.md").read_text()
    assert "other differs from reference in 256 of 256 elements, by up to 1 LSB." in text
    assert "MAX_POOL_2D, version" in text and "options padding=VALID, stride_w=2" in text


def test_nothing_is_overwritten_unless_told(tmp_path: Path) -> None:
    made = bisected(wrong_in("SOFTMAX")).reproduction
    assert made is not None
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    file.write_text("mine")
    for path in (folder, file):
        with pytest.raises(rq.InvalidInputError, match="is there already"):
            made.save(path)
    with pytest.raises(rq.InvalidInputError, match="is no folder"):
        made.save(file, force=True)
    made.save(folder, force=True)
    assert (folder / "mine.txt").read_text() == "mine" and (folder / "report.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_oracle_without_answer_and_a_runtime_that_is_its_own_oracle() -> None:
    def broken(content: bytes, inputs: list[Any]) -> list[Any]:
        raise OSError("cable unplugged")

    with pytest.raises(rq.RuntimeFailedError, match="broken refused: OSError: cable unplugged"):
        bisected(run, oracle=broken)
    with pytest.raises(rq.InvalidInputError, match="reference cannot leave itself"):
        rq.bisect(DIGITS_INT8, "reference")


def test_an_oracle_that_has_no_answer_for_the_end() -> None:
    def without(operator: str) -> Runtime:
        def runtime(content: bytes, inputs: list[Any]) -> list[Any]:
            if operator in operators_of(content):
                raise NotImplementedError(f"no {operator}")
            return run(content, inputs)

        return runtime

    found = bisected(wrong_in("MAX_POOL_2D", "SOFTMAX"), oracle=without("SOFTMAX"), number_of_samples=1)
    assert found.index == POOL and "not compared from operator 8 on" in found.notes[0]
    found = bisected(wrong_in("SOFTMAX"), oracle=without("SOFTMAX"), number_of_samples=1)
    assert found.index is None and not found.equal and found.compared == 8
    assert "runtime refused: NotImplementedError: no SOFTMAX" in found.notes[0]
    with pytest.raises(rq.RuntimeFailedError, match="no CONV_2D"):
        bisected(run, oracle=without("CONV_2D"))


def test_another_oracle() -> None:
    found = bisected("reference", oracle=one_output(wrong_in("MAX_POOL_2D")))
    assert found.index == POOL and found.oracle == "limited"
