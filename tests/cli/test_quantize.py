"""`refquant quantize`: its options are the attributes of `Converter`, and what goes wrong leaves files as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.cli import main
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.quantization.converter import OpsSet
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite.schema import AddOptions, TensorType

INT8 = OpsSet.TFLITE_BUILTINS_INT8
INT16 = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
COUNT = 5


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def quantize(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: Any) -> Result:
        with pytest.raises(SystemExit) as exit:
            main(["quantize", *(str(a) for a in arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(int(exit.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few samples of the bundled model, in a file."""
    path = tmp_path / "image.npy"
    np.save(path, samples())
    return path


def samples() -> np.ndarray[Any, Any]:
    with np.load(DIGITS_SAMPLES) as arrays:
        return arrays["image"][:COUNT]


def converted(ops: list[OpsSet] | None = None, with_samples: bool = True, **attributes: Any) -> bytes:
    """What the Python API makes of the bundled model."""
    converter = rq.Converter.from_tflite(DIGITS_FLOAT)
    converter.optimizations = [rq.Optimize.DEFAULT]
    if ops is not None:
        converter.target_spec.supported_ops = ops
    converter.target_spec.supported_types = attributes.pop("supported_types", [])
    if with_samples:
        converter.representative_dataset = [[image[None]] for image in samples()]
    for name, value in attributes.items():
        assert hasattr(converter, name)
        setattr(converter, name, value)
    return converter.convert()


def name_of(operator: str) -> str:
    """The name of what the first such operator of the bundled model makes."""
    model = rq.Model.read(DIGITS_FLOAT)
    (first, *_) = (op for op in model.subgraphs[0].operators or () if model.operator_name(op) == operator)
    return (model.subgraphs[0].tensors or [])[first.outputs[0]].name or ""


FLOAT16 = {"supported_types": [np.float16], "with_samples": False}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {"with_samples": False}),
    ("--mode dynamic", {"with_samples": False}),
    ("-m float16", FLOAT16),
    ("-m dynamic --per-tensor", {"with_samples": False, "_experimental_disable_per_channel": True}),
    ("-m dynamic --deny FULLY_CONNECTED", {"with_samples": False, "denylisted_ops": ["FULLY_CONNECTED"]}),
    ("-m int8 DATA", {}),
    ("-m int8-only DATA", {"ops": [INT8]}),
    ("-m int16x8 DATA", {"ops": [INT16, OpsSet.TFLITE_BUILTINS]}),
    ("-m int16x8-only DATA", {"ops": [INT16]}),
    ("-m int8 DATA --input-type int8", {"inference_input_type": "int8"}),
    ("-m int8 DATA --output-type uint8", {"inference_output_type": "uint8"}),
    (
        "-m int8-only DATA --input-type uint8 --output-type int8",
        {"ops": [INT8], "inference_input_type": "uint8", "inference_output_type": "int8"},
    ),
    ("-m int8 DATA --input-type float32 --output-type float32", {}),
    ("-m int16x8-only DATA --input-type int16", {"ops": [INT16], "inference_input_type": "int16"}),
    ("-m int8 DATA --per-tensor", {"_experimental_disable_per_channel": True}),
    (
        "-m int8 DATA --per-tensor-dense",
        {"_experimental_disable_per_channel_quantization_for_dense_layers": True},
    ),
    (
        "-m int16x8-only DATA --bias int32",
        {"ops": [INT16], "_experimental_full_integer_quantization_bias_type": "int32"},
    ),
    (
        "-m int16x8-only DATA --bias int64",
        {"ops": [INT16], "_experimental_full_integer_quantization_bias_type": "int64"},
    ),
    ("-m int8 DATA --deny SOFTMAX", {"denylisted_ops": ["SOFTMAX"]}),
    ("-m int8 DATA --deny SOFTMAX --deny ADD", {"denylisted_ops": ["SOFTMAX", "ADD"]}),
    ("-m int8 DATA --deny-tensor CONV", {"denylisted_nodes": [name_of("CONV_2D")]}),
    (
        "-m int8 DATA --deny-tensor CONV --deny ADD",
        {"denylisted_nodes": [name_of("CONV_2D")], "denylisted_ops": ["ADD"]},
    ),
    ("-m int8 DATA --older", {"experimental_new_quantizer": False}),
    (
        "-m int8-only DATA --older --input-type uint8",
        {"ops": [INT8], "experimental_new_quantizer": False, "inference_input_type": "uint8"},
    ),
    ("-m int8 DATA --signature serving_default", {}),
    ("-m int8 -d image=FILE", {}),
]


