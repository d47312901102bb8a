"""Files read and written by us, then read by TensorFlow: the same fields, the same outputs.

The files: those in the folder that REFQUANT_MODELS names, the bundled ones, what TensorFlow's converter makes of
small Keras models, and special cases of the format built by us.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import RuntimeFailedError
from refquant.runtimes import Runtime
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from refquant.tflite.table import Field, Kind
from refquant.tflite.tensor_types import numpy_dtype
from tests.conftest import model_files
from tests.tflite import samples

pytestmark = pytest.mark.oracle

theirs = pytest.importorskip(
    "tensorflow.lite.python.schema_py_generated", reason="tensorflow is not installed: nothing to read files back with"
)

MODELS = model_files()


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two objects of TensorFlow's schema module differ; where data lie in the file may."""
    if hasattr(a, "__dict__"):
        if type(a) is not type(b):
            return [f"{path}: {type(a).__name__} and {type(b).__name__}"]
        return [
            found
            for name in vars(a)
            if name not in ("offset", "largeCustomOptionsOffset")
            for found in differences(getattr(a, name), getattr(b, name), f"{path}.{name}")
        ]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [found for i, (x, y) in enumerate(zip(a, b)) for found in differences(x, y, f"{path}[{i}]")]
    if isinstance(a, np.ndarray):
        same = isinstance(b, np.ndarray) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    else:
        same = type(a) is type(b) and (a == b or (a != a and b != b))
    return [] if same else [f"{path}: {a!r} and {b!r}"]


def read_by_tensorflow(content: bytes) -> Any:
    return theirs.ModelT.InitFromObj(theirs.Model.GetRootAs(content, 0))


def assert_same_fields(original: bytes, written: bytes) -> None:
    found = differences(read_by_tensorflow(original), read_by_tensorflow(written))
    assert not found, f"{len(found)} differences, first {found[0]}"


def sample(model: Model) -> list[npt.NDArray[Any]]:
    """Random inputs for the first subgraph, small where they may be indices."""
    generator = np.random.default_rng(1)
    arrays = []
    for index in np.asarray(model.subgraphs[0].inputs if model.subgraphs[0].inputs is not None else (), int):
        tensor = model.tensor(int(index))
        dtype, shape = (
            numpy_dtype(tensor.type),
            tuple(np.asarray(tensor.shape if tensor.shape is not None else (), int)),
        )
        wide = dtype.itemsize == 1
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if wide and dtype.kind in "iu" else (0, 1)
        numbers = generator.standard_normal(shape) if dtype.kind == "f" else generator.integers(low, high + 1, shape)
        arrays.append(np.asarray(numbers).astype(dtype))
    return arrays


def answer(runtime: Runtime, content: bytes, inputs: list[npt.NDArray[Any]]) -> list[tuple[Any, ...]] | str:
    """The outputs as comparable values; that the runtime failed is an answer too."""
    try:
        return [(a.dtype, a.shape, a.tobytes()) for a in runtime.run(content, inputs)]
    except RuntimeFailedError:
        return "failed"


def assert_same_outputs(runtime: Runtime, original: bytes, written: bytes) -> bool:
    """Whether the runtime ran them; fails where the outputs differ or only one runs."""
    inputs = sample(Model.read(original))
    expected = answer(runtime, original, inputs)
    assert answer(runtime, written, inputs) == expected
    return expected != "failed"


@pytest.mark.skipif(not MODELS, reason="REFQUANT_MODELS is not set: no real model makes the round trip")
def test_real_models_have_the_same_fields() -> None:
    for path in MODELS:
        original = path.read_bytes()
        try:
            assert_same_fields(original, Model.read(path).tobytes())
        except AssertionError as error:
            raise AssertionError(f"{path.name}: {error}") from error
    print(f"{len(MODELS)} files")


@pytest.mark.skipif(not MODELS, reason="REFQUANT_MODELS is not set: no real model is run")
def test_real_models_have_the_same_outputs(reference: Runtime) -> None:
    ran = [path for path in MODELS if assert_same_outputs(reference, path.read_bytes(), Model.read(path).tobytes())]
    print(f"{len(ran)} of {len(MODELS)} files run")
    assert len(ran) >= len(MODELS) * 3 // 4


