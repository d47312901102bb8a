"""The custom operators of TFLite Micro's audio front end; Micro is their oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import generators
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

INT16, INT32, UINT32, UINT64 = TensorType.INT16, TensorType.INT32, TensorType.UINT32, TensorType.UINT64
FLOAT32, BOOL = TensorType.FLOAT32, TensorType.BOOL


def _options(**numbers: int | bool) -> bytes:
    return bytes(flexbuffers.Dumps(numbers))


def _spread(rng: np.random.Generator, bits: float, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Whole numbers of all magnitudes below 2**bits."""
    return (2.0 ** rng.uniform(0, bits, size)).astype(np.uint64)


@strategy("SignalWindow", [INT16], oracle="micro")
def window(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Samples and weights of all values, the ends often; every shift."""
    rng, size = draw(generators), draw(st.integers(1, 40))
    weights = rng.integers(-32768, 32767, size, np.int16, endpoint=True)
    x = rng.choice([-32768, 32767, 0, *rng.integers(-32768, 32768, 20)], size).astype(np.int16)
    model = single_operator_model(
        operator,
        [TensorSpec(INT16, (size,)), TensorSpec(INT16, data=weights)],
        [TensorSpec(INT16, (size,))],
        custom_options=_options(shift=draw(st.integers(0, 31))),
    )
    return Case(model, [[x]])


@strategy("SignalFftAutoScale", [INT16], oracle="micro")
def fft_auto_scale(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Samples of up to so many bits."""
    rng, size, bits = draw(generators), draw(st.integers(1, 40)), draw(st.integers(0, 16))
    x = np.clip(rng.integers(-(2**bits), 2**bits, size, endpoint=True), -32768, 32767).astype(np.int16)
    outputs = [TensorSpec(INT16, (size,)), TensorSpec(INT32, ())]
    return Case(single_operator_model(operator, [TensorSpec(INT16, (size,))], outputs), [[x]])


def _numbers(rng: np.random.Generator, type: TensorType, extreme: bool, size: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Random numbers of a type, or nothing but extremes."""
    dtype = numpy_dtype(type)
    if type == FLOAT32:
        return (rng.standard_normal(size) * (1e36 if extreme else 1)).astype(dtype)
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    return (
        rng.choice([low, high], size).astype(dtype) if extreme else rng.integers(low, high, size, dtype, endpoint=True)
    )


@strategy(["SignalRfft", "SignalIrfft"], [INT16, INT32, FLOAT32], oracle="micro")
def rfft(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Transforms of 64 to 2048 samples, or of fewer, filled with zeros, and back; random or nothing but extremes."""
    rng, length = draw(generators), 2 ** draw(st.integers(6, 11))
    sizes = max(1, length * draw(st.integers(1, 64)) // 64), length + 2
    if operator == "SignalIrfft":
        sizes = length + 2, length
    model = single_operator_model(
        operator,
        [TensorSpec(type, (sizes[0],))],
        [TensorSpec(type, (sizes[1],))],
        custom_options=_options(T=int(type), fft_length=length),
    )
    return Case(model, [[_numbers(rng, type, draw(st.booleans()), sizes[0])]])


def _samples(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Samples of all values, the ends often."""
    ends = rng.choice([-32768, 32767], shape)
    return np.where(rng.random(shape) < 0.1, ends, rng.integers(-32768, 32768, shape)).astype(np.int16)


@strategy("SignalDelay", [INT16], oracle="micro")
def delay(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Rows shorter and longer than the delay, several invokes."""
    rng, rows, size = draw(generators), draw(st.integers(1, 3)), draw(st.integers(1, 20))
    model = single_operator_model(
        operator,
        [TensorSpec(INT16, (rows, size))],
        [TensorSpec(INT16, (rows, size))],
        custom_options=_options(delay_length=draw(st.integers(0, 40))),
    )
    return Case(model, [[_samples(rng, (rows, size))] for _ in range(draw(st.integers(1, 6)))])


@strategy("SignalFramer", [INT16], oracle="micro")
def framer(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Frames that overlap, with zeros before the first, or that do not."""
    rng, rows, step, frames = (
        draw(generators),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 4)),
    )
    prefill = draw(st.booleans())
    size = draw(st.integers(step, 30)) if prefill else draw(st.integers(1, step))
    model = single_operator_model(
        operator,
        [TensorSpec(INT16, (rows, step * frames))],
        [TensorSpec(INT16, (rows, frames, size)), TensorSpec(BOOL, ())],
        custom_options=_options(frame_size=size, frame_step=step, prefill=prefill),
    )
    return Case(model, [[_samples(rng, (rows, step * frames))] for _ in range(draw(st.integers(1, 5)))])


@strategy("SignalStacker", [INT16], oracle="micro")
def stacker(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Vectors before, none after, so that every stack is full."""
    rng, channels, left = draw(generators), draw(st.integers(1, 9)), draw(st.integers(0, 5))
    model = single_operator_model(
        operator,
        [TensorSpec(INT16, (channels,))],
        [TensorSpec(INT16, ((left + 1) * channels,)), TensorSpec(BOOL, ())],
        custom_options=_options(
            num_channels=channels, stacker_left_context=left, stacker_right_context=0, stacker_step=1
        ),
    )
    return Case(model, [[_samples(rng, (channels,))] for _ in range(draw(st.integers(1, 8)))])


@strategy("SignalOverlapAdd", [INT16, FLOAT32], oracle="micro")
def overlap_add(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Frames that overlap much, little, not at all."""
    rng, rows, frames, size = (
        draw(generators),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 20)),
    )
    step = draw(st.integers(1, size))
    model = single_operator_model(
        operator,
        [TensorSpec(type, (rows, frames, size))],
        [TensorSpec(type, (rows, frames * step))],
        custom_options=_options(T=int(type), frame_step=step),
    )
    shape = (rows, frames, size)
    samples = [_samples(rng, shape) if type == INT16 else rng.standard_normal(shape) for _ in range(3)]
    return Case(model, [[x.astype(np.int16 if type == INT16 else np.float32)] for x in samples])


@strategy("SignalEnergy", [INT16], oracle="micro")
def energy(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """All frequencies: the others are left as they were."""
    rng, size = draw(generators), draw(st.integers(1, 40))
    x = rng.integers(-32768, 32767, 2 * size, np.int16, endpoint=True)
    model = single_operator_model(
        operator,
        [TensorSpec(INT16, (2 * size,))],
        [TensorSpec(UINT32, (size,))],
        custom_options=_options(start_index=0, end_index=size),
    )
    return Case(model, [[x]])


@strategy("SignalFilterBank", [UINT32], oracle="micro")
def filter_bank(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Channels of any place and width, weights of either sign."""
    rng, size, channels = draw(generators), draw(st.integers(8, 40)), draw(st.integers(1, 8))
    widths = rng.integers(0, 8, channels + 1)
    starts, weight_starts = (np.array([rng.integers(0, size - w + 1) for w in widths]) for _ in range(2))
    tables = [*rng.integers(-4096, 4097, (2, size)), starts, weight_starts, widths]
    model = single_operator_model(
        operator,
        [TensorSpec(UINT32, (size,)), *(TensorSpec(INT16, data=table.astype(np.int16)) for table in tables)],
        [TensorSpec(UINT64, (channels,))],
        custom_options=_options(num_channels=channels),
    )
    return Case(model, [[_spread(rng, 32, size).astype(np.uint32)]])


@strategy("SignalFilterBankSquareRoot", [UINT64], oracle="micro")
def filter_bank_square_root(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Squares and their neighbours half way to the next, any number of bits shifted."""
    rng, size, bits = draw(generators), draw(st.integers(1, 40)), draw(st.integers(0, 10))
    roots = _spread(rng, 31, size)
    model = single_operator_model(
        operator,
        [TensorSpec(UINT64, (size,)), TensorSpec(INT32, data=np.array(bits, np.int32))],
        [TensorSpec(UINT32, (size,))],
    )
    return Case(model, [[roots * roots + rng.integers(0, 3, size, np.uint64) * roots]])


@strategy("SignalFilterBankSpectralSubtraction", [UINT32], oracle="micro")
def spectral_subtraction(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Four steps with one estimate of the noise, any smoothing, clamped or not."""
    rng, channels = draw(generators), draw(st.integers(1, 20))
    smoothing, alternate = (int(n) for n in rng.integers(0, 16384, 2))
    model = single_operator_model(
        operator,
        [TensorSpec(UINT32, (channels,))],
        [TensorSpec(UINT32, (channels,)), TensorSpec(UINT32, (channels,))],
        custom_options=_options(
            num_channels=channels,
            smoothing=smoothing,
            one_minus_smoothing=16384 - smoothing,
            alternate_smoothing=alternate,
            alternate_one_minus_smoothing=16384 - alternate,
            smoothing_bits=draw(st.integers(0, 11)),
            min_signal_remaining=draw(st.integers(0, 16383)),
            clamping=draw(st.integers(0, 1)),
            spectral_subtraction_bits=14,
        ),
    )
    return Case(model, [[_spread(rng, 20, channels).astype(np.uint32)] for _ in range(4)])


@strategy("SignalPCAN", [UINT32], oracle="micro")
def pcan(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Signals and noises of all magnitudes, a table of gains that falls."""
    rng, size = draw(generators), draw(st.integers(1, 40))
    table = np.sort(rng.integers(0, 32768, 125))[::-1].astype(np.int16)
    arrays = [_spread(rng, bits, size).astype(np.uint32) for bits in (16, 32)]
    model = single_operator_model(
        operator,
        [TensorSpec(UINT32, (size,)), TensorSpec(UINT32, (size,)), TensorSpec(INT16, data=table)],
        [TensorSpec(UINT32, (size,))],
        custom_options=_options(snr_shift=draw(st.integers(0, 12))),
    )
    return Case(model, [arrays])


@strategy("SignalFilterBankLog", [UINT32], oracle="micro")
def filter_bank_log(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Numbers of all magnitudes that the correction does not make overflow."""
    rng, size, correction = draw(generators), draw(st.integers(1, 40)), draw(st.integers(0, 8))
    model = single_operator_model(
        operator,
        [TensorSpec(UINT32, (size,))],
        [TensorSpec(INT16, (size,))],
        custom_options=_options(input_correction_bits=correction, output_scale=draw(st.sampled_from([1, 1600, 65536]))),
    )
    return Case(model, [[(_spread(rng, 32 - correction, size) - 1).astype(np.uint32)]])
