"""Pruning while a Keras 3 model trains, on any backend, with the names and behaviour of `tfmot.sparsity.keras`.

    pruned = prune_low_magnitude(model, PolynomialDecay(0.0, 0.8, begin_step=0, end_step=1000))
    pruned.compile(...)
    pruned.fit(x, y, callbacks=[UpdatePruningStep()])
    model = strip_pruning(pruned)

A wrapped layer holds a mask and a threshold for each of its kernels, and the number of the step. tfmot counts, makes
masks and multiplies by them inside the layer's call; here the callback does so before each batch, since not every
backend lets a call change weights that train: the same numbers at the same time. The layers are those of the model
given, not copies: training changes both models.

Source: sparsity/keras/prune.py, pruning_wrapper.py, pruning_callbacks.py and pruning_impl.py of
tensorflow_model_optimization.
"""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import keras
import numpy as np
from keras import ops

from refquant.compression.keras_graphs import with_layers
from refquant.compression.pruning import schedules
from refquant.compression.pruning.policies import PruningPolicy
from refquant.compression.pruning.prunable_layers import check_prunable, prunable_weights
from refquant.compression.pruning.pruner import Pattern, masked
from refquant.compression.pruning.schedules import ConstantSparsity, PruningSchedule
from refquant.errors import InvalidInputError, RuntimeUnavailableError


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: PruningSchedule | None = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: PruningPolicy | None = None,
    sparsity_m_by_n: tuple[int, int] | None = None,
    **kwargs: Any,
) -> Any:
    """The Keras 3 model, layer or list of layers, each layer wrapped so that it is pruned in training.

    Without a schedule it is ConstantSparsity(0.5, 0). `pruning_policy` decides which layers of a model are wrapped.
    Keyword arguments are for the wrapper of a single layer.

    Raises `InvalidInputError` for subclassed models, layers that are not known to pruning, a model that the policy
    refuses, and arguments out of range; when the layers are built, for kernels that a block or m-by-n does not fit.
    """
    schedule = ConstantSparsity(0.5, 0) if pruning_schedule is None else pruning_schedule
    options = (schedule, block_size, block_pooling_type, sparsity_m_by_n)
    Pattern(*options)

    def wrap(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return with_layers(layer, wrap)
        if isinstance(layer, PruneLowMagnitude) or not isinstance(layer, keras.layers.Layer):
            return layer
        if isinstance(layer, keras.layers.InputLayer):
            return type(layer).from_config(layer.get_config())
        if pruning_policy is not None and not pruning_policy.allow_pruning(layer):
            return layer
        return PruneLowMagnitude(layer, *options)

    if isinstance(to_prune, list):
        return [wrap(layer) for layer in to_prune]
    if isinstance(to_prune, keras.Model):
        if pruning_policy is not None:
            pruning_policy.ensure_model_supports_pruning(to_prune)
        return wrap(to_prune)
    if isinstance(to_prune, keras.layers.Layer):
        return PruneLowMagnitude(to_prune, *options, **kwargs)
    raise InvalidInputError(f"to_prune must be a Keras 3 model, layer or list of layers, it is {to_prune!r}")


def strip_pruning(model: Any) -> Any:
    """A plain Keras model of the wrapped layers; raises `InvalidInputError` for what is no Keras model."""
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"model must be a Keras 3 model, it is {model!r}")

    def strip(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return with_layers(layer, strip)
        return layer.layer if isinstance(layer, PruneLowMagnitude) else layer

    return with_layers(model, strip)


def prune_scope() -> Any:
    """A scope, for `with`, in which Keras finds the class of pruned models that it loads."""
    return keras.saving.custom_object_scope({"PruneLowMagnitude": PruneLowMagnitude})


@keras.saving.register_keras_serializable(package="refquant")
class PruneLowMagnitude(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer with masks for its kernels; see `prune_low_magnitude` for the arguments.

    `pruning_vars` are its kernels, each with its mask and threshold, once it is built. Raises `InvalidInputError` for
    a layer that is not known to pruning, and for arguments out of range.
    """

    def __init__(
        self,
        layer: Any,
        pruning_schedule: PruningSchedule | None = None,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise InvalidInputError(f"layer must be a Keras 3 layer, it is {layer!r}")
        check_prunable(layer)
        super().__init__(layer, **{"name": f"prune_low_magnitude_{layer.name}", **kwargs})
        self.pruning_schedule = ConstantSparsity(0.5, 0) if pruning_schedule is None else pruning_schedule
        self.pattern = Pattern(self.pruning_schedule, block_size, block_pooling_type, sparsity_m_by_n)
        self.pruning_vars: list[tuple[Any, Any, Any]] = []
        self.supports_masking = layer.supports_masking
        #: whether UpdatePruningStep is at work
        self.counted = False
        accepted = inspect.signature(layer.call).parameters
        self._context = [name for name in ("training", "mask") if name in accepted]

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Builds the layer, and its masks of ones."""
        if not self.layer.built:
            self.layer.build(*shapes, **named_shapes)
            self.layer.built = True
        for number, kernel in enumerate(prunable_weights(self.layer)):
            self.pattern.check_shape(tuple(kernel.shape), f"{kernel.name} of layer {self.layer.name!r}")
            dtype = keras.backend.standardize_dtype(kernel.dtype)
            mask = self.add_weight(
                name=f"mask_{number}", shape=kernel.shape, initializer="ones", dtype=dtype, trainable=False
            )
            threshold = self.add_weight(
                name=f"threshold_{number}", shape=(), initializer="zeros", dtype=dtype, trainable=False
            )
            self.pruning_vars.append((kernel, mask, threshold))
        self.pruning_step = self.add_weight(
            name="pruning_step",
            shape=(),
            initializer=lambda *_, **__: ops.cast(-1, "int32"),
            dtype="int32",
            trainable=False,
        )
        self.built = True

    def call(self, inputs: Any, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """What the layer gives. In training it must be counted: raises `InvalidInputError` without the callback."""
        if training and not self.counted:
            raise InvalidInputError(
                f"layer {self.name!r} is pruned in training, which needs the callback: fit(..., "
                "callbacks=[UpdatePruningStep()])"
            )
        context = {"training": training, "mask": mask}
        known = {name: context[name] for name in self._context if context[name] is not None}
        return self.layer(inputs, *args, **known, **kwargs)

    def next_step(self) -> None:
        """Counts a step, makes the masks anew where the schedule says so, and multiplies the kernels by them."""
        step = int(ops.convert_to_numpy(self.pruning_step)) + 1
        self.pruning_step.assign(step)
        if self.pattern.updates_at(step):
            for kernel, mask, threshold in self.pruning_vars:
                found = self.pattern.mask(ops.convert_to_numpy(kernel), step, f"{kernel.name} of {self.layer.name!r}")
                mask.assign(found.mask)
                threshold.assign(found.threshold)
        self.apply_masks()

    def apply_masks(self) -> None:
        """Multiplies the kernels by the masks."""
        for kernel, mask, _ in self.pruning_vars:
            kernel.assign(masked(ops.convert_to_numpy(kernel), ops.convert_to_numpy(mask)))

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_output_spec(self, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as Keras saves them."""
        return {
            **super().get_config(),
            "pruning_schedule": self.pruning_schedule.get_config(),
            "block_size": list(self.pattern.block_size),
            "block_pooling_type": self.pattern.block_pooling_type,
            "sparsity_m_by_n": self.pattern.sparsity_m_by_n,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PruneLowMagnitude:
        """The layer of that configuration."""
        config = dict(config)
        layer = keras.layers.deserialize(config.pop("layer"), custom_objects=custom_objects)
        schedule = config.pop("pruning_schedule")
        kind = getattr(schedules, str(schedule["class_name"]), None)
        if not (inspect.isclass(kind) and issubclass(kind, PruningSchedule)):
            kind = (custom_objects or {}).get(schedule["class_name"])
        if kind is None:
            raise InvalidInputError(f"there is no schedule {schedule['class_name']!r}: give it in custom_objects")
        return cls(layer, kind.from_config(schedule["config"]), **config)


class UpdatePruningStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Prunes before each batch, and multiplies by the masks where an epoch, a test or a prediction begins or ends.

    Raises `InvalidInputError` at the beginning of a training with `steps_per_execution` above 1, of which it would see
    only one step in so many.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prunable_layers: list[PruneLowMagnitude] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Finds the layers; those that are new begin at step 0."""
        if getattr(self.model, "steps_per_execution", 1) > 1:
            raise InvalidInputError("pruning counts each batch: compile with steps_per_execution=1")
        self.prunable_layers = collect_prunable_layers(self.model)
        for layer in self.prunable_layers:
            layer.counted = True
            if int(ops.convert_to_numpy(layer.pruning_step)) == -1:
                layer.pruning_step.assign(0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """One step of pruning."""
        self._synchronize()
        for layer in self.prunable_layers:
            layer.next_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The optimizer has filled in zeros: they are made zeros again."""
        self._apply_masks()

    def on_test_begin(self, logs: Any = None) -> None:
        """As at the end of an epoch."""
        self._apply_masks()

    def on_predict_begin(self, logs: Any = None) -> None:
        """As at the end of an epoch."""
        self._apply_masks()

    def on_train_end(self, logs: Any = None) -> None:
        """From now on nobody counts: a training without the callback is traced anew, and refused."""
        for layer in self.prunable_layers:
            layer.counted = False
        self.model.train_function = None

    def _apply_masks(self) -> None:
        self._synchronize()
        for layer in self.prunable_layers or collect_prunable_layers(self.model):
            layer.apply_masks()

    def _synchronize(self) -> None:
        """On JAX the trainer keeps the variables' values to itself until it is asked for them."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()


class PruningSummaries(keras.callbacks.TensorBoard):  # type: ignore[misc]
    """Writes the sparsity and threshold of each kernel for TensorBoard, at the beginning of each epoch.

    Needs TensorFlow and TensorBoard, on any backend. Raises `InvalidInputError` for a `log_dir` that is no text,
    `RuntimeUnavailableError` without TensorBoard.
    """

    def __init__(self, log_dir: str, update_freq: str | int = "epoch", **kwargs: Any) -> None:
        if not isinstance(log_dir, str) or not log_dir:
            raise InvalidInputError(f"log_dir must be the path of a folder, it is {log_dir!r}")
        if importlib.util.find_spec("tensorboard") is None:
            raise RuntimeUnavailableError("tensorboard is not installed: python -m pip install tensorboard")
        super().__init__(log_dir=log_dir, update_freq=update_freq, **kwargs)
        import tensorflow

        self._summary = tensorflow.summary
        self._pruning_writer = tensorflow.summary.create_file_writer(f"{log_dir}/metrics")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Writes."""
        super().on_epoch_begin(epoch, logs)
        step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        with self._pruning_writer.as_default():
            for layer in collect_prunable_layers(self.model):
                for _, mask, threshold in layer.pruning_vars:
                    sparsity = 1 - np.mean(ops.convert_to_numpy(mask))
                    self._summary.scalar(f"{mask.path}/sparsity", sparsity, step=step)
                    self._summary.scalar(f"{threshold.path}/threshold", ops.convert_to_numpy(threshold), step=step)
        self._pruning_writer.flush()


def collect_prunable_layers(model: Any) -> list[PruneLowMagnitude]:
    """The wrapped layers of a model, and of the models in it."""
    found: list[PruneLowMagnitude] = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += collect_prunable_layers(layer)
        elif isinstance(layer, PruneLowMagnitude):
            found.append(layer)
    return found
