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

from refquant.kernels.profiles import QUANTIZED_IN_OPTIMIZED
from refquant.testing.conformance import Outcome
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


def families() -> list[Family]:
    """All families that are registered, sorted by operator and variant."""
    return [_FAMILIES[key] for key in sorted(_FAMILIES)]


#: what else may come of a comparison of optimized kernels
_NOT_OF_BOOL = {Outcome.BOTH_REFUSE: "the optimized kernel takes no bool but for axes of size 1"}
_BEYOND = {Outcome.ONLY_THEIRS: "the optimized kernel reads beyond its sums"}
_OPTIMIZED: dict[tuple[str, str], Mapping[Outcome, str]] = {
    ("CONV_3D", "FLOAT32"): {
        Outcome.ONLY_THEIRS: "dilated filters damage the memory of tensorflow 2.21.0",
        Outcome.DIED: "dilated filters damage the memory of tensorflow 2.21.0",
    },
    ("CONV_3D_TRANSPOSE", "FLOAT32"): _BEYOND,
    ("DEPTHWISE_CONV_2D", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies without a bias"},
    ("FULLY_CONNECTED", "FLOAT32 sparse"): dict.fromkeys(
        (Outcome.ONLY_THEIRS, Outcome.BOTH_REFUSE), "sparse weights of float32 are refused"
    ),
    ("LOCAL_RESPONSE_NORMALIZATION", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of a negative radius"},
    ("REDUCE_MAX", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_MIN", "BOOL"): _NOT_OF_BOOL,
    ("REDUCE_PROD", "BOOL"): _NOT_OF_BOOL,
    ("SOFTMAX", "FLOAT32"): {Outcome.DIED: "tensorflow 2.21.0 dies of rows of no numbers"},
    ("SUM", "BOOL"): _NOT_OF_BOOL,
    ("TRANSPOSE_CONV", "FLOAT32"): _BEYOND,
}


def optimized_families() -> list[Family]:
    """The families of TensorFlow's operators, to be compared with its optimized kernels in profile "optimized".

    They take the cases that the profile runs: without scales, but for QUANTIZE, DEQUANTIZE and EMBEDDING_LOOKUP. Some
    families have none.
    """
    found = []
    for family in families():
        if family.oracle == "micro" or (family.operator == "QUANTIZE" and not family.variant.startswith("FLOAT32")):
            continue
        takes = family.takes if family.operator in QUANTIZED_IN_OPTIMIZED else _has_no_scales
        expected = {**family.expected, **_OPTIMIZED.get((family.operator, family.variant), {})}
        found.append(replace(family, oracle="optimized", expected=expected, profile="optimized", takes=takes))
    return found


def _has_no_scales(case: Case) -> bool:
    """Whether no tensor of the model has a scale, but for those of float32."""
    tensors = [tensor for subgraph in case.model.subgraphs for tensor in subgraph.tensors or ()]
    quantized = [tensor.quantization for tensor in tensors if tensor.type != TensorType.FLOAT32]
    return all(q is None or (q.details is None and (q.scale is None or not len(q.scale))) for q in quantized)
