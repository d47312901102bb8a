"""`python -m benchmarks`: it measures the bundled model, and what it writes is what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import growth, memory, sections, speed_table
from benchmarks.chosen import sample_for
from benchmarks.fast_error import FastError, fast_error
from benchmarks.speed import Measured, Row
from refquant.data import DIGITS_FLOAT, DIGITS_INT8
from refquant.errors import RuntimeFailedError
from refquant.runtimes import is_installed, open_runtime
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite.model import Model
from refquant.tflite.schema import FullyConnectedOptions, TensorType

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "REFQUANT_MODELS"}
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.oracle
@pytest.mark.skipif(not is_installed("tensorflow"), reason="tensorflow is not installed")
def test_speed(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    bundled = ROOT / "refquant/data/digits_int8.tflite"
    text = run(
        str(bundled), "--seconds", "0.02", "--rounds", "2", "--json", str(path), "--markdown", "--against", "reference"
    )
    found = json.loads(path.read_text())
    (row,) = found["rows"]
    assert (row["model"], row["mode"], row["equal"], row["refusals"]) == ("digits_int8", "integer", "yes", {})
    assert row["convolutional"] and row["bytes"] == DIGITS_INT8.stat().st_size
    for measured in (row["ours"], *row["theirs"].values()):
        assert 0 < measured["best"] <= measured["median"] and measured["planning"] > 0 and measured["invokes"] >= 2
    assert list(row["theirs"]) == ["reference"]
    assert row["memory"]["peak"] >= row["memory"]["live"] > 28 * 28
    mean = found["summary"]["geometric means"]["integer"]["reference / refquant"]
    assert mean == {
        "geometric mean": pytest.approx(row["theirs"]["reference"]["best"] / row["ours"]["best"]),
        "models": 1,
    }
    assert found["machine"]["numpy"] == np.__version__ and found["settings"]["threads"] == 1
    line = next(line for line in text.splitlines() if line.startswith("| digits_int8"))
    assert line.split(" | ")[3] == f"{1e3 * row['ours']['best']:.3f}"


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["litert", "micro"])
def test_timings_of_other_runtimes(name: str) -> None:
    """Those that `test_speed` does not ask."""
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    model = Model.read(DIGITS_INT8)
    with open_runtime(name) as runtime:
        found = runtime.timings(model, [np.zeros((1, 8, 8, 1), np.int8)], seconds=0.01, threads=2)
        with pytest.raises(RuntimeFailedError):
            runtime.timings(b"no model", [], seconds=0.01)
    assert 0 < found.planning < 10
    assert len(found.invoke) > 1 and all(0 < seconds < 10 for seconds in found.invoke)
    assert sum(found.invoke[:-1]) < 0.01


def test_profile() -> None:
    text = run("profile", str(DIGITS_INT8), "--seconds", "0.02")
    assert "**digits_int8** (integer)" in text and "| CONV_2D | " in text


def test_summary() -> None:
    def measured(best: float) -> Measured:
        return Measured(best, best, 0.0, 1)

    def row(name: str, mode: str, ours: float, reference: float, *, kernels: str = "reference") -> Row:
        theirs = {kernels: measured(reference), "optimized": measured(ours / 2)}
        convolutional = name != "no convolution"
        found = Row(name, mode, kernels, convolutional, bytes=1, threads=1, ours=measured(ours), theirs=theirs)
        found.memory = memory.Memory(live=1 << 20, peak=4 << 20 if name == "b" else 3 << 20, planned=0, constants=0)
        return found

    rows = [
        row("a", "integer", 0.001, 0.002),
        row("b", "integer", 0.001, 0.008, kernels="micro"),
        row("no convolution", "integer", 0.001, 0.1),
        row("slow", "exact", 0.004, 0.003),
        row("small", "exact", 0.004, 0.0009),
    ]
    found = speed_table.summary(rows)
    means = found["geometric means"]
    assert means["integer"]["reference / refquant"] == {"geometric mean": pytest.approx(4.0), "models": 2}
    assert means["integer"]["refquant / optimized"] == {"geometric mean": pytest.approx(2.0), "models": 2}
    assert means["integer, over 1 ms"]["reference / refquant"]["models"] == 2
    assert means["exact"]["reference / refquant"]["models"] == 2
    assert means["exact, over 1 ms"]["reference / refquant"] == {"geometric mean": pytest.approx(0.75), "models": 1}
    assert "fast" not in means and "refquant / XNNPACK" not in means["integer"]
    assert found["slower than the reference"] == ["slow (exact)"]
    assert found["memory"] == ["b (integer) 4.0"]


def test_live_bytes() -> None:
    """Of x (4 bytes) -> a -> b -> c, b and the input are alive with a, then with c; d holds a to the end."""
    tensors = [TensorSpec(TensorType.FLOAT32, (size,)) for size in (1, 1, 1, 1)]
    constant = TensorSpec(TensorType.FLOAT32, data=np.ones(3, np.float32))
    tensors += [constant, TensorSpec(TensorType.FLOAT32, (3,))]
    steps = [
        OperatorSpec("RELU", [0], [1]),
        OperatorSpec("RELU", [1], [2]),
        OperatorSpec("RELU", [2], [3]),
        OperatorSpec("ADD", [3, 4], [5]),
    ]
    model = model_of(SubgraphSpec(tensors, steps, [0], [5]))
    sample = [np.ones(1, np.float32)]
    assert memory.tensor_bytes(model, sample) == (4 * (1 + 1 + 3), 4 * 3)
    found = memory.measure(model, sample)
    assert found.live <= found.peak < found.planned and found.ratio == found.peak / 20


def test_exponent_of_growth() -> None:
    assert growth.exponent([1, 2, 4, 8], [5, 10, 20, 40]) == 1.0


def test_sections(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- speed -->\nold\n<!-- end -->\nafter\n<!-- other -->\nkept\n<!-- end -->\n")
    sections.replace(path, "speed", r"new \1")
    expected = "before\n<!-- speed -->\nnew \\1\n<!-- end -->\nafter\n<!-- other -->\nkept\n<!-- end -->\n"
    assert path.read_text() == expected
    with pytest.raises(ValueError, match="0 sections 'none'"):
        sections.replace(path, "none", "")


@pytest.mark.parametrize("name", ["speed", "growth", "profile"])
def test_pages_have_their_sections(name: str) -> None:
    assert f"<!-- {name} -->\n" in sections.PROFILE.read_text()


def test_fast_error() -> None:
    """Of sums in another order, and none where a sum has but one product."""
    digits = Model.read(DIGITS_FLOAT)
    found = fast_error(digits, sample_for(digits))
    assert 0 < found.of_bound < 2 and 0 < found.ulp < 2**20 and 0 < found.relative < 1e-5
    model = single_operator_model(
        "FULLY_CONNECTED",
        [TensorSpec(TensorType.FLOAT32, (1, 1)), TensorSpec(TensorType.FLOAT32, data=np.ones((5, 1), np.float32))],
        [TensorSpec(TensorType.FLOAT32, (1, 5))],
        FullyConnectedOptions(),
    )
    assert fast_error(model, [np.float32([[3]])]) == FastError(0, 0.0, 0.0)
