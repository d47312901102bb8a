"""The interpreter tells of its tensors what TensorFlow's tells: details and signatures, of real models and odd ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refquant.errors import RefquantError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime, tf_style
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.testing.sparse import encode
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType
from tests.conftest import model_files

pytestmark = pytest.mark.oracle

FLOAT32, INT8, INT32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32


def differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two values of details differ, in type as well; of tensors beyond ours, which are temporary, nothing."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return [f"{place}: keys {list(ours)}, expected {list(theirs)}"]
        return [d for key in ours for d in differences(ours[key], theirs[key], f"{place}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) <= len(theirs):
        return [d for i, (a, b) in enumerate(zip(ours, theirs)) for d in differences(a, b, f"{place}/{i}")]
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        equal = ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    else:
        equal = type(ours) is type(theirs) and ours == theirs
    return [] if equal else [f"{place}: {ours!r}, expected {theirs!r}"]


def check(model: Model | bytes, reference: Runtime) -> None:
    content = model if isinstance(model, bytes) else model.tobytes()
    assert differences(tf_style.details(Interpreter(model_content=content)), reference.details(content)) == []


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.stem)
def test_details_of_real_models(reference: Runtime, path: Path) -> None:
    content = path.read_bytes()
    try:
        reference.details(content)
        Interpreter(model_content=content).allocate_tensors()
    except RefquantError as error:  # of the real runtime, or of ours where it can tell before data come
        pytest.skip(str(error))
    check(content, reference)


def adding() -> Model:
    """Signatures with names out of order, one input of any size, one with an empty signature shape."""
    model = single_operator_model(
        "ADD", [TensorSpec(FLOAT32, (2, 3))] * 2, [TensorSpec(FLOAT32, (9,))], schema.AddOptions()
    )
    tensors = model.subgraphs[0].tensors or []
    tensors[0].shape_signature, tensors[1].shape_signature = np.array([-1, 3], np.int32), np.array([], np.int32)
    tensors[2].name = None

    def named(**indices: int) -> list[schema.TensorMap]:
        return [schema.TensorMap(name=name, tensor_index=index) for name, index in indices.items()]

    model.root.signature_defs = [
        schema.SignatureDef(signature_key="z", inputs=named(q=1, a=0), outputs=named(y=2)),
        schema.SignatureDef(signature_key="b", inputs=named(q=0, a=1), outputs=named(y=2, x=2)),
    ]
    return model


def sparse(blocks: dict[int, int]) -> Model:
    dense = np.zeros((4, 8), np.float32)
    dense[[1, 2, 3], [3, 7, 0]] = 5, 1, 2
    order = list(range(2 + len(blocks)))
    values, table = encode(dense, order, [False, True, False, False][: len(order)], blocks)
    model = single_operator_model(
        "DENSIFY", [TensorSpec(FLOAT32, data=dense)], [TensorSpec(FLOAT32, (4, 8), name="Densify_output")]
    )
    (model.root.buffers or [])[1].data = np.frombuffer(values.tobytes(), np.uint8)
    (model.subgraphs[0].tensors or [])[0].sparsity = table
    return model


def called() -> Model:
    """The subgraph that is called has other shapes in the file than it is called with."""
    composite = schema.StableHLOCompositeOptions(decomposition_subgraph_index=1)
    two = [TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, (2,))]
    main = SubgraphSpec(two, [OperatorSpec("STABLEHLO_COMPOSITE", [0], [1], composite)], [0], [1])
    inner = SubgraphSpec(
        [TensorSpec(FLOAT32, (5,)), TensorSpec(FLOAT32, (7,))], [OperatorSpec("NEG", [0], [1])], [0], [1]
    )
    return model_of(main, inner)


def reshaping(x: TensorSpec, shape: TensorSpec, out: TensorSpec) -> Model:
    return single_operator_model("RESHAPE", [x, shape], [out], schema.ReshapeOptions())


SIX = TensorSpec(INT32, data=np.array([6], np.int32))
ODD = {
    "signatures": adding(),
    "a shape that depends on data": single_operator_model(
        "WHERE", [TensorSpec(TensorType.BOOL, (2, 3))], [TensorSpec(TensorType.INT64, (1, 2))]
    ),
    "a shape that is an input": reshaping(
        TensorSpec(FLOAT32, (2, 3)), TensorSpec(INT32, (1,)), TensorSpec(FLOAT32, (4, 4))
    ),
    "numbers": single_operator_model("NEG", [TensorSpec(FLOAT32)], [TensorSpec(FLOAT32)]),
    "strings": reshaping(TensorSpec(TensorType.STRING, (2, 3)), SIX, TensorSpec(TensorType.STRING, (6,))),
    "bfloat16": reshaping(TensorSpec(TensorType.BFLOAT16, (2, 3)), SIX, TensorSpec(TensorType.BFLOAT16, (6,))),
    "int4": reshaping(TensorSpec(TensorType.INT4, (2, 3)), SIX, TensorSpec(TensorType.INT4, (6,))),
    "rank 8": reshaping(TensorSpec(FLOAT32, (1, 1, 2, 1, 3, 1, 1, 1)), SIX, TensorSpec(FLOAT32, (6,))),
    "per channel": single_operator_model(
        "DEQUANTIZE",
        [TensorSpec(INT8, (2, 3), scale=[1, 2, 3], quantized_dimension=1)],
        [TensorSpec(FLOAT32, (2, 3))],
    ),
    "a zero point of 33 bits": reshaping(
        TensorSpec(INT32, (6,), scale=0.5, zero_point=2**31 + 7), SIX, TensorSpec(INT32, scale=[0.25])
    ),
    "sparse": sparse({}),
    "sparse blocks": sparse({0: 2, 1: 4}),
    "subgraphs": called(),
    "inputs that are outputs": model_of(
        SubgraphSpec([TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, data=np.float32([1]))], [], [0], [0, 1, 0])
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_details_of_odd_models(reference: Runtime, name: str) -> None:
    check(ODD[name], reference)


X = np.array([3, 4], np.float32)
SUM = single_operator_model(
    "ADD",
    [TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, data=np.float32([1, 2]))],
    [TensorSpec(FLOAT32, (2,))],
    schema.AddOptions(),
)
OPEN = adding()
#: what is called, in order: (method, arguments …)
CALLS: dict[str, tuple[Model, list[tuple[Any, ...]]]] = {
    "allocated twice": (
        SUM,
        [
            ("allocate_tensors",),
            ("set_tensor", 0, X),
            ("allocate_tensors",),
            ("get_tensor", 0),
            ("invoke",),
            ("allocate_tensors",),
            ("get_tensor", 2),
        ],
    ),
    "not allocated": (SUM, [("get_tensor", 1), ("set_tensor", 0, X), ("get_tensor", 0), ("invoke",)]),
    "resized to its own shape": (
        SUM,
        [
            ("allocate_tensors",),
            ("set_tensor", 0, X),
            ("resize_tensor_input", 0, [2]),
            ("invoke",),
            ("get_tensor", 2),
        ],
    ),
    "resized": (
        SUM,
        [
            ("allocate_tensors",),
            ("set_tensor", 0, X),
            ("resize_tensor_input", 0, [3, 1]),
            ("get_tensor", 0),
            ("set_tensor", 0, np.ones((3, 1), np.float32)),
            ("invoke",),
            ("allocate_tensors",),
            ("set_tensor", 0, np.ones((3, 1), np.float32)),
            ("invoke",),
            ("get_tensor", 2),
            ("invoke",),
            ("get_tensor", 2),
        ],
    ),
    "resized and back": (
        SUM,
        [
            ("allocate_tensors",),
            ("resize_tensor_input", 0, [1]),
            ("resize_tensor_input", 0, [2]),
            ("invoke",),
        ],
    ),
    "resized to nothing": (
        SUM,
        [
            ("resize_tensor_input", 0, [0, 2]),
            ("allocate_tensors",),
            ("set_tensor", 0, np.zeros((0, 2), np.float32)),
            ("invoke",),
            ("get_tensor", 2),
        ],
    ),
    "resized to a number": (
        SUM,
        [
            ("resize_tensor_input", 0, []),
            ("allocate_tensors",),
            ("set_tensor", 0, np.array(5, np.float32)),
            ("invoke",),
            ("get_tensor", 2),
        ],
    ),
    "resized so that it does not fit": (
        SUM,
        [
            ("resize_tensor_input", 0, [3]),
            ("allocate_tensors",),
            ("resize_tensor_input", 0, [2]),
            ("allocate_tensors",),
        ],
    ),
    "another input keeps its value": (
        OPEN,
        [
            ("allocate_tensors",),
            ("set_tensor", 1, np.ones((2, 3), np.float32)),
            ("resize_tensor_input", 0, [1, 3]),
            ("allocate_tensors",),
            ("get_tensor", 1),
        ],
    ),
    "strictly": (
        OPEN,
        [
            ("resize_tensor_input", 0, [5, 3], True),
            ("resize_tensor_input", 0, [5, 4], True),
            ("resize_tensor_input", 0, [5], True),
            ("resize_tensor_input", 1, [2, 3], True),
            ("resize_tensor_input", 1, [3, 3], True),
        ],
    ),
    "bad arguments": (
        SUM,
        [
            ("allocate_tensors",),
            ("set_tensor", 7, X),
            ("set_tensor", -1, X),
            ("set_tensor", "0", X),
            ("set_tensor", 0, X.astype(np.float64)),
            ("set_tensor", 0, X[None]),
            ("set_tensor", 0, X[:1]),
            ("get_tensor", 9),
            ("get_tensor", 0, 5),
            ("get_tensor_details", 1),
            ("resize_tensor_input", 9, [1]),
            ("resize_tensor_input", 1, [1]),
            ("resize_tensor_input", 0, [-1]),
            ("get_signature_runner",),
            ("get_signature_runner", "x"),
        ],
    ),
}


@pytest.mark.filterwarnings("ignore:.*Interpreter is deprecated")
@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    """The same values come back, and the same calls are refused, in whatever order they are made."""
    tf = pytest.importorskip("tensorflow")
    model, calls = CALLS[name]
    content = model.tobytes()
    ours = Interpreter(model_content=content)
    theirs = tf.lite.Interpreter(
        model_content=content, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
    )
    for number, call in enumerate(calls):
        got, expected = (_outcome(interpreter, *call) for interpreter in (ours, theirs))
        assert differences(got, expected, f"{number}: {call[0]}") == []


def _outcome(interpreter: Any, method: str, *arguments: Any) -> Any:
    try:
        return getattr(interpreter, method)(*arguments)
    except (RefquantError, ValueError, RuntimeError, TypeError):
        return "refused"
