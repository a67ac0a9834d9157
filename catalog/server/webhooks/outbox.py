"""What is still to be sent, kept in the database: an entry of the audit log for a service, until it was taken.

An entry waits from the transaction that wrote it, so that a server which dies between two of these steps sends it once
more rather than never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.journal import Entry, read
from modelstac.catalog.server.teams.session import Session
from modelstac.catalog.server.webhooks.hooks import Hook

_AT_A_TIME = 200
_LONGEST = 300
_ENTRY = "audit.number, audit.at, audit.writer, audit.action, audit.collection, audit.item, audit.detail"


@dataclass(frozen=True)
class Delivery:
    """One entry for one service.

    Parameters
    ----------
    attempts
        How often it was tried.
    error
        Why it failed the last time.
    """

    number: int
    hook: str
    attempts: int
    due: str
    error: str | None
    entry: Entry

    @property
    def subject(self) -> object:
        """What it tells of: an alias, whose moves are told in their order, or this one item alone."""
        alias = self.entry.detail.get("alias")
        return self.number if alias is None else (self.entry.collection, alias)


async def distribute(session: Session, hooks: Sequence[Hook]) -> int:
    """Note for each entry that waits which services are to be told of it; return how many entries these were."""
    found = await session.fetch(
        f"SELECT {_ENTRY} FROM {{prefix}}audit AS audit WHERE pending IS NOT NULL ORDER BY number LIMIT {_AT_A_TIME}"
    )
    taken = "UPDATE {prefix}audit SET pending = NULL WHERE number = $1 AND pending IS NOT NULL RETURNING number"
    statement = (
        "INSERT INTO {prefix}deliveries (hook, entry, attempts, due) VALUES ($1, $2, 0, $3) ON CONFLICT DO NOTHING"
    )
    for entry in map(read, found):
        # First: another server may have noted it meanwhile, and sent it, so that nothing of it is left to see.
        if await session.fetch(taken, entry.number):
            for hook in hooks:
                if hook.wants(entry.action, entry.at):
                    await session.fetch(statement, hook.name, entry.number, _stamp())
    return len(found)


async def due(session: Session) -> list[str]:
    """Return the names of the services for which something is due, also of those that are there no more."""
    found = await session.fetch(
        "SELECT DISTINCT hook FROM {prefix}deliveries WHERE dead IS NULL AND due <= $1", _stamp()
    )
    return [name for (name,) in found]


async def claim(session: Session, hook: str, lease: float, limit: int = 4) -> list[Delivery]:
    """Return what is due for a service, which no other server then sends for some seconds.

    A few at a time: a small service refuses the connections of more at once.
    """
    where = "WHERE dead IS NULL AND due <= $1 AND hook = $2 ORDER BY due, deliveries.number"
    claimed = []
    for one in await _read(session, where, limit, _stamp(), hook):
        statement = "UPDATE {prefix}deliveries SET due = $3 WHERE number = $1 AND due = $2 RETURNING number"
        if await session.fetch(statement, one.number, one.due, _stamp(lease)):
            claimed.append(one)
    return claimed


async def sent(session: Session, delivery: Delivery) -> None:
    """Note that a service took it."""
    await session.fetch("DELETE FROM {prefix}deliveries WHERE number = $1", delivery.number)


async def failed(session: Session, delivery: Delivery, error: str, wait: float | None) -> None:
    """Note why it failed; with nothing to wait for, it goes to the dead letters."""
    await session.fetch(
        "UPDATE {prefix}deliveries SET attempts = attempts + 1, due = $2, error = $3, dead = $4 WHERE number = $1",
        delivery.number,
        _stamp(wait or 0),
        error[:_LONGEST],
        None if wait is not None else 1,
    )


async def dead(session: Session, limit: int = 1_000) -> list[Delivery]:
    """Return what was given up, the newest first."""
    return await _read(session, "WHERE dead IS NOT NULL ORDER BY deliveries.number DESC", limit)


async def waiting(session: Session, limit: int = 1_000) -> list[Delivery]:
    """Return what is still to be sent, the next first."""
    return await _read(session, "WHERE dead IS NULL ORDER BY due", limit)


async def revive(session: Session, number: int | None) -> int:
    """Try a dead letter again, or all; return how many these are.

    Raises
    ------
    NotFoundError
        If there is none of this number.
    """
    where = "WHERE dead IS NOT NULL" + ("" if number is None else " AND number = $2")
    statement = "UPDATE {prefix}deliveries SET dead = NULL, attempts = 0, due = $1 " + where + " RETURNING number"
    found = await session.fetch(statement, _stamp(), *(() if number is None else (number,)))
    if number is not None and not found:
        raise NotFoundError(f"no dead letter {number}: see 'modelstac webhooks dead'")
    return len(found)


async def _read(session: Session, where: str, limit: int, *parameters: str) -> list[Delivery]:
    found = await session.fetch(
        f"SELECT deliveries.number, hook, attempts, due, error, {_ENTRY} FROM {{prefix}}deliveries AS deliveries "
        f"JOIN {{prefix}}audit AS audit ON audit.number = deliveries.entry {where} LIMIT {limit:d}",
        *parameters,
    )
    return [Delivery(row[0], row[1], row[2], row[3], row[4], read(row[5:])) for row in found]


def _stamp(ahead: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
