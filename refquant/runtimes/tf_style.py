"""How to run a model in an interpreter that has the surface of `tf.lite.Interpreter`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: our names of the kernel sets: names in OpResolverType
RESOLVERS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "calibrator": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "AUTO",
}


@dataclass(frozen=True)
class Timings:
    """Seconds that an interpreter took: from the file to allocated tensors, and of each `invoke` after the first."""

    planning: float
    invoke: Sequence[float]


def run(interpreter: Any, samples: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Outputs of each sample, in order; the interpreter's state goes on from sample to sample.

    bfloat16, which NumPy does not have, is the bits as uint16 in samples and outputs.
    """
    results = []
    allocated = False
    for sample in samples:
        if _resize(interpreter, sample) or not allocated:
            interpreter.allocate_tensors()
            allocated = True
        _set(interpreter, sample)
        interpreter.invoke()
        results.append([_output(interpreter, detail) for detail in interpreter.get_output_details()])
    return results


def timings(make: Callable[[], Any], sample: Sequence[Any], seconds: float) -> Timings:
    """How long the interpreter that `make` gives takes for a sample: `invoke` again and again, for so many seconds.

    The first `invoke` is not counted: caches are cold, and some kernels prepare something in it.
    """
    start = time.perf_counter()
    interpreter = make()
    _resize(interpreter, sample)
    interpreter.allocate_tensors()
    planning = time.perf_counter() - start
    _set(interpreter, sample)
    return Timings(planning, repeated(interpreter.invoke, seconds))


def repeated(invoke: Callable[[], Any], seconds: float) -> list[float]:
    """The time of each call but the first, for so many seconds, at least once."""
    invoke()
    times: list[float] = []
    first = now = time.perf_counter()
    while now - first < seconds or not times:
        start = now
        invoke()
        now = time.perf_counter()
        times.append(now - start)
    return times


def details(interpreter: Any) -> dict[str, Any]:
    """All details of inputs, outputs and tensors, and the signatures, before ("new") and after allocation."""

    def told() -> dict[str, Any]:
        runners = {key: interpreter.get_signature_runner(key) for key in interpreter.get_signature_list()}
        return {
            "inputs": interpreter.get_input_details(),
            "outputs": interpreter.get_output_details(),
            "tensors": [interpreter.get_tensor_details(i) for i in range(interpreter.num_subgraphs())],
            "signatures": interpreter.get_signature_list(),
            "signature inputs": {key: runner.get_input_details() for key, runner in runners.items()},
            "signature outputs": {key: runner.get_output_details() for key, runner in runners.items()},
        }

    before = told()
    interpreter.allocate_tensors()
    return {"new": before, "allocated": told()}


def delegated(interpreter: Any, sample: Sequence[Any]) -> list[tuple[list[int], list[int]]]:
    """The parts of subgraph 0 that a delegate has taken, for inputs of these shapes: the tensors in and out of each."""
    _resize(interpreter, sample)
    interpreter.allocate_tensors()
    return [
        ([int(i) for i in node["inputs"]], [int(i) for i in node["outputs"]])
        for node in interpreter._get_ops_details()
        if node["op_name"] == "DELEGATE"
    ]


def _resize(interpreter: Any, sample: Sequence[Any]) -> bool:
    """Gives the inputs the shapes of the sample; whether any had another one."""
    resized = False
    for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
        if tuple(detail["shape"]) != np.shape(array):
            interpreter.resize_tensor_input(detail["index"], np.shape(array))
            resized = True
    return resized


def _set(interpreter: Any, sample: Sequence[Any]) -> None:
    for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
        is_bfloat16 = np.dtype(detail["dtype"]).name == "bfloat16"
        interpreter.set_tensor(detail["index"], array.view(detail["dtype"]) if is_bfloat16 else array)


def _output(interpreter: Any, detail: dict[str, Any]) -> Any:
    """An output; of bfloat16 the bits. TensorFlow shows none without elements whose shape depends on data."""
    if 0 in detail["shape"]:
        array = np.empty(detail["shape"], object if detail["dtype"] is np.bytes_ else detail["dtype"])
    else:
        array = interpreter.get_tensor(detail["index"])
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array
