"""`refquant compare` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.runtimes.cut import Graph, cut_out
from refquant.tflite.model import Model
from tests.audit.wrong_runtimes import operators_of

NAMES = operators_of(DIGITS_INT8.read_bytes())


def test_profiles_side_by_side(refquant: Any) -> None:
    result = refquant("compare", DIGITS_INT8, "--runtimes", "reference,micro", "--data", DIGITS_SAMPLES, "--samples", 2)
    assert "on 2 samples, compared with reference" in result.out and "profile micro" in result.out
    assert result.status in (0, 1) and all(f"{i} ({name})" in result.out for i, name in enumerate(NAMES))
    assert max(map(len, result.out.splitlines()[1:])) <= 80


def test_a_command_and_json(refquant: Any, tmp_path: Path) -> None:
    script = tmp_path / "board.py"
    script.write_text(
        "import sys, numpy as np\n"
        "np.save(open(sys.argv[3], 'wb'), np.load(sys.argv[2])['input_0'][..., :1].astype(np.float32))\n"
    )
    command = f"board={sys.executable} {script} {{model}} {{inputs}} {{outputs}}"
    model = tmp_path / "first.tflite"
    cut_out(Model.read(DIGITS_FLOAT), [0], Graph(Model.read(DIGITS_FLOAT)).writes[0]).model.write(model)
    result = refquant("compare", model, "--command", command, "--samples", 1, "--json")
    report = json.loads(result.out)
    assert result.status == 1 and not report["equal"] and report["against"] == "reference"
    first = report["comparisons"][0]
    assert first["runtime"] == "board" and first["verdict"] == "begins here"
    assert first["note"] == "shape (1, 8, 8, 1) instead of (1, 8, 8, 16)"


def test_equal_runtimes_end_with_status_0(refquant: Any) -> None:
    function = "same=tests.audit.wrong_runtimes:run"
    result = refquant("compare", DIGITS_INT8, "--callable", function, "--samples", 1)
    assert result.status == 0 and f"{len(NAMES)} of {len(NAMES)}" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--runtimes", "reference,toaster"],
            "there is no runtime 'toaster': choose from refquant's profiles reference",
        ),
        (["--runtimes", "reference"], "give at least two runtimes"),
        (["--runtimes", "reference,reference"], "reference is named twice"),
        (["--callable", "numpy"], "give package.module:function"),
        (["--command", "run {model}"], "give NAME=COMMAND"),
        (["--command", "board=run {model}"], "must name {model}, {inputs} or"),
        (["--runtimes", "reference,micro", "--against", "x"], "'x' is none of the runtimes: reference, micro"),
    ],
)
def test_bad_usage(refquant: Any, arguments: list[str], message: str) -> None:
    result = refquant("compare", DIGITS_INT8, *arguments)
    assert result.status == 2 and message in result.err


def test_data_that_does_not_fit(refquant: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 9, 9, 1), np.int8))
    result = refquant("compare", DIGITS_INT8, "--runtimes", "reference,micro", "--data", tmp_path / "x.npy")
    assert result.status == 2 and "takes shape (1, 8, 8, 1)" in result.err
