"""`Converter`: which mode the attributes mean, what is refused and how, and TensorFlow's bytes for the bundled model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.data import DIGITS_FLOAT, DIGITS_INT8, DIGITS_SAMPLES
from refquant.quantization.converter import Mode, OpsSet, RepresentativeDataset, tensor_type, with_any_ranges
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite.conversion_metadata import NAME, conversion_metadata
from refquant.tflite.schema import AddOptions, TensorType

Array = np.ndarray[Any, Any]

FLOAT = OpsSet.TFLITE_BUILTINS
INT8 = OpsSet.TFLITE_BUILTINS_INT8
INT16 = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
SELECT = OpsSet.SELECT_TF_OPS


def converter(source: Any = DIGITS_FLOAT, **attributes: Any) -> rq.Converter:
    """A converter that optimizes, with these attributes; those of `target_spec` go there."""
    made = rq.Converter.from_tflite(source)
    made.optimizations = [rq.Optimize.DEFAULT]
    for name, value in attributes.items():
        owner = made.target_spec if name.startswith("supported_") else made
        assert hasattr(owner, name)
        setattr(owner, name, value)
    return made


def converted(source: Any = DIGITS_FLOAT, **attributes: Any) -> bytes:
    return converter(source, **attributes).convert()


def images(count: int = 8) -> list[list[Array]]:
    with np.load(DIGITS_SAMPLES) as data:
        return [[image[None]] for image in data["image"][:count]]


def negation() -> rq.Model:
    """An operator that has no integer form."""
    shape = TensorSpec(TensorType.FLOAT32, (3,))
    return single_operator_model("NEG", [shape], [shape])


def calibrated(model: Any = DIGITS_FLOAT, samples: Any = None) -> rq.Model:
    model = model if isinstance(model, rq.Model) else rq.Model.read(model)
    return rq.calibrate(model, images() if samples is None else samples).apply(model)


def types(content: bytes) -> list[TensorType]:
    return [tensor.type for tensor in rq.Model.read(content).subgraphs[0].tensors or ()]


def operators(content: bytes) -> list[str]:
    model = rq.Model.read(content)
    return [model.operator_name(operator) for operator in model.subgraphs[0].operators or ()]


def border(content: bytes) -> tuple[TensorType, TensorType]:
    """The types of the first input and the first output."""
    subgraph = rq.Model.read(content).subgraphs[0]
    assert subgraph.tensors is not None and subgraph.inputs is not None and subgraph.outputs is not None
    return subgraph.tensors[subgraph.inputs[0]].type, subgraph.tensors[subgraph.outputs[0]].type


# the mode

# supported_types and supported_ops, and what they give without samples and with them: a mode, or a word of the refusal
MODES: list[tuple[list[Any], list[OpsSet], Mode | str, Mode | str]] = [
    ([], [FLOAT], Mode.DYNAMIC_RANGE, Mode.INT8),
    ([], [SELECT], Mode.DYNAMIC_RANGE, Mode.INT8),
    ([], [FLOAT, SELECT], Mode.DYNAMIC_RANGE, Mode.INT8),
    ([], [INT8], "representative_dataset", Mode.INT8),
    ([], [INT8, FLOAT], "representative_dataset", Mode.INT8),
    ([], [INT16], "representative_dataset", Mode.INT16),
    ([], [INT16, FLOAT], "representative_dataset", Mode.INT16),
    ([], [INT8, INT16], "choose one", "choose one"),
    ([], [INT8, INT16, FLOAT], "choose one", "choose one"),
    ([np.float32], [FLOAT], Mode.NONE, Mode.NONE),
    ([np.float32], [INT8], "FLOAT32", "FLOAT32"),
    ([np.float32], [INT16], Mode.NONE, Mode.NONE),
    ([np.float16], [FLOAT], Mode.FLOAT16, Mode.FLOAT16),
    ([np.float16], [INT8], "FLOAT16", "FLOAT16"),
    ([np.float16], [INT8, FLOAT], Mode.FLOAT16, Mode.FLOAT16),
    ([np.float16], [INT16], Mode.FLOAT16, Mode.FLOAT16),
    ([np.float16, np.float32], [FLOAT], Mode.FLOAT16, Mode.FLOAT16),
    ([np.float16, np.float32], [INT8], "FLOAT16, FLOAT32", "FLOAT16, FLOAT32"),
    ([np.int8], [FLOAT], "representative_dataset", Mode.INT8),
    ([np.int8], [INT8], "representative_dataset", Mode.INT8),
    ([np.int8], [INT16], "representative_dataset", Mode.INT16),
    ([np.int8, np.float16], [FLOAT], Mode.DYNAMIC_RANGE, Mode.INT8),
    ([np.int8, np.float16], [INT8], "FLOAT16", "FLOAT16"),
    ([np.int8, np.float32], [FLOAT], Mode.DYNAMIC_RANGE, Mode.INT8),
    ([np.int16], [FLOAT], "float32, float16 and int8", "float32, float16 and int8"),
    ([np.uint8], [FLOAT], "float32, float16 and int8", "float32, float16 and int8"),
    (["float99"], [FLOAT], "float99", "float99"),
    ([], [], "OpsSet", "OpsSet"),
    ([], ["TFLITE_BUILTINS"], "OpsSet", "OpsSet"),  # type: ignore[list-item]
]


@pytest.mark.parametrize("ranges", ["none", "samples", "calibrated"])
@pytest.mark.parametrize(("kinds", "ops", "without", "with_ranges"), MODES)
def test_mode(kinds: list[Any], ops: list[OpsSet], without: Mode | str, with_ranges: Mode | str, ranges: str) -> None:
    """A calibrated model chooses as samples do."""
    model = calibrated(negation(), [[np.ones(3, np.float32)]]) if ranges == "calibrated" else negation()
    dataset = images() if ranges == "samples" else None
    made = converter(model, supported_types=kinds, supported_ops=ops, representative_dataset=dataset)
    expected = without if ranges == "none" else with_ranges
    if isinstance(expected, Mode):
        assert made.mode() is expected
    else:
        with pytest.raises(rq.InvalidInputError, match=expected):
            made.mode()
        with pytest.raises(rq.InvalidInputError, match=expected):
            made.convert()


@pytest.mark.parametrize(
    "attributes",
    [
        {"representative_dataset": [[np.ones(3, np.float32)]]},
        {"supported_ops": [INT8]},
        {"supported_ops": [INT16, FLOAT]},
        {"supported_types": [np.float16]},
        {"supported_types": [np.int8]},
    ],
)
def test_attributes_that_need_optimizations(attributes: dict[str, Any]) -> None:
    with pytest.raises(rq.InvalidInputError, match="optimizations"):
        converter(negation(), optimizations=[], **attributes).mode()


def test_a_calibrated_model_needs_optimizations_too() -> None:
    with pytest.raises(rq.InvalidInputError, match="optimizations"):
        converter(calibrated(), optimizations=[]).convert()


@pytest.mark.parametrize("optimization", list(rq.Optimize))
def test_all_optimizations_mean_the_same(optimization: rq.Optimize) -> None:
    assert converted(optimizations=[optimization]) == converted()


@pytest.mark.parametrize("wrong", ["DEFAULT", 1, None])
def test_optimizations_that_are_none(wrong: Any) -> None:
    with pytest.raises(rq.InvalidInputError, match=r"Optimize\.DEFAULT"):
        converter(optimizations=[wrong]).mode()


# types of inputs and outputs

FLOATS, INT8S, INT16S = {}, {"supported_ops": [INT8]}, {"supported_ops": [INT16]}


@pytest.mark.parametrize("which", ["inference_input_type", "inference_output_type"])
@pytest.mark.parametrize(
    ("attributes", "samples", "kinds"),
    [
        (FLOATS, False, "int8 uint8 int16 int32 float16 float64"),
        ({"supported_types": [np.float16]}, True, "float16 int8 uint8 int16"),
        (FLOATS, True, "int16 int32 float16 float64"),
        (INT8S, True, "int16 int32 float16 float64"),
        (INT16S, True, "int8 uint8 int32 float64"),
    ],
)
def test_border_types_that_a_mode_does_not_have(
    which: str, attributes: dict[str, Any], samples: bool, kinds: str
) -> None:
    for kind in kinds.split():
        made = converter(representative_dataset=images() if samples else None, **attributes, **{which: kind})
        with pytest.raises(rq.InvalidInputError, match=rf"{which} cannot be {kind.upper()}.*FLOAT32"):
            made.mode()


@pytest.mark.parametrize("kind", ["float99", None, 7, object(), [np.int8]])
def test_what_is_no_type(kind: Any) -> None:
    with pytest.raises(rq.InvalidInputError, match="is not the type of a tensor"):
        tensor_type(kind)
    with pytest.raises(rq.InvalidInputError, match="is not the type of a tensor"):
        converter(inference_input_type=kind).mode()


class TensorFlowType:
    """As `tf.int8` looks from outside."""

    as_numpy_dtype = np.int8


@pytest.mark.parametrize("kind", [np.int8, "int8", np.dtype("int8"), TensorType.INT8, TensorFlowType()])
def test_spellings_of_a_type(kind: Any) -> None:
    assert tensor_type(kind) is TensorType.INT8
    content = converted(representative_dataset=images(), inference_input_type=kind)
    assert border(content) == (TensorType.INT8, TensorType.FLOAT32)


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("output_type", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("input_type", ["int8", "uint8", "float32"])
def test_border_types_are_those_of_the_result(input_type: str, output_type: str, older: bool) -> None:
    content = converted(
        representative_dataset=images(2),
        inference_input_type=input_type,
        inference_output_type=output_type,
        experimental_new_quantizer=not older,
        **INT8S,
    )
    assert border(content) == (tensor_type(input_type), tensor_type(output_type))


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_border_types_of_int16(kind: str) -> None:
    content = converted(
        representative_dataset=images(2), inference_input_type=kind, inference_output_type=kind, **INT16S
    )
    assert border(content) == (tensor_type(kind),) * 2


# TensorFlow's own results

digits_only = {"inference_input_type": np.int8, "inference_output_type": np.int8, **INT8S}


def test_the_bundled_model_is_made_to_the_byte() -> None:
    """TensorFlow's converter made the int8 file from the same network and samples."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the samples")
    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    training = (digits.images[order] / 16).astype(np.float32)[:200, None, :, :, None]

    def dataset() -> Iterator[list[Array]]:
        for image in training:
            yield [image]

    assert converted(representative_dataset=dataset, **digits_only) == DIGITS_INT8.read_bytes()
    statistics = rq.calibrate(DIGITS_FLOAT, dataset)
    ready = statistics.apply(rq.Model.read(DIGITS_FLOAT))
    assert converted(ready, **digits_only) == DIGITS_INT8.read_bytes()


