"""What an audit says: findings, and the report that collects them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from refquant.audit.differences import Difference

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
    """One output of one operator, a runtime's against the first one's, over all samples.

    How many elements differ and by how much at most: `largest` as a number, `steps` in `unit` ("LSB" of integers,
    "ULP" of floats, "" of strings). `verdict` is one of

    * "equal";
    * "begins here": all inputs of the operator are equal;
    * "begins here too": they are not, but the operator alone differs on equal ones;
    * "handed down": they are not, and the operator alone is equal on equal ones;
    * "unclear": they are not, and the operator alone tells nothing;
    * "no answer": one of the two does not give this tensor;
    * "not asked": it is computed from constants alone, and runtimes that do so beforehand do not show it.

    `note` says why, where there is something to say.
    """

    runtime: str
    index: int
    operator: str
    tensor: str
    elements: int
    different: int
    largest: float
    steps: float
    unit: str
    verdict: str
    note: str = ""

    @property
    def difference(self) -> Difference:
        """The numbers alone."""
        return Difference(self.elements, self.different, self.steps, self.largest, self.unit)


@dataclass(slots=True)
class ComparisonReport:
    """What came of comparing runtimes: `against` is the name of the one that the others are compared with.

    `runtimes` says what stands behind each name, `failures` which of them gave no answer at all and why.
    """

    model: str
    against: str
    samples: int = 0
    runtimes: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether every runtime has answered, and gives the first one's bits in every tensor."""
        return not self.failures and all(c.verdict in ("equal", "not asked") for c in self.comparisons)

    def of(self, runtime: str) -> list[Comparison]:
        """The comparisons of one runtime, in the order of the operators."""
        return [c for c in self.comparisons if c.runtime == runtime]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists."""
        return {"equal": self.equal, **asdict(self)}


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
