"""From what an operator told to the derivation of one element: its steps, its window, the rule and its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from refquant.audit.explain.moves import origin_of
from refquant.audit.explain.observe import Observed
from refquant.audit.explain.report import Derivation, Step, Term, bits_of, short, shown
from refquant.audit.explain.sums import FoundOrder, order_of
from refquant.audit.explain.windows import Window, window_of
from refquant.kernels import profiles
from refquant.kernels.registry import Array, Kernel, Operator, Shape, TensorInfo
from refquant.numerics import affine
from refquant.numerics.steps import QUANTIZED, ROUNDED, SUM_OF_FLOATS, SUM_OF_QUANTIZED, Part
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, TensorType

Place = tuple[int, ...]

_EXACT = "accumulator * real multiplier"
_FLOATS = (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.FLOAT64)


def derive(
    model: Model, number: int, observed: Observed, profile: str, output: int, index: Place, *, long_sums: bool
) -> Derivation:
    """The derivation of element `index` of output number `output` of operator `number`, which was observed.

    With `long_sums` the order of float32 sums is asked for however many products they have.
    """
    op, result = observed.operator, observed.outputs[output]
    value = element(result, index)
    about, source = _described(observed.kernel)
    derivation = Derivation(
        profile, op.profile, about=about, source=source, value=value, real=real_of(op.outputs[output], value, index)
    )
    steps, derivation.rule = _steps(observed.told, index, result.shape)
    derivation.source = _row_source(op, derivation.rule) or derivation.source
    window = window_of(op, observed.inputs, index) if output == 0 else None
    origin = origin_of(observed, output, index)
    if origin is not None:
        steps = [Step("", origin, value)]
        derivation.inputs = _elements(observed, index, ())
    elif window is None:
        derivation.inputs = _elements(observed, index, result.shape)
    else:
        derivation.inputs = _facts(op, window)
        data, has_integers = _data(observed, window)
        derivation.terms = _terms(op, window, data)
        steps, fits = _with_sum(op, window, derivation.terms, observed.inputs, steps)
        if not fits or (has_integers and not _adds_up(derivation.terms, steps)):
            derivation.terms = []
        if _sums_floats(op, window):
            places = [term.place for term in derivation.terms]
            total = _total(window, steps, value)
            found = order_of(model, number, profile, observed, window, places, index, total, all=long_sums)
            derivation.order = found if isinstance(found, str) else found.words
            if not isinstance(found, str):
                steps = _activated(op, found, value) if total is None else [*found.steps, *steps]
    derivation.steps = steps
    derivation.is_derived = bool(steps) and _same(steps[-1].value, value)
    if not derivation.is_derived:
        derivation.steps = [*steps, Step("", "output", value)]
    return derivation


def _data(observed: Observed, window: Window) -> tuple[list[Array | None], bool]:
    """The inputs with the data as the integers that a hybrid operator makes of them, where it told these."""
    inputs = list(observed.inputs)
    original = inputs[window.data]
    found = next((value for name, value in observed.told if name == QUANTIZED), None)
    if found is None or original is None or window.weights is None or found.size != original.size:
        return inputs, False
    inputs[window.data] = found.reshape(original.shape)
    return inputs, True


def _adds_up(terms: Sequence[Term], steps: Sequence[Step]) -> bool:
    """Whether the products of a hybrid operator's integers give the sum that it told."""
    told = next((step.value for step in steps if step.name == SUM_OF_QUANTIZED), None)
    return told is not None and sum(int(term.product) for term in terms if term.inside) == int(told)


def _sums_floats(op: Operator, window: Window) -> bool:
    """Whether the operator adds up numbers of float32, or products of such numbers."""
    if window.weights is None and op.name not in ("MEAN", "SUM", "AVERAGE_POOL_2D"):
        return False
    tensors = [op.input(window.data), op.output()] + ([] if window.weights is None else [op.input(window.weights)])
    return all(tensor.type == TensorType.FLOAT32 for tensor in tensors)


def _total(window: Window, steps: Sequence[Step], value: Any) -> np.float32 | None:
    """The sum that an operator without weights told, or gave; None where there are weights."""
    if window.weights is not None:
        return None
    return next((np.float32(step.value) for step in steps if step.name == SUM_OF_FLOATS), value)


def _activated(op: Operator, found: FoundOrder, value: Any) -> list[Step]:
    """The steps of a sum, and what its activation makes of it."""
    activation = getattr(op.options, "fused_activation_function", ActivationFunctionType.NONE)
    steps = [*found.steps, Step("", "sum", found.result)]
    if activation == ActivationFunctionType.NONE:
        return steps
    return [*steps, Step("", f"after {ActivationFunctionType(activation).name}", value)]


def of_given(tensor: TensorInfo, array: Array, what: str, index: Place) -> Derivation:
    """What there is to say of an element that no operator computes."""
    value = element(array, index)
    facts = f"{_place(tensor)}: {tensor.type.name}{_quantization(tensor, _channel(tensor, index))}"
    real = real_of(tensor, value, index)
    return Derivation(
        "all profiles",
        "all profiles",
        what,
        inputs=[facts],
        steps=[Step("", what, value)],
        value=value,
        real=real,
        is_derived=True,
    )


