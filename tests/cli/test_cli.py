"""The command line as a user meets it: what it prints, what it writes, how it refuses, its exit status."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import ReshapeOptions, TensorType


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def test_help_names_every_command(refquant: Any) -> None:
    result = refquant("--help")
    assert result.status == 0 and all(name in result.out for name in ("inspect", "run", "audit"))
    for name in ("inspect", "run", "audit"):
        assert refquant(name, "--help").status == 0


def test_unknown_commands_and_options_are_bad_usage(refquant: Any) -> None:
    assert refquant("dance").status == 2
    assert refquant("inspect", DIGITS_INT8, "--loudly").status == 2
    assert refquant("run").status == 2


def test_inspect_shows_operators_tensors_and_bytes(refquant: Any) -> None:
    result = refquant("inspect", DIGITS_INT8)
    assert result.status == 0
    for text in ("CONV_2D", "activation=RELU6", "1x8x8x1", "0.00392157, -128", "15.0 kB", "serving_default"):
        assert text in result.out
    table = result.out[result.out.index("Where the bytes are") :]
    assert max(map(len, table.splitlines())) <= 80


def test_inspect_as_json(refquant: Any) -> None:
    facts = json.loads(refquant("inspect", DIGITS_INT8, "--json").out)
    (graph,) = facts["subgraphs"]
    assert [op["name"] for op in graph["operators"]][:2] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert len(graph["tensors"]) == 22


def test_inspect_what_compressors_make_of_it(refquant: Any) -> None:
    content = Path(DIGITS_INT8).read_bytes()
    sizes = json.loads(refquant("inspect", DIGITS_INT8, "--compressed", "--json").out)
    assert sizes["raw"] == len(content) and sizes["gzip"] == len(gzip.compress(content, 9, mtime=0))
    weights = next(row for row in sizes["tensors"] if row["operators"] == ["CONV_2D"] and row["dtype"] == "INT8")
    assert weights["unique_per_channel"] <= weights["unique"] <= weights["sizes"]["raw"]
    result = refquant("inspect", DIGITS_INT8, "--compressed")
    assert result.status == 0 and "CONV_2D" in result.out and "zstd" in result.out
    assert refquant("inspect", DIGITS_INT8, "--compressed", "--tensors").status == 2


def test_run_one_sample(refquant: Any, tmp_path: Path) -> None:
    x = save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    out = tmp_path / "out.npz"
    result = refquant("run", DIGITS_INT8, "--input", x, "--output", out)
    assert result.status == 0
    with np.load(out) as arrays:
        (array,) = (arrays[name] for name in arrays.files)
    assert array.shape == (1, 10) and array.dtype == np.int8


def test_run_many_samples_quantizes_when_asked(refquant: Any, tmp_path: Path) -> None:
    with np.load(DIGITS_SAMPLES) as data:
        images, labels = data["image"][:30], data["labels"][:30]
    x = save(tmp_path / "x.npy", images)
    refused = refquant("run", DIGITS_INT8, "--input", x)
    assert refused.status == 2 and "--quantize-inputs" in refused.err
    out = tmp_path / "out.npz"
    assert refquant("run", DIGITS_INT8, "--input", x, "--quantize-inputs", "--output", out).status == 0
    with np.load(out) as arrays:
        (array,) = (arrays[name] for name in arrays.files)
    assert array.shape == (30, 10) and np.mean(array.argmax(axis=1) == labels) > 0.9


@pytest.mark.parametrize(
    ("type", "given", "written"),
    [
        (TensorType.STRING, np.array(["ü", "abc"]), np.array(["ü".encode(), b"abc"])),
        (TensorType.BFLOAT16, np.array([0x3F80, 0xC000], np.uint16), np.array([0x3F80, 0xC000], np.uint16)),
        (TensorType.COMPLEX64, np.complex64([1 + 2j, -1]), np.complex64([1 + 2j, -1])),
    ],
)
def test_run_types_that_files_lack(refquant: Any, tmp_path: Path, type: TensorType, given: Any, written: Any) -> None:
    shape = TensorSpec(TensorType.INT32, data=np.array([2], np.int32))
    model = single_operator_model(
        "RESHAPE", [TensorSpec(type, (2,)), shape], [TensorSpec(type, (2,))], ReshapeOptions()
    )
    model.write(tmp_path / "m.tflite")
    out = tmp_path / "out.npy"
    result = refquant("run", tmp_path / "m.tflite", "--input", save(tmp_path / "x.npy", given), "--output", out)
    assert result.status == 0
    array = np.load(out)
    assert array.dtype == written.dtype and array.tolist() == written.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "too few"),
        (b"<html>" * 9, "web page"),
        (DIGITS_INT8.read_bytes()[:4000], "not a valid model"),
        (os.urandom(500), "not a .tflite model"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "audit", "run"])
def test_bad_models_are_one_line(refquant: Any, tmp_path: Path, command: str, content: Any, message: str) -> None:
    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    extra = ["--input", save(tmp_path / "x.npy", np.zeros(1))] if command == "run" else []
    result = refquant(command, path, *extra)
    assert result.status == 2 and message in result.err
    assert len(result.err.strip().splitlines()) == 1 and result.out == ""


def test_a_directory_is_no_model(refquant: Any, tmp_path: Path) -> None:
    assert refquant("inspect", tmp_path).status == 2


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 8, 8, 2), np.int8),
        np.zeros((0, 8, 8, 1), np.int8),
        np.zeros((1, 8, 8, 1), np.int32),
        np.array(["x"]),
    ],
    ids=["shape", "no samples", "dtype", "text"],
)
def test_bad_inputs_are_refused_and_nothing_is_written(refquant: Any, tmp_path: Path, array: Any) -> None:
    out = tmp_path / "out.npz"
    out.write_bytes(b"precious")
    result = refquant("run", DIGITS_INT8, "--input", save(tmp_path / "x.npy", array), "--output", out)
    assert result.status == 2 and result.err.startswith("refquant: ")
    assert out.read_bytes() == b"precious" and sorted(p.name for p in tmp_path.iterdir()) == ["out.npz", "x.npy"]


def test_pickles_are_refused(refquant: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    result = refquant("run", DIGITS_INT8, "--input", tmp_path / "x.npy")
    assert result.status == 2 and "pickle" in result.err


def test_nan_cannot_be_quantized(refquant: Any, tmp_path: Path) -> None:
    x = save(tmp_path / "x.npy", np.full((1, 8, 8, 1), np.nan, np.float32))
    result = refquant("run", DIGITS_INT8, "--input", x, "--quantize-inputs")
    assert result.status == 2 and "NaN" in result.err


def test_a_place_that_cannot_be_written_to(refquant: Any, tmp_path: Path) -> None:
    x = save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    assert refquant("run", DIGITS_INT8, "--input", x, "--output", tmp_path / "no" / "out.npz").status == 2


def test_audit_of_the_bundled_model(refquant: Any) -> None:
    result = refquant("audit")
    assert result.status == 0 and "0 errors, 0 warnings" in result.out
    assert "float 98.89%, quantized 98.89%" in result.out  # the figures of the README


def test_audit_as_json(refquant: Any) -> None:
    report = json.loads(refquant("audit", "--json", "--samples", 20).out)
    assert report["clean"] is True and report["accuracy"]["samples"] == 20
    assert len(report["tensors"]) == 9


def test_audit_exits_with_1_when_it_finds_something(refquant: Any, tmp_path: Path) -> None:
    content = bytearray(DIGITS_INT8.read_bytes())
    from refquant.tflite.model import Model

    weights = bytes(Model.read(bytes(content)).buffer(13)[:40])
    at = bytes(content).find(weights)
    assert at > 0
    content[at] ^= 1
    (tmp_path / "flipped.tflite").write_bytes(content)
    result = refquant("audit", tmp_path / "flipped.tflite", "--float", DIGITS_FLOAT)
    assert result.status == 1 and "derived-weight" in result.out
    assert "1 error," in result.out


def test_the_module_runs_too() -> None:
    done = subprocess.run([sys.executable, "-m", "refquant", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("refquant 0.")


def test_nothing_of_a_real_runtime_is_imported() -> None:
    code = (
        "import sys, refquant.cli as c\n"
        "try: c.main(['audit', '--samples', '2'])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "bad = {'tensorflow', 'keras', 'ai_edge_litert', 'tflite_micro'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_import_is_quick() -> None:
    """`import refquant` takes under 0.25 s in a process of its own, the best of five."""
    code = "import time; t = time.perf_counter(); import refquant; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(5)
    ]
    assert min(times) < 0.25
