"""Our server over HTTP, embedded and over pgstac, against stock stac-fastapi-pgstac: ``python -m benchmarks servers``.

One process each, the same items, the same requests over kept connections; the servers take turns, in another order each
time. Latency is that of one client, requests per second are those of eight. ``MODELSTAC_BENCH_ITEMS=10000,100000`` says
how many items: all servers are measured at the first number, and the embedded one at each.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.catalog.server.conftest import environment, serving
from tests.catalog.server.postgres import FAST, Cluster, free_port, missing

from benchmarks.embedded import fill
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.server.stores.migrate import migrate
from modelstac.catalog.server.stores.pg.items import packed
from modelstac.catalog.testing import Examples

SIZES = tuple(map(int, os.environ.get("MODELSTAC_BENCH_ITEMS", "10000,100000").split(",")))
MODELS = 20
"""So few because each collection is a partition of pgstac, which slows its searches."""
OURS, LIMITED, OVER_STOCK = "modelstac, pgstac", "framework + version", 5.0
EMBEDDED, BY_ID, OF_BY_ID, FROM = "modelstac, embedded", "item by id", 0.2, 100_000
"""The embedded server's searches at so many items and more are held to this part of its rate of items by id."""
ROUNDS, REQUESTS, CLIENTS, SECONDS = 3, 40, 8, 2.0
Request = tuple[str, str, bytes | None]


def item_requests(catalog: EmbeddedCatalog) -> Callable[[int], Request]:
    ids = list(catalog.ids())
    random.Random(1).shuffle(ids)
    names = {found: catalog.document(found) for found in ids[:2000]}
    paths = [f"/collections/{found['collection']}/items/{key}" for key, found in names.items() if found]
    return lambda number: ("GET", paths[number % len(paths)], None)


def search_requests(number: int) -> Request:
    """Return a search by framework and version, of three frameworks and ten versions in turns."""
    minor = number % 10
    bounds = [
        {"property": "interop:framework_version_key"},
        version_key(f"2.{minor}.0"),
        version_key(f"2.{minor + 1}.0"),
    ]
    framework = ("PyTorch", "Keras", "ONNX")[number % 3]
    conditions = [
        {"op": "=", "args": [{"property": "mlm:framework"}, framework]},
        {"op": ">=", "args": bounds[:2]},
        {"op": "<", "args": [bounds[0], bounds[2]]},
    ]
    body = {"filter": {"op": "and", "args": conditions}, "filter-lang": "cql2-json", "limit": 10}
    return "POST", "/search", json.dumps(body).encode()


class Client:
    """One kept connection."""

    def __init__(self, href: str) -> None:
        self._connection = http.client.HTTPConnection(str(urlsplit(href).netloc), timeout=60)

    def ask(self, request: Request) -> bytes:
        method, path, body = request
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self._connection.getresponse()
        found = answer.read()
        assert answer.status == 200, (path, answer.status, found[:300])
        return found


def latencies(href: str, request: Callable[[int], Request], first: int) -> list[float]:
    """Return the milliseconds of some requests, one after the other."""
    client, times = Client(href), []
    client.ask(request(first))
    for number in range(first, first + REQUESTS):
        began = time.perf_counter()
        client.ask(request(number))
        times.append((time.perf_counter() - began) * 1e3)
    return times


