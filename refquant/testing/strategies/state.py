"""What lives on from sample to sample: resource variables, hash tables, subgraphs that run once."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from refquant.testing.build import OperatorSpec, SubgraphSpec, TensorSpec, model_of
from refquant.testing.strategies.catalogue import Case, strategy
from refquant.testing.strategies.drawing import Array, arrays, generators, numbers
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

INT32, INT64, STRING, RESOURCE = TensorType.INT32, TensorType.INT64, TensorType.STRING, TensorType.RESOURCE

#: of what a variable may hold all but strings, with which TensorFlow dies, and INT2, of which it sets no input
VARIABLES = [
    type
    for type in TensorType
    if type.name not in ("STRING", "RESOURCE", "VARIANT", "INT2") and not type.name.startswith("FLOAT8")
]
names = st.sampled_from([("", ""), ("", "a"), ("", "b"), ("box", "a"), ("box", "")])


def _named(handle: int, name: tuple[str, str]) -> OperatorSpec:
    return OperatorSpec("VAR_HANDLE", [], [handle], schema.VarHandleOptions(container=name[0], shared_name=name[1]))


def _assign(handle: int, value: int) -> OperatorSpec:
    return OperatorSpec("ASSIGN_VARIABLE", [handle, value], [], schema.AssignVariableOptions())


def _read(handle: int, value: int) -> OperatorSpec:
    return OperatorSpec("READ_VARIABLE", [handle], [value], schema.ReadVariableOptions())


def _handle(draw: st.DrawFn) -> TensorSpec:
    return TensorSpec(draw(st.sampled_from([RESOURCE, INT32])), draw(st.sampled_from([(), (1,)])))


def _declared(draw: st.DrawFn, type: TensorType, elements: int) -> TensorSpec:
    """An output that takes the variable's shape, or has one of its own for the first elements of it."""
    if not elements or draw(st.booleans()):
        return TensorSpec(type, ())
    count = draw(st.integers(1, elements))
    return TensorSpec(type, draw(st.sampled_from([(count,), (1, count), (count, 1, 1)])))


@strategy(["ASSIGN_VARIABLE", "READ_VARIABLE"], VARIABLES)
def assigned_and_read(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A variable that is assigned each sample and read twice; its shape may change where the reader allows it."""
    x = draw(arrays(type))
    outputs = [_declared(draw, type, x.size) for _ in range(2)]
    samples = [[x], [numbers(draw(generators), type, x.shape)]]
    if all(out.shape == () for out in outputs) and draw(st.booleans()):
        samples.append([draw(arrays(type))])
    operators = [_named(1, draw(names)), _assign(1, 0), _read(1, 2), _read(1, 3)]
    tensors = [TensorSpec(type, x.shape), _handle(draw), *outputs]
    return Case(model_of(SubgraphSpec(tensors, operators, [0], [2, 3])), samples)


@strategy("VAR_HANDLE", [RESOURCE, INT32])
def variables_by_name(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """Two variables, which are one where their names are the same; the second is read last."""
    tensors = [
        TensorSpec(TensorType.FLOAT32, (2,)),
        TensorSpec(INT32, (3,)),
        TensorSpec(type, (1,)),
        TensorSpec(type, ()),
        TensorSpec(INT32, ()),
    ]
    first = draw(names)
    second = draw(names.filter(lambda name: name != first))
    operators = [
        _named(2, first),
        _named(3, second),
        _assign(2, 0),
        _assign(3, 1),
        *([_assign(2, 1)] if draw(st.booleans()) else []),
        _read(draw(st.just(3)), 4),
    ]
    x, y = numbers(draw(generators), TensorType.FLOAT32, (2,)), numbers(draw(generators), INT32, (3,))
    return Case(model_of(SubgraphSpec(tensors, operators, [0, 1], [4])), [[x, y]])


@strategy("CALL_ONCE", VARIABLES)
def first_values(draw: st.DrawFn, operator: str, type: TensorType) -> Case:
    """A subgraph gives a variable its first value, once; each sample reads the value and assigns the next one."""
    first = draw(arrays(type))
    name = draw(names)
    once = OperatorSpec("CALL_ONCE", [], [], schema.CallOnceOptions(init_subgraph_index=1))
    operators = [once, _named(1, name), _read(1, 2), _assign(1, 0), *([once] if draw(st.booleans()) else [])]
    main = SubgraphSpec([TensorSpec(type, first.shape), _handle(draw), TensorSpec(type)], operators, [0], [2])
    start = SubgraphSpec([TensorSpec(type, data=first), _handle(draw)], [_named(1, name), _assign(1, 0)], [], [])
    samples = [[numbers(draw(generators), type, first.shape)] for _ in range(3)]
    return Case(model_of(main, start), samples)


def _some(draw: st.DrawFn, type: TensorType, shape: Any) -> Array:
    """Keys or values of a table; integers so few that keys are found."""
    rng = draw(generators)
    return numbers(rng, type, shape) if type == STRING else rng.integers(-2, 4, shape)


@strategy(
    ["HASHTABLE", "HASHTABLE_IMPORT", "HASHTABLE_FIND", "HASHTABLE_SIZE"],
    {"INT64 to STRING": (INT64, STRING), "STRING to INT64": (STRING, INT64)},
    oracle="optimized",
)
def tables(draw: st.DrawFn, operator: str, types: tuple[TensorType, TensorType]) -> Case:
    """A table, filled by a subgraph that runs once or by each sample, in which keys of any shape are looked up."""
    key, value = types
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    queries = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    content = [_some(draw, key, shape), _some(draw, value, shape)]
    options = schema.HashtableOptions(table_id=draw(st.integers(-1, 2)), key_dtype=key, value_dtype=value)

    def named(handle: int) -> OperatorSpec:
        return OperatorSpec("HASHTABLE", [], [handle], options)

    def filled(handle: int, keys: int, values: int) -> OperatorSpec:
        return OperatorSpec("HASHTABLE_IMPORT", [handle, keys, values], [], schema.HashtableImportOptions())

    tensors = [
        TensorSpec(key, queries),
        TensorSpec(value, data=_some(draw, value, draw(st.sampled_from([(), (1,), (2,)])))),
        TensorSpec(RESOURCE, ()),
        TensorSpec(value, queries),
        TensorSpec(INT64, (1,)),
    ]
    asked = [
        OperatorSpec("HASHTABLE_FIND", [2, 0, 1], [3], schema.HashtableFindOptions()),
        OperatorSpec("HASHTABLE_SIZE", [2], [4], schema.HashtableSizeOptions()),
    ]
    samples: list[list[Array]] = [[_some(draw, key, queries)] for _ in range(2)]
    if draw(st.booleans()):
        once = OperatorSpec("CALL_ONCE", [], [], schema.CallOnceOptions(init_subgraph_index=1))
        constants = [TensorSpec(type, data=data) for type, data in zip(types, content)]
        start = SubgraphSpec([*constants, TensorSpec(RESOURCE, ())], [named(2), filled(2, 0, 1)], [], [])
        return Case(model_of(SubgraphSpec(tensors, [once, named(2), *asked], [0], [3, 4]), start), samples)
    tensors += [TensorSpec(key, shape), TensorSpec(value, shape)]
    samples[0] += content
    samples[1] += [_some(draw, key, shape), _some(draw, value, shape)]  # of no effect
    return Case(model_of(SubgraphSpec(tensors, [named(2), filled(2, 5, 6), *asked], [0, 5, 6], [3, 4])), samples)
