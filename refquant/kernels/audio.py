"""Custom operators on sound: AudioSpectrogram and Mfcc, in float64 but for their inputs and outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refquant.kernels.registry import MOST_ELEMENTS, Array, Operator, Run, kernel
from refquant.numerics.split_radix import real_transform
from refquant.tflite.schema import TensorType

_FLOAT32, _INT32 = TensorType.FLOAT32, TensorType.INT32
_FLOOR = 1e-12  # what an empty channel holds before the logarithm


def _whole(op: Operator, name: str, low: int = 0) -> int:
    """A whole number among the custom options, zero where it is missing."""
    value = _options(op).get(name, 0)
    if not isinstance(value, (int, float)) or not low <= value < MOST_ELEMENTS:
        raise op.invalid(f"its option {name!r} is {value!r}, expected a number from {low} on")
    return int(value)


def _options(op: Operator) -> dict[str, Any]:
    options = op.flexbuffer_options
    if not isinstance(options, dict):
        raise op.invalid("its custom options are not a map")
    return options


def _check(op: Operator, inputs: tuple[TensorType, ...]) -> None:
    if len(op.inputs) != len(inputs) or len(op.outputs) != 1:
        raise op.invalid(f"it takes {len(inputs)} inputs and one output")
    if tuple(op.input(i).type for i in range(len(inputs))) != inputs or op.output().type != _FLOAT32:
        raise op.unsupported()


@kernel("AudioSpectrogram", custom=True)
def audio_spectrogram(op: Operator) -> Run:
    """The squared magnitudes of the frequencies in windows of samples [samples, channels], or their roots.

    A window, one every `stride` samples, is weighted by 0.5 - 0.5 cos(2 pi i / window_size) and filled with zeros to a
    power of two. Source: kernels/audio_spectrogram.cc, kernels/internal/spectrogram.cc.
    """
    _check(op, (_FLOAT32,))
    x, out = op.input(0), op.output()
    size, stride = _whole(op, "window_size", 2), _whole(op, "stride", 1)
    is_squared = bool(_options(op).get("magnitude_squared", False))
    if len(x.dims) != 2:
        raise op.invalid(f"the samples have shape {x.dims}, expected (samples, channels)")
    length = 1 << (size - 1).bit_length()
    windows = 0 if x.dims[0] < size else 1 + (x.dims[0] - size) // stride
    out.shape = (x.dims[1], windows, 1 + length // 2)
    if math.prod(out.shape) >= MOST_ELEMENTS or length >= MOST_ELEMENTS // 16:
        raise op.invalid(f"an output of shape {out.shape} is too large")
    if windows == 0:
        return lambda x: np.zeros(out.dims, np.float32)
    weights = np.array([0.5 - 0.5 * math.cos((2.0 * math.pi * i) / size) for i in range(size)])

    def run(x: Array) -> Array:
        frames = np.lib.stride_tricks.sliding_window_view(x, size, axis=0)[::stride].transpose(1, 0, 2)
        padded = np.zeros((*frames.shape[:2], length))
        np.multiply(frames, weights, out=padded[..., :size])
        real, imaginary = real_transform(padded)
        squared = (real * real + imaginary * imaginary).astype(np.float32)
        return squared if is_squared else np.sqrt(squared)

    return run


@kernel("Mfcc", custom=True)
def mfcc(op: Operator) -> Run:
    """Mel-frequency cepstral coefficients of squared spectra [channels, times, frequencies].

    The magnitudes are gathered into overlapping triangles, equally wide on the mel scale; the logarithms of the sums
    go through a cosine transform, of which the first coefficients count. The sampling rate is the second input.
    Source: kernels/mfcc.cc, kernels/internal/mfcc*.cc.
    """
    _check(op, (_FLOAT32, _INT32))
    spectra, rate, out = op.input(0), op.input(1), op.output()
    low, high = _whole(op, "lower_frequency_limit"), _whole(op, "upper_frequency_limit")
    channels, count = _whole(op, "filterbank_channel_count", 1), _whole(op, "dct_coefficient_count", 1)
    if len(spectra.dims) != 3 or math.prod(rate.dims) != 1:
        raise op.invalid(f"spectra of shape {spectra.dims} and a rate of shape {rate.dims}")
    frequencies = spectra.dims[2]
    if high <= low or count > channels or frequencies < 2:
        raise op.invalid(
            f"limits {low} and {high}, {channels} channels, {count} coefficients and {frequencies} frequencies "
            "do not make a filter bank"
        )
    out.shape = (*spectra.dims[:2], count)
    if math.prod(out.shape) >= MOST_ELEMENTS or channels * count >= MOST_ELEMENTS // 16:
        raise op.invalid(f"{channels} channels and an output of shape {out.shape} are too many")
    cosines = np.array(
        [
            [math.sqrt(2.0 / channels) * math.cos(i * (math.pi / channels) * (j + 0.5)) for j in range(channels)]
            for i in range(count)
        ]
    )

    def run(spectra: Array, rate: Array) -> Array:
        bank = _MelBank(op, frequencies, float(rate.item()), channels, float(low), float(high))
        energies = np.maximum(bank.gather(np.sqrt(spectra.astype(np.float64))), _FLOOR)
        logarithms = np.array([math.log(e) for e in energies.ravel()]).reshape(energies.shape)
        result = np.zeros((*energies.shape[:-1], count))
        for j in range(channels):  # in the order of the channels
            result += logarithms[..., j, None] * cosines[:, j]
        return result.astype(np.float32)

    return run


class _MelBank:
    """Triangles over the frequencies of a spectrum, each from one centre on the mel scale to the next but one."""

    def __init__(self, op: Operator, frequencies: int, rate: float, channels: int, low: float, high: float) -> None:
        step = 0.5 * rate / (frequencies - 1)
        if rate <= 0 or int(high / step) >= frequencies:
            raise op.invalid(f"a rate of {rate:g} is too low for frequencies up to {high:g}")
        self.channels = channels
        self.first, self.last = int(1.5 + low / step), int(high / step)
        lowest, highest = _mel(low), _mel(high)
        spacing = (highest - lowest) / (channels + 1)
        centres = [lowest + spacing * (i + 1) for i in range(channels + 1)]
        self.bands: list[tuple[int, float]] = []  # of each frequency: its channel, from -1, and its weight there
        channel = 0
        for i in range(self.first, self.last + 1):
            mel = _mel(i * step)
            while channel < channels and centres[channel] < mel:
                channel += 1
            band = channel - 1
            left = centres[band] if band >= 0 else lowest
            self.bands.append((band, (centres[band + 1] - mel) / (centres[band + 1] - left)))

    def gather(self, magnitudes: Array) -> Array:
        """The weighted sums [..., channels] of magnitudes [..., frequencies], in their order."""
        sums = np.zeros((*magnitudes.shape[:-1], self.channels))
        for i, (band, weight) in enumerate(self.bands, self.first):
            magnitude = magnitudes[..., i]
            weighted = magnitude * weight
            if band >= 0:
                sums[..., band] += weighted
            if band + 1 < self.channels:
                sums[..., band + 1] += magnitude - weighted
        return sums


def _mel(frequency: float) -> float:
    return 1127.0 * math.log1p(frequency / 700.0)
