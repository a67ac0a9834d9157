"""Where an output lies: which of its dimensions are an input's, with which coordinates, and its grid mapping.

A result has the place of its own pixels, or none: never that of pixels of another size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import xarray as xr

from modelstac.registry.running.aligning import Aligned
from modelstac.registry.running.labels.centred import is_centred
from modelstac.registry.running.labels.georeference import STALE, coordinate, mapping, refreshed
from modelstac.registry.running.labels.grids import image_axis, is_mapping
from modelstac.registry.running.labels.growth import Growth
from modelstac.registry.running.signature import TIME
from modelstac.registry.running.values.scaling import AXES

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.running.signature import Runnable, TensorSignature


@dataclass(frozen=True)
class Place:
    """Dimensions and coordinates of an output.

    Parameters
    ----------
    owners
        Of each of its dimensions that is an input's: which one's.
    names
        What the data call its dimensions.
    coordinates
        What is known along them, and beside them, such as its grid mapping; not of times and bands.
    image
        Names of its rows and columns; None where it has not both.
    mapping
        Name of the coordinate that says in which system it lies.
    """

    owners: Mapping[str, Aligned]
    names: Mapping[str, str]
    coordinates: dict[str, Any] = field(default_factory=dict)
    image: tuple[str, str] | None = None
    mapping: str | None = None

    def finished(self, result: xr.DataArray) -> xr.DataArray:
        """Turn rows and columns back as they were given, and name the grid mapping."""
        back = {self.names[dim]: slice(None, None, -1) for dim, one in self.owners.items() if dim in one.flipped}
        result = result.isel(back) if back else result
        if self.mapping is None or self.image is None:
            return result
        name = self.mapping
        given = next(one.array for dim, one in self.owners.items() if image_axis(dim) == "y")
        for here, there in ((given.attrs, result.attrs), (given.encoding, result.encoding)):
            if "grid_mapping" in here:
                there["grid_mapping"] = name
        return refreshed(result, name, *self.image)


def place(
    found: Sequence[Aligned],
    layout: TensorSignature,
    lengths: Mapping[str, int],
    model: Runnable,
) -> Place:
    """Say where an output lies.

    Parameters
    ----------
    found
        The inputs.
    layout, lengths
        The output, and how long it is along each of its dimensions.
    model
        The model.
    """
    sizes = model.description.sizes.get(layout.name, {})
    owners = _owners(found, lengths, sizes)
    names = {dim: owners[dim].names[dim] if dim in owners else dim for dim in lengths}
    if len(set(names.values())) < len(names):  # inputs whose data name different dimensions alike
        names = {dim: dim for dim in lengths}
    growths = {dim: _growth(owners[dim], layout, dim, lengths[dim], model) for dim in owners}
    moved = {dim for dim, growth in growths.items() if growth is not None and not growth.is_same}
    coordinates = _shared(found, names, lengths, moved)
    axes = {axis: dim for dim in layout.dim_order if dim in owners and (axis := image_axis(dim)) is not None}
    same = all((growth := growths[dim]) is not None and growth.is_same for dim in axes.values())
    if len(axes) < 2 or not same:
        coordinates = {key: value for key, value in coordinates.items() if key not in STALE}
    for dim in axes.values():
        growth, one, name = growths[dim], owners[dim], names[dim]
        if growth is None or growth.is_same or one.names[dim] != name:
            continue
        if (made := coordinate(one.array, name, growth, lengths[dim])) is not None:
            coordinates[name] = made
    if len(axes) < 2:
        return Place(owners, names, coordinates)
    rows, columns = axes["y"], axes["x"]
    image = (names[rows], names[columns])
    if owners[rows] is not owners[columns]:
        return Place(owners, names, coordinates, image)
    one = owners[rows]
    found_mapping = mapping(one.array, (one.names[rows], one.names[columns]), growths[rows], growths[columns])
    if found_mapping is None:
        return Place(owners, names, coordinates, image)
    name, coordinates[found_mapping[0]] = found_mapping[0], found_mapping[1]
    return Place(owners, names, coordinates, image, name)


def _owners(found: Sequence[Aligned], lengths: Mapping[str, int], sizes: Mapping[str, Size]) -> dict[str, Aligned]:
    """Say which input each dimension of an output is one of: of the same length before another, labelled before not.

    Of several that are all of other lengths, the one that grows together with it.
    """
    owners, ordered = {}, sorted(found, key=lambda one: not one.labelled)
    for dim, length in lengths.items():
        having = [one for one in ordered if dim in one.names]
        if having:
            symbol = sizes[dim].symbol if dim in sizes else None
            together = [one for one in having if symbol is not None and one.layout.axes[dim].symbol == symbol]
            owners[dim] = next((one for one in having if one.length(dim) == length), (together or having)[0])
    return owners


def _growth(one: Aligned, layout: TensorSignature, dim: str, length: int, model: Runnable) -> Growth | None:
    """Say how a dimension follows from an input's; None where nobody knows, or it is as long by another rule."""
    found = Growth.of(model.description.sizes.get(layout.name, {}).get(dim), one.layout.axes[dim])
    if found is None:
        return Growth() if one.length(dim) == length else None
    if found.length(one.length(dim)) != length:
        return None
    # By how much an output is shorter is known, and at which end it is has to be found.
    placed = found.lost and one.labelled and image_axis(dim) is not None
    return found if not placed or is_centred(model, one.layout, layout, dim) else None


def _shared(
    found: Iterable[Aligned], names: Mapping[str, str], lengths: Mapping[str, int], moved: Collection[str]
) -> dict[str, Any]:
    """Take the coordinates of inputs along dimensions that the output shares with them, but for times and bands.

    A dimension may be as long as an input's and lie on another grid: twice as fine, and half of it cut off.
    """
    coordinates: dict[str, Any] = {}
    for one in found:
        shared = {
            name
            for dim, name in one.names.items()
            if names.get(dim) == name and one.length(dim) == lengths[dim] and dim not in one.added
            if dim != TIME and dim not in AXES and dim not in moved
        }
        for key, found_here in one.array.coords.items():
            taken = key in names.values() and found_here.dims != (key,)  # the name of a dimension of the output
            if set(found_here.dims) <= shared and not taken and not is_mapping(found_here):
                coordinates.setdefault(str(key), found_here)
    return coordinates
