"""Arrays from .npy and .npz files, and back."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError
from refquant.tflite.model import write_atomically

Array = npt.NDArray[Any]


def load_file(path: str | Path) -> Array | dict[str, Array]:
    """The array of a .npy file, or the arrays of an .npz file by name. Pickled objects are refused."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, MemoryError, SyntaxError) as error:
        raise InvalidInputError(f"{path} is not a .npy or .npz file of plain arrays: {error}") from error


def load_arrays(arguments: list[str], names: list[str]) -> list[Array]:
    """An array for each input name, from arguments ``FILE`` (in order) or ``NAME=FILE``."""
    found: dict[str, Array] = {}
    for position, argument in enumerate(arguments):
        name, separator, path = argument.partition("=")
        if not separator or (name not in names and Path(argument).exists()):
            name, path = "", argument
        elif name not in names:
            raise InvalidInputError(f"there is no input {name!r}: the model has {names}")
        loaded = load_file(path)
        if isinstance(loaded, dict):
            if set(names) <= loaded.keys():
                found.update({n: loaded[n] for n in names})
                continue
            if len(loaded) != 1:
                raise InvalidInputError(f"{path} holds {sorted(loaded)}, the inputs of the model are {names}")
            (loaded,) = loaded.values()
        if not name:
            if position >= len(names):
                raise InvalidInputError(f"{len(arguments)} files for {len(names)} inputs: {names}")
            name = names[position]
        found[name] = loaded
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidInputError(f"no file for the inputs {missing}: give --input NAME=FILE")
    return [found[name] for name in names]


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Writes arrays to a compressed .npz file, wholly or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
