"""`refquant prune`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refquant import data
from refquant.cli import main
from refquant.compression.pruning import is_pruned_m_by_n
from refquant.compression.weights import find_weights
from refquant.tflite.model import Model


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["prune", *arguments])
    return int(end.value.code or 0)


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "pruned.tflite"
    assert run(str(data.DIGITS_FLOAT), "--sparsity", "0.75", "-o", str(output)) == 0
    printed = capsys.readouterr().out
    assert "75.00%" in printed and "Left alone" in printed and "zstd" in printed
    (*_, last), _ = find_weights(Model.read(output))
    assert (last.array == 0).mean() == 0.75


def test_json_and_patterns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--operator", "*dense*=0.5", "--operator", "CONV_2D", "--sparsity", "0.25", "--json")
    assert run(str(data.DIGITS_FLOAT), *arguments, "-o", str(tmp_path / "p.tflite")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [entry["sparsity"] for entry in answer["pruned"]] == [0.25, 0.25, 0.25, 0.5]
    assert answer["sizes"]["gzip"]["after"] < answer["sizes"]["gzip"]["before"]


def test_m_by_n(tmp_path: Path) -> None:
    output = tmp_path / "p.tflite"
    assert run(str(data.DIGITS_FLOAT), "--m-by-n", "2:4", "-o", str(output)) == 0
    assert all(is_pruned_m_by_n(weight.array, (2, 4), "C_IN") for weight in find_weights(Model.read(output))[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --sparsity or --m-by-n"),
        (("--sparsity", "0.5", "--m-by-n", "2:4"), "give either --sparsity or --m-by-n"),
        (("--sparsity", "1"), "[0, 1)"),
        (("--filters", "1"), "fraction must be in [0, 1)"),
        (("--filters", "0.5", "--block", "4x1"), "--filters removes whole filters: leave --block out"),
        (("--m-by-n", "4:2"), "m must be below n"),
        (("--m-by-n", "2x4"), "give two whole numbers, such as 1:4"),
        (("--sparsity", "0.5", "--operator", "nothing"), "no weight fits 'nothing'"),
        (("--operator", "CONV_2D=x"), "'x' is not a number"),
        (("--operator", "CONV_2D=0.5", "--operator", "*dense*"), "give it a sparsity"),
        (("--sparsity", "0.5", "--operator", "*dense*", "--block", "64x1"), "is larger than shape"),
        (("--sparsity", "0.5", "--operator", "*dense*", "--block", "4x1", "--pooling", "sum"), "'AVG' or 'MAX'"),
    ],
)
def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    output = tmp_path / "p.tflite"
    assert run(str(data.DIGITS_FLOAT), *arguments, "-o", str(output)) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1
    assert not output.exists()


def test_sparse_encoding_gives_a_smaller_file_with_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense, encoded = tmp_path / "dense.tflite", tmp_path / "encoded.tflite"
    assert run(str(data.DIGITS_FLOAT), "--sparsity", "0.75", "-o", str(dense)) == 0
    assert run(str(data.DIGITS_FLOAT), "--sparsity", "0.75", "--sparse-encoding", "-o", str(encoded)) == 0
    assert "encoded" in capsys.readouterr().out
    assert encoded.stat().st_size < dense.stat().st_size
    model = Model.read(encoded)
    assert "DENSIFY" in [model.operator_name(operator) for operator in model.subgraphs[0].operators or ()]
    before = {
        tensor.name: Model.read(dense).constant(tensor) for tensor in Model.read(dense).subgraphs[0].tensors or ()
    }
    sparse = [tensor for tensor in model.subgraphs[0].tensors or () if tensor.sparsity is not None]
    assert sparse
    for tensor in sparse:
        assert (model.constant(tensor) == before[tensor.name]).all()


def test_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A schedule to 0.5 in three steps keeps no more than the half; and NaN is no power."""
    arguments = (
        "--sparsity",
        "0.5",
        "--schedule",
        "polynomial",
        "--steps",
        "3",
        "--initial-sparsity",
        "0.1",
        "--power",
        "1",
        "--json",
    )
    assert run(str(data.DIGITS_FLOAT), *arguments, "-o", str(tmp_path / "p")) == 0
    assert all(entry["reached"] >= 0.5 for entry in json.loads(capsys.readouterr().out)["pruned"])
    assert run(str(data.DIGITS_FLOAT), *arguments[:-1], "--power", "nan", "-o", str(tmp_path / "q")) == 2
    assert run(str(data.DIGITS_FLOAT), "--m-by-n", "2:4", *arguments[2:4], "-o", str(tmp_path / "q")) == 2


def test_filters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "smaller.tflite"
    arguments = ("--filters", "0.25", "--operator", "CONV_2D", "--operator", "*dense*=0.5", "-o", str(output))
    assert run(str(data.DIGITS_INT8), *arguments) == 0
    printed = capsys.readouterr().out
    assert "filters before" in printed and "digit_1/MatMul of FULLY_CONNECTED: its channels reach SOFTMAX" in printed
    assert run(str(data.DIGITS_INT8), *arguments, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(entry["before"], entry["after"]) for entry in answer["pruned"]] == [(16, 12)] * 2 + [(32, 24), (32, 16)]
    assert answer["sizes"]["raw"]["after"] == output.stat().st_size < answer["sizes"]["raw"]["before"]
