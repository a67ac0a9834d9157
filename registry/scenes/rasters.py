"""What reading, running and writing hand to each other: grids of a scene, and layers of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pystac
    from odc.geo.geobox import GeoBox

    Values = np.ndarray[Any, Any]

Window = tuple[slice, slice]
"""Rows and columns of a grid, from 0 and never over its edge, as :class:`odc.geo.geobox.GeoBox` takes them."""


@dataclass(frozen=True)
class Block:
    """What one input of a model is given of a window.

    Parameters
    ----------
    values
        In the layout of the input, ``dim_order`` without batch, and of the type that it was read as. Physical values:
        scale and offset of the data are applied, ``value_scaling`` of the model is not. Rows and columns come last, in
        this order, where the model has no such axes (it runs on every pixel).
    missing
        Where there is nothing, of the shape of ``values``; None if all of them are there.
    own
        Whether ``values`` were made for this block alone, so that they may be written over.
    """

    values: Values
    missing: Values | None = None
    own: bool = False


class Source(Protocol):
    """A scene as a model reads it.

    Attributes
    ----------
    grids
        By input of the model, the grid that its rows and columns lie on, north up or as the scene has it. All of them
        cover the same area; their sizes are in the proportion that the model wants.
    notes
        What was done that a person should know: scale and offset that were applied, resampling, bands that were found
        by another name. One line each.
    identity
        What tells this scene from another, or from an older state of it, for taking up a run that was broken off.
    origins
        Links to what the scene was read from, ``derived_from``.
    """

    grids: Mapping[str, GeoBox]
    notes: Sequence[str]
    identity: Mapping[str, Any]
    origins: Sequence[pystac.Link]

    def read(self, name: str, window: Window) -> Block:
        """Read a window of the grid of an input; from any number of threads.

        Raises
        ------
        DataError
            If it cannot be read; it names the file and the window.
        """
        ...


@dataclass(frozen=True)
class Class:
    """A class of a map: what stands for it in the pixels, what it is called, and its colour as ``#rrggbb``.

    One of ``nothing`` says that there is none, and is in no map: it has a score all the same, or is among labels.
    """

    value: int
    name: str
    color: str | None = None
    nothing: bool = False


@dataclass(frozen=True)
class Layer:
    """A result as it is written: one raster of one band or more.

    Parameters
    ----------
    name
        Of the output of the model.
    grid
        Its own grid.
    dtype
        NumPy name of its type.
    bands
        What its bands are called; one of none that has no name is the layer's.
    nodata
        What stands for "nothing here"; NaN for fractions.
    classes
        What its values mean, if they are classes; overviews then take the most frequent one and not the mean.
    unit
        Of its values.
    """

    name: str
    grid: GeoBox
    dtype: str
    bands: tuple[str, ...]
    nodata: float | int | None = None
    classes: tuple[Class, ...] = ()
    unit: str | None = None


class Raster(Protocol):
    """A finished layer, wherever its pixels lie, that a writer reads window by window."""

    layer: Layer

    def read(self, window: Window) -> Values:
        """Give the pixels of a window: band, row, column; masked ones are ``layer.nodata``."""
        ...
