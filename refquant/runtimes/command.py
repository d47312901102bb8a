"""A runtime behind a command line: a device, a simulator, a board over a cable."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import (
    InvalidInputError,
    RuntimeDiedError,
    RuntimeFailedError,
    RuntimeTimeoutError,
    RuntimeUnavailableError,
)
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]

#: what a template may name, and the files behind it
PLACEHOLDERS = {
    "model": "model.tflite",
    "inputs": "inputs.npz",
    "outputs": "outputs.npz",
    "raw_inputs": "inputs.bin",
    "raw_outputs": "outputs.bin",
}


class Command:
    """A command that is given a model file and a file of inputs, and writes a file of outputs, for one sample.

    `template` is split as a shell would, without one being started; in its words these stand for files:

    * ``{model}`` the .tflite file, which is often a part of the whole model;
    * ``{inputs}`` an .npz file with the arrays ``input_0``, ``input_1``, … in the order of the model's inputs;
    * ``{outputs}`` the file to write: .npz with ``output_0``, ``output_1``, …, or .npy for a single output;
    * ``{raw_inputs}``, ``{raw_outputs}`` the same as the bytes of the arrays one after the other, C order, little
      endian; outputs have the shapes in the model's file then.

    Exit status 0 means success. `timeout` is in seconds, for each run.
    """

    def __init__(self, template: str, timeout: float = 60.0) -> None:
        self.template = template
        try:
            self._words = shlex.split(template)
        except ValueError as error:
            raise InvalidInputError(f"the command {template!r} cannot be split into words: {error}") from error
        named = {name for name in PLACEHOLDERS if any(f"{{{name}}}" in word for word in self._words)}
        if not {"model"} < named or not named & {"outputs", "raw_outputs"}:
            raise InvalidInputError(
                f"the command {template!r} must name {{model}}, {{inputs}} or {{raw_inputs}}, and {{outputs}} or "
                "{raw_outputs}"
            )
        self._raw = "raw_outputs" in named
        self._timeout = timeout

    def __call__(self, model: Model, inputs: Sequence[Array]) -> list[Array]:
        """Runs it; raises `RuntimeFailedError` for an exit status, a missing file or one that cannot be read."""
        with tempfile.TemporaryDirectory(prefix="refquant-") as name:
            files = {key: Path(name, file) for key, file in PLACEHOLDERS.items()}
            files["model"].write_bytes(model.tobytes())
            files["raw_inputs"].write_bytes(b"".join(np.ascontiguousarray(array).tobytes() for array in inputs))
            arrays = [a.astype(np.bytes_) if a.dtype == object else a for a in inputs]
            np.savez(files["inputs"], **{f"input_{i}": a for i, a in enumerate(arrays)})  # type: ignore[arg-type]
            self._run([_filled(word, files) for word in self._words])
            written = files["raw_outputs" if self._raw else "outputs"]
            if not written.exists():
                raise RuntimeFailedError("it ended well but wrote no file of outputs")
            return _raw_outputs(model, written.read_bytes()) if self._raw else _outputs(written)

    def _run(self, words: Sequence[str]) -> None:
        with tempfile.TemporaryFile() as log:
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            except OSError as error:
                raise RuntimeUnavailableError(f"cannot be started: {words[0]}: {error.strerror}") from error
            try:
                status = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                raise RuntimeTimeoutError(f"gave no answer in {self._timeout:g} seconds") from None
            finally:
                if process.poll() is None:
                    with suppress(ProcessLookupError):  # also what it has started, which may hold a device
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if status:
                log.seek(0)
                lines = log.read()[-10_000:].decode(errors="replace").strip().splitlines()
                how = f"exit status {status}" if status > 0 else f"ended by {signal.Signals(-status).name}"
                raise RuntimeDiedError(f"{how}; {lines[-1] if lines else 'no message'}")


def _filled(word: str, files: dict[str, Path]) -> str:
    for key, path in files.items():
        word = word.replace(f"{{{key}}}", str(path))
    return word


def _outputs(path: Path) -> list[Array]:
    """The arrays of a file in the order of their numbers, or as they stand in it."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [loaded]
        with loaded:
            names = [f"output_{i}" for i in range(len(loaded.files))]
            return [loaded[name] for name in (names if set(names) == set(loaded.files) else loaded.files)]
    except Exception as error:  # what NumPy and zipfile raise for broken files is not documented
        reason = str(error).split("\n")[0]
        raise RuntimeFailedError(f"its file of outputs is no .npz or .npy file of plain arrays: {reason}") from error


def _raw_outputs(model: Model, content: bytes) -> list[Array]:
    """The outputs of a model from their bytes."""
    arrays = []
    rest = content
    for index in indices_of(model.subgraphs[0].outputs):
        tensor = model.tensor(index)
        if tensor.type == TensorType.STRING:
            raise RuntimeFailedError("strings are not given as raw bytes: use {outputs}")
        dtype, shape = numpy_dtype(tensor.type), tuple(int(n) for n in indices_of(tensor.shape))
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if len(rest) < size:
            raise RuntimeFailedError(f"its file of outputs has {len(content)} bytes, too few for the model's outputs")
        arrays.append(np.frombuffer(rest[:size], dtype).reshape(shape))
        rest = rest[size:]
    if rest:
        raise RuntimeFailedError(f"its file of outputs has {len(content)} bytes, {len(rest)} more than the outputs")
    return arrays
