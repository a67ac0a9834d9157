"""What publishing many items gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import pystac


class Published(Sequence["pystac.Item"]):
    """Items as they are stored, each read when it is asked for: whoever publishes thousands seldom looks at all.

    Parameters
    ----------
    get
        Gives the item with an id.
    ids
        The ids, or ``collection/id`` of each, in order.
    """

    def __init__(self, get: Callable[[str], pystac.Item], ids: Sequence[str]) -> None:
        self._get = get
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> pystac.Item: ...

    @overload
    def __getitem__(self, index: slice) -> Published: ...

    def __getitem__(self, index: int | slice) -> pystac.Item | Published:
        """Read an item, or name some of them."""
        if isinstance(index, slice):
            return Published(self._get, self.ids[index])
        return self._get(self.ids[index])

    def __repr__(self) -> str:
        return f"<{len(self)} published items>"
