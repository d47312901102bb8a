"""What an audit says: findings, and the report that collects them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: from bad to good to know; errors and warnings make `refquant audit` exit with 1
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: which rule, where, what stands there, what should, and what to do about it."""

    severity: str
    rule: str
    place: str
    found: str
    expected: str
    advice: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """Which rule of the converter explains a tensor, and whether the float model gives its very bits by that rule.

    `equal` is None for a tensor that no operator takes or makes: there was nothing to compare it with.
    """

    place: str
    tensor: str
    type: str
    rule: str
    equal: bool | None


@dataclass(frozen=True, slots=True)
class TensorError:
    """How far a quantized tensor is from its float origin over the samples.

    `sqnr` is the ratio of signal to quantization noise in dB; `at_low` and `at_high` are the shares of elements at
    the lowest and highest integer; `worst` is the element furthest off: (sample, flat index, float, dequantized).
    """

    tensor: str
    operator: str
    sqnr: float
    at_low: float
    at_high: float
    worst: tuple[int, int, float, float]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of samples whose largest output is at the label's index."""

    samples: int
    float_model: float
    quantized_model: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator's output, ours against a real runtime's: how many elements differ and by how much at most.

    `verdict` is "equal", "begins here" (all inputs were equal) or "handed down".
    """

    operator: str
    tensor: str
    elements: int
    different: int
    largest: float
    verdict: str


@dataclass(slots=True)
class Report:
    """All that an audit found. `checks` counts what was looked at, so that silence can be told from absence."""

    model: str
    findings: list[Finding] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    derivations: list[Derivation] = field(default_factory=list)
    tensors: list[TensorError] = field(default_factory=list)
    accuracy: Accuracy | None = None
    runtime: str | None = None
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True when there is no error and no warning."""
        return not any(f.severity in ("error", "warning") for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists."""
        return {"clean": self.clean, **asdict(self)}
