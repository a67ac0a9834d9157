"""The contract of a catalog, on every backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstac.catalog import StaticCatalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.backends.objects import ObjectCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.testing import CatalogContract


class TestStaticCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Catalog:
        return StaticCatalog(tmp_path / "catalog", create=True)


class TestObjectCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, bucket: str) -> Catalog:
        return ObjectCatalog(f"{bucket}/models", create=True)


class TestEmbeddedCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Catalog:
        return EmbeddedCatalog(tmp_path / "models.sqlite", create=True)
