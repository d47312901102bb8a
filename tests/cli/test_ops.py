"""`refquant ops` and `refquant verify`: the table of operators, its record, its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refquant.kernels.registry import known_operators
from refquant.runtimes import is_installed
from refquant.testing.record import Verification, read_record, update_record


def test_every_operator_has_a_row(refquant: Any) -> None:
    rows = json.loads(refquant("ops", "--json").out)
    assert {row["operator"] for row in rows} == {name for name, _ in known_operators()}


def test_one_operator(refquant: Any) -> None:
    assert "CONV_2D" in refquant("ops", "conv_2d").out
    rows = json.loads(refquant("ops", "conv_2d", "--json").out)
    assert {row["operator"] for row in rows} == {"CONV_2D"}
    profiles = {row["variant"]: row["profiles"] for row in rows}["INT8"]
    assert list(profiles) == ["reference", "optimized", "xnnpack", "micro"]
    assert profiles["reference"]["rounding"] == profiles["micro"]["rounding"] == "double_rounding"
    assert profiles["reference"]["unequal"] == 0 and profiles["reference"]["equal"] >= 20


@pytest.mark.parametrize("command", ["ops", "verify"])
def test_an_operator_that_does_not_exist(refquant: Any, command: str) -> None:
    result = refquant(command, "CONV_9D")
    assert result.status == 2 and "CONV_9D" in result.err


@pytest.mark.oracle
def test_verify_asks_the_real_kernel(refquant: Any) -> None:
    if not is_installed("tensorflow"):
        pytest.skip("tensorflow is not installed: python -m pip install tensorflow")
    result = refquant("verify", "NEG", "--examples", "5", "--json")
    assert result.status == 0
    rows = {row["variant"]: row for row in json.loads(result.out)}
    assert rows["FLOAT32"]["outcomes"] == {"EQUAL": 5} and rows["FLOAT32"]["unequal"] == 0


@pytest.mark.oracle
def test_verify_asks_the_optimized_kernel(refquant: Any) -> None:
    if not is_installed("tensorflow"):
        pytest.skip("tensorflow is not installed: python -m pip install tensorflow")
    result = refquant("verify", "LOGISTIC", "--kernels", "optimized", "--examples", "5", "--json")
    assert result.status == 0
    rows = {row["variant"]: row for row in json.loads(result.out)}
    assert set(rows) == {"BFLOAT16", "FLOAT16", "FLOAT32", "INT16", "INT8", "UINT8"}
    assert rows["FLOAT32"]["kernels"] == "optimized" and rows["FLOAT32"]["outcomes"] == {"EQUAL": 5}


def test_kernels_that_do_not_exist(refquant: Any) -> None:
    result = refquant("verify", "NEG", "--kernels", "fast")
    assert result.status == 2 and "reference, optimized" in result.err


def test_the_record_keeps_what_was_not_verified_anew(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    first = Verification("ADD", "INT8", "tensorflow 1", "reference", {"EQUAL": 3})
    update_record([first, Verification("ADD", "FLOAT32", "tensorflow 1", "reference", {"EQUAL": 3})], path)
    update_record([Verification("ADD", "FLOAT32", "tensorflow 2", "reference", {"EQUAL": 5, "DIFFERENT": 2})], path)
    record = read_record(path)
    assert [(entry.variant, entry.cases, entry.unequal) for entry in record] == [("FLOAT32", 7, 2), ("INT8", 3, 0)]
    assert record[1] == first
