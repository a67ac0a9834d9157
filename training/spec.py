"""One frozen description of a ConvLSTM, from which every framework builds the same function.

The family is that of Giese (2025), "Interoperability of Machine Learning Models in Earth Observation", after Shi et al.
(2015), "Convolutional LSTM network": layers of ConvLSTM2D, each followed by a LeakyReLU and, but for the last, by batch
normalisation, then one 3 x 3 x 3 convolution over time and space with a sigmoid. ``cell_activation`` is what stands
inside the cell (candidate and output), where published implementations of "the same" network differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from modelstac.catalog.errors import SpecError

CellActivation = Literal["linear", "tanh", "leaky_relu"]
RecurrentActivation = Literal["sigmoid", "hard_sigmoid"]
OutputActivation = Literal["sigmoid"]

BATCH_NORM_EPSILON = 0.001
"""Added to the variance before the square root; Keras' default."""

OUTPUT_KERNEL = 3
"""Edge of the cube that the output convolution sees in time, height and width."""


@dataclass(frozen=True)
class ConvLSTMSpec:
    """A ConvLSTM that maps ``frames`` frames to as many.

    Parameters
    ----------
    filters, kernels
        Hidden channels and (odd) kernel size of each layer, first layer first.
    cell_activation
        Activation of candidate and output inside the cell.
    recurrent_activation
        Activation of the three gates; ``hard_sigmoid`` is ``clip(x / 6 + 1/2, 0, 1)``, that of Keras 3 and PyTorch
        (Keras 2 had ``clip(x / 5 + 1/2, 0, 1)``).
    batch_norm
        Whether batch normalisation follows every layer but the last.
    batch_norm_momentum
        Share of the old moving statistics that a training step keeps: Keras' meaning, PyTorch's is 1 less this.
    leaky_slope
        Slope below zero of the LeakyReLU after each layer, and of the one inside the cell for ``leaky_relu``.
    frames, height, width
        Frames in (and out) and pixels of the grid. They fix the input shape of the Keras model, never a weight.
    output_activation
        Activation of the output convolution.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    cell_activation: CellActivation = "tanh"
    recurrent_activation: RecurrentActivation = "sigmoid"
    batch_norm: bool = True
    batch_norm_momentum: float = 0.99
    leaky_slope: float = 0.01
    frames: int = 18
    height: int = 64
    width: int = 64
    output_activation: OutputActivation = "sigmoid"

    def __post_init__(self) -> None:
        for name in ("filters", "kernels"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or not value:
                raise SpecError(f"{name} must be a list of positive integers, one for each layer, not {value!r}")
            object.__setattr__(self, name, tuple(positive(name, number) for number in value))
        if len(self.filters) != len(self.kernels):
            found = f"{len(self.filters)} and {len(self.kernels)}"
            raise SpecError(f"filters and kernels must have one number for each layer, not {found}")
        even = [kernel for kernel in self.kernels if kernel % 2 == 0]
        if even:
            raise SpecError(f"kernels must be odd, so that every framework pads them alike, not {even[0]}")
        for name in ("frames", "height", "width"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        _one_of("cell_activation", self.cell_activation, get_args(CellActivation))
        _one_of("recurrent_activation", self.recurrent_activation, get_args(RecurrentActivation))
        _one_of("output_activation", self.output_activation, get_args(OutputActivation))
        if not isinstance(self.batch_norm, bool):
            raise SpecError(f"batch_norm must be true or false, not {self.batch_norm!r}")
        for name in ("leaky_slope", "batch_norm_momentum"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
                raise SpecError(f"{name} must be a number from 0 to below 1, not {share!r}")
            object.__setattr__(self, name, float(share))

    @property
    def layers(self) -> int:
        """Number of ConvLSTM layers."""
        return len(self.filters)

    @property
    def channels(self) -> tuple[int, ...]:
        """Input channels of each layer: 1, then the filters of the layer before."""
        return (1, *self.filters[:-1])

    @property
    def frames_in(self) -> int:
        """Frames that it starts from."""
        return self.frames

    @property
    def frames_out(self) -> int:
        """Frames that it forecasts."""
        return self.frames

    @property
    def summary(self) -> str:
        """What it is, for a description."""
        return f"a ConvLSTM of {self.layers} layers"

    def normalised(self, layer: int) -> bool:
        """Whether batch normalisation follows layer number ``layer``."""
        return self.batch_norm and layer < self.layers - 1

    @property
    def parameters(self) -> int:
        """Number of parameters, moving statistics included (as ``keras.Model.count_params`` counts)."""
        count = OUTPUT_KERNEL**3 * self.filters[-1] + 1
        sizes = zip(self.channels, self.filters, self.kernels, strict=True)
        for layer, (channels, filters, kernel) in enumerate(sizes):
            count += (kernel**2 * (channels + filters) + 1) * 4 * filters
            count += 4 * filters if self.normalised(layer) else 0
        return count

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ConvLSTMSpec:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        SpecError
            When a field is unknown, missing or makes no sense.
        """
        if not isinstance(fields, Mapping):
            raise SpecError(f"a ConvLSTM specification is a mapping of field to value, not {type(fields).__name__}")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise SpecError(f"a ConvLSTM specification has no field {unknown[0]!r}; known: {', '.join(known)}")
        missing = [name for name in ("filters", "kernels") if name not in fields]
        if missing:
            raise SpecError(f"a ConvLSTM specification needs the field {missing[0]!r}")
        return cls(**fields)


def positive(name: str, value: object) -> int:
    """Give ``value``, or raise a SpecError when it is no whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(f"{name} must be positive integers, not {value!r}")
    return value


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpecError(f"{name} must be one of {', '.join(known)}, not {value!r}")


_REFERENCE = ConvLSTMSpec(
    filters=(64, 64, 64, 64), kernels=(7, 5, 3, 1), cell_activation="linear", height=344, width=315
)

PRESETS = MappingProxyType(
    {
        "tiny": ConvLSTMSpec(filters=(8, 8), kernels=(5, 3), cell_activation="tanh"),
        "reference": _REFERENCE,
        "thesis-pytorch": dataclasses.replace(_REFERENCE, cell_activation="tanh", batch_norm_momentum=0.01),
        "demetrakopoulos": dataclasses.replace(_REFERENCE, cell_activation="leaky_relu"),
    }
)
"""``tiny`` trains in seconds, for tests and the demo; ``reference`` has the 1,965,761 parameters of Giese (2025).

The other two are what else the thesis calls the same network: its native PyTorch one (tanh in the cell, and momentum
0.99 in PyTorch's meaning) and that of Demetrakopoulos (2023), which it is modelled after.
"""
