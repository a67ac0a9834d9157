"""What a user says of how a scene is run, and what is known of its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.running.posting import read_steps


@dataclass(frozen=True)
class Options:
    """What a user says of how a scene is run; None where the item and the machine decide.

    Parameters
    ----------
    post
        Steps after the model, as :mod:`modelstac.registry.scenes.running.posting` reads them.
    fill
        Physical value for holes.
    tile
        Side of a tile in pixels of the finest input, or the next shorter one that the model takes.
    batch
        Tiles at a time.
    blend
        Whether scores of neighbouring tiles are blended rather than cut at the halo.
    memory
        Bytes that may be used for tiles.
    skip_errors
        Whether a tile that cannot be read is masked, and not an error.
    per_tile
        Whether a model that gives no image gives one pixel a tile.
    """

    post: str | Sequence[str] | None = None
    fill: float | None = None
    tile: int | None = None
    batch: int | None = None
    blend: bool | None = None
    memory: int | None = None
    skip_errors: bool = False
    per_tile: bool = False

    def __post_init__(self) -> None:
        if self.post is not None:
            read_steps(self.post)
        if self.fill is not None and not _is_number(self.fill):
            raise DataError(f"fill is a number, not {self.fill!r:.80}")
        for name in ("tile", "batch", "memory"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise DataError(f"{name} is a whole number from 1, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Cost:
    """What a pixel of the coarsest grid costs: bytes while the model runs, and seconds."""

    bytes: float = 4096.0
    seconds: float | None = None


UNKNOWN = Cost()
"""Where nobody tried."""