def test_without_optimizations_the_file_is_what_it_was() -> None:
    assert converted(optimizations=[]) == DIGITS_FLOAT.read_bytes()
    assert converted(supported_types=[np.float32], representative_dataset=images()) == DIGITS_FLOAT.read_bytes()


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("attributes", [FLOATS, INT8S, INT16S])
def test_a_calibrated_model_needs_no_samples(attributes: dict[str, Any], older: bool) -> None:
    attributes = {**attributes, "experimental_new_quantizer": not older}
    assert converted(calibrated(), **attributes) == converted(representative_dataset=images(), **attributes)
    assert converted(calibrated().tobytes(), **attributes) == converted(representative_dataset=images(), **attributes)


def test_float16_has_no_use_for_ranges() -> None:
    """Nor has TensorFlow's `QuantizeWeights`, which drops them."""
    attributes = {"supported_types": [np.float16]}
    assert converted(calibrated(), **attributes) == converted(**attributes)


def test_samples_come_before_the_ranges_of_a_calibrated_model() -> None:
    loud = [[10 * image] for (image,) in images()]
    assert converted(calibrated(samples=loud), representative_dataset=images()) == converted(
        representative_dataset=images()
    )


# what goes in

SOURCES: list[Callable[[], Any]] = [
    lambda: DIGITS_FLOAT,
    lambda: str(DIGITS_FLOAT),
    lambda: DIGITS_FLOAT.read_bytes(),
    lambda: rq.Model.read(DIGITS_FLOAT),
]


