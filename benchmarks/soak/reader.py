"""The readers: ``python -m benchmarks.soak.reader SETTINGS.json HOW_MANY SEED``. Servers are asked by plain HTTP.

Each walk over pages is written down with its beginning and its end, for whoever judges what it had to find.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests

from benchmarks.soak.journal import PARAMETERS, Journal
from modelstac.catalog import Query, open_catalog
from modelstac.catalog.errors import ModelStacError

_SORTS = (None, "updated", "-updated", "version", "-mlm:total_parameters", "id", "-id")


class _Told(Exception):  # noqa: N818 - no error
    """All are told to stop: a walk in pages of three, over thousands of items, would take minutes more."""


class Reader:
    """Walks over pages."""

    def __init__(self, settings: dict[str, Any], number: int, seed: int) -> None:
        self.settings = settings
        self.stop = Path(settings["stop"])
        self.chance = random.Random(f"{seed} {number} reader")
        self.journal = Journal(Path(settings["journals"]) / f"reader-{number}.jsonl")

    def step(self) -> None:
        """Walk once."""
        below = self.chance.choice([None, None, self.chance.randrange(1, PARAMETERS)])
        walk = {"sort": self.chance.choice(_SORTS), "limit": self.chance.choice([3, 10, 50]), "below": below}
        begun, href = time.monotonic(), self.chance.choice(self.settings["hrefs"])
        try:
            ids = self.of_server(href, walk) if "://" in href else self.of_folder(href, walk)
        except _Told:
            self.journal.write(op="walk", broken_off=True, begun=begun, **walk)
            return
        except (requests.RequestException, ModelStacError, OSError) as error:
            self.journal.write(op="walk", failed=type(error).__name__, why=str(error)[:300], begun=begun, **walk)
            time.sleep(0.3)
            return
        self.journal.write(op="walk", begun=begun, ids=ids, **walk)

    def look_up(self) -> None:
        """Break off when told to."""
        if self.stop.exists():
            raise _Told

    def of_server(self, href: str, walk: dict[str, Any]) -> list[str]:
        """Return the ids on the pages of a search by HTTP."""
        body: dict[str, Any] = {"limit": walk["limit"]}
        if walk["below"]:
            body["filter-lang"] = "cql2-json"
            body["filter"] = {"op": "<", "args": [{"property": "mlm:total_parameters"}, walk["below"]]}
        if (sort := walk["sort"]) is not None:
            name = sort.removeprefix("-")
            field = name if name == "id" else f"properties.{name}"
            body["sortby"] = [{"field": field, "direction": "desc" if sort.startswith("-") else "asc"}]
        found: list[str] = []
        request: dict[str, Any] | None = {"href": f"{href}/search", "body": body}
        while request is not None:
            self.look_up()
            answer = requests.post(request["href"], json=request["body"], timeout=60)
            if not answer.ok:
                raise OSError(f"status {answer.status_code}: {answer.text[:200]}")
            page = answer.json()
            found += [f"{item['collection']}/{item['id']}" for item in page["features"]]
            request = next((link for link in page["links"] if link["rel"] == "next"), None)
        return found

    def of_folder(self, href: str, walk: dict[str, Any]) -> list[str]:
        """Return the ids on the pages of a search in a folder."""
        catalog, found, token = open_catalog(href), [], None
        wanted = f'"mlm:total_parameters" < {walk["below"]}' if walk["below"] else None
        sort = () if walk["sort"] is None else (walk["sort"],)
        while True:
            self.look_up()
            page = catalog.page(Query(limit=walk["limit"], sortby=sort, filter=wanted, token=token))
            found += [f"{item['collection']}/{item['id']}" for item in page.documents]
            if (token := page.next) is None:
                return found


def main() -> None:
    """Read until told to stop by a file."""
    settings = json.loads(Path(sys.argv[1]).read_text())

    def read(number: int) -> None:
        reader = Reader(settings, number, int(sys.argv[3]))
        while not reader.stop.exists():
            reader.step()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(int(sys.argv[2]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
