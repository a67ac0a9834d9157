"""Publishing 10,000 validated items: into the embedded file, over the server into pgstac, and ``pypgstac load``.

All in one run, in turns, on the same items of 20 models. pypgstac validates nothing; ours does, and stores all or none.
The server is asked through ``ApiCatalog.publish_many``: one request, which the server validates as it comes and stores
in one transaction. pypgstac has one transaction a collection, and begins with documents on disk; ours with pystac's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.items.documents import as_item
from modelstac.catalog.items.validation import validate
from modelstac.catalog.testing import Examples

SIZE = 10_000
MODELS = 20
TURNS = 3
LIMITS = {"embedded": ("our indexes", 1.0), "server over pgstac": ("stock", 1.2)}
"""At most so many times what ``pypgstac load`` takes into that database."""


def documents(folder: Path) -> list[dict[str, Any]]:
    """Return the items as JSON: 20 models in versions and variants of three frameworks, whose files lie elsewhere."""
    from benchmarks.embedded import item

    examples = Examples(folder)
    made = []
    for number in range(SIZE):
        found = item(examples, number).to_dict(include_self_link=False, transform_hrefs=False)
        name, version = f"model-{number % MODELS}", f"{number // (3 * MODELS)}.{number // MODELS % 3}.0"
        found["properties"] |= {"mlm:name": name, "version": version}
        variant = found["properties"]["interop:variant"]
        made.append(found | {"collection": name, "id": f"{name}-{version}-{variant}"})
    return made


def collections(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    fixed = {"type": "Collection", "stac_version": "1.1.0", "description": "Bench", "license": "MIT", "links": []}
    return [fixed | {"id": name, "extent": extent} for name in sorted({item["collection"] for item in items})]


def write(folder: Path) -> None:
    """Write what pypgstac reads; what it is made of is not kept, or each collection of garbage would look at it."""
    made = documents(folder / "made")
    for kind, rows in (("items", made), ("collections", collections(made))):
        (folder / f"{kind}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def load(url: str, folder: Path, kind: str) -> None:
    """Run pypgstac as its users do."""
    program = Path(sys.executable).with_name("pypgstac")
    method = "upsert" if kind == "collections" else "insert"
    command = [program, "load", kind, folder / f"{kind}.ndjson", "--dsn", url, "--method", method]
    subprocess.run(command, check=True, capture_output=True)


def read(file: Path) -> list[pystac.Item]:
    with file.open() as lines:
        return [as_item(json.loads(line)) for line in lines]


def turn(folder: Path, cluster: Any, number: int) -> dict[str, float]:
    """Measure each once."""
    from tests.catalog.server.conftest import serving

    file = folder / "items.ndjson"
    items = read(file)
    validate(items[0])  # reads the schemas
    embedded = EmbeddedCatalog(folder / f"{number}.sqlite", create=True)
    found = {"embedded": seconds(lambda: embedded.publish_many(items))}
    embedded.close()
    with cluster.database("stock") as url:
        load(url, folder, "collections")
        found["pypgstac load, stock"] = seconds(lambda: load(url, folder, "items"))
    with cluster.database() as url:
        load(url, folder, "collections")
        found["pypgstac load, our indexes"] = seconds(lambda: load(url, folder, "items"))
    place = folder / f"server-{number}"
    place.mkdir()
    with (
        cluster.database() as url,
        serving(place, "--artifacts", str(place / "files"), MODELSTAC_DATABASE=url) as server,
    ):
        catalog = ApiCatalog(server.href, key=server.key)
        found["server over pgstac"] = seconds(lambda: catalog.publish_many(items))
        assert len(catalog.search(collections=("model-1",))) == SIZE // MODELS
    return found


def main(turns: int = TURNS) -> None:
    """Measure and print."""
    from tests.catalog.server import postgres
    from tests.catalog.server.conftest import run

    if needed := postgres.missing():
        print(f"Publishing is left out: {needed}")
        return
    with tempfile.TemporaryDirectory(prefix="modelstac-bench-") as name:
        folder = Path(name)
        write(folder)
        with tempfile.TemporaryDirectory(prefix="modelstac-postgres-") as data:
            cluster = postgres.Cluster(Path(data))
            cluster.start()
            try:
                for template in (postgres.TEMPLATE, "stock"):
                    cluster.execute(f"CREATE DATABASE {template}")
                done = run("database", "migrate", MODELSTAC_DATABASE=cluster.url(postgres.TEMPLATE))
                assert done.returncode == 0, done.stderr
                program = Path(sys.executable).with_name("pypgstac")
                command = [program, "migrate", "--dsn", cluster.url("stock")]
                subprocess.run(command, check=True, capture_output=True)
                measured = [turn(folder, cluster, number) for number in range(turns)]
            finally:
                cluster.stop("immediate")
    report(measured)


def report(measured: list[dict[str, float]]) -> None:
    """Print medians, and those of the ratios of each turn to pypgstac into a stock database and into one of ours."""
    print(f"Publishing {SIZE:,} items of {MODELS} models, medians of {len(measured)} turns\n")
    print(f"{'':30}{'seconds':>9}{'items/s':>9}{'to stock':>10}{'to ours':>9}")
    for name in measured[0]:
        found = statistics.median(turn[name] for turn in measured)
        ratios = {
            kind: statistics.median(turn[name] / turn[f"pypgstac load, {kind}"] for turn in measured)
            for kind in ("stock", "our indexes")
        }
        stock, ours = ratios.values()
        verdict = ""
        if name in LIMITS:
            beside, limit = LIMITS[name]
            verdict = f"  limit {limit:g} of {beside}: {'met' if ratios[beside] <= limit else 'MISSED'}"
        print(f"{name:30}{found:9.2f}{SIZE / found:9.0f}{stock:10.2f}{ours:9.2f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
