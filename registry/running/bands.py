"""Which band of the data is which band of the model: by name, by common name, by wavelength.

Source: STAC EO extension 2.0 (``eo:common_name``, ``eo:center_wavelength``, ``eo:full_width_half_max``; before STAC 1.1
the same without prefix in ``eo:bands``).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.registry.inspecting.folders import words
from modelstac.registry.running.values.scaling import AXES

if TYPE_CHECKING:
    import pystac
    import xarray as xr

COMMON_NAMES = words(
    "pan coastal blue green green05 yellow red rededge rededge071 rededge075 rededge078 nir nir08 nir09 cirrus swir16 "
    "swir22 lwir lwir11 lwir12"
)
"""Of the EO extension: a band that has such a name says its common name by it."""
_RANGES: MappingProxyType[str, tuple[float, float]] = MappingProxyType(
    {
        "coastal": (0.40, 0.45), "blue": (0.45, 0.53), "green": (0.51, 0.60), "green05": (0.51, 0.55),
        "yellow": (0.58, 0.62), "red": (0.62, 0.69), "rededge": (0.69, 0.79), "rededge071": (0.69, 0.73),
        "rededge075": (0.73, 0.76), "rededge078": (0.76, 0.79), "nir": (0.76, 1.00), "nir08": (0.80, 0.90),
        "nir09": (0.90, 1.00), "cirrus": (1.35, 1.40), "swir16": (1.55, 1.75), "swir22": (2.05, 2.45),
        "lwir": (10.5, 12.5), "lwir11": (10.5, 11.5), "lwir12": (11.5, 12.5),
    }
)  # fmt: skip
"""Micrometres that common names stand for (EO extension 2.0)."""
_NEAR = 0.05
"""Share by which a centre may be off another, where no width is said: those of two satellites of a kind are."""
_SENSORS = re.compile(r"B[ _]?\d{1,2}A?", re.IGNORECASE)
"""What sensors call their bands: B4, B04, B8A."""
_NUMBERED = re.compile(r"band_\d+")
RESERVED = ("bands", "variables")
"""Axes that MLM reserves for its lists."""
CALLED = (*AXES, "variable", "wavelength", "wavelengths")
"""What data call the axis of bands; imaging spectrometers by what lies along it."""
_COMMON = ("common_name", "eo:common_name")
_CENTRES = ("center_wavelength", "eo:center_wavelength", "central_wavelength", "wavelength", "wavelengths")
_WIDTHS = ("full_width_half_max", "eo:full_width_half_max", "fwhm")
_LISTS = ("bands", "eo:bands", "raster:bands")
_DESCRIBED = ("long_name", "descriptions", "band_names")
"""Attributes of GDAL's readers that list what each band is."""
# To micrometres, as the EO extension has them. A number above 100 without a unit can only be in nanometres.
_MICROMETRES = {"m": 1e6, "nm": 1e-3, "nanometer": 1e-3, "nanometers": 1e-3, "nanometre": 1e-3, "nanometres": 1e-3}
_NANOMETRES_FROM = 100.0


@dataclass(frozen=True)
class Band:
    """What is known of one band, of the model or of the data.

    Parameters
    ----------
    name
        Its name; empty where it has none.
    common
        Its common name, such as ``red``; empty where nobody says.
    centre, width
        Centre wavelength and full width at half maximum in micrometres.
    """

    name: str = ""
    common: str = ""
    centre: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        if not self.common and self.name in COMMON_NAMES:
            object.__setattr__(self, "common", self.name)

    def __str__(self) -> str:
        return self.name or self.common or ("?" if self.centre is None else f"{self.centre:g} µm")

    def holds(self, other: Band) -> bool:
        """Tell whether the other's centre lies in the range of this one, or of the other if that alone is known."""
        width = other.width if self.width is None else self.width
        if self.centre is None or other.centre is None or width is None:
            return False
        return abs(self.centre - other.centre) <= width / 2

    def is_apart(self, other: Band) -> bool:
        """Tell whether both say which light they see, and it is not the same: B05 of Landsat and of Sentinel-2."""
        here, there = self._seen, other._seen
        return here is not None and there is not None and (here[1] < there[0] or there[1] < here[0])

    @property
    def _seen(self) -> tuple[float, float] | None:
        if self.centre is None:
            return _RANGES.get(self.common)
        half = max((self.width or 0.0) / 2, _NEAR * self.centre)
        return self.centre - half, self.centre + half

    @property
    def light(self) -> str:
        """What it sees, for messages."""
        return self.common if self.centre is None else f"{self.centre:g} µm"


