"""The command line called as from a shell."""

from __future__ import annotations

from typing import Any

import pytest

from refquant.cli import main


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def refquant(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: Any) -> Result:
        with pytest.raises(SystemExit) as exit:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(int(exit.value.code or 0), captured.out, captured.err)

    return call
