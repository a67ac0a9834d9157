"""The models that a server runs: found in its catalog, loaded, and exchanged when their alias moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    AmbiguousError,
    ModelStacError,
    NotFoundError,
    UnavailableError,
    UntrustedError,
)
from modelstac.catalog.items.identity import immutable_content
from modelstac.registry.choosing.resolve import Resolution, resolve
from modelstac.registry.isolated import choice
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.serving.served import Served, may_run_together
from modelstac.registry.serving.settings import InferenceSettings
from modelstac.registry.trust.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    import pystac

LOG = logging.getLogger("modelstac.server")
USUAL = "champion"
"""The alias that is meant where only the model is named and several of its items are served."""
Result = TypeVar("Result")


@dataclass
class Slot:
    """What became of one reference."""

    reference: str
    served: Served | None = None
    content: dict[str, Any] | None = None  # of the item that answers
    problem: str | None = None

    @property
    def alias(self) -> str | None:
        """The alias by which it is named; None for others."""
        return self.reference.partition("@")[2] or None


class Models:
    """Models by what names them: item ids, ``name@alias``, names, names with a range of versions.

    Parameters
    ----------
    references
        What names them.
    open_catalog
        Called in a thread when the server can be reached; gives the catalog.
    settings
        How they are run.
    trust
        What may be loaded besides (:meth:`modelstac.registry.trust.policy.TrustPolicy.trusting`). Then every model must
        be named by the id of its item: an alias may later point to a file that nobody looked at.
    local
        Gives an item with the files that lie on this machine in place of their addresses.

    """

    def __init__(
        self,
        references: Sequence[str],
        open_catalog: Callable[[], Catalog],
        settings: InferenceSettings,
        *,
        trust: Sequence[str] = (),
        local: Callable[[pystac.Item], pystac.Item] = lambda item: item,
    ) -> None:
        self.slots = [Slot(reference) for reference in dict.fromkeys(references)]
        self._open = open_catalog
        self._settings = settings
        self._trust = tuple(trust)
        self._code = DEFAULT_POLICY.trusting(*trust).code
        self._local = local
        self._catalog: Catalog | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether every model is loaded."""
        return all(slot.served is not None for slot in self.slots)

    def find(self, name: str, version: str | None = None) -> Served:
        """Return the model that a client names.

        Parameters
        ----------
        name
            As it was named to the server, an item id, or the name of a model (collection).
        version
            An alias or a version of the model, where several are served.

        Raises
        ------
        NotFoundError
            If none is served by that name.
        AmbiguousError
            If several are, and none is the champion.
        UnavailableError
            If it is not loaded yet.
        """
        found = [slot for slot in self.slots if slot.reference == name and _is(slot, version)]
        found = found or [s for s in self.slots if s.served and name in s.served.names and _is(s, version)]
        found = found or [slot for slot in self.slots if _collection(slot) == name and _is(slot, version)]
        if not found:
            asked = name if version is None else f"{name}, version {version}"
            waits = next((s for s in self.slots if s.served is None and name in {s.reference, _collection(s)}), None)
            if waits is not None:
                raise _not_loaded(waits)
            known = ", ".join(slot.reference for slot in self.slots)
            raise NotFoundError(f"no model {asked!r} is served here: {known} are")
        if len({slot.served.names if slot.served else slot.reference for slot in found}) > 1:
            usual = [slot for slot in found if slot.alias == USUAL]
            if not usual:
                raise AmbiguousError(
                    f"{name!r} is {', '.join(s.reference for s in found)} here: name one of them, or its version"
                )
            found = usual
        if found[0].served is None:
            raise _not_loaded(found[0])
        return found[0].served

    async def load_all(self) -> None:
        """Load every model, one after the other.

        Raises
        ------
        ModelStacError
            If one cannot be loaded: a server that answers for some of what it was told to serve is of no use.
        """
        self._catalog = await self._in_thread(self._open)
        for slot in self.slots:
            await self._load(slot)

    async def follow(self) -> None:
        """Look every few seconds whether names mean other items than before, and load those; does not return.

        An id may mean another one, too, once its item was deleted and one was published anew.
        """
        while not self._trust:
            await asyncio.sleep(self._settings.refresh_seconds)
            for slot in self.slots:
                try:
                    await self._load(slot)
                    slot.problem = None
                except ModelStacError as error:
                    self._still(slot, str(error))
                except Exception:
                    LOG.exception("unexpected, while %s was looked up again", slot.reference)
                    self._still(slot, "an unexpected error")

    async def close(self) -> None:
        """Let go of all models once they have answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        served = {slot.served for slot in self.slots if slot.served is not None}
        await asyncio.gather(*(one.close() for one in served), *self._closing)

    async def _load(self, slot: Slot) -> None:
        """Load what a reference means now, unless it is loaded already, by this name or another."""
        before = slot.served
        chosen, content = await self._in_thread(lambda: self._meant(slot.reference))
        if content == slot.content:
            return
        served = next((other.served for other in self.slots if other.content == content), None)
        if served is None:
            model, together = await self._in_thread(lambda: self._loaded(chosen))
            served = Served(model, self._settings, together=together)
        slot.served, slot.content = served, content
        if before is None:
            LOG.info("%s: %s answers", slot.reference, served.item_id)
            return
        LOG.info("%s: %s answers in place of %s", slot.reference, served.item_id, before.item_id)
        if all(other.served is not before for other in self.slots):
            closing = asyncio.create_task(before.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _meant(self, reference: str) -> tuple[Resolution, dict[str, Any]]:
        """Find what a reference means now, and what its item says."""
        assert self._catalog is not None
        chosen = resolve(reference, catalog=self._catalog, isolated=choice(None), code=self._code)
        if self._trust and chosen.item.id != reference.rpartition("/")[2]:
            raise UntrustedError(
                f"{reference!r} means {chosen.item.id} now, and may mean another item later: --trust holds for items "
                f"that are named by their id; serve {chosen.item.id!r}, or leave --trust out"
            )
        return chosen, immutable_content(chosen.item) | {"id": chosen.item.id}

    def _loaded(self, chosen: Resolution) -> tuple[Model, bool]:
        model = load(self._local(chosen.item), asset=chosen.asset.key, trust=self._trust)
        return model, may_run_together(model, self._settings)

    def _still(self, slot: Slot, problem: str) -> None:
        if slot.problem != problem:  # said once, not every few seconds
            slot.problem = problem
            still = f"{slot.served.item_id} goes on to answer" if slot.served else "nothing answers"
            LOG.warning("%s: %s, as %s", slot.reference, still, problem)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _is(slot: Slot, version: str | None) -> bool:
    return version is None or version == slot.alias or (slot.served is not None and version == slot.served.version)


def _collection(slot: Slot) -> str:
    return slot.served.collection if slot.served is not None else slot.reference.partition("@")[0]


def _not_loaded(slot: Slot) -> UnavailableError:
    return UnavailableError(f"model {slot.reference!r} is being loaded: ask again in a moment")
