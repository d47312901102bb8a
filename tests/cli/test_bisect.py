"""`refquant bisect` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refquant.data import DIGITS_INT8, DIGITS_SAMPLES

FUNCTIONS = """
from tests.audit.wrong_runtimes import run, wrong_in

wrong = wrong_in("MAX_POOL_2D")
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "functions_of_bisect.py").write_text(FUNCTIONS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")


@pytest.mark.usefixtures("functions")
def test_a_difference_and_its_reproduction(refquant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "report"
    arguments = ["bisect", DIGITS_INT8, "--callable", "mine=functions_of_bisect:wrong", "-o", folder]
    result = refquant(*arguments, "--data", DIGITS_SAMPLES, "--samples", 2)
    assert result.status == 1 and "mine leaves reference at operator 4 (MAX_POOL_2D)" in result.out
    assert "operator 4 alone: 256 of 256 elements, by up to 1 LSB" in result.out
    again = (
        "refquant compare model.tflite --data inputs.npz --runtimes reference --callable mine=functions_of_bisect:wrong"
    )
    assert again in (folder / "report.md").read_text()
    monkeypatch.chdir(folder)
    result = refquant(*again.split()[1:])
    assert result.status == 1 and "256     256     1 LSB  begins here" in result.out
    result = refquant(*arguments)
    assert result.status == 2 and "is there already; --force writes into it" in result.err
    result = refquant(*arguments, "--force", "--json", "--samples", 1)
    report = json.loads(result.out)
    assert (report["index"], report["written_to"], report["reproduction"]["operators"]) == (4, str(folder), [4])


@pytest.mark.usefixtures("functions")
def test_no_difference(refquant: Any, tmp_path: Path) -> None:
    arguments = ["bisect", DIGITS_INT8, "--callable", "functions_of_bisect:run", "--samples", 1]
    result = refquant(*arguments, "-o", tmp_path / "report")
    assert result.status == 0 and "All 9 operators give the same bits" in result.out
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one runtime: --runtime, --callable or --command"),
        (["--runtime", "micro", "--callable", "a:b"], "give one runtime"),
        (["--runtime", "toaster"], "there is no runtime 'toaster'"),
        (["--runtime", "reference"], "reference cannot leave itself"),
        (["--runtime", "micro", "-o", "/nowhere/at/all"], "there is no directory /nowhere/at"),
        (["--runtime", "nothing.of.this:name"], "cannot be started: ModuleNotFoundError"),
    ],
)
def test_bad_usage(refquant: Any, arguments: list[str], message: str) -> None:
    result = refquant("bisect", DIGITS_INT8, *arguments)
    assert result.status == 2 and message in result.err
