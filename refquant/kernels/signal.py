"""The audio front end of TensorFlow Lite Micro: the custom operators from samples to a logarithmic filter bank.

In the order in which a model uses them: window the samples, scale them up to the full 16 bits, Fourier transform,
energy of each frequency, energy of each channel of the filter bank, square root, subtract the noise, automatic gain
(PCAN), logarithm. All is integer arithmetic. Options come as a FlexBuffer map. Like Micro, these kernels take the
shapes of their outputs from the file. Source: signal/src and signal/micro/kernels of tflite-micro.
"""

from __future__ import annotations

import math

import numpy as np
from flatbuffers import flexbuffers

from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.numerics.fft import inverse_real_fft, real_fft
from refquant.tflite.schema import TensorType

_INT16, _INT32, _UINT32, _UINT64 = TensorType.INT16, TensorType.INT32, TensorType.UINT32, TensorType.UINT64


def option(op: Operator, name: str, low: int, high: int) -> int:
    """A whole number of the options."""
    try:
        value = int(flexbuffers.GetRoot(bytearray(op.custom_options)).AsMap[name].AsInt)
    except Exception as error:  # the FlexBuffer reader raises whatever broken bytes lead to
        raise op.invalid(f"its custom options have no whole number {name!r}") from error
    if not low <= value <= high:
        raise op.invalid(f"its option {name!r} is {value}, expected {low} to {high}")
    return value


def tensors_of(op: Operator, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...]) -> list[TensorInfo]:
    """The inputs and outputs, which must be so many and of these types."""
    if len(op.inputs) != len(inputs) or len(op.outputs) != len(outputs):
        raise op.invalid(f"takes {len(inputs)} inputs and {len(outputs)} outputs")
    tensors = [*(op.input(i) for i in range(len(inputs))), *op.outputs]
    if any(t.type != kind for t, kind in zip(tensors, (*inputs, *outputs))):
        raise op.unsupported()
    return tensors


def _vectors(op: Operator, *tensors: TensorInfo) -> None:
    """All of one shape with one dimension."""
    if len({t.dims for t in tensors}) != 1 or len(tensors[0].dims) != 1:
        raise op.invalid(f"takes vectors of one length, got shapes {[t.dims for t in tensors]}")


@kernel("SignalWindow", custom=True)
def window(op: Operator) -> Run:
    """x * weights / 2**shift, rounded down, limited to 16 bits; the weights repeat along the last dimension."""
    x, weights, out = tensors_of(op, (_INT16, _INT16), (_INT16,))
    shift = option(op, "shift", 0, 31)
    if not x.dims or weights.dims != x.dims[-1:] or out.dims != x.dims:
        raise op.invalid(f"shapes {x.dims}, {weights.dims} and {out.dims} do not fit together")

    def run(x: Array, weights: Array) -> Array:
        return np.clip((x.astype(np.int32) * weights.astype(np.int32)) >> shift, -32768, 32767).astype(np.int16)

    return run


@kernel("SignalFftAutoScale", custom=True)
def fft_auto_scale(op: Operator) -> Run:
    """x * 2**bits, and bits: as many as leave the largest magnitude within 15 bits."""
    x, out, bits_out = tensors_of(op, (_INT16,), (_INT16, _INT32))
    _vectors(op, x, out)
    bits_shape = bits_out.dims
    if math.prod(bits_shape) != 1:
        raise op.invalid(f"the number of bits is one number, not of shape {bits_shape}")

    def run(x: Array) -> tuple[Array, Array]:
        largest = _largest_magnitude(x)
        bits = max(0, 15 - largest.bit_length()) if largest > 0 else 0
        return (x.astype(np.int32) << bits).astype(np.int16), np.full(bits_shape, bits, np.int32)

    return run


