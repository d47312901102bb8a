"""`refquant explain`: what it prints, its JSON, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.data import DIGITS_INT8, DIGITS_SAMPLES

ELEMENT = (DIGITS_INT8, "--tensor", 19, "--index", "0,27", "--profiles", "reference,micro")


def test_41_here_and_42_there(refquant: Any) -> None:
    result = refquant("explain", *ELEMENT, "--data", DIGITS_SAMPLES, "--sample", 182)
    assert result.status == 0 and "inputs of sample 182" in result.out
    (line,) = [line for line in result.out.splitlines() if line.endswith("they part")]
    assert line.split()[:3] == ["rounded", "169", "170"]
    assert "reference: 41, stands for 13.306612 = tensor value" in result.out
    assert "… 20 more" in result.out
    assert "… 20 more" not in refquant("explain", *ELEMENT, "--all").out


def test_as_json(refquant: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.float32))
    result = refquant("explain", *ELEMENT, "--data", f"image={tmp_path / 'x.npy'}", "--json")
    found = json.loads(result.out)
    assert [d["profile"] for d in found["derivations"]] == ["reference", "micro"]
    assert len(found["derivations"][0]["terms"]) == 32 and all(d["is_tensor_value"] for d in found["derivations"])
    assert found["index"] == [0, 27] and found["operator"] == "operator 6 (FULLY_CONNECTED)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tensor", "dense", "--index", "0"], "the nearest are 'functional_1/dense_1"),
        (["--tensor", "19", "--index", "0,32"], "valid are [0, 0] to [0, 31]"),
        (["--tensor", "19", "--index", "0;1"], "give whole numbers with commas"),
        (["--tensor", "19", "--index", "0,1", "--profiles", "fast"], "there is no profile 'fast'"),
        (["--tensor", "19", "--index", "0,1", "--data", DIGITS_SAMPLES, "--sample", "360"], "samples 0 to 359"),
        (["--tensor", "19", "--index", "0,1", "--data", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_bad_input(refquant: Any, arguments: list[str], message: str) -> None:
    result = refquant("explain", DIGITS_INT8, *arguments)
    assert result.status == 2 and message in result.err and result.err.count("\n") == 1