def element(array: Array, index: Place) -> Any:
    """One element, as a NumPy number."""
    return array[index] if array.dtype == object or array.dtype.names else array.dtype.type(array[index])


def real_of(tensor: TensorInfo, value: Any, index: Place) -> float | None:
    """The real number for which an element of a quantized tensor stands; None for other tensors."""
    if tensor.type in _FLOATS or not tensor.is_quantized or not np.issubdtype(tensor.dtype, np.integer):
        return None
    channel = _channel(tensor, index)
    if channel >= tensor.scales.size:
        return None
    zero_point = tensor.zero_points[min(channel, tensor.zero_points.size - 1)]
    return float(affine.dequantize(np.array(value), tensor.scales[channel], zero_point))


def _channel(tensor: TensorInfo, index: Place) -> int:
    """The place in the scales of a tensor that belongs to an element."""
    return index[tensor.quantized_dimension] if tensor.scales.size > 1 and index else 0


def _steps(told: Sequence[tuple[str, Any]], index: Place, shape: Shape) -> tuple[list[Step], str]:
    """The steps of one element and the name of the rounding rule, from what was told of all."""
    steps, part, rule = [], "", ""
    for name, value in told:
        if value is None:
            part = name
        elif isinstance(value, str):
            rule = value
        else:
            part = "" if name == ROUNDED else part  # what follows concerns the whole, and stands beside others' steps
            picked = None if name == QUANTIZED else pick(value, index, shape)
            if picked is not None:
                is_fraction = name == "multiplier" and isinstance(picked, np.floating)
                steps.append(Step(part, "mantissa" if is_fraction else name.replace("_", " "), picked))
    return steps, rule


def pick(value: Any, index: Place, shape: Shape) -> Any:
    """The number that belongs to an element of an output of this `shape`: of an array that broadcasts to it, or has as
    many elements, or as many rows. None where that does not tell, or the number is another element's.
    """
    if isinstance(value, Part):
        return _pick_of_part(value, index, shape)
    array = np.asarray(value)
    if array.dtype == object:
        return None
    if array.size == 1:
        return array.reshape(-1)[0]
    try:
        return np.broadcast_to(array, shape)[index]
    except ValueError:
        pass
    if array.size == np.prod(shape):
        return array.reshape(shape)[index]
    if array.ndim == 2 and len(shape) > 1 and array.shape[1] in (1, shape[-1]) and len(array) == np.prod(shape[:-1]):
        row = array[np.ravel_multi_index(index[:-1], shape[:-1])]
        return row[index[-1] if row.size > 1 else 0]
    return None


def _pick_of_part(part: Part, index: Place, shape: Shape) -> Any:
    if prod(part.shape) != prod(shape):
        return None
    flat = int(np.ravel_multi_index(index, shape)) if shape else 0
    if isinstance(part.where, slice):
        start, stop, _ = part.where.indices(prod(shape))
        return pick(part.value, (flat - start,), (stop - start,)) if start <= flat < stop else None
    first, *others = (int(n) for n in np.unravel_index(flat, part.shape))
    return pick(part.value, tuple(others), part.shape[1:]) if first == part.where else None


def _terms(op: Operator, window: Window, inputs: Sequence[Array | None]) -> list[Term]:
    """The summands: integers less their zero points, floats as they are, products of floats rounded to float32."""
    x, w = op.input(window.data), None if window.weights is None else op.input(window.weights)
    data, weights = inputs[window.data], None if window.weights is None else inputs[window.weights]
    assert data is not None
    is_whole = data.dtype.kind in "iu" and (weights is None or weights.dtype.kind in "iu")
    is_mixed = not is_whole and weights is not None and weights.dtype.kind in "iu"  # hybrid, and its integers untold
    terms = []
    for pair in window.pairs:
        weight: Any = None
        if w is not None and weights is not None and pair.weight is not None:
            weight = weights[pair.weight]
            weight = int(weight) - _zero_point(op, w, window, pair.weight) if is_whole else weight
        place = f"[{_comma(pair.x)}]" if pair.x is not None else "padding"
        if pair.weight is not None:
            place += f" with [{_comma(pair.weight)}]"
        if pair.x is None:
            terms.append(Term(place, None, weight, None, inside=False))
            continue
        number: Any = data[pair.x]
        number = int(number) - _zero_point(op, x, window, pair.x) if is_whole and w is not None else number
        if weight is None:
            terms.append(Term(place, number, None, None))
        else:
            with np.errstate(all="ignore"):
                terms.append(Term(place, number, weight, None if is_mixed else number * weight))
    return terms


