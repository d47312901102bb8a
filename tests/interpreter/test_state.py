"""Variables and hash tables: what keeps them, what resets them, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.runtimes import Runtime
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.conformance import Outcome, compare
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import TensorType

FLOAT32, INT32, INT64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
STRING, RESOURCE = TensorType.STRING, TensorType.RESOURCE
ADD = schema.AddOptions()


def handle(index: int, name: str = "sum") -> OperatorSpec:
    return OperatorSpec("VAR_HANDLE", [], [index], schema.VarHandleOptions(shared_name=name))


def read(index: int, value: int) -> OperatorSpec:
    return OperatorSpec("READ_VARIABLE", [index], [value], schema.ReadVariableOptions())


def assign(index: int, value: int) -> OperatorSpec:
    return OperatorSpec("ASSIGN_VARIABLE", [index, value], [], schema.AssignVariableOptions())


def running_sum() -> Model:
    """sum = sum + x; a subgraph sets it to 100 once; signature "peek" reads it."""
    once = OperatorSpec("CALL_ONCE", [], [], schema.CallOnceOptions(init_subgraph_index=1))
    main = SubgraphSpec(
        [TensorSpec(FLOAT32, (2,)), TensorSpec(RESOURCE), TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, (2,))],
        [once, handle(1), read(1, 2), OperatorSpec("ADD", [0, 2], [3], ADD), assign(1, 3)],
        [0],
        [3],
    )
    start = SubgraphSpec(
        [TensorSpec(FLOAT32, data=np.float32([100, 100])), TensorSpec(RESOURCE)], [handle(1), assign(1, 0)], [], []
    )
    peek = SubgraphSpec([TensorSpec(RESOURCE), TensorSpec(FLOAT32, ())], [handle(0), read(0, 1)], [], [1])
    model = model_of(main, start, peek)
    model.root.signature_defs = [
        schema.SignatureDef(
            signature_key="peek",
            inputs=[],
            outputs=[schema.TensorMap(name="sum", tensor_index=1)],
            subgraph_index=2,
        )
    ]
    return model


def run(interpreter: rq.Interpreter, *arrays: Any) -> list[Any]:
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).tolist() for detail in interpreter.get_output_details()]


def test_variables_live_as_long_as_their_interpreter() -> None:
    for _ in range(2):
        interpreter = rq.Interpreter(model=running_sum())
        interpreter.allocate_tensors()
        assert run(interpreter, np.float32([1, 2])) == [[101, 102]]
        interpreter.reset_all_variables()
        interpreter.allocate_tensors()
        assert run(interpreter, np.float32([1, 2])) == [[102, 104]]
        assert interpreter.get_signature_runner("peek")()["sum"].tolist() == [102, 104]


def test_a_variable_that_nobody_has_assigned() -> None:
    with pytest.raises(rq.InvalidModelError, match=r"operator 1 \(READ_VARIABLE\) of subgraph 2.*resource 0"):
        rq.Interpreter(model=running_sum()).get_signature_runner("peek")()


def assigned_and_read(value: TensorSpec, declared: TensorSpec) -> rq.Interpreter:
    tensors = [value, TensorSpec(RESOURCE), declared]
    interpreter = rq.Interpreter(model=model_of(SubgraphSpec(tensors, [handle(1), assign(1, 0), read(1, 2)], [], [2])))
    interpreter.allocate_tensors()
    return interpreter


def test_variables_of_strings() -> None:
    words = np.array([b"a", b""], object)
    assert run(assigned_and_read(TensorSpec(STRING, data=words), TensorSpec(STRING))) == [[b"a", b""]]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (TensorSpec(FLOAT32, (3,)), r"reads shape \(3,\) from a variable of shape \(2,\)"),
        (TensorSpec(INT32, (2,)), "reads INT32 from a variable of FLOAT32"),
    ],
)
def test_what_cannot_be_read(declared: TensorSpec, message: str) -> None:
    interpreter = assigned_and_read(TensorSpec(FLOAT32, data=np.float32([1, 2])), declared)
    with pytest.raises(rq.InvalidModelError, match=message):
        interpreter.invoke()


def table(*operators: OperatorSpec, types: tuple[TensorType, TensorType] = (INT64, STRING)) -> rq.Interpreter:
    """Tensors: 0 the handle, 1 keys, 2 values, 3 a default, 4 what is found, 5 the size, 6 a variable's handle."""
    options = schema.HashtableOptions(table_id=0, key_dtype=types[0], value_dtype=types[1])
    tensors = [
        TensorSpec(RESOURCE),
        TensorSpec(INT64, data=np.int64([4, 5, 4])),
        TensorSpec(STRING, data=np.array([b"four", b"five", b"again"], object)),
        TensorSpec(STRING, data=np.array([b"none", b"unused"], object)),
        TensorSpec(STRING, (3,)),
        TensorSpec(INT64, (1,)),
        TensorSpec(RESOURCE, (1,)),
    ]
    made = OperatorSpec("HASHTABLE", [], [0], options)
    outputs = [i for operator in operators for i in operator.outputs if i != 6]
    interpreter = rq.Interpreter(model=model_of(SubgraphSpec(tensors, [made, *operators], [], outputs)))
    interpreter.allocate_tensors()
    return interpreter