@pytest.mark.parametrize(("options", "attributes"), OPTIONS)
def test_options_are_attributes(
    quantize: Any, data: Path, tmp_path: Path, options: str, attributes: dict[str, Any]
) -> None:
    output = tmp_path / "out.tflite"
    replaced = {"DATA": ["--data", data], "CONV": [name_of("CONV_2D")], "image=FILE": [f"image={data}"]}
    arguments = [argument for word in options.split() for argument in replaced.get(word, [word])]
    result = quantize(DIGITS_FLOAT, "--output", output, *arguments)
    assert (result.status, result.err) == (0, "")
    assert output.read_bytes() == converted(**attributes)


def test_options_matter() -> None:
    """An option that is ignored would be noticed: what is said to be otherwise gives another file."""
    same = {
        "--mode dynamic": "",  # the defaults
        "-m int16x8-only DATA --bias int64": "-m int16x8-only DATA",
        "-m int8 DATA --input-type float32 --output-type float32": "-m int8 DATA",
        "-m int8-only DATA": "-m int8 DATA",  # all operators of this model have an integer form
        "-m int16x8-only DATA": "-m int16x8 DATA",
        "-m int8 DATA --signature serving_default": "-m int8 DATA",  # other ways to give the same samples
        "-m int8 -d image=FILE": "-m int8 DATA",
    }
    made = {options: converted(**attributes) for options, attributes in OPTIONS}
    assert len(set(made.values())) == len(made) - len(same)
    assert all(made[options] == made[other] for options, other in same.items())


