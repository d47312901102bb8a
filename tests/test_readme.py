"""The README is true: its list of operators, its example, the commands that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from refquant.cli import main
from refquant.cli.ops import markdown_table
from refquant.kernels.registry import known_operators
from refquant.testing.matrix import operator_matrix
from refquant.testing.record import read_record
from refquant.testing.strategies import families

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_operators() -> None:
    match = re.search(r"<!-- operators -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert match and match[1] == markdown_table(operator_matrix()), "run `refquant ops --markdown` and paste it"


def test_every_strategy_is_in_the_record_and_every_comparison_was_equal() -> None:
    record = {(entry.operator, entry.variant): entry for entry in read_record()}
    assert set(record) == {(family.operator, family.variant) for family in families()}
    assert [key for key, entry in record.items() if entry.unequal or not entry.cases] == []


def test_every_operator_has_a_strategy() -> None:
    assert {name for name, _ in known_operators()} == {family.operator for family in families()}


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would type them."""
    (tmp_path / "refquant").symlink_to(ROOT / "refquant")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert names["report"].clean and names["report"].findings == []
    assert (tmp_path / "copy.tflite").stat().st_size > 10_000
    names["test_my_runtime"]()


def test_explanation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints what is printed below it."""
    match = re.search(r"<!-- explain -->\n```sh\nrefquant (.*?)\n```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert match
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit):
        main(shlex.split(match[1]))
    assert capsys.readouterr().out == match[2], "run the command and paste what it prints"


def test_files() -> None:
    for name in re.findall(r"\]\((\w+\.md)\)|`((?:refquant|schema)/[\w/.]*)`", README):
        assert (ROOT / "".join(name)).exists(), name
