"""A small U-Net that moves the rain: its specification, and its weights in the form that belongs to no framework.

A U-Net (Ronneberger et al. 2015) looks at the last frames on a coarser grid and says, for every place, how far rain
moves in one time step, as shares of the blocks around that it comes from (after the dynamic filters of De Brabandere
et al. 2016). Step by step the last frame is moved by them; two more convolutions add what grows and decays, and what
comes out is cut to the range from 0 to 1 that every item declares. What extrapolates is built in, so that a few hours
of rain are enough to learn from.

Kernels are (height, width, channels in, channels out) as in Keras, biases (channels out,); `convolutions` names them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from modelstac.catalog.errors import SpecError
from modelstac.training.spec import positive
from modelstac.training.weights import Weights, glorot_uniform

NAME = "U-Net"
KERNEL = 3
LARGEST_STAY = 10.0
"""Beyond it hardly anything moves, and training cannot change that."""

Inflow = Literal["dry", "edge"]
_KEY = "network"


@dataclass(frozen=True)
class UNetSpec:
    """A U-Net that maps ``frames_in`` frames to the ``frames_out`` that follow.

    Parameters
    ----------
    filters
        Channels at each level, the finest first, at least two levels; each level has half the pixels a side.
    coarsen
        Side in pixels of the blocks on which it computes; what it forecasts is interpolated to pixels again.
    reach
        How many blocks rain may move in one time step, in each direction.
    leaky_slope
        Slope below zero of the LeakyReLU after each convolution.
    inflow
        What moves in from beyond the edges: nothing (``dry``), or the rain at the ``edge``.
    stay
        Bias at the beginning of training for rain that stays where it is: 0 begins with rain that spreads over all it
        can reach, 4 with nine tenths of it in place.
    damping
        A value from 0 to 1, and the share that is kept of what a forecast has above it; training goes on without. A
        loss that asks for rain as frequent as seen makes heavy rain too heavy, which costs most of the squared error.
    frames_in, frames_out
        Frames that it starts from, the latest last, and those that it forecasts.
    height, width
        Pixels of the grid, multiples of `stride`. They fix the input shape of the Keras model, never a weight.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    filters: tuple[int, ...]
    coarsen: int = 4
    reach: int = 3
    leaky_slope: float = 0.1
    inflow: Inflow = "dry"
    stay: float = 0.0
    damping: tuple[float, float] | None = None
    frames_in: int = 4
    frames_out: int = 18
    height: int = 256
    width: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.filters, list | tuple) or len(self.filters) < 2:
            raise SpecError(f"filters must be a list of at least two levels, not {self.filters!r}")
        object.__setattr__(self, "filters", tuple(positive("filters", number) for number in self.filters))
        for name in ("coarsen", "reach", "frames_in", "frames_out", "height", "width"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if self.inflow not in get_args(Inflow):
            raise SpecError(f"inflow must be one of {', '.join(get_args(Inflow))}, not {self.inflow!r}")
        slope = self.leaky_slope
        if isinstance(slope, bool) or not isinstance(slope, int | float) or not 0 <= slope < 1:
            raise SpecError(f"leaky_slope must be a number from 0 to below 1, not {slope!r}")
        object.__setattr__(self, "leaky_slope", float(slope))
        if isinstance(self.stay, bool) or not isinstance(self.stay, int | float) or not 0 <= self.stay <= LARGEST_STAY:
            raise SpecError(f"stay must be a number from 0 to {LARGEST_STAY:g}, not {self.stay!r}")
        object.__setattr__(self, "stay", float(self.stay))
        if self.damping is not None:
            object.__setattr__(self, "damping", _shares(self.damping))
        for name in ("height", "width"):
            if getattr(self, name) % self.stride:
                raise SpecError(
                    f"{name} is {getattr(self, name)}: a U-Net of {len(self.filters)} levels on blocks of"
                    f" {self.coarsen} pixels takes multiples of {self.stride}; crop the frames, or choose fewer levels"
                )

    @property
    def stride(self) -> int:
        """Pixels a side of what the coarsest level sees as one."""
        return int(self.coarsen * 2 ** (len(self.filters) - 1))

    @property
    def taps(self) -> int:
        """Blocks in a row, or in a column, that rain may come from."""
        return 2 * self.reach + 1

    @property
    def parameters(self) -> int:
        """Number of parameters that are learned."""
        return sum(int(np.prod(shape)) for shape in weight_shapes(self).values())

    @property
    def summary(self) -> str:
        """What it is, for a description."""
        return f"a U-Net of {len(self.filters)} levels that moves the last frame"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types, and which network they are of."""
        fields = dataclasses.asdict(self) | {"filters": list(self.filters), _KEY: NAME}
        for name, empty in (("stay", 0.0), ("damping", None)):
            if fields[name] == empty:
                del fields[name]  # networks from before there was such keep their record
        return fields if self.damping is None else fields | {"damping": list(self.damping)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> UNetSpec:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        SpecError
            When a field is unknown, missing or makes no sense.
        """
        if not isinstance(fields, Mapping):
            raise SpecError(f"a U-Net specification is a mapping of field to value, not {type(fields).__name__}")
        given = {name: value for name, value in fields.items() if name != _KEY}
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise SpecError(f"a U-Net specification has no field {unknown[0]!r}; known: {', '.join(known)}")
        if "filters" not in given:
            raise SpecError("a U-Net specification needs the field 'filters'")
        return cls(**given)


def _shares(damping: object) -> tuple[float, float]:
    """Give two numbers between 0 and 1, or raise a SpecError."""
    parts = damping if isinstance(damping, list | tuple) else ()
    if len(parts) != 2 or not all(isinstance(one, int | float) and 0 < one < 1 for one in parts):
        raise SpecError(f"damping must be a value and a share, both between 0 and 1, not {damping!r}")
    return float(parts[0]), float(parts[1])


def convolutions(spec: UNetSpec) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, kernel size, channels in and channels out of every convolution, in the order of computing."""
    channels = spec.frames_in
    for level, filters in enumerate(spec.filters):
        yield f"down_{level}_0", KERNEL, channels, filters
        yield f"down_{level}_1", KERNEL, filters, filters
        channels = filters
    for level in reversed(range(len(spec.filters) - 1)):
        filters = spec.filters[level]
        yield f"up_{level}_0", KERNEL, channels + filters, filters
        yield f"up_{level}_1", KERNEL, filters, filters
        channels = filters
    yield "motion_x", 1, spec.filters[1], spec.taps
    yield "motion_y", 1, spec.filters[1], spec.taps
    yield "change_0", KERNEL, spec.frames_out + channels, 2 * channels
    yield "change_1", KERNEL, 2 * channels, spec.frames_out


def weight_shapes(spec: UNetSpec) -> dict[str, tuple[int, ...]]:
    """Give name and shape of every weight of ``spec``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kernel, channels, filters in convolutions(spec):
        shapes |= {f"{name}/kernel": (kernel, kernel, channels, filters), f"{name}/bias": (filters,)}
    return shapes


def initial_weights(spec: UNetSpec, seed: int) -> Weights:
    """Draw the weights to start training from: glorot uniform kernels and zero biases, by numpy's random numbers.

    What rain changes by begins at a tenth of that, so that training begins from rain that moves and little else.
    """
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in weight_shapes(spec).items():
        value = glorot_uniform(rng, shape) if name.endswith("kernel") else np.zeros(shape)
        weights[name] = (value * (0.1 if name == "change_1/kernel" else 1.0)).astype(np.float32)
    for axis in "xy":
        weights[f"motion_{axis}/bias"][spec.reach] = spec.stay
    return weights
