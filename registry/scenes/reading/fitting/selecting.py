"""Bands of the data that a user names, in the order of the model or by its bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.bands import Band, axis_of, choose
from modelstac.registry.scenes.reading.finding.names import are_counted, counted

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

Selectors = Sequence[str | int] | Mapping[str, str | int] | None


def spelled(name: str) -> str:
    """Leave of a name what spellings have in common: B2, b02 and B_02."""
    text = "".join(character for character in name.casefold() if character.isalnum())
    return text[0] + text[1:].lstrip("0") if text[:1] == "b" and text[1:2].isdigit() else text


def selectors_of(bands: Any, name: str, model: Any) -> Selectors:
    """Find what the user says of this input."""
    if bands is None:
        return None
    inputs = {layout.name for layout in model.signature.inputs}
    if isinstance(bands, Mapping) and bands and bands.keys() <= inputs:
        return selectors_of(bands[name], name, model) if name in bands else None
    if isinstance(bands, str):
        bands = [part.strip() for part in bands.split(",") if part.strip()]
    found: Selectors = bands
    return found


def selected(
    selectors: Any,
    wanted: Sequence[Band],
    seen: Sequence[Band],
    piles: Any,
    layout: TensorSignature,
) -> tuple[list[int], tuple[str, ...]]:
    """Take the bands that the user names."""
    names = tuple(str(band) for band in wanted)
    if isinstance(selectors, Mapping):
        if unknown := [name for name in selectors if name not in names]:
            raise DataError(
                f"input {layout.name!r} has no band {unknown[0]!r}: its bands are {', '.join(names) or 'unnamed'}"
            )
        selectors = [selectors.get(name, name) for name in names]
    selectors = list(selectors)
    count = len(wanted) or (
        layout.shape[axis] if (axis := axis_of(layout.dim_order, layout.shape, len(selectors))) is not None else 1
    )
    nameless = all(band == Band() for band in seen)
    if nameless and are_counted(sorted(map(str, selectors), key=lambda name: (len(name), name))):  # b2 before b10
        selectors = [counted(str(one)) or one for one in selectors]
    if nameless and len(selectors) == len(seen) and not any(numeric(one) for one in selectors):
        named = [Band(str(one)) for one in selectors]  # which say what the file does not
        places = choose(wanted, named, of=layout.name, kind="bands") if wanted else list(range(len(named)))
        return places, names or tuple(band.name for band in named)
    if count not in (-1, len(selectors)):
        raise DataError(
            f"input {layout.name!r} reads {count} bands ({', '.join(names)}), and {len(selectors)} are named: name each"
        )
    places = [_place(one, seen, piles, layout.name) for one in selectors]
    return places, names or tuple(str(seen[place]) for place in places)


def numeric(selector: str | int) -> bool:
    """Tell whether it is a number of a band."""
    return isinstance(selector, int | np.integer) or str(selector).isdigit()


def _place(selector: str | int, seen: Sequence[Band], piles: Any, of: str) -> int:
    text = str(selector)
    for test in (
        lambda n: seen[n].name == text,
        lambda n: piles[n][0].key == text,
        lambda n: seen[n].common == text,
        lambda n: spelled(seen[n].name) == spelled(text),
    ):
        if len(found := [n for n in range(len(seen)) if test(n)]) == 1:
            return found[0]
    number = int(text) if numeric(text) else counted(text) or 0
    if 1 <= number <= len(seen) and (numeric(selector) or not seen[number - 1].name):
        return number - 1
    there = ", ".join(f"{n} {band}".replace(" ?", "") for n, band in enumerate(seen, 1))
    raise DataError(f"input {of!r}: the scene has no band {text!r}, or several; it has {there}: name one of them")
