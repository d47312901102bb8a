"""IF, WHILE and STABLEHLO_COMPOSITE: by hand, against TensorFlow, and where subgraphs contradict themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.errors import InvalidModelError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.conformance import Outcome, compare
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, BuiltinOperator, TensorType

FLOAT32, INT32, BOOL = TensorType.FLOAT32, TensorType.INT32, TensorType.BOOL


class Builder:
    """A model, subgraph by subgraph; constants are given by value."""

    def __init__(self) -> None:
        self.root = schema.Model(
            version=3, operator_codes=[], buffers=[schema.Buffer()], subgraphs=[], description="control flow"
        )

    def subgraph(self, inputs: list[Any], operators: list[Any], outputs: list[int]) -> None:
        """`inputs`: (type, shape) each. `operators`: (name, inputs, options, (type, shape) of outputs).

        Tensors are numbered as they come: inputs, then the outputs of each operator. An array stands for a constant.
        """
        assert (
            self.root.buffers is not None and self.root.operator_codes is not None and self.root.subgraphs is not None
        )
        tensors = [schema.Tensor(name=f"in{i}", type=t, shape=list(s)) for i, (t, s) in enumerate(inputs)]
        made = []
        numbers = list(range(len(tensors)))
        for name, given, options, results in operators:
            indices = []
            for item in given:
                if isinstance(item, np.ndarray):
                    self.root.buffers.append(schema.Buffer(data=np.frombuffer(item.tobytes(), np.uint8)))
                    tensors.append(
                        schema.Tensor(
                            type=INT32 if item.dtype == np.int32 else FLOAT32,
                            shape=list(item.shape),
                            buffer=len(self.root.buffers) - 1,
                        )
                    )
                    indices.append(len(tensors) - 1)
                else:
                    indices.append(numbers[item])
            produced = []
            for type, shape in results:
                tensors.append(schema.Tensor(name=name, type=type, shape=list(shape)))
                produced.append(len(tensors) - 1)
                numbers.append(len(tensors) - 1)
            code = BuiltinOperator[name]
            self.root.operator_codes.append(
                schema.OperatorCode(builtin_code=code, deprecated_builtin_code=min(127, code))
            )
            made.append(
                schema.Operator(
                    opcode_index=len(self.root.operator_codes) - 1,
                    inputs=indices,
                    outputs=produced,
                    **{
                        "builtin_options_2"
                        if isinstance(options, schema.StableHLOCompositeOptions)
                        else "builtin_options": options
                    },
                )
            )
        self.root.subgraphs.append(
            schema.SubGraph(
                tensors=tensors,
                inputs=list(range(len(inputs))),
                outputs=[numbers[i] for i in outputs],
                operators=made,
                name=f"subgraph{len(self.root.subgraphs)}",
            )
        )

    def model(self) -> Model:
        return Model.read(Model(self.root).tobytes())


ADD = schema.AddOptions(fused_activation_function=ActivationFunctionType.NONE)
MUL = schema.MulOptions(fused_activation_function=ActivationFunctionType.NONE)
NUMBER, VECTOR = (INT32, (1,)), (FLOAT32, (3,))


def doubling() -> Model:
    """n times x = x + x."""
    builder = Builder()
    builder.subgraph(
        [NUMBER, VECTOR],
        [("WHILE", [0, 1], schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2), [NUMBER, VECTOR])],
        [2, 3],
    )
    builder.subgraph(
        [NUMBER, VECTOR],
        [("GREATER", [0, np.array([0], np.int32)], schema.GreaterOptions(), [(BOOL, (1,))])],
        [2],
    )
    builder.subgraph(
        [NUMBER, VECTOR],
        [("ADD", [0, np.array([-1], np.int32)], ADD, [NUMBER]), ("ADD", [1, 1], ADD, [VECTOR])],
        [2, 3],
    )
    return builder.model()


def growing() -> Model:
    """n times x = concatenation of x and x: the shape of the output depends on data."""
    builder = Builder()
    builder.subgraph(
        [NUMBER, VECTOR],
        [("WHILE", [0, 1], schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2), [NUMBER, VECTOR])],
        [3],
    )
    builder.subgraph(
        [NUMBER, VECTOR],
        [("GREATER", [0, np.array([0], np.int32)], schema.GreaterOptions(), [(BOOL, (1,))])],
        [2],
    )
    builder.subgraph(
        [NUMBER, VECTOR],
        [
            ("ADD", [0, np.array([-1], np.int32)], ADD, [NUMBER]),
            ("CONCATENATION", [1, 1], schema.ConcatenationOptions(axis=0), [(FLOAT32, (6,))]),
        ],
        [2, 3],
    )
    return builder.model()


def choice() -> Model:
    """x + x where the condition holds, x * x elsewhere."""
    builder = Builder()
    options = schema.IfOptions(then_subgraph_index=1, else_subgraph_index=2)
    builder.subgraph([(BOOL, (1,)), VECTOR], [("IF", [0, 1], options, [VECTOR])], [2])
    builder.subgraph([VECTOR], [("ADD", [0, 0], ADD, [VECTOR])], [1])
    builder.subgraph([VECTOR], [("MUL", [0, 0], MUL, [VECTOR])], [1])
    return builder.model()


def run(model: Model, *inputs: Any) -> list[Any]:
    interpreter = Interpreter(model=model)
    interpreter.allocate_tensors()
    return invoke(interpreter, *inputs)


def invoke(interpreter: Interpreter, *inputs: Any) -> list[Any]:
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


X = np.float32([1.5, -2, 0.25])


def test_while() -> None:
    n, x = run(doubling(), np.int32([5]), X)
    assert n.tolist() == [0] and x.tolist() == [48, -64, 8]
    n, x = run(doubling(), np.int32([-3]), X)  # not once
    assert n.tolist() == [-3] and x.tolist() == X.tolist()


def test_the_shape_of_a_loop_is_known_when_planning() -> None:
    interpreter = Interpreter(model=doubling())
    interpreter.allocate_tensors()
    assert [detail["shape"].tolist() for detail in interpreter.get_output_details()] == [[1], [3]]


def test_a_shape_that_grows_may_be_another_each_time() -> None:
    interpreter = Interpreter(model=growing())
    interpreter.allocate_tensors()
    for times in (3, 0, 1):
        (x,) = invoke(interpreter, np.int32([times]), X)
        assert x.tolist() == X.tolist() * 2**times


def test_if() -> None:
    assert run(choice(), np.array([True]), X)[0].tolist() == [3, -4, 0.5]
    assert run(choice(), np.array([False]), X)[0].tolist() == [2.25, 4, 0.0625]


def test_composite() -> None:
    builder = Builder()
    options = schema.StableHLOCompositeOptions(name="mine.twice", decomposition_subgraph_index=1)
    builder.subgraph([VECTOR], [("STABLEHLO_COMPOSITE", [0], options, [VECTOR])], [1])
    builder.subgraph([VECTOR], [("ADD", [0, 0], ADD, [VECTOR])], [1])
    assert run(builder.model(), X)[0].tolist() == [3, -4, 0.5]


@pytest.mark.oracle
@pytest.mark.parametrize("times", [0, 1, 4])
def test_loops_of_tensorflow(reference: Runtime, times: int) -> None:
    for model in (doubling(), growing()):
        inputs = [np.int32([times]), X]
        for ours, theirs in zip(run(model, *inputs), reference.run(model, inputs), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.oracle
@pytest.mark.parametrize("condition", [True, False])
def test_choices_of_tensorflow(reference: Runtime, condition: bool) -> None:
    inputs = [np.array([condition]), X]
    np.testing.assert_array_equal(run(choice(), *inputs)[0], reference.run(choice(), inputs)[0])


def test_contradictions_are_named() -> None:
    model = choice()
    operator = (model.subgraphs[0].operators or [])[0]
    for options, message in (
        (schema.IfOptions(then_subgraph_index=9, else_subgraph_index=2), r"operator 0 \(IF\).*calls subgraph 9"),
        (schema.IfOptions(then_subgraph_index=-1, else_subgraph_index=2), "calls subgraph -1"),
        (schema.IfOptions(then_subgraph_index=0, else_subgraph_index=2), "types"),
        (None, "options are missing"),
    ):
        operator.builtin_options = options
        with pytest.raises(InvalidModelError, match=message):
            run(model, np.array([True]), X)


def test_a_subgraph_that_calls_itself_is_refused() -> None:
    builder = Builder()
    options = schema.StableHLOCompositeOptions(decomposition_subgraph_index=0)
    builder.subgraph([VECTOR], [("STABLEHLO_COMPOSITE", [0], options, [VECTOR])], [1])
    with pytest.raises(InvalidModelError, match="calls subgraph 0, which is calling it"):
        run(builder.model(), X)


def test_a_chain_of_subgraphs_ends() -> None:
    """Each calls the next one twice: planning takes no longer for that, and too many are refused."""
    for length in (20, 99):
        builder = Builder()
        for i in range(length):
            options = schema.StableHLOCompositeOptions(decomposition_subgraph_index=i + 1)
            call = ("STABLEHLO_COMPOSITE", [0], options, [VECTOR])
            builder.subgraph([VECTOR], [call, call], [2])
        builder.subgraph([VECTOR], [("ADD", [0, 0], ADD, [VECTOR])], [1])
        interpreter = Interpreter(model=builder.model())
        if length == 20:
            interpreter.allocate_tensors()
        else:
            with pytest.raises(InvalidModelError, match="more than 32 deep"):
                interpreter.allocate_tensors()


def test_more_outputs_than_the_kernel_gives_are_refused() -> None:
    builder = Builder()
    builder.subgraph([VECTOR], [("ADD", [0, 0], ADD, [VECTOR, VECTOR])], [1])
    with pytest.raises(InvalidModelError, match=r"operator 0 \(ADD\).*it has 2 outputs, expected 1"):
        run(builder.model(), X)


def accumulating(*outputs: int) -> SubgraphSpec:
    """Tensor 3 = x + the variable tensor 2, which becomes it; x is tensor 1, tensor 0 counts down to tensor 5.

    Tensor 8 has tensor 3 twice.
    """
    vector = TensorSpec(FLOAT32, (2,))
    tensors = [
        TensorSpec(INT32),
        vector,
        TensorSpec(FLOAT32, (2,), is_variable=True),
        vector,
        TensorSpec(INT32, data=np.array(-1, np.int32)),
        TensorSpec(INT32),
        TensorSpec(FLOAT32, data=np.float32([0])),
        TensorSpec(INT32, data=np.int32([2, 1])),
        TensorSpec(FLOAT32),
    ]
    operators = [
        OperatorSpec("ADD", [1, 2], [3], ADD),
        OperatorSpec("ADD", [3, 6], [2], ADD),
        OperatorSpec("ADD", [0, 4], [5], ADD),
    ]
    if 8 in outputs:
        operators.append(OperatorSpec("TILE", [3, 7], [8], schema.TileOptions()))
    return SubgraphSpec(tensors, operators, [0, 1], outputs)


def main(operator: str, options: Any, x: tuple[int, ...], *first: TensorType) -> SubgraphSpec:
    """One operator with the counter and x, after other inputs; it gives the counter and x."""
    tensors = [*(TensorSpec(type) for type in first), *[TensorSpec(INT32), TensorSpec(FLOAT32, x)] * 2]
    inputs = list(range(len(first) + 2))
    outputs = [len(inputs), len(inputs) + 1]
    return SubgraphSpec(tensors, [OperatorSpec(operator, inputs, outputs, options)], inputs, outputs)


CONSTANT = SubgraphSpec(
    [TensorSpec(INT32), TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, data=X[:2])], [], [0, 1], [0, 2]
)
POSITIVE = SubgraphSpec(
    [TensorSpec(INT32), TensorSpec(FLOAT32, (2,)), TensorSpec(INT32, data=np.array(0, np.int32)), TensorSpec(BOOL)],
    [OperatorSpec("GREATER", [0, 2], [3], schema.GreaterOptions())],
    [0, 1],
    [3],
)
LOOP = schema.WhileOptions(cond_subgraph_index=1, body_subgraph_index=2)
WAYS = schema.IfOptions(then_subgraph_index=1, else_subgraph_index=2)
ONE = schema.StableHLOCompositeOptions(decomposition_subgraph_index=1)
STATEFUL = {
    "composite": (model_of(main("STABLEHLO_COMPOSITE", ONE, (2,)), accumulating(5, 3)), (2,), []),
    "if": (model_of(main("IF", WAYS, (2,), BOOL), accumulating(5, 3), CONSTANT), (2,), [True, False, True, True]),
    "if of other shapes": (model_of(main("IF", WAYS, (1, 2), BOOL), accumulating(5, 8), CONSTANT), (1, 2), [True] * 4),
    "while": (model_of(main("WHILE", LOOP, (2,)), POSITIVE, accumulating(5, 3)), (2,), []),
    "while that changes a shape": (model_of(main("WHILE", LOOP, (2,)), POSITIVE, accumulating(5, 3)), (1, 2), []),
    "while that grows": (model_of(main("WHILE", LOOP, (1, 2)), POSITIVE, accumulating(5, 8)), (1, 2), []),
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", STATEFUL)
def test_variable_tensors_of_subgraphs_start_anew(reference: Runtime, name: str) -> None:
    """… each time that an operator calls them; a loop goes on with them while the shapes stay."""
    model, shape, choices = STATEFUL[name]
    samples = []
    for i, count in enumerate((2, 0, 1, 1)):
        choice = [np.array(choices[i])] if choices else []
        samples.append([*choice, np.array(count, np.int32), np.full(shape, i + 1.5, np.float32)])
    result = compare(model, samples, reference)
    assert result.outcome is Outcome.EQUAL, result.details


def test_an_operator_must_not_write_what_it_reads() -> None:
    tensors = [TensorSpec(FLOAT32, (2,)), TensorSpec(FLOAT32, (2,), is_variable=True)]
    model = model_of(SubgraphSpec(tensors, [OperatorSpec("ADD", [0, 1], [1], ADD)], [0], [1]))
    with pytest.raises(InvalidModelError, match=r"tensor 1 .* is both an input and an output"):
        Interpreter(model=model)
