"""How one direction of a scene is cut: where tiles begin, and which part of what comes out of each is kept.

Lengths are pixels of the coarsest grid of all inputs, as whole numbers of pixels of each input go into one of these.
What the model sees is the scene with ``front`` pixels before it, where outputs lose pixels at their edges, and as many
after it as make a length that the model takes; both are reflections. Tiles begin at multiples of ``unit`` in this,
since a pooling would take other pixels together otherwise. The first begins where it begins and the last ends where it
ends, so that tiles and the whole have the same edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Needs:
    """What holds for a direction, however long its tiles are.

    Parameters
    ----------
    length
        Of the scene.
    pixels
        By input, how many of its pixels one of the coarsest grid is.
    unit
        Tiles begin at its multiples.
    margins
        By input, in its own pixels: how far from an edge that is none of the scene a pixel must be to be right.
    follows
        By output: how many of its pixels one of the coarsest grid is, and where its first begins.
    """

    length: int
    pixels: Mapping[str, int]
    unit: int
    margins: Mapping[str, int]
    follows: Mapping[str, tuple[Fraction, Fraction]]

    @property
    def front(self) -> int:
        """How many reflected pixels come before the scene."""
        return max((ceil(begin) for _, begin in self.follows.values()), default=0)

    @property
    def whole(self) -> int:
        """How many pixels are needed for every pixel of the scene to have one of every output."""
        ends = (ceil(self.last(output) / ratio + 2 * begin) for output, (ratio, begin) in self.follows.items())
        return max([self.front + self.length, *ends])

    def last(self, output: str) -> int:
        """Give how many pixels of an output there are to the last that lies in the scene, even in part."""
        ratio, begin = self.follows[output]
        return ceil((self.front + self.length - begin) * ratio)

    def padded(self, tile: int) -> int:
        """Give the length that tiles of this one cover: all that is needed, and from a multiple of the unit."""
        return tile + max(0, -(-(self.whole - tile) // self.unit)) * self.unit

    def kept(self, output: str, tile: int, *, first: bool, last: bool) -> tuple[int, int]:
        """Give the pixels of an output of one tile that are right: those far enough from edges that are none.

        A halo counts from the pixels of an input that an output's pixel touches, however little of them.
        """
        ratio, begin = self.follows[output]
        low, high = 0, floor(ratio * (tile - 2 * begin))
        if not first:
            low = max((ceil((Fraction(m, self.pixels[i]) - begin) * ratio) for i, m in self.margins.items()), default=0)
        if not last:
            ends = (tile - Fraction(m, self.pixels[i]) for i, m in self.margins.items())
            high = min([high, *(floor((end - begin) * ratio) for end in ends)])
        return max(low, 0), high

    def stride(self, tile: int) -> int:
        """Give the greatest distance of two tiles whose right pixels touch; 0 where tiles are too short for any."""
        found = tile // self.unit * self.unit
        for output, (ratio, _) in self.follows.items():
            low, high = self.kept(output, tile, first=False, last=False)
            # Also where only the first or the last is held against its neighbour, which keep more.
            found = min(found, floor(Fraction(high - low) / ratio) // self.unit * self.unit)
        return max(found, 0)


@dataclass(frozen=True)
class Share:
    """What of an output's tile is kept: ``local`` of it goes to ``begin`` of the result."""

    local: slice
    begin: int

    @property
    def length(self) -> int:
        """How many pixels."""
        return int(self.local.stop - self.local.start)

    @property
    def place(self) -> slice:
        """Where they go."""
        return slice(self.begin, self.begin + self.length)


