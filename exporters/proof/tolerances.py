"""What two models may differ by, by the precision of the numbers in the second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

from modelstac.catalog.errors import DataError


@dataclass(frozen=True)
class Tolerance:
    """What two models may differ by; it must hold for every output in every case.

    Parameters
    ----------
    absolute
        Of every output value, where outputs are at most 1; where they are larger it grows with the largest of the
        source in the same case, as the spacing of floating point numbers does.
    relative
        Of every output value, as a share of the largest output of the source in the same case. (A share of the value
        itself would say nothing where outputs are near zero.)
    beyond
        Whether it must hold in cases beyond what models are fed, too.
    differing_ppm
        Of whole numbers and truth values (class ids, masks, indices), in place of both: how many may not be the same,
        in parts per million. One of a thousand or more may always be.
    """

    absolute: float
    relative: float
    beyond: bool = True
    differing_ppm: float = 100.0

    def __post_init__(self) -> None:
        if not all(0 <= n < math.inf for n in (self.absolute, self.relative, self.differing_ppm)):
            raise DataError(
                f"tolerances must be finite and not negative, not {self.absolute}, {self.relative} and"
                f" {self.differing_ppm}"
            )


TOLERANCES = MappingProxyType(
    {
        "fp32": Tolerance(absolute=1e-5, relative=1e-4, differing_ppm=100),
        "fp16": Tolerance(absolute=5e-3, relative=1e-2, beyond=False, differing_ppm=10_000),
        "int8": Tolerance(absolute=5e-2, relative=1e-1, beyond=False, differing_ppm=100_000),
    }
)
"""Tolerance of a conversion by the precision of its result. Half precision has a spacing of 5e-4 below 1, 8 bits one of
4e-3 of the largest value; both add up over time steps and layers.

A label is the class of the largest score, and becomes another where two scores are nearer to each other than twice what
each may be off. With the absolute tolerance for that, and scores spread evenly over an interval of 1, that are 2e-5 of
the labels in fp32, 1 % in fp16 and 10 % in int8; in fp32 five times as much is allowed, since networks have more close
calls than even spreading makes. A label that is wrong for any other reason, such as two classes exchanged, is so far
more often."""
