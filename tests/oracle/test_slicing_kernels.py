"""Operators that take parts, repeat and rearrange, against TensorFlow's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refquant.errors import RefquantError
from refquant.interpreter import Interpreter
from refquant.runtimes import Runtime
from refquant.testing.build import TensorSpec, single_operator_model
from refquant.tflite import schema
from refquant.tflite.schema import TensorType
from tests.oracle.test_elementwise_kernels import (
    assert_both_refuse,
    assert_same_bits,
    examples,
    generators,
    numbers,
    shape_like,
)

pytestmark = pytest.mark.oracle

#: types that all of these kernels take
TYPES = st.sampled_from([TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT32])
sides = st.integers(1, 5)


def tensor(type: TensorType, shape: Any = ()) -> TensorSpec:
    return TensorSpec(type, shape, 0.5 if type in (TensorType.INT8, TensorType.UINT8) else None)


def constant(values: Any, type: TensorType = TensorType.INT32) -> TensorSpec:
    return TensorSpec(type, data=np.array(values, np.int64 if type == TensorType.INT64 else np.int32))


integer_types = st.sampled_from([TensorType.INT32, TensorType.INT64])


@given(data=st.data(), rng=generators, type=TYPES, shape=st.lists(sides, min_size=1, max_size=5), dynamic=st.booleans())
@examples(60)
def test_slice(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int], dynamic: bool
) -> None:
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    least = int(dynamic)  # the real interpreter does not hand out an empty tensor whose shape it did not foresee
    size = [data.draw(st.just(-1) | st.integers(least, n - b)) for n, b in zip(shape, begin)]
    specs, arrays = zip(*(shape_like(v, dynamic, data.draw(st.just(TensorType.INT32))) for v in (begin, size)))
    model = single_operator_model("SLICE", [tensor(type, shape), *specs], [tensor(type)], schema.SliceOptions())
    assert_same_bits(reference, model, numbers(rng, type, shape), *(a for list_ in arrays for a in list_))


@pytest.mark.parametrize(("begin", "size"), [([2, 0], [3, 1]), ([0, 0], [-2, 1])])
def test_slice_outside(reference: Runtime, begin: list[int], size: list[int]) -> None:
    inputs = [tensor(TensorType.FLOAT32, (4, 2)), constant(begin), constant(size)]
    model = single_operator_model("SLICE", inputs, [tensor(TensorType.FLOAT32)], schema.SliceOptions())
    assert_both_refuse(reference, model, np.zeros((4, 2), np.float32))


@given(data=st.data(), rng=generators, type=TYPES, lead=st.lists(sides, max_size=2), tail=st.lists(sides, max_size=2))
@examples(60)
def test_split(
    reference: Runtime,
    data: st.DataObject,
    rng: np.random.Generator,
    type: TensorType,
    lead: list[int],
    tail: list[int],
) -> None:
    axis = len(lead) - (len(lead) + 1 + len(tail) if data.draw(st.booleans()) else 0)
    parts = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    outputs = [tensor(type) for _ in parts]
    if data.draw(st.booleans()):
        shape = (*lead, len(parts) * parts[0], *tail)
        model = single_operator_model(
            "SPLIT", [constant(axis), tensor(type, shape)], outputs, schema.SplitOptions(num_splits=len(parts))
        )
    else:
        shape = (*lead, sum(parts), *tail)
        if data.draw(st.booleans()):
            parts[-1] = -1
        model = single_operator_model(
            "SPLIT_V",
            [tensor(type, shape), constant(parts), constant(axis)],
            outputs,
            schema.SplitVOptions(num_splits=len(parts)),
        )
    assert_same_bits(reference, model, numbers(rng, type, shape))


@given(data=st.data(), rng=generators, type=TYPES, shape=st.lists(sides, min_size=1, max_size=4))
@examples(40)
def test_unpack(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int]
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    options = schema.UnpackOptions(num=shape[axis], axis=axis)
    model = single_operator_model("UNPACK", [tensor(type, shape)], [tensor(type) for _ in range(shape[axis])], options)
    assert_same_bits(reference, model, numbers(rng, type, shape))


@given(data=st.data(), rng=generators, type=TYPES, shape=st.lists(sides, min_size=1, max_size=4))
@examples(60)
def test_gather(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int]
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    batch_dims = data.draw(st.integers(0, axis))
    index_type = data.draw(integer_types)
    tail = data.draw(st.lists(st.integers(0, 3), max_size=2))
    indices = rng.integers(0, shape[axis], (*shape[:batch_dims], *tail))
    indices = indices.astype(np.int64 if index_type == TensorType.INT64 else np.int32)
    options = schema.GatherOptions(axis=axis, batch_dims=batch_dims)
    inputs = [tensor(type, shape), TensorSpec(index_type, indices.shape)]
    model = single_operator_model("GATHER", inputs, [tensor(type)], options)
    assert_same_bits(reference, model, numbers(rng, type, shape), indices)


@pytest.mark.parametrize("index", [-1, 3])
def test_gather_outside(reference: Runtime, index: int) -> None:
    inputs = [tensor(TensorType.FLOAT32, (3,)), TensorSpec(TensorType.INT32, (1,))]
    model = single_operator_model("GATHER", inputs, [tensor(TensorType.FLOAT32)], schema.GatherOptions())
    assert_both_refuse(reference, model, np.zeros(3, np.float32), np.array([index], np.int32))


@given(data=st.data(), rng=generators, type=TYPES, shape=st.lists(sides, min_size=1, max_size=4), dynamic=st.booleans())
@examples(50)
def test_tile(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int], dynamic: bool
) -> None:
    multiples, extra = shape_like(
        [data.draw(st.integers(int(dynamic), 3)) for _ in shape], dynamic, data.draw(integer_types)
    )
    model = single_operator_model("TILE", [tensor(type, shape), multiples], [tensor(type)], schema.TileOptions())
    assert_same_bits(reference, model, numbers(rng, type, shape), *extra)


@given(
    data=st.data(), rng=generators, type=TYPES, target=st.lists(sides, min_size=1, max_size=6), dynamic=st.booleans()
)
@examples(50)
def test_broadcast_to(
    reference: Runtime,
    data: st.DataObject,
    rng: np.random.Generator,
    type: TensorType,
    target: list[int],
    dynamic: bool,
) -> None:
    shape = [n if data.draw(st.booleans()) else 1 for n in target][data.draw(st.integers(0, len(target) - 1)) :]
    wanted, extra = shape_like(target, dynamic, data.draw(integer_types))
    model = single_operator_model(
        "BROADCAST_TO", [tensor(type, shape), wanted], [tensor(type)], schema.BroadcastToOptions(), version=2
    )
    assert_same_bits(reference, model, numbers(rng, type, shape), *extra)


@given(rng=generators, type=TYPES, dims=st.tuples(sides, sides, sides, sides), block=st.integers(1, 3))
@examples(50)
def test_space_and_depth(
    reference: Runtime, rng: np.random.Generator, type: TensorType, dims: tuple[int, int, int, int], block: int
) -> None:
    n, height, width, depth = dims
    space, deep = (n, height * block, width * block, depth), (n, height, width, depth * block * block)
    model = single_operator_model(
        "SPACE_TO_DEPTH", [tensor(type, space)], [tensor(type)], schema.SpaceToDepthOptions(block_size=block)
    )
    assert_same_bits(reference, model, numbers(rng, type, space))
    model = single_operator_model(
        "DEPTH_TO_SPACE", [tensor(type, deep)], [tensor(type)], schema.DepthToSpaceOptions(block_size=block)
    )
    assert_same_bits(reference, model, numbers(rng, type, deep))


@given(
    data=st.data(),
    rng=generators,
    type=TYPES,
    shape=st.lists(sides, min_size=1, max_size=4),
    mode=st.sampled_from(schema.MirrorPadMode),
    dynamic=st.booleans(),
)
@examples(60)
def test_mirror_pad(
    reference: Runtime,
    data: st.DataObject,
    rng: np.random.Generator,
    type: TensorType,
    shape: list[int],
    mode: schema.MirrorPadMode,
    dynamic: bool,
) -> None:
    room = [n - (mode == schema.MirrorPadMode.REFLECT) for n in shape]
    pairs = np.array([[data.draw(st.integers(0, n)) for _ in range(2)] for n in room], np.int32)
    inputs = [tensor(type, shape), TensorSpec(TensorType.INT32, pairs.shape) if dynamic else constant(pairs)]
    model = single_operator_model("MIRROR_PAD", inputs, [tensor(type)], schema.MirrorPadOptions(mode=mode))
    assert_same_bits(reference, model, numbers(rng, type, shape), *([pairs] if dynamic else []))


@given(data=st.data(), rng=generators, type=TYPES, shape=st.lists(sides, min_size=1, max_size=4))
@examples(40)
def test_gather_nd(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int]
) -> None:
    depth = data.draw(st.integers(1, len(shape)))
    lead = data.draw(st.lists(st.integers(1, 3), max_size=2))
    indices = rng.integers(0, shape[:depth], (*lead, depth))
    index_type = data.draw(integer_types)
    indices = indices.astype(np.int64 if index_type == TensorType.INT64 else np.int32)
    inputs = [tensor(type, shape), TensorSpec(index_type, indices.shape)]
    model = single_operator_model("GATHER_ND", inputs, [tensor(type)], schema.GatherNdOptions())
    assert_same_bits(reference, model, numbers(rng, type, shape), indices)
    assert_both_refuse(reference, model, numbers(rng, type, shape), indices - shape[0])


@given(rng=generators, type=TYPES, shape=st.lists(sides, min_size=2, max_size=4), count=st.integers(1, 6))
@examples(40)
def test_embedding_lookup(
    reference: Runtime, rng: np.random.Generator, type: TensorType, shape: list[int], count: int
) -> None:
    ids = rng.integers(0, shape[0], count).astype(np.int32)
    inputs = [TensorSpec(TensorType.INT32, ids.shape), tensor(type, shape)]
    model = single_operator_model("EMBEDDING_LOOKUP", inputs, [tensor(type)])
    assert_same_bits(reference, model, ids, numbers(rng, type, shape))
    assert_both_refuse(reference, model, ids + shape[0], numbers(rng, type, shape))


@given(
    data=st.data(),
    rng=generators,
    type=st.sampled_from([TensorType.FLOAT32, TensorType.INT8, TensorType.INT32, TensorType.BOOL]),
    shape=st.lists(sides, min_size=1, max_size=4),
)
@examples(40)
def test_dynamic_update_slice(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int]
) -> None:
    part = [data.draw(st.integers(1, n)) for n in shape]
    index_type = data.draw(integer_types)
    start = rng.integers(-3, 7, len(shape)).astype(np.int64 if index_type == TensorType.INT64 else np.int32)
    inputs = [tensor(type, shape), tensor(type, part), TensorSpec(index_type, start.shape)]
    model = single_operator_model("DYNAMIC_UPDATE_SLICE", inputs, [tensor(type)], schema.DynamicUpdateSliceOptions())
    assert_same_bits(reference, model, numbers(rng, type, shape), numbers(rng, type, part), start)


@given(
    data=st.data(),
    rng=generators,
    type=st.sampled_from([TensorType.FLOAT32, TensorType.INT8, TensorType.INT32, TensorType.BOOL]),
    shape=st.lists(sides, max_size=4),
    dynamic=st.booleans(),
)
@examples(40)
def test_fill(
    reference: Runtime, data: st.DataObject, rng: np.random.Generator, type: TensorType, shape: list[int], dynamic: bool
) -> None:
    dims, extra = shape_like(shape, dynamic, data.draw(integer_types))
    model = single_operator_model("FILL", [dims, tensor(type)], [tensor(type)], schema.FillOptions())
    assert_same_bits(reference, model, *extra, numbers(rng, type, ()))


@pytest.mark.parametrize("type", [TensorType.FLOAT32, TensorType.INT32, TensorType.INT64], ids=lambda t: t.name)
def test_zeros_like(reference: Runtime, type: TensorType) -> None:
    x = numbers(np.random.default_rng(0), type, (3, 2))
    model = single_operator_model("ZEROS_LIKE", [tensor(type, x.shape)], [tensor(type)], schema.ZerosLikeOptions())
    assert_same_bits(reference, model, x)


INVALID: dict[str, tuple[str, list[Any], Any]] = {
    "split unequal": ("SPLIT", [constant(0), (5,)], schema.SplitOptions(num_splits=2)),
    "split axis": ("SPLIT", [constant(3), (4,)], schema.SplitOptions(num_splits=2)),
    "split sizes": ("SPLIT_V", [(5,), constant([2, 2]), constant(0)], schema.SplitVOptions(num_splits=2)),
    "unpack": ("UNPACK", [(3, 2)], schema.UnpackOptions(num=3, axis=0)),
    "tile": ("TILE", [(3, 2), constant([1, -1])], schema.TileOptions()),
    "tile huge": ("TILE", [(3, 2), constant([2**30, 2**30])], schema.TileOptions()),
    "broadcast": ("BROADCAST_TO", [(3, 2), constant([4, 2])], schema.BroadcastToOptions()),
    "space": ("SPACE_TO_DEPTH", [(1, 3, 3, 1)], schema.SpaceToDepthOptions(block_size=2)),
    "depth": ("DEPTH_TO_SPACE", [(1, 3, 3, 1)], schema.DepthToSpaceOptions(block_size=2)),
    "block": ("DEPTH_TO_SPACE", [(1, 3, 3, 1)], schema.DepthToSpaceOptions(block_size=0)),
    "mirror": ("MIRROR_PAD", [(3,), constant([[3, 0]])], schema.MirrorPadOptions()),
    "slice": ("SLICE", [(3, 2), constant([-1, 0]), constant([1, 1])], schema.SliceOptions()),
    "gather axis": ("GATHER", [(3,), constant([0])], schema.GatherOptions(axis=4)),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_does_not_fit_is_named(name: str) -> None:
    operator, inputs, options = INVALID[name]
    specs = [tensor(TensorType.FLOAT32, part) if isinstance(part, tuple) else part for part in inputs]
    model = single_operator_model(operator, specs, [tensor(TensorType.FLOAT32) for _ in range(2)], options)
    with pytest.raises(RefquantError, match=rf"operator 0 \({operator}\) of subgraph 0"):
        Interpreter(model=model).allocate_tensors()
