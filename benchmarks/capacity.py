"""What a catalog costs as it grows: per item, per file, per search, embedded and as a folder.

``python -m benchmarks capacity`` measures at 1,000, 10,000 and 100,000 items and writes docs/results/capacity.md;
``BENCHMARK_LARGEST=1000000`` adds a million, 7 GB and a quarter of an hour. Times are of the processor, so that a busy
machine changes them little. Folders take 60 ms an item: they are measured up to ``BENCHMARK_STATIC_LIMIT`` items.
"""

from __future__ import annotations

import os
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.embedded import item
from modelstac.catalog import Catalog, Query, open_catalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.messages import ignore
from modelstac.catalog.testing import Examples
from modelstac.registry.files.fetch import fetch
from modelstac.report import Table

LARGEST = int(os.environ.get("BENCHMARK_LARGEST", "100_000"))
STATIC_LIMIT = int(os.environ.get("BENCHMARK_STATIC_LIMIT", "1_000"))
SIZES = tuple(size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= LARGEST)
TOGETHER = 1000
"""Items of one transaction."""
FILE_SIZES = (1, 100, 1000)
REPEATS = 50
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "capacity.md"
MIB = 1 << 20
SEARCHES: dict[str, dict[str, Any]] = {
    "framework and version": {"framework": "PyTorch", "framework_version": ">=2.7,<2.9"},
    "the same, newest first": {"framework": "PyTorch", "framework_version": ">=2.7,<2.9", "sortby": "-version"},
    "the same, published last": {"framework": "PyTorch", "framework_version": ">=2.7,<2.9", "sortby": "-created"},
    "CQL2": {"filter": "\"mlm:framework\" = 'Keras' AND version = '0.0.0'"},
    "bbox": {"bbox": (0.0, -80.0, 15.0, -50.0)},
    "text": {"text": "model-77 radar"},
}
LIMITS = {"the same, newest first": 5.0, "the same, published last": 5.0, "text": 10.0}
"""Medians in ms that an embedded catalog of any size here is held to."""


def grown(place: str, sizes: tuple[int, ...], folder: Path) -> Iterator[tuple[int, float, float, Catalog]]:
    """Fill a catalog; yield how many items, seconds and bytes of each since the last size, and the catalog."""
    catalog, examples = open_catalog(folder / place, create=True), Examples(folder / f"made-{place}")
    for start, stop in pairwise((0, *sizes)):
        before, seconds = stored(folder / place), 0.0
        for first in range(start, stop, TOGETHER):
            items = [item(examples, number) for number in range(first, min(first + TOGETHER, stop))]
            if isinstance(catalog, EmbeddedCatalog):
                seconds += timed(partial(catalog.add_many, items, report=ignore))[0]
            else:
                seconds += sum(timed(partial(catalog.publish, one, report=ignore))[0] for one in items)
        yield stop, seconds / (stop - start), (stored(folder / place) - before) / (stop - start), catalog


def searches(catalog: Catalog) -> dict[str, dict[str, float]]:
    """Measure one item by its id, and first pages of ten; each must find something."""
    ids = list(catalog.ids())
    found = {"item by id": milliseconds(catalog.get, random.Random(1).choices(ids, k=REPEATS))}
    for title, fields in SEARCHES.items():
        assert catalog.page(Query(limit=10, **fields)).documents, title
        found[title] = milliseconds(catalog.page, [Query(limit=10, **fields)] * REPEATS)
    return found


def milliseconds(run: Callable[[Any], object], inputs: list[Any]) -> dict[str, float]:
    """Return median and 95th percentile, of the processor."""
    times = [1000 * timed(partial(run, one))[0] for one in inputs]
    return {"p50": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1]}


def stored(place: Path) -> int:
    """Bytes on disk, of a file with its journal or of a folder."""
    files = place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*")
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


def catalogs(sizes: tuple[int, ...]) -> Iterator[Table]:
    """Measure both kinds at all sizes; yield the table after each of them."""
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        for place, title in (("models.sqlite", "embedded"), ("folder", "folder")):
            wanted = tuple(size for size in sizes if title == "embedded" or size <= STATIC_LIMIT)
            for size, seconds, space, catalog in grown(place, wanted, Path(name)):
                found = searches(catalog)
                cost = (f"{size:,}", f"{1000 * seconds:.2f}", f"{space / 1000:.1f}")
                times = (f"{one['p50']:.2f} / {one['p95']:.2f}" for one in found.values())
                rows.append((title, *cost, *times))
                for search, limit in LIMITS.items() if title == "embedded" else ():
                    verdict = "met" if found[search]["p50"] <= limit else "MISSED"
                    print(f"{size:,} items, {search}: limit {limit:g} ms {verdict}", file=sys.stderr)
                print("  ".join(rows[-1]), file=sys.stderr, flush=True)
                limited = (f"{name} (limit {LIMITS[name]:g})" if name in LIMITS else name for name in found)
                heads = ("catalog", "items", "publish, CPU ms", "kB an item", *limited)
                caption = (
                    "An embedded catalog is filled in transactions of 1,000 items, a folder item by item. Searches are"
                    " first pages of ten: median / 95th percentile in ms of the processor; limits are embedded medians."
                )
                yield Table("Items and searches", caption, heads, rows)


def artifacts() -> Table:
    """Publish and read back one file of each size."""
    rows = []
    for megabytes in FILE_SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            examples = Examples(folder / "made")
            (folder / "made" / "model.bin").write_bytes(os.urandom(MIB) * megabytes)
            catalog, made = open_catalog(folder / "models.sqlite", create=True), examples.item()
            publishing, found = timed(partial(catalog.publish, made))
            reading = [timed(partial(fetch, found, "model", max_bytes=1 << 40))[0] for _ in range(2)]
            rows.append((f"{megabytes:,} MiB", *(f"{seconds:.3f}" for seconds in (publishing, *reading))))
    heads = ("file", "publish s", "first read s", "read again s")
    caption = "Publishing hashes and copies the file; the first read hashes it, the next knows it by its stamp."
    return Table("Files", caption, heads, rows)


def timed(run: Any) -> tuple[float, Any]:
    """Run once; return seconds of the processor and what came out."""
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


def page(tables: tuple[Table, ...]) -> str:
    """Return the page of results."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    parts = [
        "# Measured capacity",
        f"Written by `python -m benchmarks capacity` on {where}; peak memory {peak:,.0f} MiB.",
    ]
    for table in tables:
        parts += [f"## {table.title}", table.caption, table.to_markdown()]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    files = artifacts()
    RESULTS.parent.mkdir(exist_ok=True)
    for items in catalogs(SIZES):
        RESULTS.write_text(page((items, files)), encoding="utf-8")  # what is broken off leaves what it measured
    print(RESULTS.read_text("utf-8"))
