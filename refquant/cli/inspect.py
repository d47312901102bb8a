"""`refquant inspect MODEL`: what is in the file, and where its bytes are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refquant.cli.output import (
    add_row,
    console,
    count_of,
    print_json,
    printable,
    shape_of,
    size_of,
    table,
    with_progress,
)

if TYPE_CHECKING:
    from refquant.tflite.model import Model

#: how many of the largest buffers are shown
BUFFERS_SHOWN = 5

_SHORTER = {"fused_activation_function": "activation"}


def inspect(
    model: Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)],
    subgraph: Annotated[int | None, typer.Option(metavar="N", help="Only this subgraph, counted from 0.")] = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Only the operators (and tensors, with both).")
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="Only the tensors (and operators, with both).")] = False,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="What gzip and zstd make of the file and of each constant, and why.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every scale and zero point.")] = False,
) -> None:
    """Show what is in a model: signatures, operators, tensors, quantization, and where the bytes are.

    Any file that can be read is shown, also one whose operators refquant cannot run. MACs are the multiplications and
    additions of convolutions, fully connected layers and matrix products. With --compressed, entropy is the least that
    a code of single values could take, and zeros are the share of the values that are zero.
    """
    from refquant.cli.facts import describe
    from refquant.tflite.model import Model

    content = model.read_bytes()
    if compressed:
        if subgraph is not None or operators or tensors:
            raise typer.BadParameter("is of the whole file: it takes --json only", param_hint="--compressed")
        _show_compressed(Model.read(content), content, json)
        return
    facts = describe(Model.read(content), content)
    graphs = facts["subgraphs"]
    if subgraph is not None:
        if not 0 <= subgraph < len(graphs):
            raise typer.BadParameter(f"the model has subgraphs 0 to {len(graphs) - 1}", param_hint="--subgraph")
        facts["subgraphs"] = graphs = [graphs[subgraph]]
    if operators != tensors:
        for graph in graphs:
            del graph["tensors" if operators else "operators"]
    if json:
        print_json(facts)
        return
    if not (operators or tensors):
        _show_summary(model.name, facts)
    for graph in graphs:
        title = f"Subgraph {graph['index']} {printable(graph['name'])}".rstrip()
        _line(f"\n{title}: inputs {_indices(graph['inputs'])}, outputs {_indices(graph['outputs'])}", "bold")
        if "operators" in graph:
            _show_operators(graph)
        if "tensors" in graph:
            _show_tensors(graph)


def _show_summary(name: str, facts: dict[str, Any]) -> None:
    size, packed = facts["bytes"], facts["gzip_bytes"]
    _line(printable(name), "bold")
    _line(
        f"{size_of(size)}, gzip-compressed {size_of(packed)} ({packed / size:.0%}); schema version {facts['version']}"
    )
    if facts["description"]:
        _line(f"Description: {printable(facts['description'])}")
    if facts["macs"]:
        _line(f"{count_of(facts['macs'])} MACs")
    for signature in facts["signatures"]:
        ends = [", ".join(f"{k} (tensor {v})" for k, v in signature[side].items()) for side in ("inputs", "outputs")]
        text = f"Signature {signature['key']!r}, subgraph {signature['subgraph']}: {ends[0]} -> {ends[1]}"
        _line(printable(text))
    _line("\nWhere the bytes are", "bold")
    kinds = table("bytes>", "share>", "kind")
    for kind, count in facts["bytes_by_kind"].items():
        if count:
            add_row(kinds, size_of(count), f"{count / size:.0%}", kind)
    console.print(kinds)
    if facts["buffers"]:
        _line("\nLargest buffers", "bold")
        largest = table("bytes>", "#>", "kind", "of")
        for buffer in facts["buffers"][:BUFFERS_SHOWN]:
            add_row(largest, size_of(buffer["bytes"]), buffer["index"], buffer["kind"], _short(buffer["of"]))
        console.print(largest)


def _show_compressed(model: Model, content: bytes, json: bool) -> None:
    from refquant.compression.sizes import measure_tensors, sizes_of

    whole = sizes_of(content)
    sizes = measure_tensors(model, lambda constants: with_progress(constants, len(constants), "Compressing"))
    if json:
        rows = [{**size._asdict(), "sizes": size.sizes._asdict()} for size in sizes]
        print_json({**whole._asdict(), "tensors": rows})
        return
    _line(f"{size_of(whole.raw)}, gzip {size_of(whole.gzip)}, zstd {size_of(whole.zstd)}", "bold")
    rows_shown = table("raw>", "gzip>", "zstd>", "entropy>", "zeros>", "values>", "type", "shape", "used by", "name")
    for size in sorted(sizes, key=lambda size: -size.sizes.raw):
        bound = "" if size.entropy_bytes is None else size_of(size.entropy_bytes)
        zeros = "" if size.sparsity is None else f"{size.sparsity:.1%}"
        values = "" if size.unique is None else count_of(size.unique)
        if size.unique_per_channel is not None:
            values += f" ({size.unique_per_channel} a channel)"
        users, shape = " ".join(size.operators), shape_of(size.shape)
        cells = (*map(size_of, size.sizes), bound, zeros, values, size.dtype.lower(), shape, users, _short(size.name))
        add_row(rows_shown, *cells)
    console.print(rows_shown)


def _show_operators(graph: dict[str, Any]) -> None:
    rows = table("#>", "operator", "inputs", "outputs", "MACs>", "options")
    for operator in graph["operators"]:
        name = f"{operator['name']}{' (custom)' * operator['custom']} v{operator['version']}"
        options = [f"{_SHORTER.get(key, key)}={_option(value)}" for key, value in operator["options"].items()]
        if operator["custom_options_bytes"]:
            options.append(f"{size_of(operator['custom_options_bytes'])} of custom options")
        macs = "" if operator["macs"] is None else count_of(operator["macs"])
        inputs, outputs = _indices(operator["inputs"]), _indices(operator["outputs"])
        add_row(rows, operator["index"], name, inputs, outputs, macs, " ".join(options))
    console.print(rows)


def _show_tensors(graph: dict[str, Any]) -> None:
    roles = dict.fromkeys(graph["inputs"], "input") | dict.fromkeys(graph["outputs"], "output")
    rows = table("#>", "type", "shape", "scale, zero point", "data>", "name")
    for tensor in graph["tensors"]:
        data = size_of(tensor["bytes"]) if tensor["bytes"] else ""
        role = roles.get(tensor["index"], "variable" if tensor["variable"] else "")
        kind = tensor["type"].lower() + " sparse" * tensor["sparse"]
        shape = shape_of(tensor["shape_signature"] or tensor["shape"])
        add_row(rows, tensor["index"], kind, shape, _quantization(tensor), data or role, _short(tensor["name"]))
    console.print(rows)


def _quantization(tensor: dict[str, Any]) -> str:
    """Scale and zero point; of many, the range, how many, along which dimension, and no zero points of 0."""
    scales, zero_points = tensor["scale"], tensor["zero_point"] or [0]
    low, high = min(zero_points), max(zero_points)
    zero_point = f"{low}" if low == high else f"{low}..{high}"
    if len(scales) == 1:
        return f"{scales[0]:.6g}, {zero_point}"
    if not scales:
        return ""
    along = f"{min(scales):.2g}..{max(scales):.2g} ({len(scales)}, dim {tensor['quantized_dimension']})"
    return f"{along}, {zero_point}" if low or high else along


def _short(name: str) -> str:
    """The name of a tensor; of one that the converter fused from many, the first and how many more."""
    first, *more = name.split(";")
    return f"{first} +{len(more)}" if more else first


def _option(value: Any) -> str:
    text = str(value).replace(" ", "")
    return text if len(text) <= 40 else f"{text[:39]}…"


def _indices(indices: list[int]) -> str:
    return " ".join("-" if i < 0 else str(i) for i in indices) or "none"


def _line(text: str, style: str = "") -> None:
    console.print(text, style=style or None, markup=False, soft_wrap=True)
