"""STAC: items, validation, stores and search. No machine learning framework is imported here, ever."""

from __future__ import annotations

import os

from modelstac.catalog.base import Catalog
from modelstac.catalog.items import ModelDescription
from modelstac.catalog.query import Query
from modelstac.catalog.static import StaticCatalog

__all__ = ["Catalog", "ModelDescription", "Query", "StaticCatalog", "open_catalog"]


def open_catalog(href: str | os.PathLike[str], *, create: bool = False) -> Catalog:
    """Open a catalog.

    Parameters
    ----------
    href
        A folder, or the ``catalog.json`` in it.
    create
        Take a folder that is empty or not there yet as an empty catalog; the first publish writes it.

    Raises
    ------
    CatalogError
        If there is no catalog.
    """
    return StaticCatalog(href, create=create)
