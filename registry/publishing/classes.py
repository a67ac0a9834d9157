"""What a publisher says of classes, as the classification extension has them: value, name, colour, description.

Source: STAC classification extension 1.1.0, "Class Object"; MLM 1.5.2 refers to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelstac.catalog.errors import Place, SpecError, at

# https://www.w3.org/TR/html401/types.html#h-6.5
_NAMED = {
    "black": "000000",
    "silver": "C0C0C0",
    "gray": "808080",
    "grey": "808080",
    "white": "FFFFFF",
    "maroon": "800000",
    "red": "FF0000",
    "purple": "800080",
    "fuchsia": "FF00FF",
    "green": "008000",
    "lime": "00FF00",
    "olive": "808000",
    "yellow": "FFFF00",
    "navy": "000080",
    "blue": "0000FF",
    "teal": "008080",
    "aqua": "00FFFF",
    "orange": "FFA500",
    "brown": "A52A2A",
}
_HEX = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})", re.ASCII)
_ODD = re.compile(r"[^0-9A-Za-z_-]+")
_COLOUR = ("color", "colour", "color_hint", "color-hint")
FIELDS = frozenset({"value", "name", "description", "title", "nodata", *_COLOUR})

Class = dict[str, Any]


def read_classes(said: Any) -> list[Class]:
    """Read classes as the extension writes them.

    Parameters
    ----------
    said
        A list of names, or of mappings with ``name``, ``value``, ``color`` and ``nodata`` (of one that is nothing); or
        a mapping from a value to a name, from a name to a value or a colour, or from either to such a mapping. Values
        count from 0 where none is given.

    Raises
    ------
    SpecError
        If it is none of these, a colour is none, or two classes have one value or name.
    """
    found: dict[Place, Class] = {}
    for number, (place, entry) in enumerate(_entries(said)):
        with at(*place):
            made = _class(number, _fields(entry))
            for key in ("value", "name"):
                if any(other[key] == made[key] for other in found.values()):
                    raise SpecError(f"two classes have the {key} {made[key]!r}: give each its own")
        found[place] = made
    if not found:
        raise SpecError("classes are empty: give a name for each, such as [water, land]")
    return list(found.values())


def _entries(said: Any) -> Iterator[tuple[Place, Any]]:
    """Give each class with its place."""
    if isinstance(said, Mapping):
        for key, rest in said.items():
            yield (key,), _from_pair(key, rest)
    elif isinstance(said, Sequence) and not isinstance(said, str):
        for number, entry in enumerate(said):
            yield (number,), entry
    else:
        raise SpecError(f"classes are a list or a mapping, not {said!r:.60}")


def _fields(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping | str):
        raise SpecError(f"class {entry!r:.60} is no name, and no mapping with a name: write name, value, color")
    return {"name": entry} if isinstance(entry, str) else entry


def _from_pair(key: Any, rest: Any) -> Mapping[str, Any]:
    value = _whole(key)
    first = {"name": str(key)} if value is None else {"value": value}
    if isinstance(rest, Mapping):
        return first | dict(rest)
    if value is not None:
        return first | {"name": str(rest)}
    number = _whole(rest)
    return first | ({"color": rest} if number is None else {"value": number})


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value, re.ASCII) else None


def _class(number: int, fields: Mapping[str, Any]) -> Class:
    for name in fields:
        if name not in FIELDS:
            with at(str(name)):
                raise SpecError(f"a class has no field {name!r}: it has name, value, color, description and nodata")
    title = fields.get("name", fields.get("title", fields.get("description")))
    if not title:
        raise SpecError(f"class {number} has no name: {dict(fields)!r:.80}")
    value = _whole(fields.get("value", number))
    if value is None:
        with at("value"):
            raise SpecError(f"class {title!r} has the value {fields['value']!r}: it is a whole number")
    # The extension wants names without spaces, and says in the description what people read.
    name = _ODD.sub("-", str(title)).strip("-") or f"class-{value}"
    made: Class = {"value": value, "name": name, "description": str(fields.get("description") or title)}
    if not isinstance(none := fields.get("nodata", False), bool):
        with at("nodata"):
            raise SpecError(f"class {title!r} has the nodata {none!r:.40}: true says that it stands for nothing")
    made |= {"nodata": True} if none else {}
    stated = next((key for key in _COLOUR if fields.get(key) is not None), None)
    if stated is None:
        return made
    with at(stated):
        return made | {"color_hint": colour(fields[stated], of=str(title))}


def colour(said: Any, *, of: str) -> str:
    """Give a colour as six hexadecimal digits.

    Parameters
    ----------
    said
        ``#1f77b4``, ``#fff``, three numbers from 0 to 255, or one of the basic names of HTML.
    of
        Whose it is, for the message.

    Raises
    ------
    SpecError
        If it is none of these.
    """
    if isinstance(said, str):
        text = said.strip()
        if text.casefold() in _NAMED:
            return _NAMED[text.casefold()]
        if (match := _HEX.fullmatch(text)) is not None:
            digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
            return digits.upper()
    elif isinstance(said, Sequence) and len(said) == 3 and all(_whole(p) is not None and 0 <= p <= 255 for p in said):
        return "".join(f"{int(part):02X}" for part in said)
    raise SpecError(
        f"class {of!r} has the colour {said!r:.40}, which is none: write '#1F77B4', [31, 119, 180] or 'blue'"
    )
