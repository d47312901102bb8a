"""When to prune, and to what sparsity: the schedules of tensorflow_model_optimization, in float32 as TensorFlow has it.

Source: sparsity/keras/pruning_schedule.py of tensorflow_model_optimization; the polynomial is that of Zhu and Gupta,
"To prune, or not to prune" (2017).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError


class PruningSchedule(ABC):
    """Whether a step prunes, and to which sparsity; called with the number of the step."""

    begin_step: int
    end_step: int
    frequency: int

    @abstractmethod
    def __call__(self, step: int) -> tuple[bool, np.float32]:
        """Whether to prune at `step`, and the share of weights that are then zero."""

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The class's name and its arguments, as `tfmot` writes them into the configuration of a layer."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PruningSchedule:
        """The schedule of the arguments: what `get_config()` has under "config"."""
        return cls(**config)

    def prunes_at(self, step: int) -> bool:
        """Every `frequency` steps from `begin_step` to `end_step`, both included; for ever where that is -1."""
        if not is_whole(step):
            raise InvalidInputError(f"a step must be a whole number, it is {step!r}")
        within = step >= self.begin_step and (self.end_step < 0 or step <= self.end_step)
        return within and (step - self.begin_step) % self.frequency == 0

    def _check_steps(self) -> None:
        for name in ("begin_step", "end_step", "frequency"):
            value = getattr(self, name)
            if not is_whole(value):
                raise InvalidInputError(f"{name} must be a whole number, it is {value!r}")
        if self.begin_step < 0:
            raise InvalidInputError(f"begin_step must be 0 or more, it is {self.begin_step}")
        if self.end_step != -1 and self.end_step < self.begin_step:
            raise InvalidInputError(f"end_step must be -1 or begin_step or more, it is {self.end_step}")
        if self.frequency <= 0:
            raise InvalidInputError(f"frequency must be 1 or more, it is {self.frequency}")


class ConstantSparsity(PruningSchedule):
    """The same sparsity from `begin_step` to `end_step` (-1: for ever), every `frequency` steps.

    >>> schedule = ConstantSparsity(0.5, begin_step=200, frequency=100)
    >>> [schedule(step)[0] for step in (100, 200, 250, 300)]
    [False, True, False, True]
    """

    def __init__(self, target_sparsity: float, begin_step: int, end_step: int = -1, frequency: int = 100) -> None:
        self.target_sparsity = check_sparsity(target_sparsity, "target_sparsity")
        self.begin_step, self.end_step, self.frequency = begin_step, end_step, frequency
        self._check_steps()

    def __call__(self, step: int) -> tuple[bool, np.float32]:
        """Whether to prune at `step`, and the share of weights that are then zero."""
        return self.prunes_at(step), np.float32(self.target_sparsity)

    def get_config(self) -> dict[str, Any]:
        """The class's name and its arguments."""
        names = ("target_sparsity", "begin_step", "end_step", "frequency")
        return {"class_name": "ConstantSparsity", "config": {name: getattr(self, name) for name in names}}


class PolynomialDecay(PruningSchedule):
    """From `initial_sparsity` to `final_sparsity`, quickly at first and slower towards `end_step`.

    final + (initial - final) * (1 - p) ** power, where p goes from 0 at `begin_step` to 1 at `end_step`.

    >>> schedule = PolynomialDecay(0.0, 0.5, begin_step=0, end_step=100, frequency=50)
    >>> [(prunes, float(sparsity)) for prunes, sparsity in map(schedule, (0, 50, 60, 100))]
    [(True, 0.0), (True, 0.4375), (False, 0.46799999475479126), (True, 0.5)]
    """

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        begin_step: int,
        end_step: int,
        power: float = 3,
        frequency: int = 100,
    ) -> None:
        self.initial_sparsity = check_sparsity(initial_sparsity, "initial_sparsity")
        self.final_sparsity = check_sparsity(final_sparsity, "final_sparsity")
        self.begin_step, self.end_step, self.frequency = begin_step, end_step, frequency
        self._check_steps()
        if end_step == -1:
            raise InvalidInputError("end_step must be 0 or more: the sparsity of the last step is the final one")
        number = isinstance(power, (int, float, np.number)) and not isinstance(power, bool)
        if not number or not math.isfinite(power):
            raise InvalidInputError(f"power must be a number, it is {power!r}")
        self.power = power

    def __call__(self, step: int) -> tuple[bool, np.float32]:
        """Whether to prune at `step`, and the share of weights that are then zero."""
        prunes = self.prunes_at(step)
        # the differences of Python's floats are float64 and become float32 where they meet a tensor
        span = np.float32(self.end_step - self.begin_step)
        with np.errstate(invalid="ignore", divide="ignore"):
            done = np.minimum(np.maximum(np.float32(step - self.begin_step) / span, np.float32(0)), np.float32(1))
            # two numbers of NumPy give the powf of the C library, as TensorFlow does; arrays have paths of their own
            rest = (np.float32(1) - done) ** np.float32(self.power)
            sparsity = flushed(np.float32(self.initial_sparsity - self.final_sparsity) * rest)
        return prunes, np.float32(flushed(sparsity + np.float32(self.final_sparsity)))

    def get_config(self) -> dict[str, Any]:
        """The class's name and its arguments."""
        names = ("initial_sparsity", "final_sparsity", "power", "begin_step", "end_step", "frequency")
        return {"class_name": "PolynomialDecay", "config": {name: getattr(self, name) for name in names}}


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of Python or NumPy, and not True or False."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_sparsity(sparsity: float, name: str) -> float:
    """The sparsity as it came; raises `InvalidInputError` unless it is a number in [0, 1)."""
    if isinstance(sparsity, bool) or not isinstance(sparsity, (int, float, np.number)) or not 0 <= sparsity < 1:
        raise InvalidInputError(f"{name} must be in [0, 1), it is {sparsity!r}")
    return sparsity
