"""What a file says of where it comes from, in its own tags: the model's id and checksum, the scene, the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pystac

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.digests import from_multihash

_MODEL_ROLE = "mlm:model"
PROGRAM = "modelstac"


@dataclass(frozen=True)
class Statement:
    """Where a result comes from.

    Parameters
    ----------
    title
        Of the result; of the model by default.
    model
        The model's item.
    origins
        Links to the scene, ``derived_from``.
    notes
        What was done that a person should know, one line each.
    """

    title: str | None = None
    model: pystac.Item | None = None
    origins: Sequence[pystac.Link] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def heading(self) -> str:
        """A title, whatever is known."""
        if self.title:
            return self.title
        return str(self.model.properties.get("title") or self.model.id) if self.model is not None else "Map"

    def tags(self) -> dict[str, str]:
        """Return it as short texts by name."""
        found = {"title": self.heading, "software": f"{PROGRAM} {own_version()}"}
        if self.model is not None:
            found["model"] = self.model.id
            if digests := model_digests(self.model):
                found["model_sha256"] = " ".join(digests)
        hrefs = [origin_href(link) for link in self.origins]
        if hrefs:
            found["scene"] = " ".join(hrefs)
        if self.notes:
            found["notes"] = "; ".join(self.notes)
        return found


def origin_href(link: pystac.Link) -> str:
    """Return where a link leads to; an item that lies nowhere is called by its id, as beside it."""
    if isinstance(link.target, pystac.Item):
        return link.target.get_self_href() or f"{link.target.id}.json"
    return str(link.get_href(transform_href=False))


def model_digests(item: pystac.Item) -> list[str]:
    """Return the SHA-256 of the files of a model, as its item says them."""
    found = []
    for asset in item.assets.values():
        checksum: Any = asset.extra_fields.get("file:checksum")
        if _MODEL_ROLE in (asset.roles or ()) and isinstance(checksum, str):
            try:
                found.append(from_multihash(checksum))
            except InvalidItemError:  # of another algorithm, in an item of somebody else's
                continue
    return found


def own_version() -> str:
    """Return the version of modelstac that is installed."""
    try:
        return version(PROGRAM)
    except PackageNotFoundError:
        return "unknown"