@dataclass(frozen=True)
class Cutting:
    """A direction, cut.

    Parameters
    ----------
    needs
        What holds for it.
    tile
        How long every tile is.
    starts
        Where each begins, counted from the first reflected pixel.
    """

    needs: Needs
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, needs: Needs, tile: int, *, overlap: int = 0) -> Cutting:
        """Cut into tiles of this length.

        Parameters
        ----------
        needs
            What holds.
        tile
            A length that the model takes, long enough for some of it to be right.
        overlap
            What neighbours share at least, beyond what their margins want.
        """
        end, stride = needs.padded(tile) - tile, needs.stride(tile)
        if overlap:
            stride = min(stride, max((tile - overlap) // needs.unit, 1) * needs.unit)
        count = 1 + (-(-end // stride) if end else 0)
        return cls(needs, tile, tuple(min(i * stride, end) for i in range(count)))

    def positions(self, name: str, number: int) -> Values:
        """Give where an input's pixels of a tile lie in the scene: reflected at its edges, as often as it takes."""
        pixels = self.needs.pixels[name]
        begin = (self.starts[number] - self.needs.front) * pixels
        return reflected(np.arange(begin, begin + self.tile * pixels), self.needs.length * pixels)

    def result(self, output: str) -> tuple[int, int]:
        """Give the first pixel of an output that lies in the scene, even in part, and how many there are."""
        ratio, begin = self.needs.follows[output]
        first = max(floor((self.needs.front - begin) * ratio), 0)
        return first, self.needs.last(output) - first

    def shares(self, output: str) -> list[Share]:
        """Say which part of every tile is kept: from where it is right to where the next one is."""
        ratio, _ = self.needs.follows[output]
        first, length = self.result(output)
        lows = [self._global(output, i, 0) for i in range(len(self.starts))]
        found = []
        for i, start in enumerate(self.starts):
            shift = int(start * ratio) - first
            low = max(lows[i], 0)
            high = min(lows[i + 1] if i + 1 < len(lows) else self._global(output, i, 1), length)
            found.append(Share(slice(low - shift, max(high, low) - shift), low))
        return found

    def ranges(self, output: str) -> list[Share]:
        """Say where all of every tile lies, as far as it is in the result."""
        ratio, _ = self.needs.follows[output]
        first, length = self.result(output)
        found = []
        for start in self.starts:
            shift = int(start * ratio) - first
            low, high = self.needs.kept(output, self.tile, first=True, last=True)
            begin, end = max(low + shift, 0), min(high + shift, length)
            found.append(Share(slice(begin - shift, end - shift), begin))
        return found

    def weights(self, output: str) -> list[Values]:
        """Give what each pixel of a tile's range weighs: a cosine where tiles overlap, and 1 together everywhere."""
        ranges, (_, length) = self.ranges(output), self.result(output)
        made, total = [], np.zeros(length)
        for i, one in enumerate(ranges):
            places = np.arange(one.begin, one.begin + one.length)
            weight = np.ones(one.length)
            if i:
                weight *= _rise(places - one.begin, ranges[i - 1].place.stop - one.begin)
            if i + 1 < len(ranges):
                weight *= _rise(one.place.stop - 1 - places, one.place.stop - ranges[i + 1].begin)
            made.append(weight)
            total[one.place] += weight
        return [(w / total[one.place]).astype(np.float32) for w, one in zip(made, ranges, strict=True)]

    def _ends(self, output: str, number: int) -> tuple[int, int]:
        last = len(self.starts) - 1
        return self.needs.kept(output, self.tile, first=number == 0, last=number == last)

    def _global(self, output: str, number: int, end: int) -> int:
        ratio, _ = self.needs.follows[output]
        return self._ends(output, number)[end] + int(self.starts[number] * ratio) - self.result(output)[0]


def _rise(steps: Values, over: int) -> Values:
    """Rise from nearly 0 to 1 over so many pixels, as half a cosine."""
    risen: Values = np.sin(np.clip((steps + 0.5) / max(over, 1), 0, 1) * np.pi / 2) ** 2
    return risen


def reflected(positions: Values, length: int) -> Values:
    """Give the pixel that stands for each position: inside itself, outside its mirror image at the edge pixel.

    As :func:`numpy.pad` does with ``mode="reflect"``, again and again where the scene is shorter than what is asked.
    """
    if length == 1:
        return np.zeros_like(positions)
    period = 2 * (length - 1)
    folded = np.mod(positions, period)
    return np.minimum(folded, period - folded)


def common(lengths: Sequence[int]) -> int:
    """Give the number of pixels of the coarsest grid that fits all of these."""
    return int(np.gcd.reduce(np.asarray(lengths)))