def listed(tensor: Any) -> list[str]:
    """Return the names of bands and variables that an input or output lists."""
    return [v if isinstance(v, str) else v.name for v in (*tensor.bands, *tensor.variables)]


def axis_of(dim_order: Sequence[str], shape: Sequence[int], count: int) -> int | None:
    """Find the axis along which so many bands lie: one of the names of such axes that has the length, or any length.

    The two that MLM reserves for such lists come first; of others there must be one only.
    """
    fits = [i for i, dim in enumerate(dim_order) if dim in AXES and shape[i] in (-1, count)]
    reserved = [i for i in fits if dim_order[i] in RESERVED]
    return reserved[0] if reserved else fits[0] if len(fits) == 1 else None


def bands_of_model(tensor: Any, item: pystac.Item) -> list[Band]:
    """Return the bands that an input lists, with what the item says of each elsewhere."""
    known: dict[str, Band] = {}
    for entry in band_entries(item):
        name = str(entry.get("name", ""))
        found = _band(name, entry.get)
        there = known.get(name, Band(name))
        known[name] = Band(
            name, there.common or found.common, _first(there.centre, found.centre), _first(there.width, found.width)
        )
    return [known.get(name, Band(name)) for name in listed(tensor)]


def band_entries(item: pystac.Item) -> Iterator[Mapping[str, Any]]:
    """Yield what an item says of bands: at its properties, its inputs and its assets."""
    tensors = item.properties.get("mlm:input")
    places = [item.properties, *(tensors if isinstance(tensors, list) else ())]
    places += [asset.extra_fields for asset in item.assets.values()]
    for place in places:
        for key in _LISTS if isinstance(place, Mapping) else ():
            found = place.get(key)
            yield from (entry for entry in found if isinstance(entry, Mapping)) if isinstance(found, list) else ()


def has_classes(entry: Mapping[str, Any]) -> bool:
    """Tell whether a band is said to hold names or bits and no quantity."""
    return any(entry.get(f"classification:{kind}") for kind in ("classes", "bitfields"))


def bands_of_axis(array: xr.DataArray, axis: str, wanted: Sequence[Band] = ()) -> list[Band] | None:
    """Return what the labels along an axis say; None if there are none.

    Labels are the axis' own coordinate where it is of text, else another along it that has names of the model's bands,
    else the names that GDAL gives its bands (``long_name``); and coordinates along it, as stackstac and odc-stac give
    them: common names, centre wavelengths, widths.
    """
    size = array.sizes[axis]
    along = {str(key): coord for key, coord in array.coords.items() if coord.dims == (axis,)}
    names = _texts(along[axis].values) if axis in along else []
    known = {band.name for band in wanted}
    if not names:
        names = next((texts for c in along.values() if known & set(texts := _texts(c.values))), [])
    described = [array.attrs[key] for key in _DESCRIBED if isinstance(array.attrs.get(key), list | tuple)]
    for texts in (_texts(found) for found in described if len(found) == size):
        names = names or texts
    if not names and size == 1 and (label := one_band(array)):
        names = [label]

    def value(number: int) -> Callable[[str], Any]:
        return lambda key: None if key not in along else _with_unit(along[key].values[number], along[key].attrs)

    found = [_band(names[i] if names else "", value(i)) for i in range(size)]
    return found if any(band != Band() for band in found) else None


def _texts(values: Iterable[Any]) -> list[str]:
    """Read texts, which are bytes in some files; none where there is something else among them."""
    found = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    return [str(value) for value in found] if all(isinstance(value, str) for value in found) else []


def one_band(array: xr.DataArray) -> str | None:
    """Return which band an array of one is, by its description or name; None if neither is a band's."""
    for name in (array.attrs.get("long_name"), array.name):
        if isinstance(name, str) and (name in COMMON_NAMES or _SENSORS.fullmatch(name)):
            return name
    return None


def bands_of_variables(dataset: xr.Dataset) -> list[Band]:
    """Return what the names and attributes of a dataset's variables say; rioxarray numbers them, and says the names."""
    return [
        _band(_name_of(str(name), variable), lambda key, of=variable: _with_unit(of.attrs.get(key), {}))  # type: ignore[misc]
        for name, variable in dataset.data_vars.items()
    ]


