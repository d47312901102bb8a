"""The smallest model that shows a difference, with its arrays and a text, as files for a bug report."""

from __future__ import annotations

import io
import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.audit.differences import Difference, bits
from refquant.errors import InvalidInputError
from refquant.runtimes.machine import processor_name
from refquant.runtimes.participants import REAL
from refquant.tflite import schema
from refquant.tflite.model import Model, write_atomically
from refquant.tflite.options import name_of, options_of
from refquant.tflite.vectors import indices_of

Array = npt.NDArray[Any]

#: how many elements that differ the text shows
_SHOWN = 10


@dataclass(frozen=True)
class Reproduction:
    """A part of a model that shows a difference between a runtime and its oracle by itself.

    `operators` are those of the whole model that it consists of, `index` the one whose output differs; `found` is how
    `actual` differs from `expected`, or what the runtime said instead of an answer, where `actual` is None. `runtimes`
    says what stands behind the names of the runtime and of the oracle, in this order, `again` is a command that
    compares them on the files, where there is one.
    """

    title: str
    model: Model
    operators: Sequence[int]
    index: int
    inputs: Sequence[Array]
    expected: Sequence[Array]
    actual: Sequence[Array] | None
    found: Difference | str
    runtimes: Mapping[str, str]
    again: str = ""

    @property
    def reproduces(self) -> bool:
        """Whether it does."""
        return isinstance(self.found, str) or self.found.different > 0

    def files(self) -> dict[str, bytes]:
        """The files of the reproduction by name: the model, arrays by the names of tensors, and the text."""
        graph = self.model.subgraphs[0]
        outputs = _names(self.model, indices_of(graph.outputs), "output")
        files = {
            "model.tflite": self.model.tobytes(),
            "inputs.npz": _npz(_names(self.model, indices_of(graph.inputs), "input"), self.inputs),
            "expected.npz": _npz(outputs, self.expected),
        }
        if self.actual is not None:
            files["actual.npz"] = _npz(outputs, self.actual)
        return {**files, "report.md": self.text().encode()}

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes `files` into a new folder, wholly or not at all; with `force` also into one that is there.

        Raises `InvalidInputError` where there is something already, OSError as writing does.
        """
        target = Path(folder)
        if os.path.lexists(target) and not force:
            raise InvalidInputError(f"{target} is there already")
        if target.is_dir():
            for name, content in self.files().items():
                write_atomically(target / name, content)
            if self.actual is None:
                (target / "actual.npz").unlink(missing_ok=True)
            return
        if os.path.lexists(target):
            raise InvalidInputError(f"{target} is no folder")
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            for name, content in self.files().items():
                write_atomically(new / name, content)
            mask = os.umask(0)
            os.umask(mask)
            new.chmod(0o777 & ~mask)
            new.rename(target)
        except BaseException:
            shutil.rmtree(new)
            raise

    def text(self) -> str:
        """What a bug report needs to say, as Markdown."""
        runtime, oracle = self.runtimes
        graph = self.model.subgraphs[0]
        operators = graph.operators or []
        names = [self.model.operator_name(operator) for operator in operators]
        main = names[self.operators.index(self.index)]
        what = "gives no answer" if self.actual is None else f"differs from {oracle}"
        lines = [f"# {main}: {runtime} {what}", ""]
        of = f"operator {self.index} ({main}) of {_word(Path(self.title).name)}"
        if len(operators) > 1:
            others = ", ".join(f"{i} ({name})" for i, name in zip(self.operators, names))
            lines += [f"This is {of}, with what it needs to show the difference: operators {others}.", ""]
        else:
            lines += [f"This is {of}, alone.", ""]
        if isinstance(self.found, str):
            lines += [f"{runtime} says: {self.found}", ""]
        else:
            lines += [f"{runtime} differs from {oracle} in {self.found}.", ""]
            lines += self._elements()
        lines += ["## The model", ""]
        for i, operator in zip(self.operators, operators):
            lines += self._operator(i, operator)
        lines += [
            "## Files",
            "",
            "* `model.tflite`, the model",
            "* `inputs.npz`, its inputs by the names of their tensors",
            f"* `expected.npz`, the outputs of {oracle}",
            *([f"* `actual.npz`, the outputs of {runtime}"] if self.actual is not None else []),
            "",
            "## Versions",
            "",
            *(f"* {name}: {description}" for name, description in self.runtimes.items()),
            f"* Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}, {processor_name()}",
            "",
            *self._again(),
        ]
        return "\n".join(lines)

    def _elements(self) -> list[str]:
        """A table of the first elements that differ."""
        assert self.actual is not None
        runtime, oracle = self.runtimes
        rows: list[str] = []
        for name, e, a in zip(self._outputs(), self.expected, self.actual):
            if e.dtype != a.dtype or e.shape != a.shape:
                continue
            unequal = bits(e) != bits(a)
            places = np.argwhere(unequal.any(axis=0) if e.dtype.kind == "c" else unequal)
            for place in places[: _SHOWN - len(rows)]:
                at = tuple(int(i) for i in place)
                rows.append(f"| {_word(name)} {list(at)} | {_number(e[at])} | {_number(a[at])} |")
        if not rows:
            return []
        return [f"| element | {oracle} | {runtime} |", "|---|---|---|", *rows, ""]

    def _operator(self, index: int, operator: schema.Operator) -> list[str]:
        """An operator, its options and its tensors."""
        model = self.model
        options = ", ".join(f"{key}={value}" for key, value in options_of(operator).items())
        title = f"Operator {index} of the whole model: {model.operator_name(operator)}"
        lines = [f"{title}, version {model.operator_version(operator)}" + (f", options {options}" if options else "")]
        lines += ["", "| | tensor | type | shape | scale | zero point |", "|---|---|---|---|---|---|"]
        for kind in ("inputs", "outputs"):
            for position, i in enumerate(i for i in indices_of(getattr(operator, kind)) if i >= 0):
                tensor = model.tensor(i)
                q = tensor.quantization or schema.QuantizationParameters()
                what = kind[:-1] + (", constant" if len(model.buffer(tensor.buffer)) else "")
                cells = (
                    f"{what} {position}",
                    _word(tensor.name or f"tensor {i}"),
                    name_of(tensor.type),
                    "×".join(map(str, indices_of(tensor.shape))) or "scalar",
                    _few(q.scale),
                    _few(q.zero_point),
                )
                lines.append(f"| {' | '.join(cells)} |")
        return [*lines, ""]

    def _again(self) -> list[str]:
        """How to run it again: with refquant, and with the real runtimes themselves."""
        lines = ["## Run it again", ""] if self.again or any(n.partition(":")[0] in REAL for n in self.runtimes) else []
        if self.again:
            lines += ["```sh", self.again, "```", ""]
        for name in self.runtimes:
            word, _, kernels = name.partition(":")
            if word in REAL:
                lines += [f"{name} alone:", "", "```python", *_snippet(word, kernels or REAL[word][1]), "```", ""]
        return lines

    def _outputs(self) -> list[str]:
        return _names(self.model, indices_of(self.model.subgraphs[0].outputs), "output")


def _names(model: Model, indices: Sequence[int], kind: str) -> list[str]:
    """The names of inputs or outputs; those that would not tell them apart give way to numbers."""
    names = [model.tensor(i).name or "" for i in indices]
    return [name if name and names.count(name) == 1 else f"{kind}_{n}" for n, name in enumerate(names)]


def _npz(names: Sequence[str], arrays: Sequence[Array]) -> bytes:
    """An .npz file; strings get one length, as files take no others."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in zip(names, arrays):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                plain = array.astype(np.bytes_) if array.dtype == object else np.asarray(array)
                np.lib.format.write_array(file, plain, allow_pickle=False)
    return buffer.getvalue()


