"""How many bytes requests hold at one time, and who is sent away when they are too many."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from modelstac.catalog.errors import TooLargeError, UnavailableError


class Memory:
    """What all requests may hold together.

    Parameters
    ----------
    limit
        In bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Share:
    """What one request holds; it gives all of it back when it ends."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held = 0

    def take(self, size: int) -> None:
        """Count bytes that the request is about to hold.

        Raises
        ------
        TooLargeError
            If the request alone needs more than there is.
        UnavailableError
            If others hold what it needs.
        """
        memory = self._memory
        if self.held + size > memory.limit:
            raise TooLargeError(
                f"the request needs about {self.held + size} bytes for its arrays and results, more than the "
                f"{memory.limit} that this server gives: send fewer samples at a time"
            )
        if memory.held + size > memory.limit:
            raise UnavailableError("the server holds as many requests as it has memory for: send it again later")
        memory.held += size
        self.held += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.held -= self.held
        self.held = 0
