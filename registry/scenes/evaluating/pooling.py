"""What many scenes say together, and how far to trust it: sums are pooled, and drawn again for intervals.

The bootstrap (Efron and Tibshirani 1993) draws what may depend on itself as one: whole scenes where there are enough of
them, and otherwise square blocks of them. Neighbouring pixels have much in common and are never drawn one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES, LEVEL = 1000, 0.95
FEWEST_SCENES, FEWEST_BLOCKS = 8, 20
"""With fewer there is no interval: it would say more about what was drawn than about the map."""

Scored = Callable[[NDArray[Any]], Mapping[str, NDArray[np.float64]]]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of scores.

    Parameters
    ----------
    over
        What was drawn; None if there was too little.
    drawn
        How many of them there are.
    of
        Lowest and highest by score, in a list; of scores by class, such a pair for each. NaN where it is undefined.
    """

    over: Literal["scenes", "blocks"] | None
    drawn: int
    of: Mapping[str, Sequence[Pair]]

    def told(self) -> str:
        """Say in a line what they are of, for people."""
        share = f"{LEVEL:.0%}"
        if self.over == "scenes":
            return f"{share} bootstrap intervals over {self.drawn} scenes"
        if self.over == "blocks":
            return f"{share} bootstrap intervals over {self.drawn} blocks: they say nothing about other places"
        return f"no intervals: fewer than {FEWEST_SCENES} scenes, and fewer than {FEWEST_BLOCKS} blocks in them"


def intervals(
    scenes: Sequence[NDArray[Any]], scored: Scored, *, resamples: int = RESAMPLES, seed: int = 0
) -> Intervals:
    """Return intervals of everything that is scored.

    Parameters
    ----------
    scenes
        Of each scene its sums by block, (block, …).
    scored
        Makes scores (draw, …) of sums (draw, …).
    resamples, seed
        How often is drawn, and what makes it the same every time.
    """
    blocks = np.concatenate([part for part in scenes if len(part)]) if any(map(len, scenes)) else np.empty((0, 1))
    if len(scenes) >= FEWEST_SCENES:
        over, units = "scenes", np.stack([part.sum(0) for part in scenes])
    elif len(blocks) >= FEWEST_BLOCKS:
        over, units = "blocks", blocks
    else:
        return Intervals(None, len(blocks), {})
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(units), np.full(len(units), 1 / len(units)), size=resamples)
    drawn = (counts @ units.reshape(len(units), -1).astype(np.float64)).reshape(resamples, *units.shape[1:])
    found = {name: _pairs(values.reshape(resamples, -1)) for name, values in scored(drawn).items()}
    return Intervals("scenes" if over == "scenes" else "blocks", len(units), found)


def _pairs(values: NDArray[np.float64]) -> list[Pair]:
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    defined = np.isfinite(values).any(axis=0)
    found = np.full((2, values.shape[1]), np.nan)
    if defined.any():
        found[:, defined] = np.nanquantile(values[:, defined], edges, axis=0)
    return [(float(low), float(high)) for low, high in found.T]
