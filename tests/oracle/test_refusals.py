"""What we refuse because the converter refuses it: one model for each rule, which the real converter refuses too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refquant.errors import InvalidModelError, RuntimeFailedError, UnsupportedOperatorError
from refquant.quantization.refusals import require_convertible
from refquant.runtimes import Quantizer
from refquant.testing import OperatorSpec, SubgraphSpec, TensorSpec, model_of, single_operator_model
from refquant.tflite import schema
from refquant.tflite.model import Model
from refquant.tflite.schema import BuiltinOperator, TensorType

pytestmark = pytest.mark.oracle

FLOAT32 = TensorType.FLOAT32
UNKNOWN = sorted(
    name
    for name in BuiltinOperator.__members__
    if name.startswith("STABLEHLO_")
    or name
    in "BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN CALL CONCAT_EMBEDDINGS DELEGATE EMBEDDING_LOOKUP_SPARSE HASHTABLE_LOOKUP "
    "L2_POOL_2D LSH_PROJECTION PLACEHOLDER_FOR_GREATER_OP_CODES REDUCE_WINDOW RNN SKIP_GRAM".split()
)


def one(name: str, options: Any = None, inputs: int = 1, outputs: int = 1, type: TensorType = FLOAT32) -> Model:
    tensors = [TensorSpec(type, (1, 2, 2, 2)) for _ in range(max(inputs, outputs))]
    return single_operator_model(name, tensors[:inputs], tensors[:outputs], options)


@pytest.mark.parametrize("name", UNKNOWN)
def test_operators_that_it_does_not_have(name: str, quantizer: Quantizer) -> None:
    model = one(name, inputs=2)
    with pytest.raises(UnsupportedOperatorError, match=f"operator 0 of subgraph 0, {name}"):
        require_convertible(model)
    with pytest.raises(RuntimeFailedError):
        quantizer.mlir_quantize(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one("ADD", inputs=2), "ADD without a table of options"),
        (one("SOFTMAX"), "SOFTMAX without a table of options"),
        (one("SOFTMAX", schema.AddOptions()), "SOFTMAX with AddOptions"),
        (one("ADD", schema.AddOptions(fused_activation_function=9), 2), "fused_activation_function is 9"),
        (one("MAX_POOL_2D", schema.Pool2DOptions(padding=3, stride_w=1, stride_h=1)), "padding is 3"),
        (one("DEPTH_TO_SPACE", schema.DepthToSpaceOptions(block_size=0)), "block_size is 0"),
        (one("PACK", schema.PackOptions(values_count=3), 2), "values_count is 3, but there are 2 inputs"),
        (one("UNPACK", schema.UnpackOptions(num=3), 1, 2), "num is 3, but there are 2 outputs"),
        (one("SPLIT", schema.SplitOptions(num_splits=3), 2, 2), "num_splits is 3, but there are 2 outputs"),
        (one("FAKE_QUANT", schema.FakeQuantOptions(num_bits=17)), "num_bits is 17"),
        (one("FAKE_QUANT", schema.FakeQuantOptions(num_bits=8, narrow_range=True)), "narrow_range is True"),
        (one("REVERSE_SEQUENCE", schema.ReverseSequenceOptions(seq_dim=-1), 2), "seq_dim is -1"),
        (one("LSTM", schema.LSTMOptions(cell_clip=-0.0), 24), "cell_clip is -0.0"),
        (one("TRANSPOSE_CONV", schema.TransposeConvOptions(stride_w=0, stride_h=1), 3), "stride_w is 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_it_does_not_read(model: Model, message: str, quantizer: Quantizer) -> None:
    with pytest.raises(InvalidModelError, match=message):
        require_convertible(model)
    with pytest.raises(RuntimeFailedError):
        quantizer.mlir_quantize(model)


@pytest.mark.parametrize("type", [TensorType.UINT4, TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2])
def test_types_that_it_does_not_write(type: TensorType, quantizer: Quantizer) -> None:
    model = one("Mine", type=type)
    with pytest.raises(UnsupportedOperatorError, match=f"the converter does not write {type.name}"):
        require_convertible(model)
    with pytest.raises(RuntimeFailedError):
        quantizer.mlir_quantize(model)


def test_lstm_with_other_than_five_intermediate_tensors(quantizer: Quantizer) -> None:
    model = one("LSTM", schema.LSTMOptions(), 24)
    (operator,) = model.subgraphs[0].operators or ()
    operator.intermediates = np.zeros(12, np.int32)
    with pytest.raises(UnsupportedOperatorError, match="dies of 12 intermediate tensors"):
        require_convertible(model)
    with pytest.raises(RuntimeFailedError):
        quantizer.mlir_quantize(model)


def test_if_on_a_constant(quantizer: Quantizer) -> None:
    condition, x = TensorSpec(TensorType.BOOL, data=np.array(True)), TensorSpec(FLOAT32, (2,))
    branches = [SubgraphSpec([x, x], [OperatorSpec(name, [0], [1])], [0], [1]) for name in ("RELU", "TANH")]
    choice = OperatorSpec("IF", [0, 1], [2], schema.IfOptions(1, 2))
    model = model_of(SubgraphSpec([condition, x, x], [choice], [1], [2]), *branches)
    with pytest.raises(UnsupportedOperatorError, match="constant condition"):
        require_convertible(model)
    written = Model.read(quantizer.mlir_quantize(model))
    assert [written.operator_name(op) for op in written.subgraphs[0].operators or ()] == ["StatefulPartitionedCall"]
