"""What two models may differ by, by the precision of the numbers in the second."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
    by
        Who says so, where it is not the precision of the conversion: in words, for items.
    """

    absolute: float
    relative: float
    beyond: bool = True
    differing_ppm: float = 100.0
    by: str | None = None

    def __post_init__(self) -> None:
        if not all(0 <= n < math.inf for n in (self.absolute, self.relative, self.differing_ppm)):
            raise DataError(
                f"tolerances must be finite and not negative, not {self.absolute}, {self.relative} and"
                f" {self.differing_ppm}"
            )


NAMES = MappingProxyType({"fp16": "float16", "bf16": "bfloat16", "int8": "8 bits"})
TOLERANCES = MappingProxyType(
    {
        "fp32": Tolerance(absolute=1e-5, relative=1e-4, differing_ppm=100),
        "fp16": Tolerance(absolute=5e-3, relative=1e-2, beyond=False, differing_ppm=10_000),
        "bf16": Tolerance(absolute=4e-2, relative=8e-2, beyond=False, differing_ppm=80_000),
        "int8": Tolerance(absolute=5e-2, relative=1e-1, beyond=False, differing_ppm=100_000),
    }
)
"""Tolerance of a conversion by the precision of its result. Half precision has a spacing of 5e-4 below 1, bfloat16 one
of 4e-3, 8 bits one of 4e-3 of the largest value; all add up over time steps and layers.

A label is the class of the largest score, and becomes another where two scores are nearer to each other than twice what
each may be off. With the absolute tolerance for that, and scores spread evenly over an interval of 1, that are 2e-5 of
the labels in fp32, 1 % in fp16 and 10 % in int8; in fp32 five times as much is allowed, since networks have more close
calls than even spreading makes. A label that is wrong for any other reason, such as two classes exchanged, is so far
more often."""


def tolerance_of(precision: str, source: str = "fp32", asked: float | None = None) -> Tolerance:
    """Give the tolerance of a conversion.

    Parameters
    ----------
    precision
        Of the numbers in the result.
    source
        Of those in the source: what computes in half precision is equal to nothing by more than that.
    asked
        What whoever converts allows instead: as an absolute difference, and ten times as much relative; of labels twice
        as many of a million.

    Raises
    ------
    DataError
        If it is no such number.
    """
    found = max((TOLERANCES[precision], TOLERANCES[source]), key=lambda one: one.absolute)
    if found is not TOLERANCES[precision]:
        found = replace(found, by=f"the source computes in {NAMES[source]}")
    if asked is None:
        return found
    if not 0 < asked < math.inf:
        raise DataError(f"a tolerance is a number above 0, not {asked}")
    share = max(found.differing_ppm, min(2e6 * asked, 1e6))
    return replace(found, absolute=asked, relative=10 * asked, differing_ppm=share, by="asked for in the conversion")