@pytest.mark.parametrize("source", SOURCES)
def test_forms_of_a_model(source: Callable[[], Any]) -> None:
    assert converted(source()) == converted()


def test_an_open_file_is_a_model() -> None:
    with open(DIGITS_FLOAT, "rb") as file:
        assert converted(file) == converted()


def generator() -> Iterator[list[Array]]:
    yield from images()


@pytest.mark.parametrize(
    "dataset",
    [
        generator,
        generator(),
        RepresentativeDataset(generator),
        images,
        [{"image": image} for (image,) in images()],
        [("serving_default", {"image": image}) for (image,) in images()],
    ],
    ids=["function", "generator", "wrapped", "function of a list", "by name", "by signature"],
)
def test_forms_of_samples(dataset: Any) -> None:
    assert converted(representative_dataset=dataset) == converted(representative_dataset=images())


def zeros(*shape: int, dtype: Any = np.float32) -> Array:
    return np.zeros(shape, dtype)


GOOD = zeros(1, 8, 8, 1)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], "no samples"),
        ([[GOOD], [zeros(1, 8, 8, 2)]], r"sample 1 .*shape \(1, 8, 8, 2\).*serving_default_image"),
        ([[GOOD], [zeros(8, 8, 1)]], r"sample 1 .*shape \(8, 8, 1\)"),
        ([[zeros(8, 8, 1)]], r"sample 0 .*\(8, 8, 1\).*CONV_2D"),
        ([{"picture": GOOD}], r"sample 0 .*picture.*takes \['image'\]"),
        ([{}], "image"),
        ([("other", {"image": GOOD})], "signature 'other'.*serving_default"),
        ([[zeros(1, 8, 8, 1, dtype=np.float64)]], "takes float32, got float64"),
        ([[zeros(1, 8, 8, 1, dtype=np.uint8)]], "takes float32, got uint8"),
        ([["image"]], "takes float32"),
        ([[None]], "takes float32, got object"),
        ([[GOOD, GOOD]], "2 arrays.*1 input"),
        ([[]], "0 arrays.*1 input"),
        ([GOOD], "goes into a list"),
        ([5], "of type int"),
        ([[GOOD], [np.full_like(GOOD, np.nan)]], "sample 1 .*NaN or infinity.*serving_default_image"),
        ([[np.full_like(GOOD, np.inf)]], "NaN or infinity"),
        ([[np.full_like(GOOD, -np.inf)]], "NaN or infinity"),
    ],
)
def test_wrong_samples(samples: list[Any], words: str) -> None:
    """Whether they come from a function or not; what is wrong is named, and the place."""
    for dataset in (samples, lambda: iter(samples), RepresentativeDataset(lambda: samples)):
        with pytest.raises(rq.RefquantError, match=words) as caught:
            converted(representative_dataset=dataset)
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("dataset", [5, "samples.npz", GOOD, {"image": GOOD}, lambda: None, lambda: GOOD, object()])
def test_what_gives_no_samples(dataset: Any) -> None:
    with pytest.raises(rq.InvalidInputError, match="a function that gives samples, or an iterable of them, not"):
        converted(representative_dataset=dataset)


