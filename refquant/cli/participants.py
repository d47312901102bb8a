"""The options by which `compare` and `bisect` are told who takes part, and on which samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError

if TYPE_CHECKING:
    from refquant.runtimes.participants import Given
    from refquant.tflite.model import Model

HELP = (
    "A word without prefix names a profile of refquant's own: {ours}. The real runtimes are tensorflow, litert and "
    "tflite-micro, each in a process of its own; tensorflow:reference, :optimized and :xnnpack (the default) are its "
    "kernel sets, and so with litert. (So micro is refquant's profile, tflite-micro the package.)"
)


def others(callables: Sequence[str], commands: Sequence[str], timeout: float) -> dict[str, Given]:
    """The participants of the options --callable and --command, by name."""
    from refquant.runtimes import Command

    given: dict[str, Given] = {}
    for argument in callables:
        name, equals, target = argument.rpartition("=")
        if ":" not in target:
            raise InvalidInputError(f"--callable {argument}: give package.module:function, or NAME= and that")
        _add(given, name if equals else target, target)
    for argument in commands:
        name, equals, template = argument.partition("=")
        if not equals or not name or "{" in name:
            raise InvalidInputError(f"--command {argument}: give NAME=COMMAND")
        _add(given, name, Command(template, timeout))
    return given


def together(words: Iterable[str], given: dict[str, Given]) -> dict[str, Given]:
    """Words and the others by name, the words first."""
    result: dict[str, Given] = {}
    for name, what in (*((word, word) for word in words), *given.items()):
        _add(result, name, what)
    return result


def samples_of(model: Model, data: Path | None, limit: int) -> list[list[npt.NDArray[Any]]] | None:
    """The samples of a file as the model's inputs take them; real numbers are quantized. None without a file."""
    if data is None:
        return None
    from itertools import islice

    from refquant.cli.arrays import load_inputs
    from refquant.cli.run import remark
    from refquant.cli.samples import Batch, Entry
    from refquant.interpreter import Interpreter
    from refquant.runtimes.cut import inputs_alone

    entry = Entry(Interpreter(model=inputs_alone(model)))
    batch = Batch(entry.inputs, load_inputs([str(data)], [place.names for place in entry.inputs], "--data"), True)
    for note in batch.notes:
        remark(note)
    return [[np.asarray(array) for array in sample] for sample in islice(batch, limit)]


def _add(given: dict[str, Given], name: str, what: Given) -> None:
    if name in given:
        raise InvalidInputError(f"{name} is named twice")
    given[name] = what
