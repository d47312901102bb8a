"""Simplifications that the converter applies after quantization.

Source: converter/transforms/optimize_pass.cc and optimize_patterns.td.
"""

from __future__ import annotations

from refquant.quantization.ir import Function
from refquant.quantization.rewrite import rewrite


def optimize(function: Function) -> None:
    """Simplifies a function."""
    rewrite(function, {})
