"""What to say of a scene once: what was done to its numbers and its grid, where it is from, and which state it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.finding.parts import Found, Origin, is_remote
from modelstac.registry.scenes.reading.finding.sentinel import is_sentinel

if TYPE_CHECKING:
    import pystac

_SHOWN = 12


def grouped(said: Iterable[tuple[str, str]]) -> list[str]:
    """Say once what holds for several bands; pairs are a band and what is said of it."""
    names: dict[str, list[str]] = {}
    for name, text in said:
        if text and name not in names.setdefault(text, []):
            names[text].append(name)
    lines = []
    for text, bands in names.items():
        shown = ", ".join(bands[:_SHOWN]) + (", …" if len(bands) > _SHOWN else "")
        lines.append(f"{shown}: {text}" if any(bands) else text)
    return lines


def links(origins: Sequence[Origin]) -> list[pystac.Link]:
    """Make links to what a scene was read from; paths in full, as the item with them may lie elsewhere."""
    import pystac

    once = {(origin.href, origin.title): origin for origin in origins}  # items of one file are several
    return [
        pystac.Link("derived_from", _in_full(origin.href), origin.media_type, origin.title)
        for origin in once.values()
        if origin.href
    ]


def _in_full(href: str) -> str:
    return href if is_remote(href) or href.startswith("/vsi") or not Path(href).exists() else str(Path(href).absolute())


def check_sensor(found: Found, item: pystac.Item, of: str) -> None:
    """Refuse items of another sensor than the model's.

    Raises
    ------
    DataError
        If both sides name one, and none of one is one of the other.
    """
    for field in ("constellation", "platform"):
        wanted, here = _said(item.properties.get(field)), found.sensors.get(field, frozenset())
        if field == "platform" and is_sentinel(item.properties) and found.sentinel:
            continue
        if wanted and here and not {_family(name) for name in wanted} & {_family(name) for name in here}:
            raise DataError(
                f"input {of!r}: the scene is of the {field} {', '.join(sorted(here))} and the model of "
                f"{', '.join(sorted(wanted))}: name one of that; if its bands are meant, name them, --bands"
            )
    wanted, here = _said(item.properties.get("instruments")), found.sensors.get("instruments", frozenset())
    if wanted and here and not {name.casefold() for name in wanted} & {name.casefold() for name in here}:
        raise DataError(
            f"input {of!r}: the scene is of the instrument {', '.join(sorted(here))} and the model of "
            f"{', '.join(sorted(wanted))}: name one of that; if its bands are meant, name them, --bands"
        )


def _said(found: Any) -> set[str]:
    names = found if isinstance(found, list) else [found]
    return {name for name in names if isinstance(name, str) and name}


def _family(name: str) -> str:
    """Leave of a platform's name that of its kind: sentinel-2a is a sentinel-2."""
    text = name.casefold().replace("_", "-").replace(" ", "-")
    return text[:-1] if len(text) > 1 and text[-1].isalpha() and text[-2].isdigit() else text
