"""Sends what waits, beside the requests, for as long as the server runs; several servers share the work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from modelstac.catalog.errors import ModelStacError, StorageError
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.webhooks import outbox
from modelstac.catalog.server.webhooks.hooks import Hook, Hooks
from modelstac.catalog.server.webhooks.outbox import Delivery
from modelstac.catalog.server.webhooks.sending import send

LOG = logging.getLogger("modelstac.webhooks")
Result = TypeVar("Result")
_LOOK_SECONDS, _REST_SECONDS = 1.0, 10.0


@dataclass
class Courier:
    """What sends.

    Parameters
    ----------
    private
        Whether addresses of one's own network may be sent to.
    seconds
        How long a service may take.
    waits
        Seconds to wait after each failure; after the last it is a dead letter.
    """

    store: Store
    hooks: Hooks
    private: bool = False
    seconds: float = 10.0
    waits: Sequence[float] = ()

    async def run(self) -> None:
        """Send until it is cancelled: to each service in a task of its own, so that a slow one delays no other."""
        served: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                names = await _going_on(self._due())
                for name in set(names or ()) - served:
                    served.add(name)
                    task = tasks.create_task(_going_on(self._serve(name)))
                    task.add_done_callback(lambda _, name=name: served.discard(name))  # type: ignore[misc]
                await asyncio.sleep(_LOOK_SECONDS)

    async def _due(self) -> list[str]:
        """Note who is to be told of what happened, and return for which services something waits now."""
        if not (hooks := self.hooks.all()):
            return []
        while await self.store.run(lambda session: outbox.distribute(session, hooks), write=True):
            pass  # some at a time, so that none keeps others from writing for long
        return await self.store.run(outbox.due)

    async def _serve(self, name: str) -> None:
        """Send to one service what waits now, or will in a moment."""
        lease = 2 * self.seconds + _REST_SECONDS
        rest = 0.0
        while rest < _LOOK_SECONDS:
            await asyncio.sleep(rest)
            rest = _LOOK_SECONDS
            while found := await self.store.run(lambda session: outbox.claim(session, name, lease), write=True):
                several: dict[object, list[Delivery]] = {}
                for one in found:
                    several.setdefault(one.subject, []).append(one)
                rest = min(rest, *await asyncio.gather(*map(self._in_order, several.values())))

    async def _in_order(self, several: Sequence[Delivery]) -> float:
        """Send what is of one subject, one after the other; return the seconds until the first is to be tried again.

        Once one fails, or all took as long as one may, those after it wait until nobody sends them any more.
        """
        end = time.monotonic() + self.seconds
        for one in several:
            wait = await self._deliver(one)
            if wait < math.inf or time.monotonic() > end:
                return wait
        return math.inf

    async def _deliver(self, delivery: Delivery) -> float:
        """Send one; return the seconds until it is to be tried again, infinitely many if it is not."""
        hook = next((hook for hook in self.hooks.all() if hook.name == delivery.hook), None)
        again = hook is not None and delivery.attempts < len(self.waits)
        wait = self.waits[delivery.attempts] if again else None
        try:
            await self._send(hook, delivery)
        except StorageError as found:
            error = str(found)
        except Exception as found:  # others are sent nevertheless
            LOG.exception("unexpected, while webhook %s was sent", delivery.hook)
            error = f"an unexpected error: {type(found).__name__}"
        else:
            await self.store.run(lambda session: outbox.sent(session, delivery), write=True)
            return math.inf
        await self.store.run(lambda session: outbox.failed(session, delivery, error, wait), write=True)
        LOG.warning(
            "webhook %s: %s; %s", delivery.hook, error, "given up" if wait is None else f"tried again in {wait:g} s"
        )
        return math.inf if wait is None else wait

    async def _send(self, hook: Hook | None, delivery: Delivery) -> None:
        if hook is None:
            raise StorageError("it was removed: add one of this name, and retry")
        await send(hook, delivery, private=self.private, seconds=self.seconds)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Send while the context is open."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _going_on(work: Awaitable[Result]) -> Result | None:
    """Await it, and rest when it fails: whatever happens to the database meanwhile, the courier goes on."""
    try:
        return await work
    except ModelStacError as error:
        LOG.warning("webhooks wait: %s", error)
    except Exception:
        LOG.exception("unexpected, while webhooks were sent")
    await asyncio.sleep(_REST_SECONDS)
    return None
