"""Whether the result of a sample depends on the others of its batch: dynamic quantisation takes its scale of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from modelstac.exporters.proof.cases import BESIDE, DIM, Case
from modelstac.exporters.proof.counterparts import Pair
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.registry.running.differences import differences, largest
from modelstac.registry.running.signature import BATCH

Array = NDArray[Any]
TIMES = 10.0
"""So many times as far as the source's own a sample has to move: sums of another batch are taken in another order."""


@dataclass
class Beside:
    """How far the result of a sample moves when another is in its batch."""

    outputs: Sequence[Pair]
    alone: tuple[dict[str, Array], dict[str, Array]] | None = None
    together: tuple[dict[str, Array], dict[str, Array]] | None = None

    def add(self, case: Case, expected: dict[str, Array], actual: dict[str, Array]) -> None:
        """Keep what the two cases of the same sample give."""
        if case.name == DIM:
            self.alone = expected, actual
        elif case.name == BESIDE:
            self.together = expected, actual

    def moved(self) -> float | None:
        """Give how far it moves in the conversion; None where no farther than rounding, or than in the source."""
        if self.alone is None or self.together is None:
            return None
        found = None
        for ours, _ in self.outputs:
            if BATCH not in ours.dim_order:
                continue
            axis = ours.dim_order.index(BATCH)
            by_source, by_target = (
                float(differences(one[ours.name], self._first(both[ours.name], one[ours.name], axis)).max(initial=0.0))
                for one, both in zip(self.alone, self.together, strict=True)
            )
            floor = TOLERANCES["fp32"].absolute * max(1.0, largest(self.alone[0][ours.name]))
            if math.isfinite(by_target) and by_target > max(floor, TIMES * by_source):
                found = max(found or 0.0, by_target)
        return found

    @staticmethod
    def _first(both: Array, one: Array, axis: int) -> Array:
        first = both.take(range(min(one.shape[axis], both.shape[axis])), axis)
        return first if first.shape == one.shape else one  # of a length that the data decide
