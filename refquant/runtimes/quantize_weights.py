"""TensorFlow's quantizer of weights, file to file: a C++ function that no Python module offers.

The converter quantizes weights in the middle of its own work, so that a file which it did not make cannot be put in.
`mlir::lite::QuantizeWeights` runs the same passes on a file. It is in the shared library of the wheel, and is called
here by its mangled name with arguments laid out by hand: a builder of zeros is an empty one, as are the two containers.

Source: converter/quantization/lite/quantize_weights.h.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

from refquant.errors import RuntimeUnavailableError

_LIBRARY = "libtensorflow_cc.so.2"
_STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
#: QuantizeWeights(FlatBufferBuilder*, const Model*, const TensorType&, const flat_hash_set<string>& denylisted_ops,
#: const unordered_map<string, CustomOpInfo>&, int64 minimum_elements, bool disable_per_channel, bool weight_only,
#: bool legacy_float_scale), of tensorflow 2.21
_FUNCTION = (
    "_ZN4mlir4lite15QuantizeWeightsEPN11flatbuffers21FlatBufferBuilderImplILb0EEEPKN6tflite5ModelERKNS5_10TensorTypeE"
    f"RKN4absl12lts_2025081413flat_hash_setI{_STRING}NSD_18container_internal10StringHashENSL_8StringEqESaISK_EEE"
    "RKSt13unordered_mapISK_NS0_12CustomOpInfoESt4hashISK_ESt8equal_toISK_ESaISt4pairIKSK_ST_EEElbbb"
)

_WORDS = 64  # more than the builder and the containers have
_INITIAL_SIZE, _MAXIMUM_SIZE, _ALIGNMENT, _SIZE, _CURSOR = 2, 3, 4, 6, 8  # words of the builder


def quantize_weights(
    content: bytes,
    folder: Path,
    *,
    tensor_type: int,
    minimum_elements: int,
    disable_per_channel: bool,
    weight_only: bool,
    legacy_float_scale: bool,
) -> bytes:
    """The model with its weights as INT8 or FLOAT16 (`tensor_type`), made by the library in `folder`."""
    try:
        function = ctypes.CDLL(str(folder / _LIBRARY))[_FUNCTION]
    except (OSError, AttributeError) as error:
        raise RuntimeUnavailableError("this build of tensorflow has no mlir::lite::QuantizeWeights") from error
    function.restype = None
    function.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int64] + [ctypes.c_bool] * 3
    status = ctypes.c_uint64()
    builder = (ctypes.c_uint64 * _WORDS)()
    builder[_INITIAL_SIZE], builder[_MAXIMUM_SIZE], builder[_ALIGNMENT] = 1024, 2**31 - 1, 16
    nothing = (ctypes.c_uint64 * _WORDS)()
    model = ctypes.create_string_buffer(content, len(content))
    root = ctypes.addressof(model) + struct.unpack_from("<I", content)[0]
    function(
        ctypes.addressof(status),
        ctypes.addressof(builder),
        root,
        ctypes.addressof(ctypes.c_int8(tensor_type)),
        ctypes.addressof(nothing),
        ctypes.addressof(nothing),
        minimum_elements,
        disable_per_channel,
        weight_only,
        legacy_float_scale,
    )
    if status.value != 1:  # the representation of absl::OkStatus()
        raise ValueError("Quantize weights transformation failed.")
    return ctypes.string_at(builder[_CURSOR], builder[_SIZE] & 0xFFFFFFFF)
