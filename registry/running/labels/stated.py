"""What an item says of the numbers and of the grid that its model was made with.

Sources: STAC 1.1 common metadata (``unit``, ``nodata``, ``gsd``), datacube 2.3 (``cube:variables``,
``cube:dimensions``), raster 1.1 (``raster:bands``), projection 2.0 (``proj:transform``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelstac.registry.running.bands import band_entries
from modelstac.registry.running.labels.systems import is_geographic
from modelstac.registry.running.labels.units import said

if TYPE_CHECKING:
    import pystac

NOMINAL = 0.1
"""How far a pixel may be from a nominal ground sample distance: MODIS' 250 m are 231.7 m."""
MEASURED = 0.01
"""How far from the step of the grid that a model was trained on."""
_VERTICAL, _HORIZONTAL = "y", "x"


@dataclass(frozen=True)
class Pixel:
    """How large a pixel is to be.

    Parameters
    ----------
    lengths
        Any of these; in metres or degrees.
    degrees
        Whether they are degrees.
    tolerance
        Share by which a pixel may differ.
    source
        Which field says so.
    """

    lengths: tuple[float, ...]
    degrees: bool
    tolerance: float
    source: str

    def fits(self, length: float) -> bool:
        """Tell whether a pixel is as large as one of these."""
        return any(abs(length - wanted) <= self.tolerance * wanted for wanted in self.lengths)

    def __str__(self) -> str:
        unit = "°" if self.degrees else " m"
        return " or ".join(f"{length:g}{unit}" for length in self.lengths)


@dataclass(frozen=True)
class Stated:
    """What an item says of an input.

    Parameters
    ----------
    units
        Unit of each of its bands or variables, by name.
    missing
        Value that stands for a missing one, by name.
    pixels
        Size of a pixel by ``y`` and ``x``.
    crs
        Reference system of the grid: anything that PROJ reads; None where nobody says.
    upward
        Whether rows run from south to north.
    """

    units: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    pixels: Mapping[str, Pixel] = field(default_factory=dict)
    crs: Any = None
    upward: bool = False

    def unit(self, names: Sequence[str]) -> str | None:
        """Return the unit of these, if it is one."""
        found = {self.units.get(name) for name in names}
        return found.pop() if len(found) == 1 else None


def stated(names: Sequence[str], item: pystac.Item, *, alone: bool = True) -> Stated:
    """Read what an item says of an input.

    Parameters
    ----------
    names
        Bands or variables that the input lists.
    item
        The item, of whomever.
    alone
        Whether the model has this input only: what the item says of no input in particular is said of it then.
    """
    properties = item.properties
    variables, dimensions = (_objects(properties.get(key)) for key in ("cube:variables", "cube:dimensions"))
    units: dict[str, str] = {}
    missing: dict[str, float] = {}
    entries = [(str(entry.get("name", "")), entry) for entry in band_entries(item)]
    for name, entry in [*((n, v) for n, v in variables.items()), *entries]:
        if name in names:
            if (unit := said(entry.get("unit"))) is not None:
                units.setdefault(name, unit)
            if (code := _number(entry.get("nodata"))) is not None:
                missing.setdefault(name, code)
    on_grid = alone or any(
        set(_strings(variables.get(name, {}).get("dimensions"))) & dimensions.keys() for name in names
    )
    grid = _grid_of_cube(dimensions) if on_grid else {}
    transform = _transform(item) if alone else None
    pixels = grid or _nominal([entry for name, entry in entries if name in names], item if alone else None)
    crs = next((d["reference_system"] for d in dimensions.values() if d.get("reference_system") is not None), None)
    crs = crs if on_grid else None
    return Stated(units, missing, pixels, crs, upward=transform is not None and transform[4] > 0)


def unit_of_output(names: Sequence[str], model: Any) -> str | None:
    """Return the one unit that an item states for bands of an output; None where it states none, or two."""
    unit = model.description.cube_variables.get(names[0], {}).get("unit") if len(names) == 1 else None
    return unit or (stated(names, model.item).unit(names) if names else None)


def _grid_of_cube(dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Pixel]:
    found = {}
    for dimension in dimensions.values():
        step, axis = _number(dimension.get("step")), dimension.get("axis")
        if dimension.get("type") == "spatial" and axis in (_VERTICAL, _HORIZONTAL) and step:
            found[str(axis)] = Pixel((abs(step),), _in_degrees(dimension), MEASURED, "cube:dimensions")
    return found


def _in_degrees(dimension: Mapping[str, Any]) -> bool:
    """Tell whether it is one of longitude or latitude, as one without a reference system is by the extension."""
    system = dimension.get("reference_system")
    if system is not None:
        return is_geographic(system)
    ends = [abs(end) for end in map(_number, dimension.get("extent") or ()) if end is not None]
    return bool(ends) and max(ends) <= 360


def _nominal(entries: Sequence[Mapping[str, Any]], item: pystac.Item | None) -> dict[str, Pixel]:
    """Read ground sample distances, in metres: of bands, else of the item."""
    found = dict.fromkeys(
        number
        for entry in entries
        for key in ("raster:spatial_resolution", "spatial_resolution", "gsd", "eo:gsd")
        if (number := _number(entry.get(key)))
    )
    source = "gsd of its bands"
    if not found and item is not None and (number := _number(item.properties.get("gsd"))):
        found, source = {number: None}, "gsd"
    pixel = Pixel(tuple(found), degrees=False, tolerance=NOMINAL, source=source)
    return {_VERTICAL: pixel, _HORIZONTAL: pixel} if found else {}


def _transform(item: pystac.Item) -> list[float] | None:
    places = [item.properties, *(asset.extra_fields for asset in item.assets.values())]
    for place in places:
        found = place.get("proj:transform")
        if isinstance(found, list) and len(found) in (6, 9) and all(_number(part) is not None for part in found):
            return [float(part) for part in found]
    return None


def _objects(found: Any) -> dict[str, Mapping[str, Any]]:
    return {str(k): v for k, v in found.items() if isinstance(v, Mapping)} if isinstance(found, Mapping) else {}


def _strings(found: Any) -> Iterator[str]:
    yield from (str(part) for part in found) if isinstance(found, list | tuple) else ()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
