"""`refquant quantize MODEL --mode int8 --data samples.npz -o OUT`: a float model to a quantized one."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refquant.cli.output import add_row, console, print_json, printable, size_of, table, with_progress
from refquant.quantization.modes import ModeName

if TYPE_CHECKING:
    from refquant.quantization.converter import Converter
    from refquant.tflite.model import Model


class Type(str, Enum):
    """Types of inputs and outputs."""

    FLOAT32 = "float32"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"


class Bias(str, Enum):
    """Types of biases."""

    INT32 = "int32"
    INT64 = "int64"


_INT8 = (ModeName.INT8, ModeName.INT8_ONLY)
_INT16 = (ModeName.INT16X8, ModeName.INT16X8_ONLY)

#: the modes in which an option means something
_MODES_OF = {
    "--bias": _INT16,
    "--older": _INT8,
    "--deny": (ModeName.DYNAMIC, *_INT8),
    "--deny-tensor": _INT8,
    "--per-tensor": (ModeName.DYNAMIC, *_INT8, *_INT16),
    "--per-tensor-dense": (ModeName.DYNAMIC, *_INT8, *_INT16),
}


def quantize(
    model: Annotated[Path, typer.Argument(help="The float .tflite file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the quantized model here.", show_default=False)],
    mode: Annotated[ModeName, typer.Option("--mode", "-m", help="How to quantize, see above.")] = ModeName.DYNAMIC,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "-d",
            metavar="[NAME=]FILE",
            help="Representative samples: a .npy or .npz file; give one for each input.",
        ),
    ] = None,
    input_type: Annotated[Type, typer.Option(help="The type of the inputs of an integer model.")] = Type.FLOAT32,
    output_type: Annotated[Type, typer.Option(help="The type of the outputs of an integer model.")] = Type.FLOAT32,
    signature: Annotated[str | None, typer.Option(metavar="KEY", help="The samples are for this signature.")] = None,
    per_tensor: Annotated[
        bool, typer.Option("--per-tensor", help="One scale for each weight instead of one for each channel.")
    ] = False,
    per_tensor_dense: Annotated[
        bool, typer.Option("--per-tensor-dense", help="The same, for FULLY_CONNECTED alone.")
    ] = False,
    bias: Annotated[
        Bias | None, typer.Option("--bias", help="The type of the biases of an int16x8 model.", show_default="int64")
    ] = None,
    deny: Annotated[
        list[str] | None,
        typer.Option("--deny", metavar="OPERATOR", help="Leave operators of this name in float; may be repeated."),
    ] = None,
    deny_tensor: Annotated[
        list[str] | None,
        typer.Option("--deny-tensor", metavar="NAME", help="Leave the operator in float that makes this tensor."),
    ] = None,
    older: Annotated[bool, typer.Option("--older", help="Use the converter's older quantizer for int8 too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Quantize a float model as the TFLite converter does, to the bit.

    **dynamic**: weights of 1024 elements or more in int8, everything else in float; needs no samples.
    **float16**: weights in float16.
    **int8**: weights and activations in int8, operators without an integer form in float.
    **int8-only**: the same, but it is an error if an operator would have to stay in float.
    **int16x8**, **int16x8-only**: activations in int16, weights in int8.

    The integer modes need --data, samples in the forms that `refquant run` takes, or a model whose tensors carry the
    ranges of a calibration already. An existing output file is replaced in one step, or not at all.
    """
    from refquant.cli.arrays import check_place
    from refquant.errors import InvalidInputError
    from refquant.quantization.converter import Converter, is_calibrated
    from refquant.quantization.modes import set_mode
    from refquant.tflite.model import Model, write_atomically

    given = {"--bias": bias, "--older": older, "--deny": deny, "--deny-tensor": deny_tensor}
    _refuse_idle(mode, {**given, "--per-tensor": per_tensor, "--per-tensor-dense": per_tensor_dense}, older)
    if signature is not None and not data:
        raise InvalidInputError("--signature says whose samples --data has: give --data too")
    check_place(output)
    source, size = Model.read(model), model.stat().st_size
    converter = Converter.from_tflite(source)
    set_mode(converter, mode)
    converter.inference_input_type, converter.inference_output_type = input_type.value, output_type.value
    converter.experimental_new_quantizer = not older
    converter.denylisted_ops, converter.denylisted_nodes = deny or (), deny_tensor or ()
    converter._experimental_disable_per_channel = per_tensor
    converter._experimental_disable_per_channel_quantization_for_dense_layers = per_tensor_dense
    converter._experimental_full_integer_quantization_bias_type = None if bias is None else bias.value
    if data:
        converter.representative_dataset = _dataset(source, data, signature)
    _check(converter, mode, is_calibrated(source))
    content = converter.convert()
    write_atomically(output, content)
    facts = _facts(source, Model.read(content), size, len(content))
    if json:
        print_json({"written_to": str(output), "mode": mode.value, **facts})
    else:
        _show(facts, output)


