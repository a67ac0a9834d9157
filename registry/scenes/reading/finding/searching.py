"""Scenes that a search of a STAC API finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, MissingPackageError
from modelstac.registry.scenes.reading.finding.parts import plain

if TYPE_CHECKING:
    import pystac

MOST = 100
"""Items that a search may find: more are a wish for another search."""


def search(
    url: str,
    collections: Sequence[str],
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    *,
    query: Any = None,
    ids: Sequence[str] | None = None,
    modifier: Callable[[Any], Any] | None = None,
    most: int = MOST,
) -> list[pystac.Item]:
    """Search an API.

    Parameters
    ----------
    url
        Of the API.
    collections, bbox, datetime, ids
        As STAC API has them; the box in degrees: west, south, east, north, west greater than east across the
        antimeridian.
    query
        Conditions on properties, as the query extension has them.
    modifier
        What signs the items, such as ``planetary_computer.sign_inplace``.
    most
        How many items there may be.

    Raises
    ------
    DataError
        If the API cannot be asked, or finds nothing, or more.
    MissingPackageError
        If pystac-client is not installed.
    """
    try:
        from pystac_client import Client
        from pystac_client.exceptions import APIError
        from pystac_client.warnings import PystacClientWarning
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("pystac-client", "scenes", "searching an API for scenes") from error
    import warnings

    asked = (
        f"{', '.join(collections) or 'any collection'}, {list(bbox) if bbox else 'anywhere'}, {datetime or 'any time'}"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)  # of conformance classes that are not stated
            client = Client.open(url, modifier=modifier)
            found = client.search(
                collections=list(collections) or None,
                bbox=list(bbox) if bbox else None,
                datetime=datetime,
                query=query,
                ids=list(ids) if ids else None,
                max_items=most + 1,
            )
            items = list(found.items())
    except (APIError, OSError, ValueError, KeyError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"cannot search {plain(url)} for {asked}: {reason}") from error
    except Exception as error:  # pystac's of what is no catalog
        raise DataError(f"{plain(url)} is no STAC API that can be searched: {type(error).__name__}: {error}") from error
    if not items:
        raise DataError(f"{plain(url)} has nothing of {asked}: widen the search")
    if len(items) > most:
        raise DataError(f"{plain(url)} has more than {most} items of {asked}: narrow the search")
    return items
