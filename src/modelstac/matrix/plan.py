"""From a catalog and environments to the jobs that fill the matrix."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pystac

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import DataError, ModelStacError, NotFoundError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.exporters.proof.real_windows import frames_of, preparation_of
from modelstac.jobs.job import Job
from modelstac.matrix.environments import WRITES, NamedEnvironment
from modelstac.pipeline.prepare import fingerprint
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import is_foreign, model_assets

MAKING, WINDOWS, FORECAST, CELL, WRITE = (
    f"modelstac.matrix.{name}" for name in ("making", "windows", "forecast", "cell", "write")
)


class Plan:
    """The jobs of a matrix.

    Parameters
    ----------
    catalog
        Whose models are read, and where those that are written are published.
    environments
        Where they are read and written.
    work
        Folder of the jobs.
    data
        Folder of radar frames to forecast from.
    timeout
        Seconds for each job.
    """

    def __init__(
        self,
        catalog: Catalog,
        environments: Sequence[NamedEnvironment],
        work: str,
        *,
        data: str | None = None,
        timeout: float,
    ) -> None:
        self._catalog, self._environments, self._work, self._timeout = catalog, environments, work, timeout
        self._data = data
        self._makings = {
            one.name: self._job(f"environment-{one.name}", MAKING, one.to_parameters()) for one in environments
        }

    def writing(self, sources: Sequence[str]) -> list[Job]:
        """Make the jobs in which environments save models anew: each those that it can, in each format it writes.

        Raises
        ------
        NotFoundError
            If the catalog has no such model.
        SpecError
            If no environment writes anything of one.
        """
        jobs = []
        for item in map(self._catalog.get, sources):
            found = read_item(item)
            pairs = [(one, form) for one in self._environments for form in one.writes if found.format in WRITES[form]]
            if not pairs:
                raise SpecError(f"no environment writes anything from {item.id!r}, a {found.format} file: writes = […]")
            jobs += [self._writing(item, found, one, form) for one, form in pairs]
        return [*self._makings.values(), *jobs]

    def reading(self, only: Sequence[str] = ()) -> list[Job]:
        """Make the jobs that read every model in every environment, and what these need.

        Parameters
        ----------
        only
            Models whose ids match one of these, such as ``u-net-*``; by default all.

        Raises
        ------
        NotFoundError
            If none matches.
        """
        items = [item for item in self._catalog.items() if not only or any(fnmatchcase(item.id, one) for one in only)]
        if only and not items:
            raise NotFoundError(f"no model of {self._catalog.href} is called {' or '.join(map(repr, only))}")
        windows: dict[str, Job] = {}
        forecasts: list[Job] = []
        cells: list[Job] = []
        for item in sorted(items, key=lambda item: item.id):
            try:
                asset = model_assets(item)[0]
                found, _ = described(item, asset)
            except (ModelStacError, IndexError):  # a dataset
                continue
            parameters = self._item(item)
            known = self._known(item, found, parameters, windows)
            forecasts += known[1:]
            cells += [self._cell(one, found, parameters, known) for one in self._environments]
        return [*self._makings.values(), *windows.values(), *forecasts, *cells]

    def _item(self, item: pystac.Item) -> dict[str, Any]:
        checksum = item.assets[model_assets(item)[0].key].extra_fields.get("file:checksum")
        return {"catalog": self._catalog.href, "item": item.id, "file": checksum}

    def _writing(self, item: pystac.Item, found: ModelDescription, environment: NamedEnvironment, form: str) -> Job:
        making = self._makings[environment.name]
        slug = re.sub(r"[^a-z0-9]+", "-", environment.name.lower()).strip("-")
        of = self._item(item)
        parameters = environment.to_parameters() | {
            "catalog": of["catalog"],
            "source": of["item"],
            "file": of["file"],
            "format": form,
            "item": f"{found.name}-{found.version}-{form}-by-{slug}",
            "made": making.name,
        }
        return self._job(f"write-{form}-of-{item.id}-by-{environment.name}", WRITE, parameters, making)

    def _known(
        self, item: pystac.Item, found: ModelDescription, parameters: dict[str, Any], windows: dict[str, Job]
    ) -> tuple[Job, ...]:
        """Plan windows, and what the writer of a model forecasts; nothing without frames, or for what takes none."""
        if self._data is None or is_foreign(item):
            return ()
        try:
            frames_in, frames_out = frames_of(found)
            cut = {"preparation": preparation_of(found), "frames_in": frames_in, "frames_out": frames_out}
        except DataError:
            return ()
        cut |= {"data": self._data, "files": fingerprint(self._data)}
        key = hashlib.sha256(json.dumps(cut, sort_keys=True).encode()).hexdigest()
        window = windows.setdefault(key, self._job(f"windows-{key[:8]}", WINDOWS, cut))
        trusted = sorted({pin for environment in self._environments for pin in environment.trusted})
        return window, self._job(f"forecast-{item.id}", FORECAST, parameters | {"trusted": trusted}, window)

    def _cell(
        self, environment: NamedEnvironment, found: ModelDescription, parameters: dict[str, Any], known: tuple[Job, ...]
    ) -> Job:
        making = self._makings[environment.name]
        named = dict(zip(("windows", "forecast"), (job.name for job in known), strict=False))
        parameters = {**parameters, **environment.to_parameters(), "format": found.format, "made": making.name, **named}
        return self._job(f"{parameters['item']}-in-{environment.name}", CELL, parameters, making, *known)

    def _job(self, name: str, kind: str, parameters: dict[str, Any], *needs: Job) -> Job:
        keys = {job.name: job.key for job in needs}
        return Job(name, kind, parameters, self._work, needs=keys, timeout=self._timeout)