def _name_of(name: str, variable: xr.DataArray) -> str:
    said = variable.attrs.get("long_name")
    return said if isinstance(said, str) and said and _NUMBERED.fullmatch(name) else name


def choose(wanted: Sequence[Band], found: Sequence[Band], *, of: str, kind: str) -> list[int]:
    """Say where in the data each band of the model is.

    By name; those that have no namesake by common name; then by centre wavelength. Surplus bands are left out.

    Parameters
    ----------
    wanted, found
        Bands of the model, in its order, and of the data.
    of, kind
        Which input it is, and what its bands are called, for messages.

    Raises
    ------
    DataError
        If a band is missing, may be several of the data's, one of these may be two of the model's, or two of these have
        one name.
    """
    names, own = [band.name for band in found], [band.name for band in wanted]
    if doubled := sorted({name for name in own if name and own.count(name) > 1}):
        if names == own:  # of two dates, one after the other
            return list(range(len(own)))
        raise DataError(
            f"input {of!r} lists {doubled[0]!r} {own.count(doubled[0])} times, as of several dates: give all of its "
            f"{len(own)} {kind} in its order, {', '.join(own)}, in one array or file"
        )
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError(f"input {of!r}: the {kind} of the data name {twice[0]!r} twice: select one of them")
    places = [_place(band, found, of=of, kind=kind) for band in wanted]
    if None in places:
        raise _missing([b for b, place in zip(wanted, places, strict=True) if place is None], wanted, found, of, kind)
    chosen = [place for place in places if place is not None]
    for place in chosen:
        if chosen.count(place) > 1:
            both = " and ".join(str(b) for b, other in zip(wanted, chosen, strict=True) if other == place)
            raise DataError(f"input {of!r}: {found[place]} of the data would be the {kind} {both}: rename the data's")
    return chosen


def _place(band: Band, found: Sequence[Band], *, of: str, kind: str) -> int | None:
    for number, other in enumerate(found):
        if band.name == other.name:
            if band.is_apart(other):
                raise DataError(
                    f"input {of!r}: its band {band} sees {band.light}, and that of the data, of the same name, "
                    f"{other.light}: give {kind} of the model's sensor, or rename them"
                )
            return number
    same = [n for n, other in enumerate(found) if band.common and band.common == other.common]
    if len(same) > 1:  # three red edges: the wavelength may tell them apart
        same = [n for n in same if band.holds(found[n])] or same
    places = same or [n for n, other in enumerate(found) if band.holds(other)]
    if len(places) > 1:
        several = ", ".join(str(found[n]) for n in places)
        raise DataError(f"input {of!r}: its band {band} may be any of the {kind} {several}: select one and name it so")
    return places[0] if places else None


def _missing(missing: Sequence[Band], wanted: Sequence[Band], found: Sequence[Band], of: str, kind: str) -> DataError:
    asked, there = (", ".join(map(str, side)) or "none" for side in (wanted, found))
    lacks = ", ".join(map(str, missing))
    others = [str(band) for band in found if str(band) not in {str(other) for other in wanted}]
    near = difflib.get_close_matches(str(missing[0]), others, 1, 0.6)
    advice = f"rename {near[0]!r} if it is {missing[0]}" if near else f"load {'it' if len(missing) == 1 else 'them'}"
    detail = "" if len(missing) == len(wanted) else f": {lacks} missing"
    return DataError(f"input {of!r} needs the {kind} {asked}; found {there}{detail}: {advice}")


def _band(name: str, value: Callable[[str], Any]) -> Band:
    common = next((found for key in _COMMON if isinstance(found := value(key), str) and found), "")
    centre, width = (next((_number(value(key)) for key in keys if _number(value(key)) is not None), None)
                     for keys in (_CENTRES, _WIDTHS))  # fmt: skip
    if centre is not None and centre > _NANOMETRES_FROM:
        centre, width = centre / 1e3, None if width is None else width / 1e3
    if centre is not None and width is not None and width > centre:  # no band is: only its centre had a unit
        width /= 1e3
    return Band(name, common, centre, width)


def _with_unit(value: Any, attributes: Mapping[Any, Any]) -> Any:
    factor = _MICROMETRES.get(str(attributes.get("units", "")).casefold())
    number = _number(value)
    return value if factor is None or number is None else number * factor


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes | bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one
