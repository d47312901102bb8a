"""Arrays from .npy and .npz files, and back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidInputError
from refquant.tflite.model import write_atomically

Array = npt.NDArray[Any]


def load(path: str | Path) -> Array | dict[str, Array]:
    """The array of a .npy file, or the arrays of an .npz file by name; pickled objects are refused.

    Raises `InvalidInputError` for any other file, OSError as `open` does.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _native(loaded)
            with loaded:
                return {name: _native(loaded[name]) for name in loaded.files}
    except OSError:
        raise
    except Exception as error:  # what NumPy and zipfile raise for broken files is not documented
        why = "it holds pickled objects" if "pickle" in str(error) else f"{error}".split("\n")[0]
        raise InvalidInputError(f"{path}: not a .npy or .npz file of plain arrays: {why}") from error


def load_inputs(arguments: Sequence[str], inputs: Sequence[Sequence[str]], option: str = "--input") -> list[Array]:
    """One array for each input, from arguments ``FILE`` (in order) or ``NAME=FILE``.

    Each entry of `inputs` holds the names by which one input may be called. An .npz file without NAME gives every
    input that it has an array for, or, holding one array only, the next input in order. `option` is what the user has
    called them by.
    """
    found: dict[int, Array] = {}
    for argument in arguments:
        name, path = _split(argument, inputs, option)
        loaded = load(path)
        if isinstance(loaded, Mapping):
            named = {_position(key, inputs): array for key, array in loaded.items()}
            named.pop(None, None)
            if name is None and named:
                _add(found, {i: array for i, array in named.items() if i is not None}, path, inputs)
                continue
            loaded = _sole(loaded, path, name, inputs)
        position = _position(name, inputs) if name is not None else _next(found, len(inputs), path)
        assert position is not None
        _add(found, {position: loaded}, path, inputs)
    missing = [names[0] for i, names in enumerate(inputs) if i not in found]
    if missing:
        raise InvalidInputError(f"no array for {_say(missing)}: give {option} NAME=FILE for each")
    return [found[i] for i in range(len(inputs))]


def save(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays wholly or not at all: the one array to a .npy file, or any number to an .npz file by name."""
    buffer = io.BytesIO()
    if path.suffix == ".npy":
        (array,) = arrays.values()
        np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    else:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def check_output(path: Path, outputs: int) -> None:
    """Raises `InvalidInputError` where `save` to this path is bound to fail: asked before a long run."""
    if path.suffix not in (".npy", ".npz"):
        raise InvalidInputError(f"--output {path}: the name must end in .npz, or .npy for a single output")
    if path.suffix == ".npy" and outputs != 1:
        raise InvalidInputError(f"--output {path}: a .npy file takes one output, the model has {outputs}: use .npz")
    check_place(path)


def check_place(path: Path) -> None:
    """Raises `InvalidInputError` where no file can come to be at this path."""
    if path.is_dir():
        raise InvalidInputError(f"--output {path}: is a directory")
    if not path.parent.is_dir():
        raise InvalidInputError(f"--output {path}: there is no directory {path.parent}")


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _split(argument: str, inputs: Sequence[Sequence[str]], option: str) -> tuple[str | None, str]:
    """NAME and FILE of an argument; names may hold "=" themselves, and so may files."""
    for at in (i for i, character in enumerate(argument) if character == "="):
        if _position(argument[:at], inputs) is not None:
            return argument[:at], argument[at + 1 :]
    name, equals, path = argument.partition("=")
    if equals and not Path(argument).exists():
        raise InvalidInputError(f"{option} {name}={path}: there is no input {name!r}, the model has {_names(inputs)}")
    return None, argument


def _position(name: str, inputs: Sequence[Sequence[str]]) -> int | None:
    return next((i for i, names in enumerate(inputs) if name in names), None)


def _sole(loaded: Mapping[str, Array], path: str, name: str | None, inputs: Sequence[Sequence[str]]) -> Array:
    if len(loaded) == 1:
        return next(iter(loaded.values()))
    if name is not None and name in loaded:
        return loaded[name]
    wanted = f"none is named {name!r}" if name is not None else f"the model has {_names(inputs)}"
    raise InvalidInputError(f"{path}: holds {_say(sorted(loaded)) if loaded else 'no array'}, {wanted}")


def _next(found: Mapping[int, Array], count: int, path: str) -> int:
    position = next((i for i in range(count) if i not in found), None)
    if position is None:
        raise InvalidInputError(f"{path}: one file too many, the model has {count} input{'s' * (count != 1)}")
    return position


def _add(found: dict[int, Array], more: Mapping[int, Array], path: str, inputs: Sequence[Sequence[str]]) -> None:
    twice = [inputs[i][0] for i in more if i in found]
    if twice:
        raise InvalidInputError(f"{path}: a second array for {_say(twice)}")
    found.update(more)


def _names(inputs: Sequence[Sequence[str]]) -> str:
    return _say([names[0] for names in inputs]) if inputs else "no inputs"


def _say(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