def _largest_magnitude(x: Array) -> int:
    """The largest magnitude, kept in 16 bits: after -32768, whose magnitude does not fit, the search starts again
    from -32768, and the numbers that follow may leave a negative result.
    """
    lowest = np.flatnonzero(x == -32768)
    if not lowest.size:
        return int(np.abs(x).max(initial=0))
    largest = -32768
    for value in x[lowest[-1] + 1 :].tolist():
        largest = value if value > largest else max(largest, -value)
    return largest


@kernel("SignalRfft", custom=True)
def rfft(op: Operator) -> Run:
    """The Fourier transform of int16, int32 or float32 numbers, padded with zeros to `fft_length`: `numerics.fft`."""
    x, out, length = _transform(op)
    if not x.dims or not 0 < x.dims[-1] <= length or out.dims != (*x.dims[:-1], length + 2):
        raise op.invalid(f"shapes {x.dims} and {out.dims} do not fit a transform of {length}")
    padding = [(0, 0)] * (len(x.dims) - 1) + [(0, length - x.dims[-1])]
    return lambda x: real_fft(np.pad(x, padding))


@kernel("SignalIrfft", custom=True)
def irfft(op: Operator) -> Run:
    """The `fft_length` numbers of int16, int32 or float32 whose transform it is given: `numerics.fft`."""
    x, out, length = _transform(op)
    if not x.dims or x.dims[-1] != length + 2 or out.dims != (*x.dims[:-1], length):
        raise op.invalid(f"shapes {x.dims} and {out.dims} do not fit a transform of {length}")
    if x.type == TensorType.FLOAT32:
        return lambda x: inverse_real_fft(x) / np.float32(length)
    return inverse_real_fft


def _transform(op: Operator) -> tuple[TensorInfo, TensorInfo, int]:
    """Input, output and length of a transform; as in Micro the option T names the type."""
    type = op.input(0).type if op.inputs else _INT16
    x, out = tensors_of(op, (type,), (type,))
    if type not in (_INT16, _INT32, TensorType.FLOAT32) or option(op, "T", 0, 255) != type:
        raise op.unsupported()
    length = option(op, "fft_length", 2, 2**16)
    if length < 4 or length & (length - 1):
        raise op.unsupported(f"no transform of {length} numbers, only of powers of two from 4 on,")
    return x, out, length


@kernel("SignalEnergy", custom=True)
def energy(op: Operator) -> Run:
    """real**2 + imaginary**2 of the frequencies from `start_index` up to `end_index`.

    The real kernel leaves the others as the memory happens to be; here they are 0.
    """
    x, out = tensors_of(op, (_INT16,), (_UINT32,))
    if len(x.dims) != 1 or len(out.dims) != 1 or x.dims[0] != 2 * out.dims[0]:
        raise op.invalid(f"shapes {x.dims} and {out.dims} do not fit together")
    end = option(op, "end_index", 0, out.dims[0])
    start = option(op, "start_index", 0, end)
    size = out.dims[0]

    def run(x: Array) -> Array:
        wide = x.astype(np.int64).reshape(-1, 2)
        result = np.zeros(size, np.uint32)
        result[start:end] = (wide[start:end] ** 2).sum(axis=1)
        return result

    return run