def _snippet(word: str, kernels: str) -> list[str]:
    """A program that asks a real runtime about the files, without refquant."""
    resolver = {
        "reference": ", experimental_op_resolver_type={}.BUILTIN_REF",
        "optimized": ", experimental_op_resolver_type={}.BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    }.get(kernels, "")
    if word == "tflite-micro":
        return [
            "import numpy as np",
            "from tflite_micro.python.tflite_micro import runtime",
            "",
            'interpreter = runtime.Interpreter.from_file("model.tflite", arena_size=1 << 24)',
            'for i, array in enumerate(np.load("inputs.npz").values()):',
            "    interpreter.set_input(array, i)",
            "interpreter.invoke()",
            'for i, (name, expected) in enumerate(np.load("expected.npz").items()):',
            '    print(name, np.count_nonzero(interpreter.get_output(i) != expected), "of", expected.size, "differ")',
        ]
    if word == "litert":
        start = ["from ai_edge_litert.interpreter import Interpreter, OpResolverType"]
        resolver = resolver.format("OpResolverType")
    else:
        start = ["import tensorflow as tf", "", "Interpreter = tf.lite.Interpreter"]
        resolver = resolver.format("tf.lite.experimental.OpResolverType")
    return [
        "import numpy as np",
        *start,
        "",
        f'interpreter = Interpreter("model.tflite", num_threads=1{resolver})',
        'for detail, array in zip(interpreter.get_input_details(), np.load("inputs.npz").values()):',
        '    interpreter.resize_tensor_input(detail["index"], array.shape)',
        "interpreter.allocate_tensors()",
        'for detail, array in zip(interpreter.get_input_details(), np.load("inputs.npz").values()):',
        '    interpreter.set_tensor(detail["index"], array)',
        "interpreter.invoke()",
        'for detail, (name, expected) in zip(interpreter.get_output_details(), np.load("expected.npz").items()):',
        '    actual = interpreter.get_tensor(detail["index"])',
        '    print(name, np.count_nonzero(actual != expected), "of", expected.size, "differ")',
    ]


def _word(text: str) -> str:
    """A name from a file as a piece of Markdown code on one line."""
    plain = "".join(c if c.isprintable() and c not in "`|" else "?" for c in text)
    return f"`{plain}`"


def _number(value: Any) -> str:
    """An element; of a float also its bits."""
    if isinstance(value, np.floating):
        return f"{value!s} (0x{int(value.view(f'u{value.itemsize}')):0{2 * value.itemsize}x})"
    return _word(repr(value)) if isinstance(value, (bytes, str)) else str(value)


def _few(values: Any) -> str:
    """The first of many numbers."""
    numbers = [] if values is None else np.asarray(values).tolist()
    return ", ".join(map(str, numbers[:4])) + (f", … ({len(numbers)})" if len(numbers) > 4 else "")
