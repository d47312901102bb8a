"""Deriving one element of a tensor, in every profile side by side: why is it 41 here and 42 there?

An explanation is not computed by formulas of its own. The operator is run by the very kernel of each profile while the
kernel and the rounding rules that it calls tell their numbers (`Operator.observe`, `refquant.numerics.steps`), of which
those of one element are picked. A derivation says of itself whether its last step is the tensor's element.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from refquant.audit.explain.derive import derive, of_given
from refquant.audit.explain.given import checked_index, given_tensor, sample_of, tensor_number, writer_of
from refquant.audit.explain.observe import Observed, run_model, run_operator
from refquant.audit.explain.report import Derivation, Explanation, Row, Step, Term
from refquant.errors import InvalidInputError, RefquantError
from refquant.interpreter.interpreter import PROFILES
from refquant.tflite.model import Model

__all__ = ["Derivation", "Explanation", "Row", "Step", "Term", "explain"]

Array = npt.NDArray[Any]

#: the profiles that are explained unless told otherwise, those of the runtimes that people use
USUAL = ("reference", "optimized", "xnnpack", "micro")


def explain(
    model: Model | str | os.PathLike[str] | bytes,
    tensor: str | int,
    index: Sequence[int] | int,
    data: Sequence[Any] | Mapping[str, Any] | Array | None = None,
    *,
    profiles: Sequence[str] | None = None,
    whole_run: bool = False,
    seed: int = 0,
    long_sums: bool = False,
) -> Explanation:
    """Derives element `index` of a tensor (name or number) of the main subgraph, in each of the `profiles`.

    `data` is one sample: an array for each input of the model, in order or by the name of its tensor, real numbers
    where the input is quantized if you like; without it the inputs are random, by `seed`. The first of the profiles
    that runs the model gives the operator its inputs, and the others are handed the same, so that where they part is
    this operator's own doing; with `whole_run` each profile has the inputs that its own run gives. With `long_sums` the
    order of sums of float32 is found however many products they have, which may take minutes.

    >>> import refquant as rq
    >>> from refquant.data import DIGITS_INT8
    >>> explanation = rq.explain(DIGITS_INT8, 13, (0, 3, 4, 1), profiles=["reference"])
    >>> explanation.operator, explanation.derivations[0].is_derived
    ('operator 0 (CONV_2D)', True)

    Raises `InvalidInputError` for a tensor, an index, a profile or data that are none, `InvalidModelError` for a bad
    model, `UnsupportedOperatorError` where no profile runs the model up to that tensor.
    """
    read = model if isinstance(model, Model) else Model.read(model)
    chosen = list(USUAL if profiles is None else profiles)
    for profile in chosen:
        if profile not in PROFILES:
            raise InvalidInputError(f"there is no profile {profile!r}: choose from {', '.join(PROFILES)}")
    if not chosen:
        raise InvalidInputError("name at least one profile")
    number = tensor_number(read, tensor)
    inputs, about = sample_of(read, data, seed)
    facts = (read.subgraphs[0].tensors or [])[number]
    found = Explanation(
        model=str(model) if isinstance(model, (str, os.PathLike)) else "model",
        tensor=facts.name or f"tensor {number}",
        tensor_index=number,
        type=facts.type.name,
        data=about,
    )
    place = f"tensor {number} ({found.tensor!r})"
    writer = writer_of(read, number)
    if writer is None:
        info, array, what = given_tensor(read, number, inputs)
        found.operator, found.shape = f"no operator: it is {what}", array.shape
        found.index = checked_index(place, array.shape, index)
        found.derivations = [of_given(info, array, what, found.index)]
        return found
    operator, output = writer
    runs, errors = _runs(read, operator, chosen, inputs, whole_run)
    if not runs:
        raise errors[chosen[0]]
    first = next(iter(runs))
    found.operator = f"operator {operator} ({runs[first].operator.name})"
    if len(runs) > 1:
        found.handed = "each profile has the inputs of its own run" if whole_run else f"inputs as in profile {first}"
    found.shape = runs[first].outputs[output].shape
    found.index = checked_index(place, found.shape, index)
    for profile in chosen:
        if profile in errors:
            found.derivations.append(Derivation(profile, refused=_reason(errors[profile])))
        else:
            found.derivations.append(
                derive(read, operator, runs[profile], profile, output, found.index, long_sums=long_sums)
            )
    return found


def _runs(
    model: Model, operator: int, profiles: Sequence[str], inputs: Sequence[Array], whole_run: bool
) -> tuple[dict[str, Observed], dict[str, RefquantError]]:
    """The operator observed in each profile, or why it does not run."""
    runs: dict[str, Observed] = {}
    errors: dict[str, RefquantError] = {}
    for profile in profiles:
        try:
            if whole_run or not runs:
                runs[profile] = run_model(model, operator, profile, inputs)
            else:
                runs[profile] = run_operator(model, operator, profile, inputs, next(iter(runs.values())).inputs)
        except RefquantError as error:
            errors[profile] = error
    return runs, errors


def _reason(error: RefquantError) -> str:
    """Why an operator does not run, without the place of the operator, which the explanation tells."""
    place, colon, why = str(error).partition(": ")
    return why if colon and place.startswith("operator ") else str(error)