@pytest.mark.parametrize("name", samples.bundled_models())
def test_bundled_models(name: str, reference: Runtime) -> None:
    original = samples.bundled_models()[name]
    written = Model.read(original).tobytes()
    assert_same_fields(original, written)
    assert assert_same_outputs(reference, original, written)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the converter makes of small models, by kind."""
    tf = pytest.importorskip("tensorflow")
    network = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 1), batch_size=1),
            tf.keras.layers.Conv2D(4, 3, activation="relu"),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(40),
            tf.keras.layers.Softmax(),
        ]
    )

    def keras(**settings: Any) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        for name, value in settings.items():
            setattr(converter, name, value)
        return bytes(converter.convert())

    def calibration() -> Any:
        generator = np.random.default_rng(2)
        return ([generator.standard_normal((1, 8, 8, 1)).astype(np.float32)] for _ in range(4))

    class TwoSignatures(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([4])])
        def double(self, x: Any) -> Any:
            return {"doubled": x * 2.0}

        @tf.function(input_signature=[tf.TensorSpec([4])])
        def halve(self, x: Any) -> Any:
            return {"halved": x / 2.0}

        @tf.function(input_signature=[tf.TensorSpec([4])])
        def branch(self, x: Any) -> Any:
            larger = tf.cond(tf.reduce_sum(x) > 0.0, lambda: tf.sin(x), lambda: tf.cos(x))
            return {"grown": tf.while_loop(lambda y: tf.reduce_sum(y) < 9.0, lambda y: [y + 1.0], [larger])[0]}

    module = TwoSignatures()
    folder = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(module, folder, signatures={"double": module.double, "halve": module.halve})
    branch = module.branch.get_concrete_function()
    default = [tf.lite.Optimize.DEFAULT]
    return {
        "float": keras(),
        "dynamic range": keras(optimizations=default),
        "int8": keras(optimizations=default, representative_dataset=calibration),
        "signatures": bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert()),
        "control flow": bytes(tf.lite.TFLiteConverter.from_concrete_functions([branch], module).convert()),
        "buffers outside": keras(_experimental_use_buffer_offset=True),
    }


@pytest.mark.parametrize("kind", ["float", "dynamic range", "int8", "signatures", "control flow", "buffers outside"])
def test_converter_output(kind: str, converted: dict[str, bytes], reference: Runtime) -> None:
    original = converted[kind]
    model = Model.read(original)
    written = model.tobytes()
    assert_same_fields(original, written)
    assert assert_same_outputs(reference, original, written)
    assert len(written) < 1.05 * len(original) + 256
    if kind == "signatures":
        assert len(model.root.signature_defs or ()) == 2
    if kind == "control flow":
        assert len(model.subgraphs) >= 5
    if kind == "buffers outside":
        assert any(buffer.offset > 1 for buffer in model.root.buffers or ())


def with_weights_outside(model: Model) -> None:
    """Puts the constants after the FlatBuffer."""
    outside = Model.read(samples.outside().tobytes())
    assert outside.root.subgraphs and outside.root.subgraphs[0].operators and outside.root.operator_codes
    del outside.root.subgraphs[0].operators[1], outside.root.operator_codes[1]
    model.root = Model.read(outside.tobytes()).root
    model._source = np.frombuffer(outside.tobytes(), np.uint8)


def with_old_opcodes(model: Model) -> None:
    """As in files from before 2020: only the code of 8 bits."""
    for code in model.root.operator_codes or ():
        code.builtin_code = schema.BuiltinOperator.ADD


class NewerTensor(schema.Tensor):
    """A tensor of a schema to come: with three more numbers."""

    __slots__ = ("count", "flag", "half")
    FIELDS = (
        *schema.Tensor.FIELDS,
        Field("half", 11, Kind.SCALAR, "f", 0.0),
        Field("flag", 12, Kind.SCALAR, "?", False),
        Field("count", 13, Kind.SCALAR, "q", 0),
    )


def with_unknown_fields(model: Model) -> None:
    """Tensors have fields that no present schema knows."""
    for subgraph in model.subgraphs:
        subgraph.tensors = [newer(tensor) for tensor in subgraph.tensors or ()]


def newer(tensor: schema.Tensor) -> NewerTensor:
    made = NewerTensor(**{field.name: getattr(tensor, field.name) for field in schema.Tensor.FIELDS})
    made.half, made.flag, made.count = 0.5, True, 2**60 + 1
    return made


def with_unknown_custom_operator(model: Model) -> None:
    """A second subgraph, which nobody calls, with a custom operator."""
    root = model.root
    assert root.operator_codes and root.subgraphs
    root.operator_codes.append(schema.OperatorCode(deprecated_builtin_code=32, builtin_code=32, custom_code="Nobody's"))
    options = np.arange(100, dtype=np.uint8)
    operator = schema.Operator(opcode_index=1, inputs=[0, -1], outputs=[1], custom_options=options)
    tensors = [schema.Tensor(name=name, shape=[1], type=TensorType.FLOAT32) for name in "ab"]
    root.subgraphs.append(
        schema.SubGraph(name="custom", tensors=tensors, inputs=[0], outputs=[1], operators=[operator])
    )


#: the interpreter looks at the operators of the subgraphs that it calls alone, so all of them run
CASES = {
    "weights outside": with_weights_outside,
    "old opcodes": with_old_opcodes,
    "unknown fields": with_unknown_fields,
    "unknown custom operator": with_unknown_custom_operator,
}


@pytest.mark.parametrize("case", CASES)
def test_special_cases(case: str, reference: Runtime) -> None:
    model = samples.convolution()
    plain = model.tobytes()
    CASES[case](model)
    original = model.tobytes()
    written = Model.read(original).tobytes()
    assert_same_fields(original, written)
    assert assert_same_outputs(reference, original, written)
    inputs = sample(samples.convolution())
    assert answer(reference, written, inputs) == answer(reference, plain, inputs), "the change has changed outputs"


def test_everything_is_read_by_tensorflow_as_it_was_built() -> None:
    built = samples.everything()
    root = read_by_tensorflow(built.tobytes())
    branch = root.subgraphs[1]
    assert branch.tensors[1].name == "ärmel".encode()
    assert branch.tensors[1].quantization.details.custom.tolist() == [1, 2, 3]
    assert branch.tensors[3].sparsity.dimMetadata[1].arrayIndices.values.tolist() == [3, 5]
    assert branch.tensors[3].variantTensors[0].type == TensorType.INT64
    assert branch.operators[0].customOptions.tolist() == list(range(9))
    assert branch.operators[1].builtinOptions2.dimensions.tolist() == [1]
    assert [signature.subgraphIndex for signature in root.signatureDefs] == [0, 1]
    assert_same_fields(built.tobytes(), Model.read(built.tobytes()).tobytes())


def test_buffers_are_aligned_to_16_bytes() -> None:
    for path in [*MODELS, *samples.DATA.glob("*.tflite")]:
        content = Model.read(Path(path)).tobytes()
        model = Model.read(content)
        start = np.frombuffer(content, np.uint8).ctypes.data
        for index in range(len(model.root.buffers or ())):
            data = model.buffer(index)
            if data.size:
                assert (data.ctypes.data - start) % 16 == 0, f"{Path(path).name}: buffer {index}"