@pytest.mark.filterwarnings("ignore:1 of 2 tensors hold infinity")
def test_samples_that_lead_to_infinity() -> None:
    shape = TensorSpec(TensorType.FLOAT32, (2,))
    model = single_operator_model("EXP", [shape], [shape])
    with pytest.raises(rq.InvalidInputError, match=r"sample 1 .* makes tensor 1 .* infinite, which has no scale"):
        converted(model, representative_dataset=[[np.float32([1, 2])], [np.float32([1, 200])]])


def test_denied_names_that_nothing_has() -> None:
    with pytest.raises(rq.InvalidInputError, match="no operator 'SUB', it has ADD, CONV_2D"):
        converted(representative_dataset=images(1), denylisted_ops=["SUB"])
    with pytest.raises(rq.InvalidInputError, match="makes a tensor 'nobody'"):
        converted(representative_dataset=images(1), denylisted_nodes=["nobody"])


def test_attributes_that_it_has_not_are_errors() -> None:
    with pytest.raises(AttributeError, match="experimental_new_dynamic_range_quantizer"):
        converter().experimental_new_dynamic_range_quantizer = False  # type: ignore[attr-defined]


def test_an_error_of_the_generator_is_the_callers_own() -> None:
    def broken() -> Iterator[list[Array]]:
        yield [GOOD]
        raise LookupError("the disk is gone")

    with pytest.raises(LookupError, match="the disk is gone"):
        converted(representative_dataset=broken)