def rate(href: str, request: Callable[[int], Request]) -> float:
    """Return the requests per second that several clients get."""
    counts = [0] * CLIENTS
    began = time.perf_counter()

    def work(client: int) -> None:
        connection = Client(href)
        while time.perf_counter() < began + SECONDS:
            connection.ask(request(client * 1000 + counts[client]))
            counts[client] += 1

    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def compare(
    servers: dict[str, str], requests: dict[str, Callable[[int], Request]]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the median latency in milliseconds and requests per second of each server and kind of request."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for kind, request in requests.items():
        times: dict[str, list[float]] = {name: [] for name in servers}
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(ROUNDS):
            for name in list(servers)[:: 1 if turn % 2 else -1]:
                times[name] += latencies(servers[name], request, turn * REQUESTS)
                rates[name].append(rate(servers[name], request))
        found[kind] = {name: (statistics.median(times[name]), statistics.median(rates[name])) for name in servers}
    return found


@contextmanager
def stock(url: str) -> Iterator[str]:
    """Run stac-fastapi-pgstac as its own documentation does."""
    parts, port = urlsplit(url), free_port()
    variables = {
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning", "--no-access-log"], env=environment(**variables), stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                Client(f"http://127.0.0.1:{port}").ask(("GET", "/_mgmt/ping", None))
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def load(url: str, collections: list[Document], items: list[Document]) -> None:
    """Load documents by pypgstac, as fast as it can."""
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    with PgstacDB(dsn=url) as database:
        loader = Loader(database)
        loader.load_collections(iter(collections), Methods.insert)
        loader.load_items(iter(items), Methods.insert)
    with PgstacDB(dsn=url) as database:
        database.query_one("SELECT 1")
        database.connection.execute("ANALYZE")


def main() -> None:
    """Measure and print."""
    if needed := missing():
        print(f"servers are left out, since they need PostgreSQL 15 with PostGIS: {needed}")
        return
    with tempfile.TemporaryDirectory(prefix="modelstac-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        examples = Examples(folder / "made")
        catalog = EmbeddedCatalog(folder / "models.sqlite", create=True)
        fill(catalog, examples, 0, SIZES[0], models=MODELS)
        for part in ("embedded", "pgstac", "postgres"):
            (folder / part).mkdir()
        started = stack.enter_context(serving(folder / "embedded", "--catalog", str(folder / "models.sqlite")))
        servers = {EMBEDDED: started.href} | pgstac_servers(stack, folder, catalog)
        requests = {BY_ID: item_requests(catalog), LIMITED: search_requests}
        show(SIZES[0], compare(servers, requests))
        done = SIZES[0]
        for size in SIZES[1:]:
            fill(catalog, examples, done, size, models=MODELS)
            done = size
            show(size, compare({EMBEDDED: started.href}, requests))


def pgstac_servers(stack: ExitStack, folder: Path, catalog: EmbeddedCatalog) -> dict[str, str]:
    """Start the servers over PostgreSQL: ours and stock over our indexes, and stock over what pypgstac makes."""
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    collections = catalog.collection_documents()
    items = [found for key in catalog.ids() if (found := catalog.document(key))]
    cluster = Cluster(folder / "postgres")
    cluster.start()
    stack.callback(cluster.stop, "immediate")
    for database in ("indexed", "bare"):
        cluster.execute(f"CREATE DATABASE {database}")
    migrate(cluster.url("indexed"))
    with PgstacDB(dsn=cluster.url("bare")) as database:
        Migrate(database).run_migration()
    load(cluster.url("indexed"), collections, list(map(packed, items)))
    load(cluster.url("bare"), collections, items)
    variables = {"MODELSTAC_DATABASE": cluster.url("indexed")}
    ours = stack.enter_context(serving(folder / "pgstac", "--artifacts", str(folder / "files"), **variables))
    return {
        OURS: ours.href,
        "stock, our indexes": stack.enter_context(stock(cluster.url("indexed"))),
        "stock": stack.enter_context(stock(cluster.url("bare"))),
    }


def show(size: int, found: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Print a table of what was measured."""
    print(f"\n{size:,} items, medians of {ROUNDS} turns (PostgreSQL with {FAST.split(' -c ')[0].removeprefix('-c ')})")
    for kind, servers in found.items():
        reference = servers.get("stock", (0.0, 0.0))[1]
        print(f"{kind:24}{'p50':>12}{'requests/s':>14}{'times stock':>14}")
        for name, (milliseconds, per_second) in servers.items():
            ratio = f"{per_second / reference:.2f}" if reference else ""
            verdict, beside = "", servers.get("stock, our indexes", (0.0, 0.0))[1]
            if beside and name == OURS and kind == LIMITED:
                met = per_second >= OVER_STOCK * beside
                verdict = f"  limit {OVER_STOCK:g} times stock with our indexes: {'met' if met else 'MISSED'}"
            if name == EMBEDDED and kind == LIMITED and size >= FROM:
                met = per_second >= OF_BY_ID * found[BY_ID][name][1]
                verdict = f"  limit {OF_BY_ID:g} of items by id: {'met' if met else 'MISSED'}"
            print(f"  {name:22}{milliseconds:9.2f} ms{per_second:14.0f}{ratio:>14}{verdict}", flush=True)


if __name__ == "__main__":
    main()