@kernel("SignalFilterBank", custom=True)
def filter_bank(op: Operator) -> Run:
    """The energy of each channel: each frequency goes with a weight to one channel, with the rest to the next.

    Channel i sums `width` frequencies from its start, times weights, and what the channel before it left; 64 bits.
    """
    x, weights, unweights, starts, weight_starts, widths, out = tensors_of(op, (_UINT32, *[_INT16] * 5), (_UINT64,))
    channels = option(op, "num_channels", 1, 32767)
    _vectors(op, weights, unweights)
    _vectors(op, starts, weight_starts, widths)
    if len(x.dims) != 1 or out.dims != (channels,) or starts.dims != (channels + 1,):
        raise op.invalid(f"{channels} channels do not fit shapes {starts.dims} and {out.dims}")
    if any(t.value is None for t in (weights, unweights, starts, weight_starts, widths)):
        raise op.unsupported("a filter bank that is not constant")
    bands = []
    for start, weight_start, width in zip(
        *(t.value.tolist() for t in (starts, weight_starts, widths) if t.value is not None)
    ):
        size = max(width, 0)
        if size and not (0 <= start <= x.dims[0] - size and 0 <= weight_start <= weights.dims[0] - size):
            raise op.invalid(f"a channel of {size} frequencies from {start} on does not lie within the input")
        bands.append((slice(start, start + size), slice(weight_start, weight_start + size)))

    def run(x: Array, weights: Array, unweights: Array, *_: Array) -> Array:
        wide = x.astype(np.uint64)
        factors = [w.astype(np.int64).view(np.uint64) for w in (weights, unweights)]
        result = np.empty(channels + 1, np.uint64)
        left = np.uint64(0)
        for i, (frequencies, of) in enumerate(bands):
            result[i] = left + (wide[frequencies] * factors[0][of]).sum(dtype=np.uint64)
            left = (wide[frequencies] * factors[1][of]).sum(dtype=np.uint64)
        return result[1:]

    return run


@kernel("SignalFilterBankSquareRoot", custom=True)
def filter_bank_square_root(op: Operator) -> Run:
    """The nearest whole number to the square root, shifted right by the bits that `SignalFftAutoScale` gave."""
    x, bits, out = tensors_of(op, (_UINT64, _INT32), (_UINT32,))
    _vectors(op, x, out)
    if math.prod(bits.dims) != 1:
        raise op.invalid(f"the number of bits is one number, not of shape {bits.dims}")

    def run(x: Array, bits: Array) -> Array:
        roots = np.array([_nearest_root(n) for n in x.tolist()], np.uint32)
        return roots >> np.uint32(int(bits.ravel()[0]) & 31)

    return run


def _nearest_root(number: int) -> int:
    root = math.isqrt(number)
    limit = 0xFFFF if number < 2**32 else 0xFFFFFFFF
    return root + (number - root * root > root and root != limit)


@kernel("SignalFilterBankSpectralSubtraction", custom=True)
def filter_bank_spectral_subtraction(op: Operator) -> Run:
    """The signal less an estimate of its noise, which lives on from one invoke to the next.

    noise = (signal * 2**smoothing_bits * smoothing + noise * one_minus_smoothing) / 2**spectral_subtraction_bits,
    with other coefficients in odd channels. What is left is at least min_signal_remaining of the signal.
    """
    x, out, noise_out = tensors_of(op, (_UINT32,), (_UINT32, _UINT32))
    _vectors(op, x, out, noise_out)
    channels = option(op, "num_channels", 1, 2**20)
    if x.dims != (channels,):
        raise op.invalid(f"{channels} channels do not fit shape {x.dims}")
    largest = 2**31 - 1
    smoothing_bits = np.uint32(option(op, "smoothing_bits", 0, 31))
    bits = np.uint64(option(op, "spectral_subtraction_bits", 0, 63))
    odd = np.arange(channels) % 2 == 1
    smoothing, one_minus = (
        np.where(odd, option(op, f"alternate_{name}", 0, largest), option(op, name, 0, largest)).astype(np.uint64)
        for name in ("smoothing", "one_minus_smoothing")
    )
    remaining = np.uint64(option(op, "min_signal_remaining", 0, largest))
    clamping = option(op, "clamping", 0, 1)
    noise = np.zeros(channels, np.uint32)

    def run(x: Array) -> tuple[Array, Array]:
        signal = x << smoothing_bits
        noise[:] = (signal.astype(np.uint64) * smoothing + noise.astype(np.uint64) * one_minus) >> bits
        estimate = np.minimum(noise, signal)
        if clamping:
            noise[:] = estimate
        floor = ((x.astype(np.uint64) * remaining) >> bits).astype(np.uint32)
        return np.maximum((signal - estimate) >> smoothing_bits, floor), noise.copy()

    def reset() -> None:
        noise[:] = 0

    run.reset = reset  # type: ignore[attr-defined]
    return run


