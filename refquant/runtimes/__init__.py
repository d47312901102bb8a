"""The real runtimes, as peers to compare with: each behind one adapter, each in a process of its own.

refquant never needs them. Where they are installed, `open_runtime` starts a long-lived server process that runs models
for us; a runtime that aborts takes only its server along, and the next question starts a new one.
"""

from refquant.runtimes.client import RUNTIMES, Runtime, Sample, is_installed, open_runtime
from refquant.runtimes.command import Command
from refquant.runtimes.model_optimization import ModelOptimization, open_model_optimization
from refquant.runtimes.quantizer import CalibrationSample, Quantizer, open_quantizer
from refquant.runtimes.tf_style import Timings

__all__ = [
    "RUNTIMES",
    "CalibrationSample",
    "Command",
    "ModelOptimization",
    "Quantizer",
    "Runtime",
    "Sample",
    "Timings",
    "is_installed",
    "open_model_optimization",
    "open_quantizer",
    "open_runtime",
]