def test_every_option_is_here(quantize: Any) -> None:
    """In these tests, and in the help with each mode."""
    text = quantize("--help").out
    shown = {word for word in text.replace(",", " ").split() if word.startswith("--")}
    tested = {word for options, _ in OPTIONS for word in options.split() if word.startswith("--")}
    assert shown - tested == {"--output", "--data", "--json", "--help"}
    flat = " ".join(text.split())
    for mode in ("dynamic", "float16", "int8", "int8-only", "int16x8, int16x8-only"):
        assert f" {mode}: " in flat
    assert "dynamic|float16|int8" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_it_tells(quantize: Any, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.tflite"
    result = quantize(DIGITS_FLOAT, "-m", "int8", "-d", data, "-o", output)
    assert "30.9 kB" in result.out and "15.3 kB" in result.out and "tensors of INT8" in result.out
    assert f"Written to {output}" in result.out


def test_json(quantize: Any, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.tflite"
    facts = json.loads(quantize(DIGITS_FLOAT, "-m", "int8", "-d", data, "-o", output, "--json").out)
    assert facts["written_to"] == str(output) and facts["mode"] == "int8"
    assert facts["size"] == {"before": DIGITS_FLOAT.stat().st_size, "after": output.stat().st_size}
    assert facts["operators"] == {"before": 9, "after": 11, "conversions": 2}
    assert facts["tensors"] == {"INT8": 16, "INT32": 6, "FLOAT32": 2}


def test_a_calibrated_model_needs_no_data(quantize: Any, data: Path, tmp_path: Path) -> None:
    calibrated = rq.calibrate(DIGITS_FLOAT, [[image[None]] for image in samples()]).apply(rq.Model.read(DIGITS_FLOAT))
    calibrated.write(tmp_path / "calibrated.tflite")
    output = tmp_path / "out.tflite"
    assert quantize(tmp_path / "calibrated.tflite", "-m", "int8", "-o", output).status == 0
    assert output.read_bytes() == converted()
    result = quantize(tmp_path / "calibrated.tflite", "-m", "dynamic", "-o", output)
    assert result.status == 2 and "--mode int8" in result.err


def two_inputs(tmp_path: Path) -> Path:
    shape = TensorSpec(TensorType.FLOAT32, (2,))
    model = single_operator_model("ADD", [shape, shape], [shape], AddOptions())
    model.write(tmp_path / "two.tflite")
    np.save(tmp_path / "a.npy", np.array([[1, -1], [2, 0]], np.float32))
    np.save(tmp_path / "b.npy", np.array([[5, 3], [4, 4]], np.float64))  # numbers of float64 are rounded
    np.savez(tmp_path / "both.npz", input0=np.load(tmp_path / "a.npy"), input1=np.load(tmp_path / "b.npy"))
    return tmp_path / "two.tflite"


def test_data_for_more_than_one_input(quantize: Any, tmp_path: Path) -> None:
    model, output = two_inputs(tmp_path), tmp_path / "out.tflite"
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    converter = rq.Converter.from_tflite(model)
    converter.optimizations = [rq.Optimize.DEFAULT]
    arrays = np.load(a), np.load(b).astype(np.float32)
    converter.representative_dataset = [[arrays[0][i], arrays[1][i]] for i in range(2)]
    for files in ((a, b), (f"input1={b}", f"input0={a}"), (tmp_path / "both.npz",)):
        given = [argument for file in files for argument in ("--data", file)]
        assert quantize(model, "-m", "int8", *given, "-o", output).status == 0
        assert output.read_bytes() == converter.convert()
    result = quantize(model, "-m", "int8", "-d", a, "-o", output)
    assert result.status == 2 and "give --data NAME=FILE" in result.err


def test_the_model_may_be_replaced(quantize: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(DIGITS_FLOAT.read_bytes())
    assert quantize(path, "-o", path).status == 0
    assert path.read_bytes() == converted(with_samples=False)


# what goes wrong


def assert_refused(result: Result, output: Path, words: str) -> None:
    """One line that says what is wrong, and nothing written."""
    assert result.status == 2 and result.out == ""
    assert result.err.startswith("refquant: ") and len(result.err.strip().splitlines()) == 1
    assert words in result.err
    assert output.read_bytes() == b"precious"
    assert [path.name for path in output.parent.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "out.tflite"
    path.write_bytes(b"precious")
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-m int8", "mode int8 needs representative samples: give --data"),
        ("-m int8-only", "mode int8-only needs representative samples: give --data"),
        ("-m int16x8", "mode int16x8 needs representative samples: give --data"),
        ("-m dynamic DATA", "mode dynamic takes no samples"),
        ("-m float16 DATA", "mode float16 takes no samples"),
        ("--input-type int8", "inference_input_type cannot be INT8 in mode dynamic range"),
        ("-m float16 --output-type uint8", "inference_output_type cannot be UINT8 in mode float16"),
        ("-m int8 DATA --input-type int16", "inference_input_type cannot be INT16 in mode int8"),
        ("-m int16x8 DATA --output-type int8", "cannot be INT8 in mode int16"),
        ("-m int8-only DATA --deny SOFTMAX", "SOFTMAX"),
        ("-m int8 DATA --signature other", "there is no signature 'other'"),
        ("-m int8 DATA DATA", "one file too many"),
        ("-m int8 --data picture=FILE", "--data picture="),
        ("-m int8 DATA --older --per-tensor", "DEPTHWISE_CONV_2D"),
        ("--bias int32", "--bias changes nothing with --mode dynamic: it is for int16x8, int16x8-only"),
        ("--older", "--older changes nothing with --mode dynamic"),
        ("-m float16 --per-tensor", "--per-tensor changes nothing with --mode float16"),
        ("-m int16x8 DATA --deny ADD", "--deny changes nothing with --mode int16x8"),
        ("-m int8 DATA --older --deny ADD", "it is for dynamic, int8, int8-only without --older"),
        ("-m int8 DATA --deny SUB", "the model has no operator 'SUB', it has ADD, CONV_2D"),
        ("-m int8 DATA --deny-tensor nobody", "no operator of the model makes a tensor 'nobody'"),
        ("--signature serving_default", "give --data too"),
    ],
)
def test_options_that_do_not_go_together(quantize: Any, data: Path, precious: Path, options: str, words: str) -> None:
    replaced: dict[str, list[Any]] = {"DATA": ["--data", data], "picture=FILE": [f"picture={data}"]}
    arguments = [argument for word in options.split() for argument in replaced.get(word, [word])]
    assert_refused(quantize(DIGITS_FLOAT, "-o", precious, *arguments), precious, words)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 8, 8, 2), np.float32), "image"),
        (np.zeros((0, 8, 8, 1), np.float32), "image"),
        (np.zeros((3, 8, 8, 1), np.int8), "takes float32, the file holds int8"),
        (np.full((3, 8, 8, 1), np.nan, np.float32), "NaN or infinity"),
        (np.full((3, 8, 8, 1), np.inf, np.float32), "NaN or infinity"),
        (np.array(["x"]), "image"),
    ],
    ids=["shape", "no samples", "type", "NaN", "infinity", "text"],
)
def test_wrong_data(quantize: Any, tmp_path: Path, precious: Path, array: Any, words: str) -> None:
    np.save(tmp_path / "x.npy", array)
    result = quantize(DIGITS_FLOAT, "-o", precious, "-m", "int8", "-d", tmp_path / "x.npy")
    assert_refused(result, precious, words)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"x" * 99, "not a .npy or .npz file")])
