"""What TensorFlow Lite Micro's audio front end keeps from one invoke to the next: delays, frames that overlap, stacks.

Custom operators with a memory, which `reset_all_variables` empties. Like Micro, they take the shapes of their outputs
from the file. Source: signal/src/circular_buffer.cc, signal/src/overlap_add.cc and signal/micro/kernels of
tflite-micro.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.signal import option, tensors_of
from refquant.tflite.schema import TensorType

_INT16, _FLOAT32, _BOOL = TensorType.INT16, TensorType.FLOAT32, TensorType.BOOL
_MOST = 2**20  # samples in a memory
_UNSET = (
    "an output that is not yet valid holds whatever was in memory, or the numbers of the invoke before; "
    "refquant gives zeros"
)


def _with_reset(run: Callable[..., Any], reset: Callable[[], None]) -> Run:
    """The function of an operator that has a memory; it begins empty."""
    reset()
    run.reset = reset  # type: ignore[attr-defined]
    return run


def _rows(op: Operator, x: TensorInfo) -> tuple[int, int]:
    """How many rows of samples there are, and how long they are."""
    if not x.dims or not x.dims[-1]:
        raise op.invalid(f"takes rows of samples, got shape {x.dims}")
    return math.prod(x.dims[:-1]), x.dims[-1]


@kernel("SignalDelay", custom=True)
def delay(op: Operator) -> Run:
    """Each row of samples `delay_length` samples later, zeros first."""
    x, out = tensors_of(op, (_INT16,), (_INT16,))
    count, _ = _rows(op, x)
    length = option(op, "delay_length", 0, _MOST)
    if out.dims != x.dims:
        raise op.invalid(f"shapes {x.dims} and {out.dims} differ")
    waiting = np.zeros((count, length), np.int16)

    def run(x: Array) -> Array:
        samples = np.concatenate([waiting, x.reshape(count, -1)], axis=1)
        waiting[:] = samples[:, samples.shape[1] - length :]
        return samples[:, : x.shape[-1]].reshape(x.shape)

    return _with_reset(run, lambda: waiting.fill(0))


@kernel("SignalFramer", custom=True, flaw=_UNSET)
def framer(op: Operator) -> Run:
    """Frames of `frame_size` samples of each row, one for each `frame_step` new samples, and whether all are full.

    With `prefill` zeros come before the first samples, so that the first frame is full.
    """
    x, out, valid = tensors_of(op, (_INT16,), (_INT16, _BOOL))
    count, samples = _rows(op, x)
    size, step = option(op, "frame_size", 1, _MOST), option(op, "frame_step", 1, _MOST)
    prefill = bool(op.flexbuffer_options.get("prefill", False))
    if samples % step or (prefill and step > size):
        raise op.invalid(f"{samples} samples in frames of {size}, one every {step}, do not fit together")
    frames = samples // step
    if out.dims != (*x.dims[:-1], frames, size) or valid.dims != ():
        raise op.invalid(f"shapes {x.dims}, {out.dims} and {valid.dims} do not fit together")
    waiting = [np.zeros(0, np.int16)] * count

    def run(x: Array) -> tuple[Array, Array]:
        full, y = True, np.zeros((count, frames, size), np.int16)
        for row, parts in enumerate(x.reshape(count, frames, step)):
            for frame, part in enumerate(parts):
                together = np.concatenate([waiting[row], part])
                if together.size >= size:
                    y[row, frame] = together[:size]
                    together = together[step:]
                else:
                    full = False
                waiting[row] = together
        return y.reshape(out.dims), np.array(full)

    def reset() -> None:
        waiting[:] = [np.zeros(size - step if prefill else 0, np.int16)] * count

    return _with_reset(run, reset)


@kernel("SignalStacker", custom=True, flaw=_UNSET)
def stacker(op: Operator) -> Run:
    """Vectors of `num_channels` side by side: some before, one, some after, and whether there are so many yet.

    The first one is repeated `stacker_left_context` times; of each stack the first `stacker_step` vectors are dropped.
    """
    x, out, valid = tensors_of(op, (_INT16,), (_INT16, _BOOL))
    channels = option(op, "num_channels", 1, _MOST)
    left, right = option(op, "stacker_left_context", 0, _MOST), option(op, "stacker_right_context", 0, _MOST)
    height = left + 1 + right
    step = option(op, "stacker_step", 1, height)
    if x.dims != (channels,) or out.dims != (height * channels,) or valid.dims != ():
        raise op.invalid(f"shapes {x.dims}, {out.dims} and {valid.dims} do not fit together")
    waiting: list[Array] = []
    started = False

    def run(x: Array) -> tuple[Array, Array]:
        nonlocal started
        waiting.extend([x.copy()] * (1 if started else 1 + left))
        started = True
        if len(waiting) < height:
            return np.zeros(out.dims, np.int16), np.array(False)
        stack = np.concatenate(waiting[:height])
        del waiting[:step]
        return stack, np.array(True)

    def reset() -> None:
        nonlocal started
        waiting.clear()
        started = False

    return _with_reset(run, reset)


@kernel("SignalOverlapAdd", custom=True)
def overlap_add(op: Operator) -> Run:
    """Frames laid over each other, each `frame_step` samples later, and added up; int16 saturates at each addition.

    From frames [..., frames, size] to rows of frames * frame_step samples.
    """
    type = op.input(0).type
    if type not in (_INT16, _FLOAT32):
        raise op.unsupported()
    x, out = tensors_of(op, (type,), (type,))
    step = option(op, "frame_step", 1, _MOST)
    if len(x.dims) < 2 or out.dims != (*x.dims[:-2], x.dims[-2] * step) or step > x.dims[-1]:
        raise op.invalid(f"shapes {x.dims} and {out.dims} do not fit frames every {step} samples")
    if option(op, "T", 0, 255) != type:
        raise op.invalid("its option 'T' is not the type of its input")
    frames, size = x.dims[-2:]
    sums = np.zeros((math.prod(x.dims[:-2]), size), x.dtype)

    def run(x: Array) -> Array:
        y = np.empty((len(sums), frames, step), x.dtype)
        for frame, samples in enumerate(np.moveaxis(x.reshape(len(sums), frames, size), 1, 0)):
            total = sums + samples if type == _FLOAT32 else np.clip(sums.astype(np.int32) + samples, -32768, 32767)
            y[:, frame] = total[:, :step]
            sums[:, : size - step], sums[:, size - step :] = total[:, step:], 0
        return y.reshape(out.dims)

    return _with_reset(run, lambda: sums.fill(0))
