"""The README is true: its list of operators, its example, the commands that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import refquant.interpreter  # whose kernels register themselves  # noqa: F401
from refquant.kernels.registry import known_operators

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_operators() -> None:
    match = re.search(r"<!-- operators -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert match
    assert re.findall(r"\w+", match[1]) == [name for name, is_custom in known_operators() if not is_custom]


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    match = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert match
    (tmp_path / "refquant").symlink_to(ROOT / "refquant")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(match[1], names)
    assert names["report"].clean and names["report"].findings == []
    assert (tmp_path / "copy.tflite").stat().st_size > 10_000


def test_files() -> None:
    for name in re.findall(r"\]\((\w+\.md)\)|`((?:refquant|schema)/[\w/.]*)`", README):
        assert (ROOT / "".join(name)).exists(), name
