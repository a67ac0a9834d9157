"""A stored item answered as it is written, but for its links and assets: the rest is neither read nor written anew."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import orjson

from modelstac.catalog.items.documents import Document

_LINKS, _ASSETS = '"links":', '"assets":'
_VALUE = json.JSONDecoder().raw_decode


class Opened(NamedTuple):
    """The JSON text of an item, opened at its links and its assets."""

    text: str
    links: list[Document]
    assets: dict[str, Document]
    places: tuple[int, int, int, int]
    """Where the text of the links begins and ends, and that of the assets."""

    def closed(self, links: list[Document], assets: dict[str, Document]) -> orjson.Fragment:
        """Return the text with others in their places."""
        begin, end, first, last = self.places
        parts = sorted(((begin, end, links), (first, last, assets)), key=lambda part: part[0])
        (begin, end, one), (first, last, other) = parts
        head, between, tail = self.text[:begin], self.text[end:first], self.text[last:]
        return orjson.Fragment(
            b"".join((head.encode(), orjson.dumps(one), between.encode(), orjson.dumps(other), tail.encode()))
        )


def opened(text: str) -> Opened | None:
    """Open the text of an item, which has links and assets, as JSON without spaces; None where it must be read whole.

    A name that the whole text has once is the item's own, wherever else one may be: within a text its quotation marks
    are escaped.
    """
    links, assets = _once(text, _LINKS), _once(text, _ASSETS)
    if links is None or assets is None:
        return None
    (begin, end, listed), (first, last, named) = links, assets
    if begin < first < end or first < begin < last:
        return None
    return Opened(text, listed, named, (begin, end, first, last))


def _once(text: str, name: str) -> tuple[int, int, Any] | None:
    place = text.find(name)
    if place < 0 or text.find(name, place + 1) >= 0:
        return None
    begin = place + len(name)
    value, end = _VALUE(text, begin)
    return begin, end, value
