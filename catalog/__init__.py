"""STAC: items, validation, stores and search. No machine learning framework is imported here, ever.

Order, each importing only from those before it: errors, messages, ahead, terminal, times · credentials, forks, later ·
items, journal, written · rules, search · base · backends, testing · geoparquet, pages, sync · increments, server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelstac.catalog.later import later
from modelstac.catalog.search.sql import own_sqlite

if TYPE_CHECKING:
    from modelstac.catalog.backends.static import StaticCatalog
    from modelstac.catalog.base import Catalog
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.catalog.search.page import Page
    from modelstac.catalog.search.query import Query

__all__ = ["Catalog", "ModelDescription", "Page", "Query", "StaticCatalog", "open_catalog"]

own_sqlite.load()

__getattr__ = later(
    __name__,
    {
        "Catalog": "modelstac.catalog.base:Catalog",
        "ModelDescription": "modelstac.catalog.items.description:ModelDescription",
        "Page": "modelstac.catalog.search.page:Page",
        "Query": "modelstac.catalog.search.query:Query",
        "StaticCatalog": "modelstac.catalog.backends.static:StaticCatalog",
    },
)

EMBEDDED_SUFFIXES = (".sqlite", ".sqlite3", ".db")


def open_catalog(href: str | os.PathLike[str], *, create: bool = False) -> Catalog:
    """Open a catalog.

    Parameters
    ----------
    href
        A folder, the ``catalog.json`` in it, an SQLite file (``.sqlite``, ``.sqlite3`` or ``.db``), the URL of a folder
        on an object store (``s3://``, ``gs://``, ``az://``), the address of a STAC API, or, to read only, that of a
        ``catalog.json`` (``https://``).
    create
        Take a folder that is empty or not there yet as an empty catalog, and make an SQLite file that is not there.

    Raises
    ------
    CatalogError
        If there is no catalog.
    """
    from modelstac.catalog.credentials import typed

    text = typed(os.fspath(href))
    if text.startswith(("http://", "https://")) and not text.endswith(".json"):
        from modelstac.catalog.backends.api.catalog import ApiCatalog

        return ApiCatalog(text)
    if "://" in text and not text.startswith("file://"):
        from modelstac.catalog.backends.objects import ObjectCatalog

        return ObjectCatalog(text, create=create)
    if text.endswith(EMBEDDED_SUFFIXES):
        from modelstac.catalog.backends.embedded import EmbeddedCatalog

        return EmbeddedCatalog(href, create=create)
    from modelstac.catalog.backends.static import StaticCatalog

    return StaticCatalog(href, create=create)
