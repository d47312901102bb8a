"""`refquant compress`: the table of prune, cluster, quantize."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refquant import data
from refquant.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["compress", str(data.DIGITS_FLOAT), *arguments])
    return int(end.value.code or 0)


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "small.tflite"
    arguments = ("--sparsity", "0.5", "--clusters", "16", "-m", "int8", "-s", str(data.DIGITS_SAMPLES))
    assert run(*arguments, "-o", str(output)) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[:5]] == [
        "model",
        "original",
        "pruned",
        "clustered",
        "quantized,",
    ]
    assert "accuracy" in printed and "has its own scale" in printed and output.exists()


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--clusters", "8", "--mode", "dynamic", "--json", "-o", str(tmp_path / "o")) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["model"] for step in steps] == ["original", "clustered", "quantized, dynamic"]
    assert steps[1]["values"] == 8 and steps[0]["accuracy"] is None
    assert steps[1]["sizes"]["gzip"] < steps[0]["sizes"]["gzip"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to do"),
        (("--mode", "int8"), "needs representative samples"),
        (("--sparsity", "1.5"), "sparsity must be in [0, 1)"),
        (("--clusters", "8", "--calibration", "0"), "calibration_samples must be 1 or more"),
    ],
)
def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    assert run(*arguments, "-o", str(tmp_path / "o")) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "o").exists()
