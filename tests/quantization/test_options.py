"""What becomes of options when the converter writes them out again, where no model of the strategies shows it.

All expected values were read off what TensorFlow 2.21.0 makes of the same table.
"""

from __future__ import annotations

import numpy as np
import pytest

from refquant.errors import InvalidModelError
from refquant.quantization.options import exported_options
from refquant.tflite import schema
from refquant.tflite.schema import LSTMKernelType, MirrorPadMode, TensorType


def test_operators_without_attributes_lose_their_table_or_get_an_empty_one() -> None:
    assert exported_options("RESHAPE", schema.ReshapeOptions(new_shape=[1])) is None
    assert exported_options("Mine", None) is None
    assert repr(exported_options("EXP", None)) == "ExpOptions()"


def test_fields_that_are_no_attribute() -> None:
    assert exported_options("ADD", schema.AddOptions(pot_scale_int16=False)).pot_scale_int16
    assert exported_options("RESIZE_BILINEAR", schema.ResizeBilinearOptions(new_height=3)).new_height == 0
    convolution = schema.Conv2DOptions(stride_h=2, quantized_bias_type=TensorType.INT64)
    assert exported_options("CONV_2D", convolution) == schema.Conv2DOptions(stride_h=2)


def test_vectors_and_zeros() -> None:
    assert repr(exported_options("SQUEEZE", None)) == "SqueezeOptions(squeeze_dims=array([], dtype=int32))"
    assert not np.signbit(exported_options("SOFTMAX", schema.SoftmaxOptions(beta=-0.0)).beta)


def test_types_of_outputs() -> None:
    types = [TensorType.FLOAT32, TensorType.INT64]
    assert exported_options("UNIQUE", schema.UniqueOptions(), types).idx_out_type == TensorType.INT64
    assert exported_options("SHAPE", None, [TensorType.INT64]).out_type == TensorType.INT64
    assert exported_options("SHAPE", schema.ShapeOptions(out_type=TensorType.INT32)).out_type == TensorType.INT32


def test_two_tables_that_are_changed() -> None:
    assert exported_options("MIRROR_PAD", schema.MirrorPadOptions(mode=9)).mode == MirrorPadMode.SYMMETRIC
    basic = schema.LSTMOptions(kernel_type=LSTMKernelType.BASIC, asymmetric_quantize_inputs=True)
    assert not exported_options("LSTM", basic).asymmetric_quantize_inputs


def test_tables_that_the_converter_does_not_read() -> None:
    with pytest.raises(InvalidModelError, match="MUL with AddOptions: it takes MulOptions"):
        exported_options("MUL", schema.AddOptions())
    with pytest.raises(InvalidModelError, match="SOFTMAX without a table of options: it needs SoftmaxOptions"):
        exported_options("SOFTMAX", None)
