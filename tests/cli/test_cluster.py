"""`refquant cluster`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from refquant import data
from refquant.cli import main
from refquant.compression.weights import find_weights
from refquant.tflite.model import Model


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["cluster", *arguments])
    return int(end.value.code or 0)


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "clustered.tflite"
    assert run(str(data.DIGITS_FLOAT), "--clusters", "16", "--init", "linear", "-o", str(output)) == 0
    printed = capsys.readouterr().out
    assert "Left alone" in printed and "zstd" in printed
    assert {np.unique(w.array).size for w in find_weights(Model.read(output))[0]} <= set(range(8, 17))


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--clusters", "4", "--init", "random", "--seed", "3", "--operator", "CONV_2D", "--json")
    answers = []
    for name in ("a", "b"):
        assert run(str(data.DIGITS_FLOAT), *arguments, "-o", str(tmp_path / name)) == 0
        answers.append(json.loads(capsys.readouterr().out))
    first, again = (answer["clustered"] for answer in answers)
    assert first == again and [len(entry["centroids"]) for entry in first] == [4, 4, 4]
    assert [entry["reason"] for entry in answers[0]["skipped"]].count("not chosen") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--clusters", "1"), "must be 2 or more"),
        (("--clusters", "2", "--keep-sparsity"), "must be 3 or more"),
        (("--clusters", "4", "--seed", "-1"), "seed must be"),
        (("--clusters", "4", "--operator", "nothing"), "no weight fits 'nothing'"),
    ],
)
def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    output = tmp_path / "out.tflite"
    output.write_bytes(b"as it was")
    assert run(str(data.DIGITS_FLOAT), *arguments, "-o", str(output)) == 2
    assert words in capsys.readouterr().err and output.read_bytes() == b"as it was"
