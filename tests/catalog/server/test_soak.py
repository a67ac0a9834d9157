"""A short soak without kills, on every kind of catalog; ``python -m benchmarks soak --kill`` is the long one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from benchmarks.soak import Load, soak
from benchmarks.soak.places import PLACES
from tests.catalog.server import postgres
from tests.needs import left_out

SHORT = Load(seconds=4, servers=2, writers=3, readers=2, kill=False)


@pytest.mark.parametrize("kind", list(PLACES))
def test_everything_at_once(kind: str) -> None:
    if kind == "pgstac" and (needed := postgres.missing()):
        left_out("PostgreSQL 15 with PostGIS", needed)
    # Not below pytest's own folder, which nobody but its user may enter: PostgreSQL runs as another one.
    with tempfile.TemporaryDirectory(prefix="modelstac-soak-") as name:
        assert soak(kind, SHORT, Path(name)) == []
