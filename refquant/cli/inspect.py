"""`refquant inspect MODEL`: what is in the file, and where its bytes are."""

from __future__ import annotations

import gzip
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table as RichTable
from rich.text import Text

from refquant.cli.output import console, print_json, size_of
from refquant.tflite import schema
from refquant.tflite.model import Model


def inspect(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    subgraph: Annotated[int | None, typer.Option(help="Only this subgraph.")] = None,
    tensors: Annotated[bool, typer.Option(help="Show the table of tensors.")] = True,
    operators: Annotated[bool, typer.Option(help="Show the table of operators.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what is in a model: signatures, operators, tensors, quantization, and where the bytes are."""
    facts = describe(Model.read(model), model.read_bytes())
    if subgraph is not None:
        if not 0 <= subgraph < len(facts["subgraphs"]):
            raise typer.BadParameter(f"the model has subgraphs 0 to {len(facts['subgraphs']) - 1}", param_hint="--subgraph")
        facts["subgraphs"] = [facts["subgraphs"][subgraph]]
    if json:
        print_json(facts)
        return
    _print_summary(model.name, facts)
    for graph in facts["subgraphs"]:
        console.print(f"\n[bold]Subgraph {graph['index']}[/bold] {graph['name']}", soft_wrap=True)
        if operators:
            _print_operators(graph)
        if tensors:
            _print_tensors(graph)


def describe(model: Model, content: bytes) -> dict[str, Any]:
    """All facts of a model as plain dictionaries and lists; `content` are the bytes of its file."""
    used: dict[int, str] = {}
    graphs = [_subgraph(model, i, graph, used) for i, graph in enumerate(model.subgraphs)]
    buffers = [len(model.buffer(i)) for i in range(len(model.root.buffers or ()))]
    metadata = {entry.name or "": buffers[entry.buffer] for entry in model.root.metadata or ()}
    kinds = {"constants": sum(n for i, n in enumerate(buffers) if i in used), "metadata": sum(metadata.values())}
    kinds["structure and the rest"] = len(content) - sum(kinds.values())
    largest = sorted(used, key=lambda i: -buffers[i])[:5]
    return {
        "version": model.root.version,
        "description": model.root.description or "",
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9)),
        "where_the_bytes_are": kinds,
        "largest_buffers": [{"buffer": i, "bytes": buffers[i], "tensor": used[i]} for i in largest if buffers[i]],
        "metadata": metadata,
        "signatures": [
            {
                "key": signature.signature_key or "",
                "subgraph": signature.subgraph_index,
                "inputs": {e.name or "": e.tensor_index for e in signature.inputs or ()},
                "outputs": {e.name or "": e.tensor_index for e in signature.outputs or ()},
            }
            for signature in model.root.signature_defs or ()
        ],
        "subgraphs": graphs,
    }


def _subgraph(model: Model, index: int, graph: schema.SubGraph, used: dict[int, str]) -> dict[str, Any]:
    tensors = []
    for i, tensor in enumerate(graph.tensors or ()):
        quantization = tensor.quantization or schema.QuantizationParameters()
        size = len(model.buffer(tensor.buffer)) if model.root.buffers else 0
        if size:
            used.setdefault(tensor.buffer, tensor.name or str(i))
        tensors.append(
            {
                "index": i,
                "name": tensor.name or "",
                "type": _name(tensor.type),
                "shape": _list(tensor.shape),
                "shape_signature": None if tensor.shape_signature is None else _list(tensor.shape_signature),
                "scale": _list(quantization.scale),
                "zero_point": _list(quantization.zero_point),
                "quantized_dimension": quantization.quantized_dimension,
                "variable": bool(tensor.is_variable),
                "sparse": tensor.sparsity is not None,
                "buffer": tensor.buffer,
                "bytes": size,
            }
        )
    return {
        "index": index,
        "name": graph.name or "",
        "inputs": _list(graph.inputs),
        "outputs": _list(graph.outputs),
        "operators": [
            {
                "index": i,
                "name": model.operator_name(operator),
                "custom": model.is_custom(operator),
                "version": model.operator_version(operator),
                "inputs": _list(operator.inputs),
                "outputs": _list(operator.outputs),
                "options": _options(operator),
                "custom_options_bytes": 0 if operator.custom_options is None else len(operator.custom_options),
            }
            for i, operator in enumerate(graph.operators or ())
        ],
        "tensors": tensors,
    }


def _options(operator: schema.Operator) -> dict[str, Any]:
    """The options that differ from the schema's defaults, and every enum by name."""
    table = operator.builtin_options if operator.builtin_options is not None else operator.builtin_options_2
    if table is None or isinstance(table, tuple):
        return {} if table is None else {"unknown union member": table[0]}
    default = type(table)()
    shown = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if field.name != "unknown_fields" and value is not None and np.any(value != getattr(default, field.name)):
            shown[field.name] = _name(value) if isinstance(value, IntEnum) else value
    return shown


def _name(value: Any) -> str:
    return value.name if isinstance(value, IntEnum) else str(value)


def _list(vector: Any) -> list[Any]:
    return [] if vector is None else np.asarray(vector).tolist()


def _print_summary(name: str, facts: dict[str, Any]) -> None:
    share = facts["gzip_bytes"] / max(facts["bytes"], 1)
    console.print(Text(name, "bold"), Text(f"  schema version {facts['version']}  {facts['description']}"), soft_wrap=True)
    console.print(f"{size_of(facts['bytes'])}, {size_of(facts['gzip_bytes'])} gzip-compressed ({share:.0%})")
    parts = ", ".join(f"{what} {size_of(count)}" for what, count in facts["where_the_bytes_are"].items())
    console.print(f"Bytes: {parts}")
    for entry in facts["largest_buffers"]:
        console.print(Text(f"  {size_of(entry['bytes']):>9}  {entry['tensor']}"), soft_wrap=True)
    for key, size in facts["metadata"].items():
        console.print(Text(f"Metadata {key!r}: {size_of(size)}"))
    for signature in facts["signatures"]:
        inputs = ", ".join(f"{k} (tensor {v})" for k, v in signature["inputs"].items())
        outputs = ", ".join(f"{k} (tensor {v})" for k, v in signature["outputs"].items())
        console.print(Text(f"Signature {signature['key']!r}, subgraph {signature['subgraph']}: {inputs} -> {outputs}"))


def _print_operators(graph: dict[str, Any]) -> None:
    table = RichTable(title="Operators", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for header in ("#", "operator", "inputs", "outputs", "options"):
        table.add_column(header, overflow="fold")
    for op in graph["operators"]:
        name = op["name"] + (" (custom)" if op["custom"] else "") + f" v{op['version']}"
        options = ", ".join(f"{key}={value}" for key, value in op["options"].items())
        if op["custom_options_bytes"]:
            options += f"{op['custom_options_bytes']} bytes of custom options"
        inputs = " ".join("-" if i < 0 else str(i) for i in op["inputs"])
        table.add_row(*(Text(t) for t in (str(op["index"]), name, inputs, " ".join(map(str, op["outputs"])), options)))
    console.print(table)


def _print_tensors(graph: dict[str, Any]) -> None:
    table = RichTable(title="Tensors", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for header in ("#", "type", "shape", "quantization", "data", "name"):
        table.add_column(header, overflow="fold")
    roles = {i: "input" for i in graph["inputs"]} | {i: "output" for i in graph["outputs"]}
    for tensor in graph["tensors"]:
        role = roles.get(tensor["index"], "variable" if tensor["variable"] else "")
        data = size_of(tensor["bytes"]) if tensor["bytes"] else role
        shape = "x".join(map(str, tensor["shape"])) or "scalar"
        row = (str(tensor["index"]), tensor["type"].lower(), shape, _quantization(tensor), data, tensor["name"])
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _quantization(tensor: dict[str, Any]) -> str:
    scales, zero_points = tensor["scale"], tensor["zero_point"]
    if not scales:
        return ""
    if len(scales) == 1:
        return f"{scales[0]:.6g} zp {zero_points[0] if zero_points else 0}"
    return f"{len(scales)} scales {min(scales):.3g}..{max(scales):.3g} dim {tensor['quantized_dimension']}"