def _refuse_idle(mode: ModeName, given: dict[str, Any], older: bool) -> None:
    """Raises `InvalidInputError` for an option that would change nothing in this mode."""
    from refquant.errors import InvalidInputError

    for option, value in given.items():
        modes = _MODES_OF[option]
        if value and (mode not in modes or (older and option.startswith("--deny"))):
            where = ", ".join(entry.value for entry in modes) + (" without --older" if mode in modes else "")
            raise InvalidInputError(f"{option} changes nothing with --mode {mode.value}: it is for {where}")


def _check(converter: Converter, mode: ModeName, calibrated: bool) -> None:
    """Samples and mode must go together: the converter would else choose another mode."""
    from refquant.errors import InvalidInputError

    has_samples = converter.representative_dataset is not None
    if mode in (ModeName.DYNAMIC, ModeName.FLOAT16):
        if has_samples or (calibrated and mode is ModeName.DYNAMIC):
            raise InvalidInputError(
                f"mode {mode.value} takes no samples and no calibrated model; did you mean --mode int8?"
            )
    elif not has_samples and not calibrated:
        raise InvalidInputError(f"mode {mode.value} needs representative samples: give --data, once for each input")


def _dataset(model: Model, files: list[str], signature: str | None) -> Any:
    """A function that gives the samples of the files, with a progress bar once they take long."""
    from refquant.cli.arrays import load_inputs
    from refquant.cli.samples import Batch, Entry
    from refquant.interpreter import Interpreter

    entry = Entry(Interpreter(model=model), signature)
    batch = Batch(entry.inputs, load_inputs(files, [place.names for place in entry.inputs], "--data"), False)
    names = [place.names[0] for place in entry.inputs]

    def samples() -> Any:
        for sample in with_progress(batch, len(batch), "Calibrating"):
            yield sample if signature is None else (signature, dict(zip(names, sample, strict=True)))

    return samples


def _facts(before: Model, after: Model, size_before: int, size_after: int) -> dict[str, Any]:
    kinds = Counter(t.type.name for subgraph in after.subgraphs for t in subgraph.tensors or ())
    operators = Counter(after.operator_name(o) for subgraph in after.subgraphs for o in subgraph.operators or ())
    return {
        "size": {"before": size_before, "after": size_after},
        "operators": {
            "before": sum(len(subgraph.operators or ()) for subgraph in before.subgraphs),
            "after": sum(operators.values()),
            "conversions": operators["QUANTIZE"] + operators["DEQUANTIZE"],
        },
        "tensors": dict(kinds.most_common()),
    }


def _show(facts: dict[str, Any], output: Path) -> None:
    rows = table("", "before>", "after>")
    add_row(rows, "size", size_of(facts["size"]["before"]), size_of(facts["size"]["after"]))
    add_row(rows, "operators", facts["operators"]["before"], facts["operators"]["after"])
    add_row(rows, "  of them QUANTIZE, DEQUANTIZE", "", facts["operators"]["conversions"])
    for kind, count in facts["tensors"].items():
        add_row(rows, f"tensors of {kind}", "", count)
    console.print(rows)
    console.print(f"Written to {printable(str(output))}", markup=False, soft_wrap=True)
