"""What a page takes of documents that anybody may have written: texts, numbers, lists; nothing where it is none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from modelstac.catalog.terminal import harmless

Document = Mapping[str, Any]
NOTHING = "–"
LONGEST = 2_000
_IGNORED = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LED_TO = frozenset({"http", "https", "mailto"})
_DRAWN = re.compile(r"data:image/(png|jpeg|webp|svg\+xml);base64,[A-Za-z0-9+/=]*\Z", re.ASCII)
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/svg+xml"})


def mapping(value: object) -> dict[str, Any]:
    """Return an object of JSON, an empty one for anything else."""
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else {}


def listed(value: object) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [mapping(one) for one in listed(value) if isinstance(one, Mapping)]


def text(value: object) -> str:
    """Return a text or number as one line, nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return " ".join(harmless(str(value)).split())[:LONGEST]


def texts(value: object) -> list[str]:
    """Return the texts of a list."""
    return [found for one in listed(value) if (found := text(one))]


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """Return a whole number, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def short(value: float) -> str:
    """Write a number with at most four digits that count."""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def size(count: float) -> str:
    """Write a number of bytes."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def safe_href(value: object) -> str | None:
    """Return an address that a link may lead to: of the web, of a mail, or a path; None for anything else.

    Source: WHATWG URL Standard, 4.4: browsers drop tabs and newlines, and control characters and spaces at the ends.
    """
    if not isinstance(value, str):
        return None
    plain = _IGNORED.sub("", value).strip(" ").replace(" ", "%20")
    found = _SCHEME.match(plain)
    return plain if plain and (found is None or found[1].casefold() in _LED_TO) else None


def drawn_href(value: object) -> str | None:
    """Return where a picture is that a page shows without asking anybody else: a path, or in the address itself."""
    if isinstance(value, str) and _DRAWN.match(value):
        return value
    found = safe_href(value)
    return None if found is None or _SCHEME.match(found) or found.replace("\\", "/").startswith("//") else found


def properties(item: Document) -> dict[str, Any]:
    """Return the properties of an item."""
    return mapping(item.get("properties"))
