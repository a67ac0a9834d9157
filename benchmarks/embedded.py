"""The embedded catalog at 10,000 and 100,000 items: by id, by framework and version, by CQL2, and publishing."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog import Query
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.messages import ignore
from modelstac.catalog.testing import Examples

SIZES = (10_000, 100_000)
REPEATS = 200
FRAMEWORKS = {"PyTorch": "torch", "Keras": "keras", "ONNX": "onnx"}


def fill(catalog: EmbeddedCatalog, examples: Examples, start: int, stop: int, *, models: int = 500) -> float:
    """Publish items ``start`` to ``stop`` in transactions of 1,000 and return items per second."""
    seconds = 0.0
    for first in range(start, stop, 1000):
        items = [item(examples, number, models) for number in range(first, min(first + 1000, stop))]
        began = time.perf_counter()
        catalog.add_many(items, report=ignore)
        seconds += time.perf_counter() - began
    return (stop - start) / seconds


def item(examples: Examples, number: int, models: int = 500) -> pystac.Item:
    """Return one of many items: of some models, in versions and variants of three frameworks; files lie elsewhere.

    The number of models is no multiple of three, so that all ids differ.
    """
    framework, file_format = list(FRAMEWORKS.items())[number % 3]
    minor = number // 3 % 30
    text = _pattern(examples, framework, file_format)
    for part, value in zip(
        PARTS, (f"model-{number % models}", f"{number // (3 * models)}.0.0", f"{file_format}-{number % 3}"), strict=True
    ):
        text = text.replace(part, value)
    made = json.loads(text)
    longitude, latitude = float(number % 360 - 180), float(number % 170 - 85)
    made["geometry"] = {"type": "Point", "coordinates": [longitude, latitude]}
    made["bbox"] = [longitude, latitude, longitude, latitude]
    made["properties"] |= {
        "mlm:framework_version": f"2.{minor}.0",
        "interop:framework_version_key": version_key(f"2.{minor}.0"),
    }
    for asset in made["assets"].values():
        asset["href"] = f"https://example.org/{number}/{Path(asset['href']).name}"
    return pystac.Item.from_dict(made)


PARTS = ("name-of-the-model", "424242.0.0", "variant-of-it")
"""Of the item that all others are written after: making each by itself takes longer than adding it."""


@cache
def _pattern(examples: Examples, framework: str, file_format: str) -> str:
    name, version, variant = PARTS
    found = examples.item(name=name, version=version, variant=variant)
    found.properties |= {"mlm:framework": framework, "interop:format": file_format}
    return json.dumps(found.to_dict(transform_hrefs=False))


def milliseconds(run: Callable[[int], object]) -> dict[str, float]:
    """Return median and 95th percentile over many calls."""
    chance = random.Random(1)
    times = []
    for _ in range(REPEATS):
        number = chance.randrange(10_000)
        began = time.perf_counter()
        run(number)
        times.append((time.perf_counter() - began) * 1000)
    return {"p50": round(statistics.median(times), 3), "p95": round(statistics.quantiles(times, n=20)[-1], 3)}


def measure(catalog: EmbeddedCatalog, ids: list[str]) -> dict[str, Any]:
    """Measure reads: first pages of 10, as a server and a browser ask for them."""

    def searched(**fields: Any) -> dict[str, float]:
        found = catalog.page(Query(limit=10, **fields), count=True)
        assert found.documents, fields
        return {"matched": found.matched or 0} | milliseconds(lambda _: catalog.page(Query(limit=10, **fields)))

    return {
        "item by id": milliseconds(lambda n: catalog.get(ids[n % len(ids)])),
        "framework + version": searched(framework="PyTorch", framework_version=">=2.7,<2.9"),
        "framework + version, sorted": searched(framework="PyTorch", framework_version=">=2.7,<2.9", sortby="-version"),
        "CQL2 framework": searched(filter="\"mlm:framework\" = 'Keras' AND version = '1.0.0'"),
        "bbox": searched(bbox=(5.0, 50.0, 6.0, 51.0)),
        "text": searched(text="model-77- nowcasting"),
        "everything": searched(),
    }


def main() -> None:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        examples = Examples(Path(folder) / "made")
        catalog = EmbeddedCatalog(Path(folder) / "models.sqlite", create=True)
        done = 0
        for size in SIZES:
            rate = fill(catalog, examples, done, size)
            done = size
            ids = list(catalog.ids())
            results[f"{size:,} items"] = {"published per second": round(rate)} | measure(catalog, ids)
            print(json.dumps(results[f"{size:,} items"], indent=2), flush=True)


if __name__ == "__main__":
    main()
