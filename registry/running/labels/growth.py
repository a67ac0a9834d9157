"""How long an axis of an output is where an input's is so long."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from modelstac.catalog.items.sizes import Size


@dataclass(frozen=True)
class Growth:
    """How an axis of an output follows from an input's: as long, times ``ratio``, but for ``lost`` at its ends."""

    ratio: Fraction = Fraction(1)
    lost: Fraction = Fraction(0)

    @classmethod
    def of(cls, output: Size | None, given: Size) -> Growth | None:
        """Read it from the steps of both, and their least lengths; None where they say nothing."""
        if output is None or output.is_fixed or given.is_fixed:
            return None
        ratio = Fraction(output.step, given.step)
        return cls(ratio, ratio * given.at_least - output.at_least)

    def length(self, length: int) -> Fraction:
        """Tell how long the output is where the input is so long."""
        return self.ratio * length - self.lost

    @property
    def pixel(self) -> float:
        """How many pixels of the input one of the output is wide."""
        return float(1 / self.ratio)

    @property
    def begin(self) -> float:
        """How many pixels of the input lie before the first of the output."""
        return float(self.lost / (2 * self.ratio))

    @property
    def is_same(self) -> bool:
        """Whether the output has the pixels of the input."""
        return self == Growth()
