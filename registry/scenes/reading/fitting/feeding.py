"""What reads one input of a model: its bands grouped by raster, each with its numbers and the way onto the grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.grids import image_axis
from modelstac.registry.running.labels.units import are_apart, is_count
from modelstac.registry.running.signature import BATCH, TIME
from modelstac.registry.running.values.scaling import AXES
from modelstac.registry.scenes.reading.finding.parts import Numbers, Offer
from modelstac.registry.scenes.reading.fitting.meaning import Meaning, Wish, meaning_of, wish_of
from modelstac.registry.scenes.reading.fitting.resampling import OF_RESIZE_TYPE, Onto
from modelstac.registry.scenes.reading.fitting.scene import Feed, Group, Layer
from modelstac.registry.scenes.reading.fitting.telling import grouped

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

    from modelstac.catalog.items.mlm import ModelInput
    from modelstac.registry.running.labels.stated import Stated
    from modelstac.registry.running.signature import TensorSignature
    from modelstac.registry.scenes.reading.fitting.choosing import Chosen
    from modelstac.registry.scenes.reading.options import Options

    Pile = list[list["Member"]]


@dataclass(frozen=True)
class Member:
    """An offer of a band, what its numbers are said to be and become, and how it comes onto the grid."""

    offer: Offer
    meaning: Meaning
    method: str
    numbers: Numbers

    @property
    def kind(self) -> tuple[int, str, str]:
        """What is read together: bands of one raster, of one type and way."""
        part = self.offer.open()
        return id(part), part.stored[self.offer.number].dtype, self.method

    @property
    def becomes_other(self) -> bool:
        """Whether its numbers become others."""
        return self.meaning.changes or self.meaning.units is not None

    def tells_more(self, other: Member) -> bool:
        """Tell whether its numbers become others by what is said of them, and nobody says what those of another mean.

        Fractions that say no scale may be what these become; those that say no unit may be in any.
        """
        said = other.numbers
        silent = not said.counts and (said.scale, said.offset, said.unit) == (None, None, None)
        return self.becomes_other and silent and (other._is_whole or not self.numbers.is_packed)

    @property
    def line(self) -> tuple[float, float] | None:
        """What is given of a number by what that means, as factor and summand; None where it has no other meaning."""
        if not self._is_whole or self.numbers.classes or not self.numbers.is_packed:
            return None
        factor = self.meaning.scale / (self.numbers.scale or 1.0)
        return factor, self.meaning.offset - factor * (self.numbers.offset or 0.0)

    @property
    def _is_whole(self) -> bool:
        return np.dtype(self.offer.open().stored[self.offer.number].dtype).kind in "iu"


class Feeding:
    """Makes what reads an input.

    Parameters
    ----------
    layout, source
        The input.
    item
        Its item.
    choice
        The bands that it reads.
    stated
        What the item says of them.
    options
        What the user says.
    """

    def __init__(
        self,
        layout: TensorSignature,
        source: ModelInput,
        choice: Chosen,
        *,
        item: pystac.Item,
        stated: Stated,
        options: Options,
    ) -> None:
        self._layout, self._source, self._choice, self._stated, self._options = layout, source, choice, stated, options
        self._wish: Wish = wish_of(layout, choice.names, item, stated, source.model_extra or {})

    def feed(self, grid: GeoBox) -> tuple[Feed, list[str]]:
        """Make it, for a grid; and say what is done.

        Raises
        ------
        DataError
            If numbers, or dimensions, are not what the input reads.
        """
        dims = self._dims()
        notes: list[tuple[str, str]] = []
        piles: dict[Any, tuple[list[int], Pile]] = {}
        by_band: dict[int, list[Member]] = {}
        for step, bands in enumerate(self._choice.steps):
            for place, offers in enumerate(bands):
                members = [self._member(offer, self._name(place)) for offer in offers]
                notes += [(self._name(place) or one.offer.label, one.meaning.note) for one in members]
                by_band.setdefault(place, []).extend(members)
                places, pile = piles.setdefault((step, *(one.kind for one in members)), ([], []))
                places.append(place)
                pile.append(members)
        self._check_alike(by_band.values())
        groups = []
        for (step, *_), (places, pile) in piles.items():
            layers = tuple(self._layer(places, column, grid) for column in zip(*pile, strict=True))
            notes += [(self._name(place), _resampled(layer, grid)) for layer in layers for place in places]
            groups.append(Group(step, tuple(places), layers))
        said = self._options
        feed = Feed(
            dims, tuple(groups), len(self._choice.steps), len(self._choice.steps[0]), self._fills(), self._whole(),
            shares=(said.physical, said.scale, said.offset) != (None, None, None),
        )  # fmt: skip
        return feed, grouped(notes)

    def _check_alike(self, bands: Iterable[Sequence[Member]]) -> None:
        """Refuse files of one band whose numbers come to mean different things on one map.

        Raises
        ------
        DataError
            If one says what its numbers become and another says nothing; or both are read as they are stored, and are
            stored by different scales.
        """
        said = self._options
        if (said.physical, said.scale, said.offset) != (None, None, None):
            return
        for members in bands:
            first = next((one for one in members if one.becomes_other), members[0])
            for other in members:
                if first.tells_more(other):
                    why = f"({first.meaning.note}), and {other.offer.label} says nothing of its own"
                elif _are_apart(first, other):
                    why = f"by {_packing(first)}, and {other.offer.label} by {_packing(other)}"
                else:
                    continue
                raise DataError(
                    f"input {self._layout.name!r}: {first.offer.label} says what its numbers mean {why}, so that one "
                    "map would be of both: say what holds for all, with scale and offset, or physical=True or False"
                )

    def _name(self, place: int) -> str:
        return self._choice.names[place] if self._choice.names else ""

    def _layer(self, places: Sequence[int], column: Sequence[Member], grid: GeoBox) -> Layer:
        onto = Onto(column[0].offer.open(), grid, column[0].method, self._codes(places, column))
        return Layer(onto, tuple(one.offer.number for one in column), tuple(one.meaning for one in column))

    def _dims(self) -> tuple[str, ...]:
        """Return the dimensions of what is given: rows and columns last, where the model has none."""
        layout = self._layout
        dims = tuple(dim for dim in layout.dim_order if dim != BATCH)
        axes = {image_axis(dim) for dim in dims} - {None}
        if len(axes) == 1:
            raise DataError(
                f"input {layout.name!r} is {layout}: it has rows or columns alone, and is no image: give arrays"
            )
        for dim in dims:
            if dim not in (*AXES, TIME) and image_axis(dim) is None and not layout.axes[dim].fits(1):
                raise DataError(f"input {layout.name!r} is {layout}: a scene has no {dim!r}: give arrays")
        return dims if axes else (*dims, "y", "x")

    def _whole(self) -> str | None:
        """Give the type of whole numbers that a model reads as they are."""
        layout = self._layout
        if layout.scaling or layout.dtype == "other" or np.dtype(layout.dtype).kind not in "iu":
            return None
        return layout.dtype

    def _fills(self) -> tuple[float, ...]:
        bands = range(len(self._choice.steps[0]))
        if self._options.fill is not None:
            return (float(self._options.fill),) * len(bands)
        return tuple(self._stated.missing.get(self._name(place), 0.0) for place in bands)

    def _member(self, offer: Offer, name: str) -> Member:
        part = offer.open()
        if offer.number >= len(part.stored):
            raise DataError(
                f"{offer.label}: its item speaks of {offer.number + 1} bands, and it has {len(part.stored)}"
            )
        stored = part.stored[offer.number]
        if "complex" in stored.dtype:
            raise DataError(
                f"{offer.label} holds complex numbers ({stored.dtype}): give amplitude or intensity, computed before"
            )
        numbers = _together(stored.numbers, offer.numbers, offer.label, self._options, self._wish.units.get(name))
        meaning = meaning_of(
            numbers, stored.dtype, self._wish, name, label=offer.label, of=self._layout.name,
            physical=self._options.physical, scale=self._options.scale, offset=self._options.offset,
        )  # fmt: skip
        classes = numbers.classes or name in self._wish.classes or stored.dtype == "bool"
        return Member(offer, meaning, self._method(classes), numbers)

    def _method(self, classes: bool) -> str:
        if self._options.resampling is not None:
            return self._options.resampling
        return "nearest" if classes else OF_RESIZE_TYPE.get(self._source.resize_type or "", "bilinear")

    def _codes(self, places: Sequence[int], column: Sequence[Member]) -> tuple[float | None, ...]:
        """Say what stands for a missing number where the raster does not: as the user, its item, or the model says."""
        stored = column[0].offer.open().stored
        codes: list[float | None] = [None] * len(stored)
        for place, one in zip(places, column, strict=True):
            number = one.offer.number
            said = one.offer.numbers
            known: list[float | None] = [self._options.nodata]
            if stored[number].numbers.nodata is None:
                model = None if one.meaning.changes else self._stated.missing.get(self._name(place))
                known += [said.nodata, model]
            elif not said.counts:  # what either calls missing is
                known.append(said.nodata)
            codes[number] = next((code for code in known if code is not None), None)
        return tuple(codes)


def _are_apart(one: Member, other: Member) -> bool:
    """Tell whether numbers that mean the same are given as different ones."""
    here, there = one.line, other.line
    return (
        here is not None
        and there is not None
        and one.numbers.unit == other.numbers.unit
        and not np.allclose(here, there, rtol=1e-6, atol=1e-6)
    )


def _packing(member: Member) -> str:
    return f"scale {member.numbers.scale or 1:g} and offset {member.numbers.offset or 0:g}"


def _resampled(layer: Layer, grid: GeoBox) -> str:
    """Say how a layer comes onto the grid; nothing where its pixels are those of the grid, or were warped."""
    if layer.onto.along is None or layer.onto.is_direct:
        return ""
    pixel = layer.onto.part.grid.resolution
    return f"pixels of {abs(pixel.x):g} brought onto {abs(grid.resolution.x):g} by {layer.onto.method}"


def _together(own: Numbers, item: Numbers, label: str, options: Options, wanted: str | None) -> Numbers:
    """Put together what a file and its item say of numbers; ``wanted`` is the unit that the model reads them in.

    Raises
    ------
    DataError
        If they contradict each other.
    """
    said = options.scale is not None or options.offset is not None or options.physical is False
    if (odd := next((one for one in (own, item) if not one.makes_sense), None)) is not None and not said:
        raise DataError(
            f"{label}: {odd.source} says scale {odd.scale}, offset {odd.offset}, which make no numbers: say the right "
            "ones, with scale and offset"
        )
    if item.fault and not said:
        raise DataError(f"{label}: {item.fault}, or say scale and offset")
    if own.is_packed and item.is_packed and not said:
        pairs = [(one.scale or 1.0, one.offset or 0.0) for one in (own, item)]
        if not np.allclose(pairs[0], pairs[1], rtol=1e-6, atol=1e-9):
            shown = " and ".join(f"scale {scale:g}, offset {offset:g}" for scale, offset in pairs)
            raise DataError(
                f"{label}: the file and {item.source or 'its item'} contradict each other, {shown}: say which holds, "
                "with scale and offset"
            )
    units = [unit for one in (own, item) if (unit := one.unit) is not None and not is_count(unit)]
    if len(units) > 1 and wanted is not None and not said and are_apart(*units):
        raise DataError(
            f"{label}: the file says that its numbers are in {units[0]!r}, and its item in {units[1]!r}: say by what "
            f"they become {wanted!r}, with scale and offset"
        )
    packed = item if item.scale is not None or item.offset is not None else own
    return Numbers(
        packed.scale, packed.offset, own.nodata if own.nodata is not None else item.nodata,
        next(iter(units), own.unit or item.unit),
        own.classes or item.classes, packed.source, item.counts,
    )  # fmt: skip
