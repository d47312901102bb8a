"""Which line of Python another thread is at, a thousand times a second."""

from __future__ import annotations

import linecache
import re
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np

import refquant

_PERIOD = 0.001  # seconds
_SWITCH = 0.0001  # seconds after which the thread that is watched lets the sampler have the interpreter
_HERE = Path(refquant.__file__).parent
_NUMPY = Path(np.__file__).parent
_PRODUCT = re.compile(r"[\w\])] @ |matmul|\bdot\(")  # einsum has loops of its own
_BOOKKEEPING = re.compile(r"\s*(def|for|while|if|elif|else|with|return$|try|raise|yield$)\b")


@dataclass
class Sampler:
    """Watches the thread that enters it; `lines` counts the lines of refquant at which it was found."""

    lines: Counter[tuple[str, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Sampler:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def _watch(self, thread: int) -> None:
        while not self._done.wait(_PERIOD):
            frame = sys._current_frames().get(thread)
            inner = frame
            while frame is not None and not _is_ours(frame):
                frame = frame.f_back
            if frame is not None and inner is not None:
                line = frame.f_code.co_filename, frame.f_lineno or 0  # where a function begins there is no line
                self.lines[line] += 1
                self.kinds[kind_of(line, inner.f_code.co_filename)] += 1


def kind_of(line: tuple[str, int], innermost: str) -> str:
    """What a line of refquant works with, told by its text: "BLAS", "NumPy" or "Python".

    `innermost` is the file of the function that runs, which may be one of NumPy's own in Python.

    "Python" are the lines of the interpreter and those that only lead to others; a line of a kernel counts as "NumPy"
    though Python's part of a call of NumPy, about a microsecond, is in it.
    """
    text = linecache.getline(*line)
    if _PRODUCT.search(text):
        return "BLAS"
    if Path(innermost).is_relative_to(_NUMPY):
        return "NumPy"
    in_interpreter = Path(line[0]).is_relative_to(_HERE / "interpreter")
    return "Python" if in_interpreter or _BOOKKEEPING.match(text) else "NumPy"


def place_of(line: tuple[str, int]) -> str:
    """File and text of a line, for people."""
    name, number = line
    path = Path(name).relative_to(_HERE.parent)
    return f"{path}:{number} `{linecache.getline(name, number).strip()}`"


def _is_ours(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).is_relative_to(_HERE)
