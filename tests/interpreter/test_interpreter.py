"""The surface of the interpreter: what it takes, what it refuses, what it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.testing import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import ActivationFunctionType, TensorType

F32, I8 = TensorType.FLOAT32, TensorType.INT8


def addition(*shape: int) -> Model:
    return single_operator_model(
        "ADD", [TensorSpec(F32, shape), TensorSpec(F32, shape)], [TensorSpec(F32, shape)], schema.AddOptions()
    )


def run(interpreter: rq.Interpreter, *arrays: Any) -> Any:
    for detail, array in zip(interpreter.get_input_details(), arrays):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_the_bundled_models_read_98_of_100_digits() -> None:
    with np.load(DIGITS_SAMPLES) as data:
        images, labels = data["image"], data["labels"]
    for path, scale in ((DIGITS_FLOAT, None), (DIGITS_INT8, 255)):
        interpreter = rq.Interpreter(model_path=path)
        interpreter.allocate_tensors()
        inputs = images if scale is None else (np.rint(images * scale) - 128).astype(np.int8)
        right = [run(interpreter, image[None]).argmax() == label for image, label in zip(inputs, labels)]
        assert np.mean(right) == 356 / 360  # the figure of the README


def test_details_have_the_keys_and_types_of_tensorflow() -> None:
    interpreter = rq.Interpreter(model_content=DIGITS_INT8.read_bytes())
    (detail,) = interpreter.get_input_details()
    assert detail["dtype"] is np.int8 and detail["shape"].dtype == np.int32
    assert detail["shape"].tolist() == [1, 8, 8, 1] == detail["shape_signature"].tolist()
    assert detail["quantization"] == (0.003921568859368563, -128)
    assert set(detail) == {
        "name", "index", "shape", "shape_signature", "dtype", "quantization", "quantization_parameters",
        "sparsity_parameters",
    }  # fmt: skip
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["output_0"]}}


def test_any_tensor_can_be_read_and_nothing_is_overwritten() -> None:
    interpreter = rq.Interpreter(model_path=DIGITS_INT8)
    interpreter.allocate_tensors()
    run(interpreter, np.zeros((1, 8, 8, 1), np.int8))
    first = [interpreter.get_tensor(i) for i in range(22)]
    run(interpreter, np.full((1, 8, 8, 1), 90, np.int8))
    second = [interpreter.get_tensor(i) for i in range(22)]
    assert sum(not np.array_equal(a, b) for a, b in zip(first, second)) >= 9
    constants = list(range(1, 13))
    assert all(np.array_equal(first[i], second[i]) for i in constants)


def test_a_signature_runner_takes_and_gives_names() -> None:
    runner = rq.Interpreter(model_path=DIGITS_INT8).get_signature_runner()
    result = runner(image=np.zeros((1, 8, 8, 1), np.int8))
    assert list(result) == ["output_0"] and result["output_0"].shape == (1, 10)
    with pytest.raises(rq.InvalidInputError, match=r"takes the inputs \['image'\], got \['picture'\]"):
        runner(picture=1)
    with pytest.raises(rq.InvalidInputError, match="no signature 'train'"):
        rq.Interpreter(model_path=DIGITS_INT8).get_signature_runner("train")


def test_a_resized_input_is_planned_anew() -> None:
    interpreter = rq.Interpreter(model=addition(2))
    interpreter.resize_tensor_input(0, [3, 1])
    interpreter.resize_tensor_input(1, [1, 4])
    with pytest.raises(rq.InvalidInputError, match="call allocate_tensors"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    result = run(interpreter, np.ones((3, 1), np.float32), np.zeros((1, 4), np.float32))
    assert result.shape == (3, 4) and interpreter.get_output_details()[0]["shape"].tolist() == [3, 4]
    with pytest.raises(rq.InvalidInputError, match="takes shapes"):
        interpreter.resize_tensor_input(0, [5], strict=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda it: it.set_tensor(0, np.zeros(2)), "takes float32, got float64"),
        (lambda it: it.set_tensor(0, np.zeros(3, np.float32)), r"takes shape \(2,\), got \(3,\)"),
        (lambda it: it.set_tensor(7, np.zeros(2, np.float32)), "there is no tensor 7"),
        (lambda it: it.set_tensor(-1, np.zeros(2, np.float32)), "there is no tensor -1"),
        (lambda it: it.set_tensor("x", np.zeros(2, np.float32)), "there is no tensor 'x'"),
        (lambda it: it.set_tensor(2, np.zeros(2, np.float32)), "neither an input nor a variable"),
        (lambda it: it.get_tensor(99), "there is no tensor 99"),
        (lambda it: it.get_tensor(2), "no value yet"),
        (lambda it: it.get_tensor(0, 5), "subgraph 5"),
        (lambda it: it.invoke(), "was not set"),
        (lambda it: it.resize_tensor_input(0, [-1]), "must be"),
        (lambda it: it.resize_tensor_input(0, ["a"]), "whole numbers"),
        (lambda it: it.resize_tensor_input(0, [2**31, 2**31]), "must be"),
        (lambda it: it.resize_tensor_input(2, [2]), "is not an input"),
    ],
)
def test_bad_arguments_say_what_was_expected(call: Any, message: str) -> None:
    interpreter = rq.Interpreter(model=addition(2))
    interpreter.allocate_tensors()
    with pytest.raises(rq.InvalidInputError, match=message):
        call(interpreter)


def test_constructor_refuses_what_it_does_not_know() -> None:
    with pytest.raises(rq.InvalidInputError, match="exactly one"):
        rq.Interpreter()
    with pytest.raises(rq.InvalidInputError, match="no kernels 'fast'"):
        rq.Interpreter(model=addition(1), kernels="fast")
    with pytest.raises(rq.InvalidModelError, match=r"not a \.tflite model"):
        rq.Interpreter(model_content=b"nonsense")


def test_an_operator_without_a_kernel_is_named_at_planning() -> None:
    model = single_operator_model("NobodyKnows", [TensorSpec(F32, (1,))], [TensorSpec(F32, (1,))])
    with pytest.raises(rq.UnsupportedOperatorError, match=r"operator 0 \(NobodyKnows\) of subgraph 0.*FLOAT32"):
        rq.Interpreter(model=model)
    model = single_operator_model(
        "ADD", [TensorSpec(TensorType.BOOL, (1,))] * 2, [TensorSpec(TensorType.BOOL, (1,))], schema.AddOptions()
    )
    interpreter = rq.Interpreter(model=model)
    with pytest.raises(rq.UnsupportedOperatorError, match=r"ADD.*BOOL, BOOL"):
        interpreter.allocate_tensors()


def test_the_calibrator_runs_no_quantized_tensor() -> None:
    floats = rq.Interpreter(model=addition(1), kernels="calibrator")
    floats.allocate_tensors()
    assert run(floats, np.float32([1]), np.float32([2])) == 3
    with pytest.raises(rq.UnsupportedOperatorError, match=r"tensor 0 .* is quantized.*only float models run"):
        rq.Interpreter(model_path=DIGITS_INT8, kernels="calibrator").allocate_tensors()


def test_missing_options_are_an_error_of_ours() -> None:
    model = single_operator_model("IF", [TensorSpec(TensorType.BOOL), TensorSpec(F32)], [TensorSpec(F32)])
    interpreter = rq.Interpreter(model=model)
    with pytest.raises(rq.RefquantError, match=r"operator 0 \(IF\).*options are missing"):
        interpreter.allocate_tensors()


def lstm() -> Model:
    def weights(*shape: int) -> TensorSpec:
        return TensorSpec(F32, data=np.full(shape, 0.25, np.float32))

    state = TensorSpec(F32, (1, 2), is_variable=True)
    inputs = [TensorSpec(F32, (1, 1, 3)), *[weights(2, 3)] * 4, *[weights(2, 2)] * 4, None, None, None]
    inputs += [*[weights(2)] * 4, None, None, state, state, None, None, None, None]
    options = schema.UnidirectionalSequenceLSTMOptions(fused_activation_function=ActivationFunctionType.TANH)
    return single_operator_model("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [TensorSpec(F32, (1, 1, 2))], options)


def test_variables_live_on_until_they_are_reset() -> None:
    interpreter = rq.Interpreter(model=lstm())
    interpreter.allocate_tensors()
    x = np.ones((1, 1, 3), np.float32)
    first, second = run(interpreter, x), run(interpreter, x)
    assert not np.array_equal(first, second)
    interpreter.reset_all_variables()
    assert np.array_equal(run(interpreter, x), first)


def test_an_int8_variable_begins_at_its_zero_point() -> None:
    model = single_operator_model(
        "RELU", [TensorSpec(I8, (3,), 0.5, -7, is_variable=True)], [TensorSpec(I8, (3,), 0.5, -7)]
    )
    interpreter = rq.Interpreter(model=model)
    interpreter.allocate_tensors()
    assert run(interpreter).tolist() == [-7, -7, -7]


def test_observers_see_the_inner_numbers() -> None:
    seen: list[tuple[str, set[str]]] = []
    interpreter = rq.Interpreter(model_path=DIGITS_INT8)
    interpreter.allocate_tensors()
    interpreter.observe(lambda op, numbers: seen.append((op.name, set(numbers))))
    run(interpreter, np.zeros((1, 8, 8, 1), np.int8))
    assert ("CONV_2D", {"accumulator", "real_multiplier", "multiplier", "shift", "rounding"}) in seen
    seen.clear()
    interpreter.observe(None)
    interpreter.invoke()
    assert not seen


def test_operators_in_the_wrong_order_are_refused() -> None:
    model = addition(2)
    model.subgraphs[0].inputs = np.array([0], np.int32)
    with pytest.raises(rq.InvalidModelError, match=r"reads tensor 1 .* before any operator has written it"):
        rq.Interpreter(model=model)


def test_an_output_of_too_many_elements_is_refused_at_planning() -> None:
    paddings = np.array([[2**30, 2**30], [0, 3]], np.int32)
    model = single_operator_model(
        "PAD",
        [TensorSpec(TensorType.FLOAT32, (1, 1)), TensorSpec(TensorType.INT32, data=paddings)],
        [TensorSpec(TensorType.FLOAT32)],
        schema.PadOptions(),
    )
    with pytest.raises(rq.InvalidModelError, match=r"operator 0 \(PAD\).*too many elements"):
        rq.Interpreter(model=model).allocate_tensors()


@pytest.mark.parametrize("code", ["DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"])
def test_codes_that_are_no_operators_are_refused(code: str) -> None:
    model = single_operator_model(code, [TensorSpec(F32, (2,))], [TensorSpec(F32, (2,))])
    with pytest.raises(rq.UnsupportedOperatorError, match=rf"operator 0 \({code}\).*it stands for"):
        rq.Interpreter(model=model)
