"""How pixels of a grid are made of those of another along an axis: which of them, and with which weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from modelstac.registry.scenes.reading.finding.parts import Values

SAME = 0.01
"""Share of a pixel by which a grid may be off another and is taken for the same."""
_STRAIGHT = 1e-3


def _triangle(x: Values) -> Values:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: Values) -> Values:
    """Catmull and Rom's, of a = -0.5."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: Values) -> Values:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_KERNELS: MappingProxyType[str, tuple[Callable[[Values], Values], float]] = MappingProxyType(
    {"bilinear": (_triangle, 1.0), "cubic": (_cubic, 2.0), "lanczos": (_lanczos, 3.0)}
)


@dataclass(frozen=True)
class Along:
    """How pixels of a grid lie on those of another along an axis: ``source = target * scale + shift``, of edges."""

    scale: float
    shift: float

    @classmethod
    def of(cls, scale: float, shift: float, length: int) -> Along:
        """Take for exact what is off by rounding alone: less than a hundredth of a pixel over the whole axis."""
        return cls(_snapped(scale, SAME / max(length, 1)), _snapped(shift, _STRAIGHT))

    @property
    def is_direct(self) -> bool:
        """Whether its pixels are those of the other, or these the other way round."""
        return abs(self.scale) == 1.0 and abs(self.shift - round(self.shift)) <= SAME

    def centres(self, begin: int, end: int) -> Values:
        """Return where the centres of pixels lie on the other grid."""
        centres: Values = (np.arange(begin, end, dtype=np.float64) + 0.5) * self.scale + self.shift
        return centres

    def nearest(self, begin: int, end: int) -> Values:
        """Return the pixels in which the centres lie; one on an edge is of the pixel after it."""
        places: Values = np.floor(self.centres(begin, end) + 1e-9).astype(np.intp)
        return places

    def taps(self, begin: int, end: int, method: str, length: int) -> tuple[Values, Values]:
        """Return which pixels of the other a pixel is made of, and their weights, of the sum one (pixel, tap)."""
        stretch = max(1.0, abs(self.scale))
        centres = self.centres(begin, end)
        if method in _KERNELS:
            kernel, radius = _KERNELS[method]
            first = np.ceil(centres - radius * stretch - 0.5)
            count = int(np.ceil(2 * radius * stretch)) + 1
            places = first[:, None] + np.arange(count)
            weights = kernel((places + 0.5 - centres[:, None]) / stretch)
        else:  # as much as they cover of it
            half = abs(self.scale) / 2
            low, high = (centres - half)[:, None], (centres + half)[:, None]
            count = int(np.ceil(2 * half)) + 1
            places = np.floor(low + 1e-9) + np.arange(count)
            weights = np.clip(np.minimum(places + 1, high) - np.maximum(places, low), 0.0, None)
            weights[weights < 1e-9] = 0.0
        weights = np.where((places >= 0) & (places < length), weights, 0.0)
        total = weights.sum(axis=1, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=np.abs(total) > 1e-9)
        used = np.flatnonzero(weights.any(axis=0))  # what is left out would add nothing
        used = used if used.size else np.array([0])
        return places[:, used].astype(np.intp), weights[:, used]


def _snapped(value: float, tolerance: float) -> float:
    near = Fraction(value).limit_denominator(720)
    return float(near) if abs(float(near) - value) <= tolerance else value
