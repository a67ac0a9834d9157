"""One writer: ``python -m benchmarks.soak.writer SETTINGS.json NUMBER SEED``. It may be killed at any moment.

Its items and aliases are its own, also in the collection that all share, so that their state is known from its journal.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pystac

from benchmarks.soak.journal import Journal, content_of, parameters_of, read
from modelstac.catalog import ModelDescription, open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ConflictError, ItemExistsError, ModelStacError, NotFoundError, StorageError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import example_fields

_REFUSED = (ConflictError, NotFoundError, ItemExistsError)


class Writer:
    """Does one thing after the other, and writes down before and after each."""

    def __init__(self, settings: dict[str, Any], number: int, seed: int) -> None:
        self.settings = settings
        self.number = number
        self.chance = random.Random(f"{seed} {number} {time.monotonic_ns()}")
        path = Path(settings["journals"]) / f"writer-{number}.jsonl"
        self.known: dict[str, str] = {}
        self.count = 0
        for line in read(path):
            self.count = max(self.count, line.get("count", 0))
            for item_id in line.get("ids", ()):
                if line["op"] == "publish":
                    self.known[item_id] = line["name"]
                elif line["op"] == "delete" and line.get("done"):
                    self.known.pop(item_id, None)
        self.journal = Journal(path)
        self.made = Path(settings["made"])

    def catalog(self) -> Catalog:
        """Open the catalog, by one of its servers."""
        href = self.chance.choice(self.settings["hrefs"])
        return ApiCatalog(href, key=self.settings["key"]) if "://" in href else open_catalog(href, create=True)

    def item(self, name: str, variant: str, version: str) -> pystac.Item:
        """Return an item whose file, box and time follow from its id."""
        item_id = f"{name}-{version}-{variant}"
        parameters = parameters_of(item_id)
        artifact = self.made / f"content-{content_of(item_id)}" / "model.bin"
        west, day = parameters % 170, datetime(2010, 1, 1) + timedelta(days=parameters)
        ring = [[west, 0], [west + 5, 0], [west + 5, 5], [west, 5], [west, 0]]
        changes = {
            "name": name,
            "version": version,
            "variant": variant,
            "parameters": parameters,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "start": day,
            "end": day + timedelta(hours=7),
        }
        return write_item(ModelDescription(**(example_fields(artifact, self.made / "metrics.json") | changes)))

    def new_item(self) -> pystac.Item:
        """Return an item that was never published: of a model of its own, or of the one that all share."""
        self.count += 1
        version = f"{self.count % 3}.{self.count}.0"
        if self.chance.random() < 0.4:
            return self.item("shared", f"w{self.number}", version)
        return self.item(f"model-{self.number}-{self.count % 4}", "torch", version)

    def do(self, op: str, action: Callable[[], Any], **fields: Any) -> None:
        """Do something between two lines of the journal."""
        self.journal.write(op=op, begun=True, count=self.count, **fields)
        try:
            action()
        except _REFUSED as error:
            self.journal.write(op=op, refused=type(error).__name__, why=str(error)[:200], **fields)
        except (ModelStacError, OSError) as error:
            self.journal.write(op=op, failed=type(error).__name__, why=str(error)[:300], **fields)
            time.sleep(0.3)
        else:
            self.journal.write(op=op, done=True, **fields)

    def publish(self, catalog: Catalog, items: list[pystac.Item]) -> None:
        """Publish items of one model or of several."""
        for name in sorted({str(item.collection_id) for item in items}):
            some = [item for item in items if item.collection_id == name]
            self.known |= {item.id: name for item in some}
            act = (lambda some=some: catalog.publish(some[0])) if len(some) == 1 else lambda: catalog.publish_many(some)  # noqa: B023
            self.do("publish", act, name=name, ids=[item.id for item in some])

    def copy(self, catalog: Catalog) -> None:
        """Copy items from a folder."""
        item = self.new_item()
        # One for each: a sync would bring what lies there from before, with its deprecation, once more.
        source = open_catalog(self.made / f"source-{self.number}-{self.count}-{time.monotonic_ns()}", create=True)
        source.publish(item)
        self.known[item.id] = name = str(item.collection_id)
        self.do("publish", lambda: sync(source, catalog), name=name, ids=[item.id])
        shutil.rmtree(source.href)

    def step(self) -> None:
        """Do one thing."""
        try:
            catalog = self.catalog()
        except (ModelStacError, OSError):
            time.sleep(0.3)  # its server is starting
            return
        dice = self.chance.random()
        if dice < 0.35 or len(self.known) < 3:
            self.publish(catalog, [self.new_item()])
            return
        if dice < 0.42:
            self.publish(catalog, [self.new_item() for _ in range(4)])
            return
        if dice < 0.48:
            self.copy(catalog)
            return
        item_id, name = self.chance.choice(sorted(self.known.items()))
        if dice < 0.53:
            version = item_id.removeprefix(f"{name}-").split("-")[0]
            self.publish(catalog, [self.item(name, item_id.removeprefix(f"{name}-{version}-"), version)])
        elif dice < 0.68:
            alias, target = f"alias-{self.number}", self.chance.choice([item_id, item_id, None])
            act = lambda: catalog.set_alias(name, alias, target)  # noqa: E731
            self.do("alias", act, name=name, alias=alias, target=target)
        elif dice < 0.8:
            value = self.chance.random() < 0.5
            act = lambda: catalog.deprecate(f"{name}/{item_id}", deprecated=value)  # noqa: E731
            self.do("deprecate", act, name=name, ids=[item_id], value=value)
        else:
            self.do("delete", lambda: catalog.delete(f"{name}/{item_id}"), name=name, ids=[item_id])
            self.known.pop(item_id, None)


def main() -> None:
    """Write until told to stop by a file."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    writer = Writer(settings, int(sys.argv[2]), int(sys.argv[3]))
    while not Path(settings["stop"]).exists():
        try:
            writer.step()
        except StorageError as error:
            writer.journal.write(op="step", failed=type(error).__name__, why=str(error)[:300])


if __name__ == "__main__":
    main()
