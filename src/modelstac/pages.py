"""A page a model as files: beside a catalog in a folder, or anywhere with the pictures inside the pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac import __version__
from modelstac.catalog.backends.static import StaticCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ModelStacError, SpecError
from modelstac.catalog.items.documents import as_item
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.catalog.pages.values import PICTURES
from modelstac.catalog.pages.writing import Picture, write_beside, write_elsewhere
from modelstac.registry.files.fetch import fetch

LARGEST_PICTURE = 4 << 20


def write_pages(
    catalog: Catalog, folder: Path | None = None, *, address: str | None = None, report: Report = ignore
) -> dict[str, Path]:
    """Write a page for each model, and a list of them.

    Parameters
    ----------
    catalog
        What is shown.
    folder
        Where the pages go, with their pictures inside; by default beside the documents of a catalog in a folder, whose
        items and collections then lead to them.
    address
        What the pages tell people to give as the catalog; by default where it was opened.
    report
        Gets progress, and a note for each picture that cannot be had.

    Returns
    -------
    dict of str to pathlib.Path
        The pages by the name of the model; the list of models is ``index.html`` in the folder.

    Raises
    ------
    SpecError
        If the catalog is in no folder, and none is given.
    StorageError
        If a file that is none of these pages stands where one goes, or one cannot be written.
    """
    footer = f"modelstac {__version__}"
    known = address or catalog.href
    if folder is None:
        if not isinstance(catalog, StaticCatalog):
            raise SpecError(f"{catalog.href} is no folder that pages can lie in: say where they go (--output FOLDER)")
        found = write_beside(catalog, address=known, footer=footer, report=report)
        return {name: Path(catalog.href) / path for name, path in found.items()}
    found = write_elsewhere(catalog, folder, address=known, picture=_embedded(report), footer=footer, report=report)
    return {name: folder / path for name, path in found.items()}


def _embedded(report: Report) -> Picture:
    """Return what puts a picture, verified by its checksum, into a page; one that cannot be had is left out."""

    def picture(document: Mapping[str, Any], key: str) -> str | None:
        kind = str(document["assets"][key].get("type", "")).partition(";")[0]
        if kind not in PICTURES:
            return None
        try:
            data = fetch(as_item(dict(document)), key, max_bytes=LARGEST_PICTURE).data
        except ModelStacError as error:
            report(Note(f"a picture of {document['id']} is left out: {error}"))
            return None
        return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

    return picture
