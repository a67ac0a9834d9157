"""The catalog behind an API keeps the contract, over real servers of both kinds."""

from __future__ import annotations

import pytest
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api import ApiCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.testing import CatalogContract


class TestApiCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, server: Server) -> Catalog:
        return ApiCatalog(server.href, key=server.key)