@pytest.mark.parametrize(
    ("attributes", "samples"),
    [
        (FLOATS, False),
        (FLOATS, True),
        ({"supported_types": [np.float16]}, False),
        (INT8S, True),
        (INT16S, True),
        ({"experimental_new_quantizer": False}, True),
        ({"_experimental_calibrate_only": True}, True),
    ],
)
def test_a_quantized_model_is_refused(attributes: dict[str, Any], samples: bool) -> None:
    drawn = Recorder(images())
    with pytest.raises(rq.InvalidInputError, match=r"quantized already: tensor 0 \('serving_default_image:0'\)"):
        converted(DIGITS_INT8, representative_dataset=drawn if samples else None, **attributes)
    assert not drawn.called


@pytest.mark.parametrize("attributes", [{}, {"supported_ops": [INT8], "representative_dataset": images()}])
def test_what_this_makes_is_quantized(attributes: dict[str, Any]) -> None:
    with pytest.raises(rq.InvalidInputError, match="quantized already"):
        converted(converted(**attributes))


# only integers


class Recorder:
    """A function that gives samples, and knows whether it was asked for them."""

    def __init__(self, samples: list[list[Array]]) -> None:
        self.samples = samples
        self.called = False

    def __call__(self) -> Iterator[list[Array]]:
        self.called = True
        yield from self.samples


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    "attributes",
    [INT8S, INT16S, {"supported_types": [np.int8]}, {"supported_types": [np.int8], "supported_ops": [INT16, FLOAT]}],
)
def test_operators_without_an_integer_form_are_told_before_samples_are_run(
    attributes: dict[str, Any], older: bool
) -> None:
    drawn = Recorder([[np.ones(3, np.float32)]])
    with pytest.raises(rq.UnsupportedOperatorError, match=r"NEG.*'output0'.*TFLITE_BUILTINS"):
        converted(negation(), representative_dataset=drawn, experimental_new_quantizer=not older, **attributes)
    assert not drawn.called


@pytest.mark.parametrize("attributes", [INT8S, INT16S])
def test_and_in_a_calibrated_model(attributes: dict[str, Any]) -> None:
    with pytest.raises(rq.UnsupportedOperatorError, match=r"NEG.*'output0'"):
        converted(calibrated(negation(), [[np.ones(3, np.float32)]]), **attributes)


@pytest.mark.parametrize("ops", [[FLOAT], [INT8, FLOAT], [INT16, FLOAT], [INT8, SELECT]])
def test_or_they_stay_in_float(ops: list[OpsSet]) -> None:
    drawn = Recorder([[np.ones(3, np.float32)]])
    content = converted(negation(), representative_dataset=drawn, supported_ops=ops)
    assert "NEG" in operators(content) and drawn.called


def test_denied_operators_are_told_too_where_only_integers_are_wanted() -> None:
    drawn = Recorder(images())
    with pytest.raises(rq.UnsupportedOperatorError, match="SOFTMAX"):
        converted(representative_dataset=drawn, denylisted_ops=["SOFTMAX"], **INT8S)
    assert not drawn.called


