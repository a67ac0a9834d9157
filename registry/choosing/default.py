"""The catalog that is meant where none is given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import CatalogError

if TYPE_CHECKING:
    from os import PathLike

VARIABLE = "MODELSTAC_CATALOG"


def default_catalog(catalog: Catalog | str | PathLike[str] | None = None) -> Catalog:
    """Open the catalog that was given, or else the one that ``MODELSTAC_CATALOG`` names."""
    if isinstance(catalog, Catalog):
        return catalog
    href = catalog if catalog is not None else os.environ.get(VARIABLE)
    if not href:
        raise CatalogError(f"no catalog was named: give one (catalog=…, --catalog) or set {VARIABLE}")
    return open_catalog(href)