def test_what_is_no_data(quantize: Any, tmp_path: Path, precious: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.npy"
    if content is not None:
        path.write_bytes(content)
    assert_refused(quantize(DIGITS_FLOAT, "-o", precious, "-m", "int8", "-d", path), precious, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "too few"),
        (DIGITS_FLOAT.read_bytes()[:4000], "not a valid model"),
        (DIGITS_INT8.read_bytes(), "quantized already: tensor 0 ('serving_default_image:0')"),
    ],
)
def test_wrong_models(quantize: Any, tmp_path: Path, precious: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    assert_refused(quantize(path, "-o", precious), precious, words)


def test_operators_without_an_integer_form(quantize: Any, tmp_path: Path, precious: Path) -> None:
    shape = TensorSpec(TensorType.FLOAT32, (3,))
    single_operator_model("NEG", [shape], [shape]).write(tmp_path / "model.tflite")
    np.save(tmp_path / "x.npy", np.ones((4, 3), np.float32))
    for mode in ("int8-only", "int16x8-only"):
        result = quantize(tmp_path / "model.tflite", "-m", mode, "-d", tmp_path / "x.npy", "-o", precious)
        assert_refused(result, precious, "NEG")
        assert "'output0'" in result.err
    assert quantize(tmp_path / "model.tflite", "-m", "int8", "-d", tmp_path / "x.npy", "-o", precious).status == 0


def test_places_that_cannot_be_written_to(quantize: Any, tmp_path: Path) -> None:
    """The message has the name that was given."""
    for output, words in ((tmp_path, "is a directory"), (tmp_path / "no" / "out.tflite", "there is no directory")):
        result = quantize(DIGITS_FLOAT, "-o", output)
        assert result.status == 2 and result.err.startswith(f"refquant: --output {output}: {words}")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full(quantize: Any, precious: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert_refused(quantize(DIGITS_FLOAT, "-o", precious), precious, "No space left on device")


@pytest.mark.parametrize(
    "arguments", [(DIGITS_FLOAT,), ("-o", "x.tflite"), (DIGITS_FLOAT, "-o", "x.tflite", "-m", "int5"), ("--loudly",)]
)
def test_bad_usage(quantize: Any, arguments: tuple[Any, ...]) -> None:
    result = quantize(*arguments)
    assert result.status == 2 and "Usage: refquant quantize" in result.err