# the other attributes


def test_denied_operators_stay_in_float() -> None:
    content = converted(representative_dataset=images(), denylisted_ops=["SOFTMAX"])
    assert content != converted(representative_dataset=images())
    model = rq.Model.read(content)
    (softmax,) = (op for op in model.subgraphs[0].operators or () if model.operator_name(op) == "SOFTMAX")
    assert (model.subgraphs[0].tensors or [])[softmax.inputs[0]].type == TensorType.FLOAT32


def test_denied_tensors_stay_in_float() -> None:
    model = rq.Model.read(DIGITS_FLOAT)
    subgraph = model.subgraphs[0]
    (conv, *_) = (op for op in subgraph.operators or () if model.operator_name(op) == "CONV_2D")
    name = (subgraph.tensors or [])[conv.outputs[0]].name
    result = rq.Model.read(converted(representative_dataset=images(), denylisted_nodes=[name]))
    (first, *_) = (op for op in result.subgraphs[0].operators or () if result.operator_name(op) == "CONV_2D")
    assert (result.subgraphs[0].tensors or [])[first.inputs[1]].type == TensorType.FLOAT32


def count_scales(content: bytes, operator: str) -> int:
    """The number of scales of the weights of the first such operator."""
    model = rq.Model.read(content)
    (first, *_) = (op for op in model.subgraphs[0].operators or () if model.operator_name(op) == operator)
    quantization = (model.subgraphs[0].tensors or [])[first.inputs[1]].quantization
    assert quantization is not None and quantization.scale is not None
    return len(quantization.scale)


PER_TENSOR = "_experimental_disable_per_channel"
PER_TENSOR_DENSE = "_experimental_disable_per_channel_quantization_for_dense_layers"


@pytest.mark.parametrize(
    ("settings", "convolution", "dense"),
    [
        ({}, 16, 32),
        ({PER_TENSOR: True}, 1, 1),
        ({PER_TENSOR_DENSE: True}, 16, 1),
        ({"experimental_new_quantizer": False}, 16, 32),
        ({"experimental_new_quantizer": False, PER_TENSOR_DENSE: True}, 16, 1),
    ],
)
def test_one_scale_for_each_weight(settings: dict[str, Any], convolution: int, dense: int) -> None:
    content = converted(representative_dataset=images(), **settings)
    assert count_scales(content, "CONV_2D") == convolution
    assert count_scales(content, "FULLY_CONNECTED") == dense


def test_the_older_quantizer_has_no_depthwise_weights_of_one_scale() -> None:
    with pytest.raises(rq.InvalidModelError, match=r"DEPTHWISE_CONV_2D.*leave disable_per_channel out"):
        converted(representative_dataset=images(), experimental_new_quantizer=False, **{PER_TENSOR: True})


@pytest.mark.parametrize(("bias", "expected"), [(None, "INT64"), ("int64", "INT64"), (np.int32, "INT32")])
def test_biases_of_int16(bias: Any, expected: str) -> None:
    content = converted(
        representative_dataset=images(), _experimental_full_integer_quantization_bias_type=bias, **INT16S
    )
    assert {kind.name for kind in types(content)} & {"INT32", "INT64"} == {expected}


def test_calibration_alone() -> None:
    content = converted(representative_dataset=images(), _experimental_calibrate_only=True)
    before, after = (rq.Model.read(c).subgraphs[0] for c in (calibrated().tobytes(), content))
    for tensor, expected in zip(after.tensors or (), before.tensors or (), strict=True):
        assert tensor.type == expected.type and repr(tensor.quantization) == repr(expected.quantization)


MODE_NUMBERS = [
    ({}, [1002]),
    ({"supported_types": [np.float16]}, [1001]),
    ({"representative_dataset": images(2), **INT8S}, [1003]),
    ({"representative_dataset": images(2), **INT16S}, [1004]),
]