def _zero_point(op: Operator, tensor: TensorInfo, window: Window, place: Place) -> int:
    """The zero point that the kernels take off: none of signed weights, which the specification says is 0."""
    if window.weights is not None and tensor is op.input(window.weights) and op.name != "BATCH_MATMUL":
        return int(tensor.zero_points[0]) if tensor.type == TensorType.UINT8 and tensor.zero_points.size else 0
    return int(tensor.zero_points[0]) if tensor.zero_points.size else 0


def _with_sum(
    op: Operator, window: Window, terms: Sequence[Term], inputs: Sequence[Array | None], steps: list[Step]
) -> tuple[list[Step], bool]:
    """The steps, with sum and bias before the accumulator and the exact product after its multiplier.

    False where the window does not add up to the accumulator that the kernel told, or cannot be added up exactly.
    """
    at = next((i for i, step in enumerate(steps) if step.name == "accumulator"), None)
    if at is None or window.weights is None:
        return steps, True
    if any(term.inside and not isinstance(term.product, int) for term in terms):
        return steps, True
    total = sum(term.product for term in terms if term.inside)
    bias = inputs[window.bias] if window.bias is not None and window.bias < len(inputs) else None
    added = 0 if bias is None else int(bias.reshape(-1)[window.channel])
    accumulator = steps[at].value
    if (total + added - int(accumulator)) % 2 ** (8 * accumulator.itemsize):
        return steps, False
    before = [Step("", "sum of products", total)]
    if bias is not None:
        before.append(Step("", "bias", added))
    after = next((i for i, step in enumerate(steps) if step.name == "real multiplier"), at) + 1
    exact = [Step("", _EXACT, np.float64(Fraction(int(accumulator)) * Fraction(float(steps[after - 1].value))))]
    return [*steps[:at], *before, *steps[at:after], *(exact if after > at + 1 else []), *steps[after:]], True


def _same(step: Any, value: Any) -> bool:
    """Whether a step is the tensor's element: the same number, for floats the same bits."""
    if isinstance(value, np.floating):
        return bool(isinstance(step, np.floating) and bits_of(value.dtype.type(step)) == bits_of(value))
    return bool(np.asarray(step == value).all())


def _facts(op: Operator, window: Window) -> list[str]:
    """Scale and zero point of data, weights and output."""
    tensors: list[tuple[str, TensorInfo, int | None]] = [("input", op.input(window.data), None)]
    if window.weights is not None:
        tensors.append(("weights", op.input(window.weights), window.channel))
    tensors.append(("output", op.output(), None))
    return [
        f"{what} {_place(tensor)}: {tensor.type.name}{_quantization(tensor, channel)}"
        for what, tensor, channel in tensors
    ]


def _quantization(tensor: TensorInfo, channel: int | None) -> str:
    if not tensor.is_quantized:
        return ""
    place = channel if channel is not None and tensor.scales.size > 1 and channel < tensor.scales.size else 0
    of = f" of channel {place}" if tensor.scales.size > 1 else ""
    return f", scale{of} {shown(tensor.scales[place])}, zero point {tensor.zero_points[place]}"


def _elements(observed: Observed, index: Place, shape: Shape) -> list[str]:
    """The elements of the inputs that stand where the output's does."""
    lines = []
    for position, (tensor, array) in enumerate(zip(observed.operator.inputs, observed.inputs)):
        if tensor is None or array is None:
            continue
        line = f"input {position}, {_place(tensor)}: {tensor.type.name}{_quantization(tensor, None)}"
        place = _broadcast(array.shape, index, shape)
        if place is not None:
            number = element(array, place)
            real = real_of(tensor, number, place)
            line += f"; [{_comma(place)}] is {shown(number)}" + (
                "" if real is None else f", stands for {shown(np.float32(real))}"
            )
        lines.append(line)
    return lines


def _broadcast(own: Shape, index: Place, shape: Shape) -> Place | None:
    """The place in an input of shape `own` that is broadcast to `index` of the output; None where it is not."""
    if len(own) > len(shape):
        return None
    last = len(shape) - len(own)
    if any(n not in (1, m) for n, m in zip(own, shape[last:])):
        return None
    return tuple(0 if n == 1 else i for n, i in zip(own, index[last:]))


def _described(kernel: Kernel) -> tuple[str, str]:
    """The first sentence about a kernel, and its source in the runtime, from what is written with it."""
    text = " ".join((kernel.__doc__ or "").split())
    source = re.search(r"Sources?(?:, below kernels)?: (.*?)\.?$", text)
    about = re.match(r"(.*?)[.;:](?: |$)", text)
    return about[1] if about else text, source[1] if source else ""


def _row_source(op: Operator, rule: str) -> str:
    """The source of the rounding rule in the table of profiles."""
    types = {tensor.type for tensor in (*op.inputs, *op.outputs) if tensor is not None}
    for row in profiles.ROUNDING:
        if (row.profile, row.operator, row.rule.__name__) == (op.profile, op.name, rule) and row.type in types:
            return row.source
    return ""


def _place(tensor: TensorInfo) -> str:
    return f"tensor {tensor.index} ({short(tensor.name)!r})"


def _comma(place: Place) -> str:
    return ",".join(map(str, place))
