"""The adapter of a Python function as a runtime, in the process of a server: `package.module:function`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np


class Adapter:
    """Calls the function with the bytes of a model and the arrays of a sample, see `refquant.runtimes.answers_of`."""

    def __init__(self, target: str) -> None:
        module, _, name = target.partition(":")
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if not callable(found):
            raise TypeError(f"{target} is not callable")
        self._function: Callable[..., Any] = found

    def version(self) -> str:
        """The version of the module, where it says one."""
        module = import_module(self._function.__module__.partition(".")[0])
        return str(getattr(module, "__version__", "of unknown version"))

    def run(self, content: bytes, samples: list[list[Any]]) -> list[list[Any]]:
        """Outputs of each sample, in order."""
        return [answers_of(self._function(content, sample)) for sample in samples]

    def details(self, content: bytes) -> dict[str, Any]:
        """Not to be had."""
        raise NotImplementedError("a function tells nothing about tensors")


def answers_of(returned: Any) -> list[Any]:
    """What a function has returned as a list of arrays: one array, several in a sequence, or several by name."""
    if isinstance(returned, Mapping):
        returned = list(returned.values())
    return [np.asarray(a) for a in returned] if isinstance(returned, (list, tuple)) else [np.asarray(returned)]
