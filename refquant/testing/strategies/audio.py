"""Custom operators on sound."""

from __future__ import annotations

import numpy as np
from flatbuffers import flexbuffers
from hypothesis import strategies as st

from refquant.testing.build import TensorSpec, single_operator_model
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import generators
from refquant.tflite.schema import TensorType

FLOAT32, INT32 = TensorType.FLOAT32, TensorType.INT32


@strategy("AudioSpectrogram", [FLOAT32])
def audio_spectrogram(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """One to three channels, windows up to 300 samples, any stride; noise, silence or a tone."""
    rng = draw(generators)
    size = draw(st.integers(2, 300) | st.sampled_from([64, 128, 256]))
    options = {
        "window_size": size,
        "stride": draw(st.integers(1, 2 * size)),
        "magnitude_squared": draw(st.booleans()),
    }
    samples = size + draw(st.integers(0, 400))
    kind = draw(st.sampled_from(["noise", "silence", "tone"]))
    shape = (samples, draw(st.integers(1, 3)))
    x = rng.standard_normal(shape) * draw(st.sampled_from([1.0, 1e-3, 1e4]))
    if kind == "silence":
        x = np.zeros(shape)
    elif kind == "tone":
        x = np.sin(np.arange(samples) * rng.uniform(0, 3))[:, None] * np.ones(shape)
    model = single_operator_model(
        operator, [TensorSpec(type, shape)], [TensorSpec(type)], custom_options=bytes(flexbuffers.Dumps(options))
    )
    return Case(model, [[x.astype(np.float32)]])


@strategy("Mfcc", [FLOAT32])
def mfcc(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Squared spectra of any size, filter banks from very coarse to too fine, the rate a constant."""
    rng = draw(generators)
    frequencies = draw(st.integers(9, 257))
    rate = draw(st.sampled_from([8000, 16000, 22050, 44100]))
    low = draw(st.integers(0, 500))
    channels = draw(st.integers(1, 50))
    options = {
        "upper_frequency_limit": draw(st.integers(low + 1, rate // 2)),
        "lower_frequency_limit": low,
        "filterbank_channel_count": channels,
        "dct_coefficient_count": draw(st.integers(1, channels)),
    }
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 4)), frequencies)
    x = rng.standard_normal(shape) ** 2 * draw(st.sampled_from([1.0, 1e-6, 1e6, 0.0]))
    model = single_operator_model(
        operator,
        [TensorSpec(type, shape), TensorSpec(INT32, data=np.array([rate], np.int32))],
        [TensorSpec(type)],
        custom_options=bytes(flexbuffers.Dumps(options)),
    )
    return Case(model, [[x.astype(np.float32)]])
