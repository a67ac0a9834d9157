"""What the tests of the contract start from: an empty catalog, and one with items."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.testing.examples import NEWER, ONNX, Examples


class Filled:
    """An empty catalog, which the inheriting class gives, and the same with items."""

    @pytest.fixture
    def catalog(self) -> Catalog:
        raise NotImplementedError("a fixture 'catalog' that returns an empty catalog is needed")

    @pytest.fixture
    def examples(self, tmp_path: Path) -> Examples:
        return Examples(tmp_path / "made")

    @pytest.fixture
    def filled(self, catalog: Catalog, examples: Examples) -> Catalog:
        catalog.publish_many(examples.various())
        catalog.set_alias("convlstm-knmi", "champion", NEWER)
        catalog.deprecate(ONNX)
        return catalog
