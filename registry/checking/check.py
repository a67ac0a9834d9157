"""All rules, one after the other: the faults of an item, and the item put right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pystac

from modelstac.catalog.errors import InvalidItemError, SchemaUnavailableError
from modelstac.catalog.items.links import local_path
from modelstac.catalog.items.validation import known_schemas, validate_document
from modelstac.registry.checking import arrays, assets, document, properties
from modelstac.registry.checking.fault import Document, Fault
from modelstac.registry.choosing import references

if TYPE_CHECKING:
    from modelstac.catalog.base import Catalog

RULES: tuple[Callable[[Document], Iterator[Fault]], ...] = (
    *(document.parts, document.address, document.box),
    *(properties.fields, properties.names, properties.version, properties.accelerator, properties.tasks),
    *(arrays.lists, arrays.layouts, arrays.axes, arrays.scaling, arrays.classes),
    *(assets.model, assets.entrypoints, arrays.described_bands, document.declared),
)
"""Each yields faults and repairs what it can; the later rules see what the earlier repaired."""


@dataclass(frozen=True)
class Checked:
    """What was found in an item.

    Parameters
    ----------
    place
        Where it was read.
    faults
        What is wrong.
    repaired
        The item put right, as far as that can be known.
    text
        What the document holds, for line numbers.
    """

    place: str
    faults: tuple[Fault, ...]
    repaired: Document
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return {"item": self.place, "faults": [fault.to_dict() for fault in self.faults], "repaired": self.repaired}


def check(what: str | PathLike[str] | Document, catalog: Catalog | str | PathLike[str] | None = None) -> Checked:
    """Check an item that describes a model against STAC, MLM 1.5.2 and what running it needs.

    Parameters
    ----------
    what
        Path or URL of the item, its id in ``catalog``, or its document.
    catalog
        The catalog that an id is of.

    Raises
    ------
    NotFoundError, StorageError, DownloadError
        If it cannot be read.
    InvalidItemError
        If it is no item at all.
    """
    folder: Path | None = None
    if isinstance(what, dict):
        found, place = what, str(what.get("id"))
    elif references.is_place(str(what)):
        found, base, place = references.read_json(str(what))
        here = local_path(base)
        folder = None if here is None else here.parent
    else:
        item = references.named(str(what), catalog)
        found, place = item.to_dict(include_self_link=False, transform_hrefs=False), item.id
        self_href = local_path(item.get_self_href() or "https://")
        folder = None if self_href is None else self_href.parent
    repaired = copy.deepcopy(found)
    faults = [fault for rule in RULES for fault in rule(repaired)]
    faults += assets.checksums(repaired, folder)
    faults += _by_schema(repaired)
    return Checked(place, tuple(faults), repaired, json.dumps(found, indent=2))


def _by_schema(repaired: Document) -> Iterator[Fault]:
    """Yield what the schemas of STAC and of the extensions that are at hand still refuse."""
    # What was valid by an earlier version of STAC is so by this one, whose schemas are here.
    current = repaired | {"stac_version": pystac.get_stac_version()}
    try:
        validate_document(current, schemas=known_schemas(repaired["stac_extensions"]))
    except InvalidItemError as error:
        text = str(error)
        _, _, rest = text.partition(" breaks ")
        schema, _, reason = rest.partition(": ")
        place, _, why = reason.partition(": ")
        yield Fault("schema", place or "it", why or text, schema or "STAC")
    except SchemaUnavailableError as error:
        yield Fault("schema", "stac_extensions", str(error), "STAC")
