"""`refquant run MODEL --input x.npy`: run a model on arrays from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from refquant.cli.arrays import load_arrays, write_npz
from refquant.cli.output import console, print_json, with_progress
from refquant.errors import InvalidInputError
from refquant.interpreter import Interpreter
from refquant.numerics import affine

Array = npt.NDArray[Any]


def run(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    input: Annotated[
        list[str],
        typer.Option("--input", "-i", metavar="[NAME=]FILE", help="A .npy or .npz file: one for each input, in order or by name."),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .npz file to write the outputs to.")] = None,
    kernels: Annotated[str, typer.Option(help="Whose bits: reference or micro.")] = "reference",
    quantize_inputs: Annotated[bool, typer.Option(help="Quantize float inputs of integer models.")] = False,
    dequantize_outputs: Annotated[bool, typer.Option(help="Give integer outputs as real numbers.")] = False,
    keep_state: Annotated[bool, typer.Option(help="Let variables live on from sample to sample.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outputs as JSON.")] = False,
) -> None:
    """Run a model on arrays from files and write or print its outputs.

    An array with the shape of an input is one sample; with one dimension more in front, or with more rows than an
    input whose first dimension is 1, it holds many, which are run one after the other. An .npz file without NAME
    holds the inputs by name. Variables (the state of recurrent models) are reset before each sample unless
    --keep-state is given.
    """
    interpreter = Interpreter(model, kernels=kernels)
    details = interpreter.get_input_details()
    arrays = load_arrays(input, [detail["name"] for detail in details])
    samples = [_samples(array, detail, quantize_inputs) for array, detail in zip(arrays, details)]
    many = {len(array) for array, is_many in samples if is_many}
    if len(many) > 1:
        raise InvalidInputError(f"the inputs hold different numbers of samples: {sorted(many)}")
    count = many.pop() if many else 1
    if count == 0:
        raise InvalidInputError("the input holds no sample: nothing to run")
    interpreter.allocate_tensors()
    outputs = interpreter.get_output_details()
    results: list[list[Array]] = [[] for _ in outputs]
    for i in with_progress(range(count), count, "running"):
        if not keep_state:
            interpreter.reset_all_variables()
        for (array, is_many), detail in zip(samples, details):
            interpreter.set_tensor(detail["index"], (array[i] if is_many else array).reshape(detail["shape"]))
        interpreter.invoke()
        for position, detail in enumerate(outputs):
            results[position].append(interpreter.get_tensor(detail["index"]))
    named = {
        _unique_name(detail, position, outputs): _joined(values, detail, bool(samples and any(m for _, m in samples)))
        for position, (detail, values) in enumerate(zip(outputs, results))
    }
    if dequantize_outputs:
        named = {
            name: affine.dequantize(array, *detail["quantization"]) if detail["quantization"][0] else array
            for (name, array), detail in zip(named.items(), outputs)
        }
    if output is not None:
        write_npz(output, named)
    if json:
        print_json(named)
    else:
        _print(named, count, output)


def _samples(array: Array, detail: dict[str, Any], quantize: bool) -> tuple[Array, bool]:
    """The array in the dtype of the input, and whether it holds many samples (along its first dimension)."""
    name, shape, dtype = detail["name"], tuple(detail["shape"]), np.dtype(detail["dtype"])
    if array.dtype != dtype:
        scale, zero_point = detail["quantization"]
        if array.dtype.kind == "f" and dtype.kind in "iu" and scale:
            if not quantize:
                raise InvalidInputError(
                    f"input {name!r} takes {dtype}, the file holds {array.dtype}: "
                    "give --quantize-inputs to quantize it with the input's scale and zero point"
                )
            if not np.all(np.isfinite(array)):
                raise InvalidInputError(f"input {name!r} holds NaN or infinity, which cannot be quantized")
            array = affine.quantize(array, scale, zero_point, dtype)
        elif array.dtype == np.float64 and dtype == np.float32:
            array = array.astype(np.float32)
        else:
            raise InvalidInputError(f"input {name!r} takes {dtype}, the file holds {array.dtype}")
    if array.shape == shape:
        return array, False
    if array.shape[1:] == shape or (shape[:1] == (1,) and array.shape[1:] == shape[1:] and array.ndim == len(shape)):
        return array, True
    raise InvalidInputError(
        f"input {name!r} takes shape {shape}, or (N, {', '.join(map(str, shape))}) for N samples; "
        f"the file holds {array.shape}"
    )


def _joined(values: list[Array], detail: dict[str, Any], many: bool) -> Array:
    if not many:
        return values[0]
    return np.concatenate(values) if tuple(detail["shape"][:1]) == (1,) else np.stack(values)


def _unique_name(detail: dict[str, Any], position: int, outputs: list[dict[str, Any]]) -> str:
    name: str = detail["name"]
    return name if name and sum(o["name"] == name for o in outputs) == 1 else f"output_{position}"


def _print(named: dict[str, Array], count: int, output: Path | None) -> None:
    for name, array in named.items():
        values = ", ".join(f"{v:.6g}" if array.dtype.kind == "f" else str(v) for v in array.ravel()[:10].tolist())
        dots = ", …" if array.size > 10 else ""
        console.print(f"{name}: {array.dtype} {array.shape}: {values}{dots}", markup=False, soft_wrap=True)
    if output is not None:
        console.print(f"{count} sample{'s' if count > 1 else ''} run, written to {output}", markup=False, soft_wrap=True)
