"""The sparse encoding of weights against TensorFlow's converter with EXPERIMENTAL_SPARSITY, and in real interpreters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refquant as rq
from refquant.compression.pruning.sparse_encoding import decode_sparse, encode_sparse
from refquant.runtimes import Quantizer, Runtime
from refquant.tflite.model import Model

pytestmark = pytest.mark.oracle

MODES: dict[str, dict[str, Any]] = {
    "float": {"optimizations": []},
    "dynamic range": {"optimizations": ["DEFAULT"]},
    "float16": {"optimizations": ["DEFAULT"], "supported_types": ["float16"]},
    "int8": {"optimizations": ["DEFAULT"]},
}


def _pruned(rng: np.random.Generator, weights: np.ndarray, share: float, block: int) -> np.ndarray:
    """Kernel [inputs, outputs, …] with blocks along the inputs set to zero."""
    rows = np.moveaxis(weights, 0, -1).copy()
    blocks = rows.reshape(*rows.shape[:-1], -1, block)
    blocks[rng.random(blocks.shape[:-1]) < share] = 0
    return np.moveaxis(rows, -1, 0)


def _keras_model(kind: str) -> bytes:
    import keras

    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    if kind == "convolutions":
        x = keras.Input((8, 8, 4))
        layers = [keras.layers.Conv2D(8, 3), keras.layers.DepthwiseConv2D(3), keras.layers.Conv2DTranspose(4, 3)]
        plans = [(0.6, 1), (0.6, 1), (0.2, 1)]
    else:
        x = keras.Input((300 if kind == "wide" else 64,))
        layers = [keras.layers.Dense(n) for n in (300 if kind == "wide" else 64, 32, 8)]
        plans = {
            "scattered": [(0.2, 1), (0.5, 1), (0.9, 1)],
            "wide": [(0.9, 1), (0.95, 1), (0.4, 1)],
            "blocks of 4": [(0.2, 4), (0.5, 4), (0.9, 4)],
            "blocks of 16": [(0.4, 16), (0.6, 16), (0.5, 16)],
        }[kind]
    y = x
    for layer, (share, block) in zip(layers, plans):
        y = layer(y)
        kernel, bias = layer.get_weights()
        bias = rng.normal(size=bias.shape).astype(np.float32)
        layer.set_weights([_pruned(rng, kernel, share, block) if share else kernel, bias])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras.Model(x, y).save(path)
        return path.read_bytes()


def _encodings(model: Model) -> list[Any]:
    """All that is stored of the sparse tensors."""
    found = []
    for tensor in model.subgraphs[0].tensors or []:
        table = tensor.sparsity
        if table is None:
            continue
        levels: list[Any] = []
        for level in table.dim_metadata:
            vectors = [level.array_segments, level.array_indices] if level.format else []
            levels.append((level.dense_size, [(type(v).__name__, v.values.tolist()) for v in vectors]))
        order = [np.asarray(v).tolist() for v in (tensor.shape, table.traversal_order, table.block_map)]
        found.append((tensor.type.name, order, levels, model.buffer(tensor.buffer).tobytes()))
    return sorted(found, key=repr)


def _operators(model: Model) -> list[str]:
    return [model.operator_name(operator) for operator in model.subgraphs[0].operators or []]


def _has_broken_float16(model: Model) -> bool:
    """Whether DEQUANTIZE has a sparse input, as the converter leaves it; the interpreter makes NaN of it."""
    graph = model.subgraphs[0]
    return any(
        model.operator_name(o) == "DEQUANTIZE" and graph.tensors[o.inputs[0]].sparsity is not None
        for o in graph.operators
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["scattered", "wide", "blocks of 4", "blocks of 16", "convolutions"])
def test_encoded_as_the_converter_does(
    quantizer: Quantizer, reference: Runtime, optimized: Runtime, kind: str, mode: str
) -> None:
    source = _keras_model(kind)
    settings = MODES[mode]
    shape = {"convolutions": (1, 8, 8, 4), "wide": (1, 300)}.get(kind, (1, 64))
    rng = np.random.default_rng(1)
    samples = [[rng.normal(size=shape).astype(np.float32)] for _ in range(4)] if mode == "int8" else None
    dense = Model.read(quantizer.convert(source, samples, **settings))
    sparse = {**settings, "optimizations": [*settings["optimizations"], "EXPERIMENTAL_SPARSITY"]}
    theirs = Model.read(quantizer.convert(source, samples, **sparse))
    ours = Model.read(encode_sparse(dense).tobytes())
    assert _encodings(theirs)
    if _has_broken_float16(theirs):
        assert mode == "float16" and "blocks" in kind
    else:
        assert _encodings(ours) == _encodings(theirs)
        assert _operators(ours) == _operators(theirs)

    x = [np.random.default_rng(2).normal(size=shape).astype(np.float32)]
    interpreter = rq.Interpreter(model_content=ours.tobytes())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[0])
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = reference.run(dense, x)[0]
    encoded = reference.run(ours, x)[0]
    assert encoded.tobytes() == y.tobytes()
    direct = any(t.sparsity is not None and len(t.sparsity.block_map) for t in ours.subgraphs[0].tensors)
    assert decode_sparse(ours).tobytes() != ours.tobytes()
    assert reference.run(decode_sparse(ours), x)[0].tobytes() == expected.tobytes()
    if not direct:
        assert encoded.tobytes() == expected.tobytes()
        assert optimized.run(ours, x)[0].tobytes() == optimized.run(dense, x)[0].tobytes()
        return
    if not _has_broken_float16(theirs):
        assert optimized.run(ours, x)[0].tobytes() == optimized.run(theirs, x)[0].tobytes()
    if mode == "int8":  # the sparse kernel rounds its sums otherwise than the dense ones
        step = np.float32(dense.tensor(dense.subgraphs[0].operators[-1].inputs[0]).quantization.scale[0])
        for runtime in (reference, optimized):
            difference = np.abs(runtime.run(ours, x)[0] - runtime.run(dense, x)[0]).max()
            assert difference <= 2.5 * step  # one step of its own, and those of the layers before
        return
    # sums of floats in another order: at most 64 terms and 3 layers, of numbers below 4
    np.testing.assert_allclose(encoded, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(optimized.run(ours, x)[0], optimized.run(dense, x)[0], rtol=0, atol=2e-5)


def test_the_converter_loses_the_rest_of_a_row_and_we_do_not(quantizer: Quantizer, reference: Runtime) -> None:
    import keras

    x = keras.Input((34,))
    layer = keras.layers.Dense(8, use_bias=False)
    model = keras.Model(x, layer(x))
    kernel = np.repeat(np.arange(1, 35, dtype=np.float32)[:, None], 8, 1)
    kernel[:20] = 0
    layer.set_weights([kernel])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        source = path.read_bytes()
    dense = quantizer.convert(source)
    theirs = quantizer.convert(source, optimizations=["EXPERIMENTAL_SPARSITY"])
    ones = [np.ones((1, 34), np.float32)]
    assert reference.run(dense, ones)[0].tolist() == [[sum(range(21, 35))] * 8]
    assert reference.run(encode_sparse(Model.read(dense)), ones)[0].tolist() == [[sum(range(21, 35))] * 8]
    assert reference.run(theirs, ones)[0].tolist() == [[sum(range(21, 33))] * 8]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_the_interpreter_densifies_to_the_same_bits(reference: Runtime, dtype: Any) -> None:
    from refquant.testing.build import TensorSpec, single_operator_model
    from refquant.tflite import schema
    from refquant.tflite.schema import TensorType
    from refquant.tflite.sparsity import densify, sparsify

    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(3, 5, 2, 8)) * 20 * (rng.random((3, 5, 2, 8)) < 0.3)).astype(dtype)
    dense[1] = 0
    kind = {4: TensorType.FLOAT32, 2: TensorType.FLOAT16, 1: TensorType.INT8}[dense.itemsize]
    for blocks in ({}, {3: 4}):
        order = list(range(4 + len(blocks)))
        values, table = sparsify(dense, order, [d == 3 for d in order], blocks)
        x = TensorSpec(kind, dense.shape, data=values, sparsity=table)
        y = TensorSpec(kind, dense.shape)
        model = single_operator_model("DENSIFY", [x], [y], schema.DensifyOptions())
        found = reference.run(model, [])[0]
        assert found.tobytes() == densify(values, dense.shape, table, "x").tobytes()
        np.testing.assert_array_equal(found, dense)
