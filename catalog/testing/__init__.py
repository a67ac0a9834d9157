"""The contract of a catalog as a suite of tests, for our backends and for those of others.

Inherit :class:`CatalogContract` in a module of tests and give it a fixture ``catalog`` that returns an empty catalog::

    class TestMine(CatalogContract):
        @pytest.fixture
        def catalog(self, tmp_path):
            return MyCatalog(tmp_path / "mine")

What a search should find is told by :func:`modelstac.catalog.search.matching.matches`, item by item, and for what
backends understand differently by answers that are written down (:class:`Meaning`).

Order, each importing only from those before it: examples · fixtures, searches, meanings · publishing, describing,
searching, meaning, keeping, auditing.
"""

from __future__ import annotations

from modelstac.catalog.testing.auditing import Auditing
from modelstac.catalog.testing.describing import Describing
from modelstac.catalog.testing.examples import KERAS, NEWER, ONNX, TORCH, UNET, Examples, example_fields
from modelstac.catalog.testing.keeping import Keeping
from modelstac.catalog.testing.meaning import Described, Meaning
from modelstac.catalog.testing.meanings import MEANINGS, ORDERS, said_items
from modelstac.catalog.testing.publishing import Publishing
from modelstac.catalog.testing.searches import BAD_SEARCHES, SEARCHES, SORTS
from modelstac.catalog.testing.searching import Searching

__all__ = [
    "BAD_SEARCHES",
    "KERAS",
    "MEANINGS",
    "NEWER",
    "ONNX",
    "ORDERS",
    "SEARCHES",
    "SORTS",
    "TORCH",
    "UNET",
    "CatalogContract",
    "Examples",
    "Meaning",
    "example_fields",
    "said_items",
]


class CatalogContract(Publishing, Describing, Searching, Meaning, Described, Keeping, Auditing):
    """What every backend does in the same way."""