IMPORT = OperatorSpec("HASHTABLE_IMPORT", [0, 1, 2], [], schema.HashtableImportOptions())
FIND = OperatorSpec("HASHTABLE_FIND", [0, 1, 3], [4], schema.HashtableFindOptions())
SIZE = OperatorSpec("HASHTABLE_SIZE", [0], [5], schema.HashtableSizeOptions())


def test_a_hash_table() -> None:
    assert run(table(IMPORT, FIND, SIZE)) == [[b"four", b"five", b"four"], [2]]
    assert run(table(SIZE)) == [[0]]


def test_what_a_hash_table_refuses() -> None:
    with pytest.raises(rq.InvalidModelError, match="nothing has been imported"):
        table(FIND).invoke()
    with pytest.raises(rq.UnsupportedOperatorError, match="no hash table but"):
        table(types=(INT64, INT64))
    with pytest.raises(rq.InvalidModelError, match="from INT64 to STRING, but is given one from STRING to INT64"):
        table(IMPORT, types=(STRING, INT64)).invoke()
    with pytest.raises(rq.InvalidModelError, match="resource 0 is a hash table"):
        table(handle(6), assign(6, 1)).invoke()


VECTOR, COUNTER, TRUTH = TensorSpec(FLOAT32, (2,)), TensorSpec(INT32), TensorSpec(TensorType.BOOL)
ONCE = OperatorSpec("CALL_ONCE", [], [], schema.CallOnceOptions(init_subgraph_index=2))
FIRST = TensorSpec(FLOAT32, data=np.float32([100, 200]))
LOOP = schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=3)
COMPOSITE = schema.StableHLOCompositeOptions(decomposition_subgraph_index=1)


def shared(kind: TensorType, *, handed_over: bool) -> dict[str, Model]:
    """The main subgraph and one that it calls, or that it calls in a loop, both read and assign a variable."""
    number = TensorSpec(kind, (1,))
    made = [] if handed_over else [handle(0)]
    start = SubgraphSpec([number, FIRST], [handle(0), assign(0, 1)], [], [])
    inputs = [0, 1] if handed_over else [1]
    adding = [*made, read(0, 2), OperatorSpec("ADD", [1, 2], [3], ADD), assign(0, 3)]
    called = SubgraphSpec([number, VECTOR, VECTOR, VECTOR], adding, inputs, [3])
    call = OperatorSpec("STABLEHLO_COMPOSITE", inputs, [2], COMPOSITE)
    main = SubgraphSpec([number, VECTOR, VECTOR, VECTOR], [ONCE, handle(0), call, read(0, 3)], [1], [2, 3])
    tensors = [number, VECTOR, VECTOR, VECTOR, COUNTER, TensorSpec(INT32, data=np.array(-1, np.int32)), COUNTER]
    body = SubgraphSpec(tensors, [*adding, OperatorSpec("ADD", [4, 5], [6], ADD)], [*inputs, 4], [*inputs, 6])
    condition = SubgraphSpec(
        [number, VECTOR, COUNTER, TensorSpec(INT32, data=np.array(0, np.int32)), TRUTH],
        [OperatorSpec("GREATER", [2, 3], [4], schema.GreaterOptions())],
        [*inputs, 2],
        [4],
    )
    outer = [number, VECTOR, COUNTER, number, VECTOR, COUNTER, VECTOR]
    loop = OperatorSpec("WHILE", [*inputs, 2], [*([3] if handed_over else []), 4, 5], LOOP)
    looping = SubgraphSpec(outer, [ONCE, handle(0), loop, read(0, 6)], [1, 2], [4, 5, 6])
    return {"composite": model_of(main, called, start), "while": model_of(looping, condition, start, body)}


@pytest.mark.oracle
@pytest.mark.parametrize("handed_over", [True, False])
@pytest.mark.parametrize("kind", [RESOURCE, INT32], ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["composite", "while"])
def test_subgraphs_share_variables(reference: Runtime, name: str, kind: TensorType, handed_over: bool) -> None:
    model = shared(kind, handed_over=handed_over)[name]
    counts = [[np.array(n, np.int32)] if name == "while" else [] for n in (2, 0, 3)]
    result = compare(model, [[np.float32([i + 1, 10 * i]), *count] for i, count in enumerate(counts)], reference)
    assert result.outcome is Outcome.EQUAL, result.details
