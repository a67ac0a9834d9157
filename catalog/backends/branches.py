"""The shape of a tree of STAC documents: which of them hold items, and where links lead inside the tree.

Other tools write absolute links, put catalogs between, name files as they like, and put items beside them. A path here
is relative to the root, whichever way a link says it; links themselves are carried as they are found.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from modelstac.catalog.items import documents
from modelstac.catalog.items.documents import Document

BRANCH = ("Collection", "Catalog")
"""What may hold items."""


class Branch(NamedTuple):
    """A collection, or a catalog with items of its own, and the path of its document."""

    path: str
    document: Document

    @property
    def name(self) -> str:
        """Return its id."""
        return str(self.document["id"])


class Inside:
    """The inside of one tree.

    Parameters
    ----------
    href
        Its folder or URL.
    """

    def __init__(self, href: str) -> None:
        self._roots = [href.rstrip("/")]
        if not urlsplit(href).scheme:
            self._roots.append(os.path.realpath(href))
        self._published: str | None = None

    def learn(self, root: Document | None) -> None:
        """Take note of where the root document says that it is, which may be an address that was given to it."""
        own = [f["href"] for f in (root or {}).get("links") or () if isinstance(f, dict) and f.get("rel") == "self"]
        self._published = posixpath.dirname(own[0]) if own and isinstance(own[0], str) else None

    def path(self, place: str) -> str:
        """Return a place as a path below the root where it lies there, else as it is."""
        if place.startswith("file://"):
            place = unquote(urlsplit(place).path)
        roots = [*self._roots, self._published] if self._published else self._roots
        return next((place[len(root) + 1 :] for root in roots if place.startswith(f"{root}/")), place)

    def targets(self, document: Document, rel: str, path: str) -> list[str]:
        """Return the paths that a document, itself at a path, links to by a relation; each once."""
        found = map(self.path, documents.targets(document, rel, path))
        # Half a character is in no name, and in no message.
        return list(dict.fromkeys(place.encode(errors="backslashreplace").decode() for place in found))

    def without(self, branch: Branch, place: str) -> Document:
        """Return the document of a branch without its link to the item at a path."""
        links = [
            found
            for found in branch.document["links"]
            if found.get("rel") != "item" or self.path(documents.resolve(found["href"], branch.path)) != place
        ]
        return branch.document | {"links": links}

    def versions(self, branch: Branch, variant: str | None) -> list[tuple[str, str]]:
        """Return the sortable version and the path of every item of one variant, from the first to the last."""
        found = documents.versions_of(branch.document, variant, branch.path)
        return sorted((version, self.path(place)) for version, place in found)


def begins(reference: str, name: str) -> bool:
    """Tell whether what is published here, under such an id, is of the model with a name."""
    return reference == name or reference.startswith(f"{name}-")


def collection_name(path: str) -> str:
    """Return the name of the model whose collection is at a path, as it is where we wrote it."""
    return posixpath.basename(posixpath.dirname(path))


def is_named_by_id(place: str) -> bool:
    """Tell whether an item lies in a folder of its own name, as everything that is published here does."""
    return Path(place).stem in posixpath.dirname(place).split("/")


def holds_items(document: Document) -> bool:
    """Tell whether a document is a collection, or a catalog with items of its own."""
    return document["type"] == "Collection" or bool(documents.targets(document, "item", ""))
