"""Pruning in training, for any loop: call it before each forward pass, and train with what it gives back.

At each step the masks are made anew where the schedule says so, from the weights as the optimizer left them, so that
a weight that was zero may come back; then all weights are multiplied by their masks. The first step is number 1, as
with tfmot, whose counter stands at -1 until training begins and at 0 before the first step.

Source: sparsity/keras/pruning_impl.py and pruning_wrapper.py of tensorflow_model_optimization.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from refquant.compression.pruning.blocks import check_block, check_block_size
from refquant.compression.pruning.m_by_n import check_m_by_n, m_by_n_mask
from refquant.compression.pruning.masks import Mask, magnitude_mask, sparsity_of
from refquant.compression.pruning.schedules import PruningSchedule
from refquant.compression.subnormals import flushed
from refquant.errors import InvalidInputError

Array = npt.NDArray[Any]

#: what tfmot stores as the threshold of m-by-n masks, which have none
_NO_THRESHOLD = 999.0

#: the name of weights that come without one
_UNNAMED = "weights"


class Pruner:
    """Masks for weights in training, updated by a `schedule`.

    In NumPy, for a dict of arrays, or one array:

        pruner = Pruner(PolynomialDecay(0.2, 0.8, begin_step=100, end_step=1000))
        for x, y in batches:
            weights = pruner.step(weights)
            weights = optimizer_step(weights, x, y)
        weights = pruner.apply(weights)  # the last optimizer step has filled in the zeros

    In PyTorch, before each forward pass (and with `pruner.apply` after the last):

        kernels = {name: p for name, p in model.named_parameters() if p.ndim > 1}
        pruned = pruner.step({name: p.detach().cpu().numpy() for name, p in kernels.items()})
        with torch.no_grad():
            for name, p in kernels.items():
                p.copy_(torch.from_numpy(pruned[name]))

    In JAX, where parameters are values, outside of `jax.jit`:

        params = {**params, **pruner.step({name: params[name] for name in kernels})}
        params, state = train_step(params, state, batch)  # jitted

    Magnitudes know no layout, but blocks and m-by-n are those of Keras's layout, [inputs, outputs] or [height, width,
    inputs, outputs]: give the transpose of PyTorch's weights, and transpose what comes back.

    Raises `InvalidInputError` for a schedule that is none, and for blocks or m-by-n that cannot be.
    """

    def __init__(
        self,
        schedule: PruningSchedule,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
    ) -> None:
        self.pattern = Pattern(schedule, block_size, block_pooling_type, sparsity_m_by_n)
        #: how many steps were made
        self.steps = 0
        #: by name, 1 where a weight stays and 0 where it goes; an array without a name is called "weights"
        self.masks: dict[str, Array] = {}
        #: by name, the magnitude from which on weights stay; 0 before the first pruning, 999 for m-by-n
        self.thresholds: dict[str, Any] = {}

    @property
    def sparsities(self) -> dict[str, float]:
        """The share of zeros that each mask really has."""
        return {name: sparsity_of(mask) for name, mask in self.masks.items()}

    @overload
    def step(self, weights: Mapping[str, npt.ArrayLike]) -> dict[str, Array]: ...
    @overload
    def step(self, weights: npt.ArrayLike) -> Array: ...
    def step(self, weights: Any) -> Any:
        """The weights of the next step, pruned: new arrays in the shapes and dtypes of the old.

        The dtype is float16, float32, float64, or bfloat16, whose magnitudes are pooled as float32; integers become
        float32. Raises `InvalidInputError`, and changes nothing, for NaN, weights that are none, and others than
        before.
        """
        arrays = self._arrays(weights)
        for name, array in arrays.items():
            self.pattern.check_shape(array.shape, name)
        masks, thresholds = dict(self.masks), dict(self.thresholds)
        step = self.steps + 1
        for name, array in arrays.items():
            if self.pattern.updates_at(step):
                masks[name], thresholds[name] = self.pattern.mask(array, step, name)
            elif name not in masks:
                masks[name], thresholds[name] = np.ones(array.shape, array.dtype), array.dtype.type(0)
        self.steps, self.masks, self.thresholds = step, masks, thresholds
        return self._masked(weights, arrays)

    @overload
    def apply(self, weights: Mapping[str, npt.ArrayLike]) -> dict[str, Array]: ...
    @overload
    def apply(self, weights: npt.ArrayLike) -> Array: ...
    def apply(self, weights: Any) -> Any:
        """The weights times the masks as they are: for the end of an epoch, before evaluating and before saving."""
        return self._masked(weights, self._arrays(weights))

    def state(self) -> dict[str, Array]:
        """All that changes, as arrays for `np.savez`: the steps, and by name masks and thresholds."""
        state = {"steps": np.array(self.steps)}
        for name, mask in self.masks.items():
            state[f"mask/{name}"] = mask.copy()
            state[f"threshold/{name}"] = np.asarray(self.thresholds[name])
        return state

    def restore(self, state: Mapping[str, Array]) -> None:
        """Goes on from what `state` gave; raises `InvalidInputError` where it gave something else."""
        masks = {name[5:]: np.array(state[name]) for name in state if name.startswith("mask/")}
        missing = {"steps"} | {f"threshold/{name}" for name in masks}
        missing -= set(state)
        if missing:
            raise InvalidInputError(f"the state of a Pruner has {sorted(missing)[0]!r}, this has not")
        self.steps, self.masks = int(state["steps"]), masks
        self.thresholds = {name: np.asarray(state[f"threshold/{name}"])[()] for name in masks}

    def _arrays(self, weights: Any) -> dict[str, Array]:
        named = weights if isinstance(weights, Mapping) else {_UNNAMED: weights}
        arrays = {name: _as_float(np.asarray(array), name) for name, array in named.items()}
        if self.masks and arrays.keys() != self.masks.keys():
            raise InvalidInputError(f"the weights are {sorted(arrays)}, and were {sorted(self.masks)} before")
        for name, array in arrays.items():
            if name in self.masks and self.masks[name].shape != array.shape:
                raise InvalidInputError(f"{name} has shape {array.shape}, and had {self.masks[name].shape} before")
        return arrays

    def _masked(self, weights: Any, arrays: dict[str, Array]) -> Any:
        result = {name: masked(array, self.masks[name]) if self.masks else array for name, array in arrays.items()}
        return result if isinstance(weights, Mapping) else result[_UNNAMED]


class Pattern:
    """Which weights go at which step: a schedule and the arrangement of the zeros."""

    def __init__(
        self,
        schedule: PruningSchedule,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
    ) -> None:
        if not isinstance(schedule, PruningSchedule):
            raise InvalidInputError(f"the schedule must be a PruningSchedule, it is {schedule!r}")
        self.schedule, self.block_pooling_type = schedule, block_pooling_type
        self.block_size = check_block_size(block_size, block_pooling_type)
        self.sparsity_m_by_n = None if sparsity_m_by_n is None else check_m_by_n(sparsity_m_by_n)

    def check_shape(self, shape: tuple[int, ...], name: str) -> None:
        """Raises `InvalidInputError` where weights of this shape cannot have such zeros."""
        if self.sparsity_m_by_n:
            if len(shape) not in (2, 4):
                raise InvalidInputError(f"{name}: m-by-n is for kernels of two or four dimensions, not shape {shape}")
        elif self.block_size != (1, 1):
            check_block(np.broadcast_to(np.float32(0), shape), self.block_size, self.block_pooling_type, name)

    def updates_at(self, step: int) -> bool:
        """Whether the masks are made anew: by the schedule, or once, at step 1, for m-by-n."""
        return step == 1 if self.sparsity_m_by_n else bool(self.schedule(step)[0])

    def mask(self, weights: Array, step: int, name: str) -> Mask:
        """The mask and the threshold of the weights at `step`, in their dtype."""
        weights = _as_float(weights, name)
        numbers = weights if weights.dtype.kind == "f" else weights.astype(np.float32)
        if self.sparsity_m_by_n:
            mask, threshold = m_by_n_mask(numbers, self.sparsity_m_by_n, name), _NO_THRESHOLD
        else:
            sparsity = float(self.schedule(step)[1])
            mask, threshold = magnitude_mask(numbers, sparsity, self.block_size, self.block_pooling_type, name)
        return Mask(mask.astype(weights.dtype), weights.dtype.type(threshold))


def masked(weights: Array, mask: Array) -> Array:
    """weights * mask as TensorFlow multiplies: a subnormal product is a zero of its sign.

    >>> masked(np.array([1.5, -2.0, -1e-40], np.float32), np.array([1, 0, 1], np.float32))
    array([ 1.5, -0. , -0. ], dtype=float32)
    """
    with np.errstate(invalid="ignore"):  # infinity times zero
        return flushed(weights * mask)


def _as_float(array: Array, name: str) -> Array:
    """The array in a dtype that has a mask; raises `InvalidInputError` for what is no real number."""
    if array.dtype.name == "bfloat16" or array.dtype.type in (np.float16, np.float32, np.float64):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name} must be real numbers, they are {array.dtype}")
    return array.astype(np.float32)
