"""How a model is fitted: the specification that every framework follows.

:mod:`modelstac.training.fitting.loop` runs it; what a framework adds is in :mod:`modelstac.training.fitting.fit_torch`
and :mod:`modelstac.training.fitting.fit_keras`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from modelstac.catalog.errors import SpecError

Optimizer = Literal["adam", "adadelta"]
Loss = Literal["masked_bce", "masked_mse", "masked_csi", "masked_mse_csi", "masked_mse_half_csi"]
Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bfloat16"]
Augmentation = Literal["flips", "rotations", "lighter"]

ADADELTA_RHO = 0.95
OPTIMIZER_EPSILON = 1e-7
"""Keras' default, for both optimisers; PyTorch's own differ."""

LOSS_EPSILON = 1e-7
"""Forecasts are cut to this distance from 0 and 1 before the logarithm, as Keras does."""

CSI_RATES = (0.5, 1.0, 2.0)
"""Rain rates in mm/h whose critical success index ``masked_csi`` raises."""

CSI_WEIGHTS = MappingProxyType({"masked_csi": 1.0, "masked_mse_csi": 0.1, "masked_mse_half_csi": 0.5})
"""The losses that raise it, and by which share of what it lacks."""

CSI_WIDTH = 0.05
"""How soft that loss draws the line between rain above and below a rate, in values from 0 to 1."""


@dataclass(frozen=True)
class FitSpec:
    """How a model is fitted.

    Parameters
    ----------
    epochs, batch_size
        Passes over all windows, windows in a step.
    accumulate
        Steps whose gradients are averaged into one change of the weights: large batches in little memory. What is left
        over after the last change is dropped.
    learning_rate, schedule
        Rate of the first step; ``cosine`` lowers it to zero over all steps (Loshchilov and Hutter 2017, no restarts).
    optimizer
        ``adam`` (Kingma and Ba 2015) or ``adadelta`` (Zeiler 2012, rho 0.95).
    loss
        ``masked_bce`` and ``masked_mse`` are the mean over the pixels that count of the cross-entropy and of the
        squared error, on values from 0 to 1; the minimum of both is the expected rain, which is smooth. ``masked_csi``
        adds to the cross-entropy what a soft critical success index (after Larraondo et al. 2020, "Optimization of
        deep learning precipitation models using categorical binary metrics") lacks to 1: rain stays as sharp as seen.
        ``masked_mse_csi`` adds a tenth of that to the squared error, which is as much smaller than the cross-entropy,
        and ``masked_mse_half_csi`` half of it, for rain that is as frequent as seen.
    clip_norm
        Largest Euclidean norm of all gradients together; None does not clip.
    precision
        ``bfloat16`` computes layers in half the bits (weights, optimiser and loss stay in float32); what is published
        is a float32 model either way.
    augmentation
        Also train on windows mirrored (``flips``), turned (``rotations``), and with less rain (``lighter``).
    validation
        Share of the windows, the last ones, whose loss is computed after each epoch; no window for training shares a
        frame with them.
    patience
        Stop when the loss of the validation windows has not fallen for so many epochs, and keep the weights of the
        best one; None runs all epochs and keeps the last weights.
    seed
        Fixes initial weights and order of the windows.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    epochs: int = 10
    batch_size: int = 2
    accumulate: int = 1
    learning_rate: float = 0.005
    schedule: Schedule = "cosine"
    optimizer: Optimizer = "adam"
    loss: Loss = "masked_bce"
    clip_norm: float | None = 1.0
    precision: Precision = "float32"
    augmentation: tuple[Augmentation, ...] = ()
    validation: float = 0.0
    patience: int | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("patience", 1), ("seed", 0)):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SpecError(f"{name} must be a whole number from {least} on, not {value!r}")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if name == "clip_norm" and value is None:
                continue
            if not _is_number(value) or not 0 < value < math.inf:
                raise SpecError(f"{name} must be a number above 0, not {value!r}")
            object.__setattr__(self, name, float(value))
        for name, known in (("schedule", Schedule), ("optimizer", Optimizer), ("loss", Loss), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise SpecError(f"{name} must be one of {', '.join(get_args(known))}, not {getattr(self, name)!r}")
        ways = get_args(Augmentation)
        if not isinstance(self.augmentation, list | tuple) or any(one not in ways for one in self.augmentation):
            raise SpecError(f"augmentation must be a list of {', '.join(ways)}, not {self.augmentation!r}")
        object.__setattr__(self, "augmentation", tuple(one for one in ways if one in self.augmentation))
        if not _is_number(self.validation) or not 0 <= self.validation < 1:
            raise SpecError(f"validation must be a share from 0 to below 1, not {self.validation!r}")
        object.__setattr__(self, "validation", float(self.validation))
        if self.patience is not None and not self.validation:
            raise SpecError("patience needs windows to watch: give validation a share, such as 0.1")

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return asdict(self) | {"augmentation": list(self.augmentation)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitSpec:
        """Read what :meth:`to_dict` wrote; an unknown field is a SpecError."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SpecError(f"fitting has no field {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**values)

    def steps(self, windows: int) -> int:
        """Count the steps in an epoch over so many windows; the last step may be smaller."""
        return math.ceil(windows / self.batch_size)

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0 over all epochs."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
