"""`python -m benchmarks.fast_error [MODEL…]`: how far `float_mode="fast"` is from `"exact"`, model by model.

Each operator that sums products of float32 gets the inputs that it has in a run of `"exact"`, without its bias and its
activation. What the two modes make of them lies within twice the bound that `refquant.kernels.fast_products` states:
each is off the real sum of n products by n * 2**-24 * sum(|x * w|) at most. How large the latter sum is tells the same
operator, given the magnitudes of x and w.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

import refquant as rq
from benchmarks.chosen import chosen, modes_of, sample_for
from benchmarks.sections import markdown_table
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import ActivationFunctionType, TensorType
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]

#: operators whose sums are BLAS's, and the axes of the filters along which products are summed
_SUMMED = {"CONV_2D": (1, 2, 3), "FULLY_CONNECTED": (1,)}


@dataclass(frozen=True, slots=True)
class FastError:
    """The largest distance of an output of the model, in ULP and divided by the largest magnitude of that output, and
    the largest one of any sum of products, in units of the stated bound (at most 2)."""

    ulp: int
    relative: float
    of_bound: float


def fast_error(model: rq.Model, inputs: Sequence[Array]) -> FastError:
    """The error for one array for each input of the model, whose other numbers than float32 may differ, too, then."""
    exact, fast = (_run(model, inputs, mode) for mode in ("exact", "fast"))
    ulp, relative = 0, 0.0
    for detail in exact.get_output_details():
        if detail["dtype"] == np.float32:
            a, b = (interpreter.get_tensor(detail["index"]) for interpreter in (exact, fast))
            ulp = max(ulp, _ulp(a, b))
            difference = np.abs(a.astype(np.float64) - b).max(initial=0)
            relative = max(relative, float(difference / max(np.abs(a).max(initial=0), np.finfo(np.float32).tiny)))
    return FastError(ulp, relative, max(_shares(model, exact), default=0.0))


def _ulp(a: Array, b: Array) -> int:
    """How many float32 numbers lie between two, at most."""
    places = []
    for array in (a, b):
        bits = array.view(np.int32).astype(np.int64)
        places.append(np.where(bits < 0, -(2**31) - bits, bits))
    return int(np.abs(places[0] - places[1]).max(initial=0))


def _shares(model: rq.Model, exact: rq.Interpreter) -> list[float]:
    """Of each operator that sums products, the largest distance in units of the bound."""
    tensors = model.subgraphs[0].tensors or []
    shares = []
    for operator in model.subgraphs[0].operators or ():
        name, inputs = model.operator_name(operator), indices_of(operator.inputs)[:2]
        if name in _SUMMED and all(tensors[i].type == TensorType.FLOAT32 for i in inputs):
            x, w = (exact.get_tensor(i) for i in inputs)
            (y,) = indices_of(operator.outputs)
            shares.append(_share(name, operator.builtin_options, x, w, exact.get_tensor(y).shape))
    return shares


def _share(name: str, options: Any, x: Array, w: Array, shape: tuple[int, ...]) -> float:
    """The largest distance of the sums of one operator, in units of the bound."""
    terms = prod(w.shape[axis] for axis in _SUMMED[name])
    bound = terms * 2.0**-24 * _sums(name, options, np.abs(x), np.abs(w), shape, "fast").astype(np.float64)
    exact, fast = (_sums(name, options, x, w, shape, mode).astype(np.float64) for mode in ("exact", "fast"))
    return float((np.abs(exact - fast) / np.maximum(bound, np.finfo(np.float32).tiny)).max(initial=0))


def _sums(name: str, options: Any, x: Array, w: Array, shape: tuple[int, ...], mode: str) -> Array:
    """The operator's sums without bias and activation."""
    options = copy(options)
    options.fused_activation_function = ActivationFunctionType.NONE
    tensors = [TensorSpec(TensorType.FLOAT32, x.shape), TensorSpec(TensorType.FLOAT32, data=w)]
    tensors.append(TensorSpec(TensorType.FLOAT32, data=np.zeros(shape[-1], np.float32)))
    model = single_operator_model(name, tensors, [TensorSpec(TensorType.FLOAT32, shape)], options)
    interpreter = _run(model, [x], mode)
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _run(model: rq.Model, inputs: Sequence[Array], mode: str) -> rq.Interpreter:
    interpreter = rq.Interpreter(model=model, float_mode=mode)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter


def main() -> None:
    """Prints a table of all models whose sums BLAS may compute."""
    parser = argparse.ArgumentParser(description='The error of float_mode="fast", for random inputs.')
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="a file or a part of a name; all at hand unless told"
    )
    rows = []
    for path in chosen(parser.parse_args().models):
        with suppress(rq.RefquantError):
            model = rq.Model.read(path)
            if "fast" in modes_of(model):
                error = fast_error(model, sample_for(model))
                rows.append((path.stem, str(error.ulp), f"{error.relative:.1e}", f"{error.of_bound:.2f}"))
    print(markdown_table(["model", "ULP>", "relative>", "of the bound>"], rows))


if __name__ == "__main__":
    main()
