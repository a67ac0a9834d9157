"""Registering a version and searching by tag in the embedded catalog against MLflow on sqlite, in one run.

Ours publishes validated items, which MLflow's versions are not. MLflow runs in an environment that uv makes for it,
between two runs of ours, of which the slower one counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.embedded import item
from benchmarks.loading import in_environment
from benchmarks.registering_peers import median
from modelstac.catalog import Query
from modelstac.catalog.embedded import EmbeddedCatalog
from modelstac.catalog.testing import Examples

VERSIONS, TURNS, GROUPS = 200, 100, 20
TARGET = 5.0


def ours() -> dict[str, float]:
    """Return the median seconds of publishing one version and of searching by a property, our tag."""
    with tempfile.TemporaryDirectory() as name:
        catalog = EmbeddedCatalog(Path(name) / "models.sqlite", create=True)
        examples = Examples(Path(name) / "made")
        items = [item(examples, number, 1) for number in range(VERSIONS)]
        for number, found in enumerate(items):
            found.properties["mlm:architecture"] = f"Group {number % GROUPS}"
        registered = median(lambda number: catalog.publish(items[number]), VERSIONS)

        def search(turn: int) -> int:
            return len(catalog.page(Query(architecture=f"Group {turn % GROUPS}", limit=100)).documents)

        assert search(7) == len(range(7, VERSIONS, GROUPS))
        return {"register": registered, "search": median(search, TURNS)}


def main() -> None:
    """Measure and print."""
    first = ours()
    program = Path(__file__).with_name("registering_peers.py")
    peer = in_environment(("mlflow==3.17.0",), program, VERSIONS, TURNS)
    second = ours()
    if isinstance(peer, str):
        print(f"MLflow is left out: {peer}")
        return
    print(f"{VERSIONS} versions, medians in ms (target: at least {TARGET:g} times faster than MLflow on sqlite)")
    print(f"{'':10}{'modelstac':>12}{'MLflow':>10}{'times':>8}")
    for what, theirs in peer.items():
        found = max(first[what], second[what])
        verdict = "met" if theirs >= TARGET * found else "MISSED"
        print(f"{what:10}{found * 1e3:12.2f}{theirs * 1e3:10.2f}{theirs / found:8.1f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
