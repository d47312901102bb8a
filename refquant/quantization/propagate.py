"""Carrying scales from the values that have one to all others, and meeting the constraints of the operators.

Every value has a *state*: its quantization, if it has one yet. A work list of operations, the last of the function
first, spreads them: constants take theirs from their content, biases from what they are added to, operators of one
scale from the operand or result that has it. A state that a recorded range gave does not change: where an operator
needs another, a *requantization* is noted. At the end each state becomes a QUANTIZE and DEQUANTIZE pair, each
requantization another QUANTIZE.

Source: converter/quantization/common/quantization_lib/tfl_quantization_driver.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from refquant.errors import InvalidModelError
from refquant.quantization.constraints import Bias, Constraint, constraint_of
from refquant.quantization.ir import Function, Operation, Quantized, Value
from refquant.quantization.parameters import of_bias, of_constant, reals
from refquant.quantization.recurrent import LSTMS, biases_of

#: a bias must stay below this, so that there is room for the sum it is added to
_MOST_BIAS = (2**31 - 1) // 2


#: in which order the results of an operation get their pairs: their numbers; the last one stands next to the operation
Order = Callable[[Operation], Sequence[int]]


def in_order(operation: Operation) -> Sequence[int]:
    """The results from the first to the last."""
    return range(len(operation.results))


@dataclass(slots=True)
class Options:
    """What the caller decides: the bits of activations, and where weights have one scale instead of one per channel.

    `order` matters for operators of several results. The real quantizer takes them in the order of a hash table of
    addresses, another one in each run; so any order is as right as another.
    """

    bits: int = 8
    per_channel: bool = True
    per_channel_dense: bool = True
    order: Order = in_order


@dataclass(slots=True)
class _Requantization:
    """The other quantization that some uses of a value need (`on_output`), or that its maker gives it."""

    quantized: Quantized
    on_output: bool
    users: list[tuple[Operation, int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _State:
    quantized: Quantized | None
    fixed: bool
    others: list[_Requantization] = field(default_factory=list)


def propagate(function: Function, options: Options) -> None:
    """Surrounds with QUANTIZE and DEQUANTIZE every value whose quantization the constraints decide."""
    _Propagation(function, options).run()
    for operation in function:
        if operation.name in ("QUANTIZE", "DEQUANTIZE"):
            operation.result.turn_uses()  # the quantizer ends by making these anew, in another dialect


def is_quantizable(operation: Operation) -> bool:
    """Whether the operator has an integer form (constants count as such)."""
    return operation.name == "CONST" or (not operation.custom and constraint_of(operation.name).quantized)


def _constraint(operation: Operation) -> Constraint:
    return constraint_of("" if operation.custom else operation.name)


def _biases(operation: Operation) -> tuple[Bias, ...]:
    if operation.name in LSTMS and not operation.custom:
        return biases_of(operation)
    bias = _constraint(operation).bias
    return () if bias is None else (bias,)


class _Propagation:
    def __init__(self, function: Function, options: Options) -> None:
        self.function = function
        self.options = options
        self.weights: dict[Operation, int | None] = {}  # constants that decide their own scale; the axis, if any
        self.optimized: set[Operation] = set()  # those of them that are symmetric
        self.states: dict[Value, _State] = {}
        self.operand_states: dict[tuple[Operation, int], _State] = {}
        self.result_states: dict[tuple[Operation, int], _State] = {}
        self.argument_states: dict[Value, _State] = {}
        self.work: list[Operation] = []
        self.done: set[Operation] = set()
        self.changed = False

    def run(self) -> None:
        self._separate_constants()
        self._set_up_states()
        while self.work:
            operation = self.work.pop()
            if operation not in self.done:
                self.done.add(operation)
                self._visit(operation)
        if self.changed:
            self._insert_pairs()

    # before: which constants are weights, and a state for each value

    def _separate_constants(self) -> None:
        """Gives each use of a constant that others decide the scale of (a bias, …) a constant of its own."""
        for constant in self.function:
            if constant.name != "CONST" or constant.attributes.get("restored"):
                continue
            if not constant.result.type.is_float or not _is_usual(constant):
                continue
            uses = constant.result.uses
            for user, position in uses:
                constraint = _constraint(user)
                is_bias = any(bias.operand == position for bias in _biases(user))
                if is_bias or constraint.same_scale or user.name == "QUANTIZE":
                    if len(uses) > 1:
                        user.set_operand(position, self.function.insert_before(constant, constant.copy()).result)
                    continue
                self.weights.setdefault(constant, None)
                weight = constraint.weight
                if weight is not None and weight.operand == position and constant not in self.optimized:
                    self.optimized.add(constant)
                    dense = user.name == "FULLY_CONNECTED" and not self.options.per_channel_dense
                    self.weights[constant] = None if dense else weight.axis

    def _set_up_states(self) -> None:
        for argument in self.function.arguments:
            user = argument.only_user
            value = user.result if user is not None and user.name == "QUANTIZE" else argument
            self.argument_states[argument] = self._state_of(value)
        for operation in self.function:
            if not is_quantizable(operation) and not _constraint(operation).same_scale:
                continue
            self.work.append(operation)
            for position, operand in enumerate(operation.operands):
                if operand is None:
                    continue
                maker = operand.owner
                if maker is not None and maker.name == "DEQUANTIZE":
                    inner = maker.operands[0]
                    assert inner is not None
                    operand = inner
                self.operand_states[operation, position] = self._state_of(operand)
            for result in operation.results:
                user = result.only_user
                value = user.result if user is not None and user.name == "QUANTIZE" else result
                self.result_states[operation, result.index] = self._state_of(value)

    def _state_of(self, value: Value) -> _State:
        if value not in self.states:
            quantized = value.type.quantized
            self.states[value] = _State(quantized, fixed=quantized is not None)
        return self.states[value]

    # the work list

    def _visit(self, operation: Operation) -> None:
        if operation.name == "CONST":
            self._visit_constant(operation)
            return
        constraint = _constraint(operation)
        if constraint.same_scale and not self._share_scale(operation):
            self.done.remove(operation)
            return
        if constraint.output is not None:
            bits = self.options.bits
            scale, zero_point = constraint.output.int8 if bits == 8 else constraint.output.int16
            half = 1 << (bits - 1)
            quantized = Quantized(bits, (scale,), (zero_point,), -half, half - 1)
            for result in operation.results:
                if result.type.is_float:
                    self._set_result(operation, result.index, quantized)
        for bias in _biases(operation):
            if not self._set_bias(operation, bias):
                self.done.discard(operation)

    def _visit_constant(self, operation: Operation) -> None:
        constant = operation.constant
        assert constant is not None
        if operation not in self.weights or self.result_states[operation, 0].quantized is not None:
            return
        axis = self.weights[operation] if self.options.per_channel else None
        weight = operation in self.optimized
        if axis is not None and axis >= constant.array.ndim:
            return
        quantized = of_constant(constant, weight=weight, axis=axis)
        if quantized is not None:
            self._set_result(operation, 0, quantized)

    def _share_scale(self, operation: Operation) -> bool:
        """Gives all float operands and results of an operation one quantization; False where none is known yet."""
        quantized = self._shared_scale(operation)
        if quantized is None:
            return False
        for position, operand in enumerate(operation.operands):
            if operand is not None and operand.type.is_float:
                self._set_operand(operation, position, quantized)
        for result in operation.results:
            if result.type.is_float:
                self._set_result(operation, result.index, quantized)
        return True

    def _shared_scale(self, operation: Operation) -> Quantized | None:
        """That of a fixed state: of the only operand, else of the only result, else the first; then of the others."""
        operands = [self.operand_states.get((operation, i)) for i in range(len(operation.operands))]
        results = [self.result_states[operation, i] for i in range(len(operation.results))]
        for fixed in (True, False):
            of_operands = [s for s in operands if s is not None and s.fixed == fixed and s.quantized is not None]
            of_results = [s for s in results if s.fixed == fixed and s.quantized is not None]
            if len(operands) == 1 and len(of_operands) == 1:
                return of_operands[0].quantized
            if len(results) == 1 and len(of_results) == 1:
                return of_results[0].quantized
            for state in [*of_operands, *of_results]:
                return state.quantized
        return None

    def _set_result(self, operation: Operation, index: int, quantized: Quantized) -> None:
        state = self.result_states[operation, index]
        if state.quantized == quantized:
            return
        self.changed = True
        if state.quantized is not None:
            state.others.append(_Requantization(quantized, on_output=False))
            return
        state.quantized = quantized
        self.work += operation.results[index].users

    def _set_operand(
        self, operation: Operation, position: int, quantized: Quantized, *, override: bool = False
    ) -> None:
        state = self.operand_states[operation, position]
        if state.quantized == quantized:
            return
        self.changed = True
        if state.quantized is not None and not override:
            for other in state.others:
                if other.quantized == quantized:
                    other.users.append((operation, position))
                    return
            state.others.append(_Requantization(quantized, on_output=True, users=[(operation, position)]))
            return
        state.quantized = quantized
        maker = operation.defining(position)
        if maker is not None:
            self.work.append(maker)

    # biases

    def _set_bias(self, operation: Operation, bias: Bias) -> bool:
        """Gives the bias the scale of the products; False where a factor has none yet."""
        value = operation.operand(bias.operand)
        if value is None or not is_quantizable(operation):
            return True
        state = self.operand_states[operation, bias.operand]
        if state.quantized is not None:
            return True
        parts = [self._operand_quantization(operation, position) for position in bias.of]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return False
        rank = len(value.type.shape or ())
        quantized = of_bias(known, rank - 1 if rank > 1 and value.owner is not None else 0)
        if quantized is None:
            return False
        if bias.factor != 1.0:
            quantized = replace(quantized, scales=tuple(scale * bias.factor for scale in quantized.scales))
        self._set_bias_with_room(operation, bias, quantized)
        return True

    def _operand_quantization(self, operation: Operation, position: int) -> Quantized | None:
        state = self.operand_states.get((operation, position))
        return None if state is None else state.quantized

    def _set_bias_with_room(self, operation: Operation, bias: Bias, quantized: Quantized) -> None:
        """Makes the scale of a bias, and with it that of the weight, larger where the integers would be too large."""
        constant = operation.defining(bias.operand)
        weight_position = 1
        weight = operation.defining(weight_position)
        plain = (
            constraint_of(operation.name).weight is None
            or constant is None
            or constant.name != "CONST"
            or weight is None
            or weight.name != "CONST"
        )
        (input_position,) = (position for position in bias.of if position != weight_position) if not plain else (0,)
        of_input = self._operand_quantization(operation, input_position)
        of_weight = self._operand_quantization(operation, weight_position)
        if plain or of_input is None or of_weight is None or (of_input.bits, of_weight.bits) != (8, 8):
            self._set_operand(operation, bias.operand, quantized)
            return
        assert constant is not None and constant.constant is not None and weight is not None
        values = np.abs(constant.constant.array.astype(np.float64)).reshape(-1)
        if not np.isfinite(values).all():
            name = next(iter(constant.names), "")
            raise InvalidModelError(f"constant {name!r} of {operation.name}: a bias of NaN or infinity has no scale")
        scales = np.asarray(quantized.scales)
        if quantized.axis is None:
            largest = values.max(initial=0.0)
            too_large = np.array([not largest / scales[0] < _MOST_BIAS])
            needed = np.array([largest / _MOST_BIAS])
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                too_large = values / scales > _MOST_BIAS
            needed = values / _MOST_BIAS
        if not too_large.any():
            self._set_operand(operation, bias.operand, quantized)
            return
        scales = np.where(too_large, needed, scales)
        weight_scales = np.where(too_large, scales / of_input.scales[0], np.asarray(of_weight.scales))
        self._set_operand(operation, bias.operand, replace(quantized, scales=tuple(scales.tolist())))
        self._own_constant(weight, operation, weight_position)
        axis = None if quantized.axis is None else of_weight.axis
        adjusted = replace(of_weight, scales=tuple(weight_scales.tolist()), axis=axis)
        self._set_operand(operation, weight_position, adjusted, override=True)

    def _own_constant(self, constant: Operation, user: Operation, position: int) -> None:
        """Gives a use of a shared constant a copy, with a state of its own."""
        if constant.result.has_one_use:
            return
        duplicate = self.function.insert_after(constant, constant.copy())
        user.set_operand(position, duplicate.result)
        self.operand_states[user, position] = self._state_of(duplicate.result)
        self.result_states[duplicate, 0] = self._state_of(duplicate.result)

    # after: pairs of QUANTIZE and DEQUANTIZE

    def _insert_pairs(self) -> None:
        for argument, state in self.argument_states.items():
            if state.quantized is None or (state.fixed and not state.others):
                continue
            if not state.fixed:
                self._insert_pair(argument, state.quantized)
            self._requantize_argument(argument, state.others)
        for operation, index in self._results():
            state = self.result_states[operation, index]
            if state.quantized is None or (state.fixed and not state.others):
                continue
            if not state.fixed:
                self._insert_pair(operation.results[index], state.quantized)
            self._requantize_result(operation.results[index], state.others)

    def _results(self) -> Iterator[tuple[Operation, int]]:
        for operation in dict.fromkeys(operation for operation, _ in self.result_states):
            yield from ((operation, index) for index in self.options.order(operation))

    def _insert_pair(self, value: Value, quantized: Quantized) -> None:
        if not value.type.is_float:
            return
        names = value.owner.names if value.owner is not None else ()
        quantize = Operation("QUANTIZE", [value], [value.type.of(quantized)], names=names, volatile=True)
        if value.owner is None:
            self.function.prepend(quantize)
        else:
            self.function.insert_after(value.owner, quantize)
        dequantize = Operation("DEQUANTIZE", [quantize.result], [value.type], names=names)
        self.function.insert_after(quantize, dequantize)
        value.replace_all_uses(dequantize.result)
        quantize.set_operand(0, value)

    def _requantize_argument(self, argument: Value, others: list[_Requantization]) -> None:
        if not others:
            return
        user = argument.only_user
        if user is not None and user.name == "QUANTIZE":
            self._requantize(user.result, others, after=user, names=())
        else:
            self._requantize(argument, others, after=None, names=())

    def _requantize_result(self, value: Value, others: list[_Requantization]) -> None:
        if not others or any(other.on_output != others[0].on_output for other in others):
            return
        after = value.owner
        assert after is not None
        names = after.names
        if others[0].on_output:
            user = value.users[0] if value.is_used else None
            if user is not None and user.name == "QUANTIZE":
                value, after = user.result, user
        self._requantize(value, others, after=after, names=names)

    def _requantize(
        self, value: Value, others: list[_Requantization], after: Operation | None, names: tuple[str, ...]
    ) -> None:
        if not others[0].on_output:
            quantize = self._put(
                Operation("QUANTIZE", [value], [value.type.of(others[0].quantized)], names=names), after
            )
            value.replace_all_uses(quantize.result)
            quantize.set_operand(0, value)
            return
        dequantize = value.only_user
        if dequantize is None or dequantize.name != "DEQUANTIZE":
            return
        take_over = len(dequantize.result.uses) <= len(others)
        for other in others:
            quantize = self._put(Operation("QUANTIZE", [value], [value.type.of(other.quantized)], names=names), after)
            after = quantize
            if take_over:
                dequantize.set_operand(0, quantize.result)
                take_over = False
                continue
            again = Operation("DEQUANTIZE", [quantize.result], [dequantize.result.type], names=names)
            after = self._put(again, after)
            for operation, position in other.users:
                operation.set_operand(position, again.result)

    def _put(self, operation: Operation, after: Operation | None) -> Operation:
        return self.function.prepend(operation) if after is None else self.function.insert_after(after, operation)


def _is_usual(constant: Operation) -> bool:
    """Whether a constant has a range: it is not empty and does not begin with NaN or an infinity."""
    assert constant.constant is not None
    array = reals(constant.constant)
    return array.size > 0 and bool(np.isfinite(array.reshape(-1)[0]))
