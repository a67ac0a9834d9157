"""How long an axis of a model may be: what ``-1`` in an item leaves unsaid, and ``interop:sizes`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.errors import InvalidItemError

OPEN = -1
"""How MLM writes an axis of any length."""


@dataclass(frozen=True, slots=True)
class Size:
    """Lengths that an axis may have: ``at_least``, and then every ``step`` up to ``at_most``.

    Parameters
    ----------
    at_least
        The least length. 0 where an output may be empty, as its length depends on the data (boxes of a detector).
    step
        From one length to the next; 0 where the axis has this one length only.
    at_most
        The greatest length, None where there is none.
    symbol
        Axes of one symbol grow together: when one is so many steps above its least length, all are. None where the axis
        grows by itself.

    Raises
    ------
    InvalidItemError
        If the numbers make no sense.
    """

    at_least: int = 1
    step: int = 1
    at_most: int | None = None
    symbol: str | None = None

    def __post_init__(self) -> None:
        numbers = (self.at_least, self.step) if self.at_most is None else (self.at_least, self.step, self.at_most)
        if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in numbers):
            raise InvalidItemError(f"a size has whole numbers from 0, not {', '.join(map(str, numbers))}")
        if self.at_most is not None and self.at_most < self.at_least:
            raise InvalidItemError(f"a size cannot be at least {self.at_least} and at most {self.at_most}")

    @classmethod
    def fixed(cls, length: int) -> Size:
        """Give the size of an axis that has one length only."""
        return cls(length, 0)

    @classmethod
    def of(cls, length: int) -> Size:
        """Give the size that MLM's number means: -1 is any."""
        return ANY if length == OPEN else cls(length, 0)

    @classmethod
    def from_json(cls, fields: object) -> Size:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        InvalidItemError
            If it is no such object.
        """
        if not isinstance(fields, dict) or not fields.keys() <= {"at_least", "step", "at_most", "symbol"}:
            raise InvalidItemError(f"{fields!r} is no size, such as {{'at_least': 16, 'step': 16}}")
        return cls(**fields)

    @property
    def is_fixed(self) -> bool:
        """Whether there is one length only."""
        return self.step == 0

    @property
    def is_any(self) -> bool:
        """Whether every length from 1 will do, and no other axis has a say in it."""
        return self.step == 1 and self.at_least <= 1 and self.at_most is None

    @property
    def mlm(self) -> int:
        """The number that MLM writes."""
        return self.at_least if self.is_fixed else OPEN

    def fits(self, length: int) -> bool:
        """Tell whether an axis may have this length."""
        if self.step == 0:
            return length == self.at_least
        over = length - self.at_least
        return over >= 0 and over % self.step == 0 and (self.at_most is None or length <= self.at_most)

    def nearest(self, length: int) -> tuple[int, ...]:
        """Give the lengths that fit next below and above one that does not, or itself."""
        if self.fits(length):
            return (length,)
        if self.step == 0 or length <= self.at_least:
            return (self.at_least,)
        below = self.at_least + (length - self.at_least) // self.step * self.step
        if self.at_most is not None and below + self.step > self.at_most:
            return (self.at_least + (self.at_most - self.at_least) // self.step * self.step,)
        return (below, below + self.step)

    def steps(self, length: int) -> int:
        """Tell how many steps a length that fits is above the least."""
        return (length - self.at_least) // self.step if self.step else 0

    def above(self, steps: int) -> int:
        """Give the length so many steps above the least, or the greatest that fits."""
        length = self.at_least + steps * self.step
        return length if self.at_most is None else min(length, self.nearest(self.at_most)[0])

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON types, without those that say nothing."""
        fields = {"at_least": self.at_least, "step": self.step, "at_most": self.at_most, "symbol": self.symbol}
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        if self.is_fixed:
            return str(self.at_least)
        parts = [] if self.at_least <= 1 and self.step == 1 else [f"from {self.at_least}"]
        parts += [f"in steps of {self.step}"] if self.step > 1 else []
        parts += [f"to {self.at_most}"] if self.at_most is not None else []
        return " ".join(parts) or ("any" if self.at_least else "any, by the data")


ANY = Size()
"""Every length from 1."""
BY_DATA = Size(at_least=0)
"""A length that depends on the values: 0 or more boxes."""


def sizes_to_json(sizes: Mapping[str, Mapping[str, Size]]) -> dict[str, dict[str, Any]]:
    """Give sizes by tensor and axis as ``interop:sizes`` has them."""
    return {name: {axis: size.to_json() for axis, size in axes.items()} for name, axes in sizes.items()}
