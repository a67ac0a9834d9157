"""Sends what waits, beside the requests, for as long as the server runs; several servers share the work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from modelstac.catalog.errors import ModelStacError, StorageError
from modelstac.catalog.server.stores.store import Store
from modelstac.catalog.server.webhooks import outbox
from modelstac.catalog.server.webhooks.hooks import Hooks
from modelstac.catalog.server.webhooks.outbox import Delivery
from modelstac.catalog.server.webhooks.sending import send

LOG = logging.getLogger("modelstac.webhooks")
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
        """Send until it is cancelled; whatever happens to the database meanwhile, it goes on."""
        while True:
            try:
                rest = await self.round()
            except ModelStacError as error:
                LOG.warning("webhooks wait: %s", error)
                rest = _REST_SECONDS
            except Exception:
                LOG.exception("unexpected, while webhooks were sent")
                rest = _REST_SECONDS
            await asyncio.sleep(rest)

    async def round(self) -> float:
        """Send what waits now; return the seconds until there may be more."""
        hooks = self.hooks.all()
        if not hooks:
            return _LOOK_SECONDS
        rest = _LOOK_SECONDS
        await self.store.run(lambda session: outbox.distribute(session, hooks), write=True)
        lease = 2 * self.seconds + _REST_SECONDS
        while due := await self.store.run(lambda session: outbox.claim(session, lease), write=True):
            rest = min(rest, *await asyncio.gather(*(self._deliver(one) for one in due)))
        return rest

    async def _deliver(self, delivery: Delivery) -> float:
        """Send one; return the seconds until it is to be tried again, infinitely many if it is not."""
        hook = next((hook for hook in self.hooks.all() if hook.name == delivery.hook), None)
        error: str | None = None
        if hook is not None:
            try:
                await send(hook, delivery, private=self.private, seconds=self.seconds)
            except StorageError as found:
                error = str(found)
            except Exception as found:  # others are sent nevertheless
                LOG.exception("unexpected, while webhook %s was sent", delivery.hook)
                error = f"an unexpected error: {type(found).__name__}"
        if error is None:
            await self.store.run(lambda session: outbox.sent(session, delivery), write=True)
            return math.inf
        wait = self.waits[delivery.attempts] if delivery.attempts < len(self.waits) else None
        await self.store.run(lambda session: outbox.failed(session, delivery, error, wait), write=True)
        LOG.warning(
            "webhook %s: %s; %s", delivery.hook, error, "given up" if wait is None else f"tried again in {wait:g} s"
        )
        return math.inf if wait is None else wait

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
