"""What a strategy of operator models is, and where it is found.

A strategy is a function that draws one `Case` for an operator and one variant of it (most often the type of its
activations); it registers itself under the operator's name and the variant's label::

    @strategy("NEG", [FLOAT32, INT32, INT64])
    def negation(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
        x = draw(arrays(type))
        return Case(single_operator_model(operator, [TensorSpec(type, x.shape)], [TensorSpec(type)]), [[x]])
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt
from hypothesis import strategies as st

from refquant.testing.conformance import Outcome
from refquant.testing.strategies.converted import as_converted
from refquant.testing.strategies.expected import ALWAYS, EXPECTED, TAKES
from refquant.testing.strategies.fixed_shapes import with_fixed_shapes
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Case:
    """A model and samples to run it on, one after the other in one interpreter, so that its state lives on.

    A sample holds an array for each input of the model, of the shape that the model says or another, which then
    resizes the input.
    """

    model: Model
    samples: Sequence[Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Family:
    """All cases of one operator in one variant, such as ("CONV_2D", "INT16xINT8 INT64").

    `oracle` tells who can be asked: the kernel set "reference" of TensorFlow, "optimized" for what BUILTIN_REF does not
    have, or "micro", TFLite Micro. `expected` are the outcomes other than EQUAL that a comparison may have, with the
    reason. `profile` is the profile of refquant that is compared, in the cases that it `takes`.
    """

    operator: str
    variant: str
    cases: st.SearchStrategy[Case]
    oracle: str
    expected: Mapping[Outcome, str]
    profile: str = "reference"
    takes: Callable[[Case], bool] = lambda case: True


_FAMILIES: dict[tuple[str, str], Family] = {}
Draw = Callable[..., Case]


def strategy(
    operators: str | Collection[str],
    variants: Sequence[TensorType] | Mapping[str, Any],
    *,
    oracle: str = "reference",
    expected: Mapping[Outcome, str] | None = None,
) -> Callable[[Draw], Draw]:
    """Registers `function(draw, operator, variant)` for each operator and each variant.

    Variants are tensor types, which are also their labels, or labels with whatever the function is to be given.
    """
    labelled = variants if isinstance(variants, Mapping) else {type.name: type for type in variants}

    def register(function: Draw) -> Draw:
        for operator in [operators] if isinstance(operators, str) else operators:
            for label, variant in labelled.items():
                if (operator, label) in _FAMILIES:
                    raise ValueError(f"{operator} {label} has a strategy already")
                cases = st.composite(function)(operator, variant)
                profile = "micro" if oracle == "micro" else "reference"
                _FAMILIES[operator, label] = Family(operator, label, cases, oracle, expected or {}, profile)
        return function

    return register


def families(kernels: str = "reference") -> list[Family]:
    """All families, sorted by operator and variant, to be compared with one kernel set.

    Those of "reference" ask BUILTIN_REF, or whom else their strategies name where it does not have the operator. Those
    of "optimized", "xnnpack" and "micro" have the same cases for the profile of that name; which outcomes other than
    EQUAL each of them may have is in `refquant.testing.strategies.expected`. Operators that only TFLite Micro has are
    not among those of "optimized" and "xnnpack".
    """
    registered = [_FAMILIES[key] for key in sorted(_FAMILIES)]
    if kernels == "reference":
        return registered
    return [_asking(kernels, family) for family in registered if kernels == "micro" or family.oracle != "micro"]


def _converted(case: Case, as_it_is: int) -> Case:
    """Most cases as a converter would write them, which XNNPACK is most likely to take."""
    return case if as_it_is == 0 else Case(*as_converted(case.model, [list(sample) for sample in case.samples]))


def _asking(kernels: str, family: Family) -> Family:
    key = family.operator, family.variant
    given = ALWAYS.get(kernels, family.expected)
    if kernels == "xnnpack":  # what it does not take the optimized kernels run
        given = {**family.expected, **given, **EXPECTED["optimized"].get(key, {})}
    expected = {**given, **EXPECTED[kernels].get(key, {})}
    is_taken = TAKES.get(kernels)
    takes = family.takes if is_taken is None else lambda case: is_taken(family.operator, case.model)
    if kernels == "xnnpack":
        cases = st.tuples(family.cases, st.integers(0, 7)).map(lambda drawn: _converted(*drawn))
        family = replace(family, cases=cases)
    if kernels == "micro":
        family = replace(family, cases=family.cases.map(_with_fixed_shapes))
    return replace(family, oracle=kernels, profile=kernels, expected=expected, takes=takes)


def _with_fixed_shapes(case: Case) -> Case:
    return Case(*with_fixed_shapes(case.model, case.samples))
