"""What may be kept as a collection: what a server takes, whatever kind of catalog keeps it."""

from __future__ import annotations

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.collections.merging import of_version
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.identity import NAME


def check_name(name: str) -> None:
    """Refuse the name of a new collection that cannot become a folder and a part of addresses.

    Raises
    ------
    InvalidItemError
        If it is none.
    """
    if not NAME.fullmatch(name):
        raise InvalidItemError(
            f"collection {name!r} is no name of letters, digits, '.', '-' and '_': give it another one"
        )


def check_collection(document: Document) -> None:
    """Refuse what is no collection of the current version of STAC, or of one that can be brought to it.

    Raises
    ------
    InvalidItemError
        With what is wrong.
    """
    import pystac  # here and below not at the top: who publishes items makes collections that are some

    from modelstac.catalog.items.validation import known_schemas, validate_document

    current = of_version(document, pystac.get_stac_version())
    validate_document(current, schemas=known_schemas(current.get("stac_extensions") or ()))
