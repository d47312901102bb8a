"""The tables of profiles name operators that there are."""

from __future__ import annotations

import refquant.interpreter  # whose kernels register themselves  # noqa: F401
from refquant.kernels.micro import TAKEN
from refquant.kernels.profiles import (
    INEXACT,
    INEXACT_IN_XNNPACK,
    QUANTIZED_IN_CALIBRATOR,
    ROUNDING,
)
from refquant.kernels.registry import known_operators


def test_every_table_names_operators_with_kernels() -> None:
    named = {row.operator for row in ROUNDING} | set(TAKEN) | set(INEXACT) | set(INEXACT_IN_XNNPACK)
    named |= QUANTIZED_IN_CALIBRATOR
    assert named <= {name for name, _ in known_operators()}