@kernel("SignalPCAN", custom=True)
def pcan(op: Operator) -> Run:
    """Per-channel automatic gain: the signal times a gain that falls with the noise, compressed where it is small."""
    x, noise, table, out = tensors_of(op, (_UINT32, _UINT32, _INT16), (_UINT32,))
    _vectors(op, x, noise, out)
    shift = np.uint64(option(op, "snr_shift", 0, 63))
    if len(table.dims) != 1 or table.dims[0] < 125:
        raise op.invalid(f"the table of gains must have 125 entries, it has shape {table.dims}")

    def run(x: Array, noise: Array, table: Array) -> Array:
        gain = _gain(noise, table.astype(np.int32)).astype(np.int16).astype(np.int32).view(np.uint32)
        ratio = ((x.astype(np.uint64) * gain.astype(np.uint64)) >> shift).astype(np.uint32)
        return np.where(ratio < 2 << 12, (ratio * ratio) >> np.uint32(20), (ratio >> np.uint32(6)) - np.uint32(64))

    return run


def _gain(noise: Array, table: Array) -> Array:
    """The gain of a noise: a parabola for each power of two, three table entries each."""
    length = np.frexp(noise.astype(np.float64))[1]  # bits of the number
    base = np.maximum(4 * length - 6, 0)
    wide = noise.astype(np.int64)
    fraction = (
        np.where(length < 11, wide << np.maximum(11 - length, 0), wide >> np.maximum(length - 11, 0)) & 0x3FF
    ).astype(np.int32)
    bend = (table[base + 2] * fraction) >> 5
    slope = (bend + (table[base + 1] << 5)) * fraction
    return np.where(noise <= 2, table[np.minimum(noise, 2)], table[base] + ((slope + (1 << 14)) >> 15))


@kernel("SignalFilterBankLog", custom=True)
def filter_bank_log(op: Operator) -> Run:
    """The natural logarithm of x * 2**input_correction_bits, times output_scale / 65536 * 65536; 0 for 0 and 1."""
    x, out = tensors_of(op, (_UINT32,), (_INT16,))
    _vectors(op, x, out)
    correction = np.uint32(option(op, "input_correction_bits", 0, 31))
    scale = np.uint32(option(op, "output_scale", 0, 2**31 - 1))

    def run(x: Array) -> Array:
        scaled = x << correction
        logarithm = (scale * _natural_log(np.maximum(scaled, np.uint32(1))) + np.uint32(2**15)) >> np.uint32(16)
        return np.where(scaled > 1, np.minimum(logarithm, 32767), 0).astype(np.int16)

    return run


#: log2(1 + i / 128) - i / 128 in 1/65536, for i from 0 to 128, and one more entry
_LOG2_EXCESS = np.append(np.rint(65536 * (np.log2(1 + np.arange(129) / 128) - np.arange(129) / 128)), 0).astype(
    np.int64
)
_LN2 = 45426  # in 1/65536


def _natural_log(x: Array) -> Array:
    """The natural logarithm of uint32 numbers above 0, in 1/65536: bits for the whole part of log2, a table behind."""
    whole = np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1
    fraction = x.astype(np.int64) - (np.int64(1) << whole)
    fraction = np.where(whole < 16, fraction << np.maximum(16 - whole, 0), fraction >> np.maximum(whole - 16, 0))
    segment = fraction >> 9
    low, high = _LOG2_EXCESS[segment], _LOG2_EXCESS[segment + 1]
    log2 = (whole << 16) + fraction + low + (((high - low) * (fraction - (segment << 9))) >> 16)
    return ((_LN2 * log2 + 2**15) >> 16).astype(np.uint32)
