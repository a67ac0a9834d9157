"""Resolving in an embedded catalog of 10,000 items: by id, by name with a range of versions, by alias."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import modelstac
from benchmarks.embedded import fill, milliseconds
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.testing import Examples

SIZE = 10_000
TARGET_MS = 5.0


def resolving(folder: Path) -> dict[str, dict[str, float]]:
    """Return median and 95th percentile of each way to name an item, in milliseconds."""
    catalog = EmbeddedCatalog(folder / "models.sqlite", create=True)
    fill(catalog, Examples(folder / "made"), 0, SIZE)
    ids = list(catalog.ids())
    model = str(catalog.get(ids[0]).collection_id)
    catalog.set_alias(model, "champion", ids[0])
    return {
        "resolve by id": milliseconds(lambda n: modelstac.resolve(ids[n % len(ids)], catalog=catalog)),
        "resolve by alias": milliseconds(lambda _: modelstac.resolve(f"{model}@champion", catalog=catalog)),
        "resolve by range": milliseconds(lambda n: modelstac.resolve(f"model-{n % 500}>=1,<4", catalog=catalog)),
        "catalog.get, for comparison": milliseconds(lambda n: catalog.get(ids[n % len(ids)])),
    }


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        found = resolving(Path(folder))
    print(f"Resolving in an embedded catalog of {SIZE:,} items, ms (target by id: at most {TARGET_MS:g})")
    print(json.dumps(found, indent=2), flush=True)


if __name__ == "__main__":
    main()