@pytest.mark.parametrize(("attributes", "expected"), MODE_NUMBERS)
def test_conversion_metadata(attributes: dict[str, Any], expected: list[int]) -> None:
    """The numbers are those of compiler/mlir/lite/metrics/conversion_metadata.fbs."""
    content = converted(**attributes)
    metadata = conversion_metadata(rq.Model.read(content))
    assert metadata is not None and metadata.options is not None and metadata.environment is not None
    assert np.array_equal(metadata.options.model_optimization_modes, expected)
    assert metadata.environment.tensorflow_version == "2.21.0"


@pytest.mark.parametrize("attributes", [{"optimizations": []}, *(attributes for attributes, _ in MODE_NUMBERS)])
def test_without_conversion_metadata(attributes: dict[str, Any]) -> None:
    full, plain = converted(**attributes), converted(**attributes, exclude_conversion_metadata=True)
    model = rq.Model.read(plain)
    assert conversion_metadata(model) is None and NAME.encode() not in plain
    assert {entry.name for entry in model.root.metadata or ()} <= {"min_runtime_version", "reduced_precision_support"}
    assert len(plain) < len(full) and operators(plain) == operators(full) and types(plain) == types(full)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"optimizations": []},
        {"optimizations": [], "exclude_conversion_metadata": True},
        {"supported_types": [np.float16]},
        {"representative_dataset": images(2)},
        {"representative_dataset": images(2), **digits_only},
        {"representative_dataset": images(2), "experimental_new_quantizer": False},
        {"representative_dataset": images(2), "inference_input_type": "uint8", "exclude_conversion_metadata": True},
        {"representative_dataset": images(2), **INT16S},
        {"representative_dataset": images(2), "_experimental_calibrate_only": True},
    ],
)
def test_the_model_stays_as_it_is(attributes: dict[str, Any]) -> None:
    """And a second conversion makes the same."""
    model = rq.Model.read(DIGITS_FLOAT)
    made = converter(model, **attributes)
    first = made.convert()
    assert model.tobytes("python") == DIGITS_FLOAT.read_bytes()
    assert made.convert() == first
    ready = calibrated()
    before = ready.tobytes()
    if attributes.get("optimizations", True):
        converted(ready, **attributes)
    assert ready.tobytes() == before


def test_trying_with_any_ranges_leaves_no_trace() -> None:
    """Else what no sample reaches would keep the ranges of the trial."""
    model = rq.Model.read(DIGITS_FLOAT)
    tried = with_any_ranges(model)
    assert tried.tobytes() != model.tobytes("c++")
    assert model.tobytes("python") == DIGITS_FLOAT.read_bytes()


@pytest.mark.parametrize(
    "attributes",
    [
        {"supported_types": [np.float16]},
        {"representative_dataset": [[np.eye(3, dtype=np.float32)]]},
        # which has a buffer for each of them until the last step
        {"representative_dataset": [[np.eye(3, dtype=np.float32)]], "experimental_new_quantizer": False},
    ],
)
def test_equal_constants_share_their_bytes(attributes: dict[str, Any]) -> None:
    """As TensorFlow's converter ends: two constants of the same bytes are one."""
    shape, constant = TensorSpec(TensorType.FLOAT32, (3, 3)), np.arange(9, dtype=np.float32).reshape(3, 3)
    tensors = [shape, TensorSpec(shape.type, data=constant), shape, TensorSpec(shape.type, data=constant), shape, shape]
    operators = [
        OperatorSpec("ADD", [0, 1], [2], AddOptions()),
        OperatorSpec("TANH", [2], [4]),  # so that the two sums do not become one
        OperatorSpec("ADD", [4, 3], [5], AddOptions()),
    ]
    model = model_of(SubgraphSpec(tensors, operators, [0], [5]))
    result = rq.Model.read(converted(model, **attributes))
    data = [buffer.data.tobytes() for buffer in result.root.buffers or () if buffer.data is not None]
    kind = np.float16 if "supported_types" in attributes else np.int8
    constants = [content for content in data if len(content) == 9 * np.dtype(kind).itemsize]
    assert len(constants) == 1
