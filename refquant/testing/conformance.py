"""One case, two runtimes: refquant and another one; what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refquant.audit.differences import bits
from refquant.errors import RefquantError, RuntimeDiedError, RuntimeFailedError, RuntimeTimeoutError
from refquant.interpreter import Interpreter
from refquant.numerics.processor import with_processor
from refquant.runtimes import tf_style
from refquant.runtimes.machine import this_processor
from refquant.tflite.model import Model

Array = npt.NDArray[Any]


class Outcome(Enum):
    """What a comparison can come to."""

    EQUAL = "the same bits"
    BOTH_REFUSE = "both refuse the model"
    DIED = "the other runtime dies of it"
    ONLY_OURS = "refquant runs it, the other runtime refuses"
    ONLY_THEIRS = "the other runtime runs it, refquant refuses"
    DIFFERENT = "different bits, types or shapes"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one comparison and its details, for people: messages, or where the first difference is."""

    outcome: Outcome
    details: str = ""


class Peer(Protocol):
    """A runtime to compare with; `refquant.runtimes.Runtime` is one.

    It raises RuntimeDiedError where it dies and RuntimeFailedError where it refuses.
    """

    def run_sequence(self, model: Model, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """The outputs for each sample, one after the other in one interpreter."""
        ...


def run(model: Model, samples: Sequence[Sequence[Array]], kernels: str = "reference") -> list[list[Array]]:
    """The outputs of refquant for each sample, one after the other in one interpreter, which is given the file."""
    return tf_style.run(Interpreter(model_content=model.tobytes(), kernels=kernels), samples)


def compare(model: Model, samples: Sequence[Sequence[Array]], peer: Peer, kernels: str = "reference") -> Result:
    """Runs the samples here, with this profile, and there; a crash is asked for twice, as it may be a late one.

    Floats are those of the processor of this machine, on which the peer is taken to run.
    """
    with with_processor(this_processor()):
        return _compare(model, samples, peer, kernels)


def _compare(model: Model, samples: Sequence[Sequence[Array]], peer: Peer, kernels: str) -> Result:
    try:
        theirs = _ask(peer, model, samples)
    except RuntimeDiedError as error:
        return Result(Outcome.DIED, str(error))
    except RuntimeFailedError as error:
        try:
            run(model, samples, kernels)
        except RefquantError as our_error:
            return Result(Outcome.BOTH_REFUSE, f"{our_error}\n{error}")
        return Result(Outcome.ONLY_OURS, str(error))
    try:
        ours = run(model, samples, kernels)
    except RefquantError as error:
        return Result(Outcome.ONLY_THEIRS, str(error))
    for number, (our_outputs, their_outputs) in enumerate(zip(ours, theirs, strict=True)):
        for position, (our, their) in enumerate(zip(our_outputs, their_outputs, strict=True)):
            difference = first_difference(our, their)
            if difference:
                return Result(Outcome.DIFFERENT, f"sample {number}, output {position}: {difference}")
    return Result(Outcome.EQUAL)


def _ask(peer: Peer, model: Model, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    try:
        return peer.run_sequence(model, samples)
    except RuntimeTimeoutError:
        raise
    except RuntimeDiedError:  # an earlier model may have damaged its memory
        return peer.run_sequence(model, samples)


def first_difference(ours: Array, theirs: Array) -> str:
    """Where and how two arrays differ in type, shape or bits, for people; empty where they do not."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype} {ours.shape}, expected {theirs.dtype} {theirs.shape}"
    unequal = bits(ours) != bits(theirs)
    if ours.dtype.kind == "c":
        unequal = unequal.any(axis=0)
    different = np.argwhere(unequal)
    if not len(different):
        return ""
    place = tuple(int(i) for i in different[0])
    return f"{len(different)} of {ours.size} differ, first {list(place)}: {ours[place]!r}, expected {theirs[place]!r}"
