"""The bundled model: a small residual network that reads handwritten digits, as float and as int8 `.tflite`.

Trained on the digits that scikit-learn ships (UCI, 8x8 pixels) and converted by TensorFlow's converter;
`make_digits.py` beside this file is the script that made it. The samples are 360 images that training did not see.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_HERE = Path(str(files(__name__)))

DIGITS_FLOAT = _HERE / "digits_float.tflite"
DIGITS_INT8 = _HERE / "digits_int8.tflite"
DIGITS_SAMPLES = _HERE / "digits_samples.npz"
"""Arrays `image` (360, 8, 8, 1) float32 from 0 to 1, and `labels` (360,) uint8."""

VERIFIED = {
    "reference": _HERE / "verified.json",
    **{kernels: _HERE / f"verified_{kernels}.json" for kernels in ("optimized", "xnnpack", "micro")},
}
"""For each profile, what was compared with the real kernels; see `refquant.testing.record`."""
