"""Which axes are places in an image: those along which a halo makes sense."""

from __future__ import annotations

from types import MappingProxyType

from modelstac.registry.running.signature import BATCH

HEIGHT, WIDTH = "height", "width"
_NAMES = MappingProxyType(
    {
        HEIGHT: ("height", "h", "y", "lat", "latitude", "row", "rows", "northing"),
        WIDTH: ("width", "w", "x", "lon", "longitude", "column", "columns", "easting"),
    }
)
_SPATIAL = MappingProxyType({name: kind for kind, names in _NAMES.items() for name in names})


def kind_of(dim: str) -> str:
    """Give what data of several names are one kind of: ``height`` for ``y`` and ``lat``; the name itself for others."""
    return _SPATIAL.get(dim.lower(), dim)


def is_spatial(dim: str) -> bool:
    """Tell whether an axis of this name is a place in an image."""
    return dim.lower() in _SPATIAL


def is_batch(dim: str) -> bool:
    """Tell whether an axis of this name counts samples."""
    return dim == BATCH
