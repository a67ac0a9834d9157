"""How an axis of an output follows one of an input: what tiles of an image, their halo and their places stand on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Follows:
    """The length of an axis of an output is ``scale`` times that of an axis of an input, plus ``offset``.

    Parameters
    ----------
    output, axis
        Which axis of which output.
    input, source
        Which axis of which input it follows.
    scale
        Pixels of the output for one of the input: 2 of a super-resolution by two, 1/2 of an encoder that halves the
        grid, 0 where the length of the output is the same for all lengths of the input.
    offset
        Pixels of the output beside these; negative for convolutions without padding.
    """

    output: str
    axis: str
    input: str
    source: str
    scale: Fraction
    offset: Fraction

    def length(self, of_input: int) -> Fraction:
        """Give the length of the output's axis for one of the input's."""
        return self.scale * of_input + self.offset

    @property
    def margin(self) -> Fraction:
        """Pixels of the input, on each side, over which the output has no pixel: what convolutions without padding eat.

        Negative where the output has more than the input.
        """
        return -self.offset / (2 * self.scale)

    def footprint(self, pixel: int) -> tuple[int, int]:
        """Give the first and last pixel of the input that a pixel of the output lies over.

        The output lies centred over the input: its pixel ``i`` covers the interval from ``margin + i / scale`` to
        ``margin + (i + 1) / scale``, counted in pixels of the input from its edge.
        """
        begin, end = (self.margin + Fraction(place) / self.scale for place in (pixel, pixel + 1))
        return math.floor(begin), math.ceil(end) - 1
