"""Which bands on offer an input of a model reads: by name, common name and wavelength, at each of its times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.search.ranges import interval
from modelstac.registry.running.bands import Band, bands_of_model, choose
from modelstac.registry.running.signature import TIME
from modelstac.registry.running.values.scaling import AXES
from modelstac.registry.scenes.reading.finding.names import counted
from modelstac.registry.scenes.reading.finding.parts import Found, Offer
from modelstac.registry.scenes.reading.finding.sentinel import all_named, is_sentinel
from modelstac.registry.scenes.reading.fitting.selecting import Selectors, numeric, selected, selectors_of, spelled

if TYPE_CHECKING:
    from modelstac.catalog.items.mlm import ModelInput
    from modelstac.registry.running.labels.stated import Pixel
    from modelstac.registry.running.signature import TensorSignature

    Times = tuple[np.datetime64 | None, ...]

_TOGETHER = np.timedelta64(120, "s")
"""How far apart items may be that are one picture: granules of one pass over a place."""
_DAY = np.timedelta64(1, "D")
_BAND = re.compile(r"B[ _]?\d{1,2}A?|[VH][VH]", re.IGNORECASE)
"""What sensors call bands and polarisations."""


@dataclass(frozen=True)
class Chosen:
    """What an input reads.

    Parameters
    ----------
    names
        Bands of the model; empty where it names none.
    steps
        At each time, for each band, the offers of it: of several, the first that has a number there is taken.
    times
        When that is; None where nobody says.
    notes
        What a person should know.
    """

    names: tuple[str, ...]
    steps: tuple[tuple[tuple[Offer, ...], ...], ...]
    times: Times
    notes: tuple[str, ...] = ()

    @property
    def offers(self) -> tuple[Offer, ...]:
        """All that is read."""
        return tuple(offer for step in self.steps for layers in step for offer in layers)

    @property
    def ends(self) -> Times:
        """When those of its times ended that are of a period."""
        return tuple(offer.until for offer in self.offers if offer.until is not None)


def at_times(found: Found, said: str) -> Found:
    """Leave of what there is that of a moment or a period.

    Raises
    ------
    DataError
        If there is nothing.
    """
    first, last = (np.datetime64(end.astimezone(UTC).replace(tzinfo=None)) for end in interval(said))
    there = [(one, one.time, one.until or one.time) for one in found.offers if one.time is not None]
    # An open end lies beyond what nanoseconds reach.
    kept = [
        offer for offer, begin, end in there if begin.astype(first.dtype) <= last and first <= end.astype(first.dtype)
    ]
    if not kept:
        known = _shown_times(sorted({time for _, time, _ in there})) or "none that it says"
        raise DataError(f"the scene has nothing at the time {said}: its times are {known}")
    return replace(found, offers=tuple(kept))


def _shown_times(times: Sequence[Any]) -> str:
    return ", ".join([str(time)[:16] for time in times[:4]] + ["…"] * (len(times) > 4))


def chosen(
    found: Found,
    source: ModelInput,
    layout: TensorSignature,
    model: Any,
    *,
    bands: Any = None,
    pixel: Pixel | None = None,
) -> Chosen:
    """Choose what an input reads.

    Parameters
    ----------
    found
        What there is.
    source, layout
        The input.
    model
        Its model.
    bands
        Which bands of the data are meant: in the order of the model, or by its bands; by name, asset or number from 1.
    pixel
        How large pixels are that the model was made for, for choosing among several of one band.

    Raises
    ------
    DataError
        If bands are missing or ambiguous, or times are not the model's.
    """
    timed = TIME in layout.dim_order
    groups = _by_time(found.offers, timed, layout)
    matching = _Matching(source, layout, model, found.sentinel, bands, pixel)
    matches = [matching.match(group) for _, group in groups]
    names, notes = matches[0].names, matches[0].notes
    steps, times = [one.layers for one in matches], [time for time, _ in groups]
    if timed:
        order = _ordered(times, layout, model)
        steps, times = [steps[place] for place in order], [times[place] for place in order]
        if any(time is None for time in times) and len(times) > 1:
            notes = (
                *notes,
                f"input {layout.name!r}: nothing says when they were taken: they are read in the order given",
            )
    return Chosen(names, tuple(steps), tuple(times), notes)


def _by_time(
    offers: Sequence[Offer], timed: bool, layout: TensorSignature
) -> list[tuple[np.datetime64 | None, list[Offer]]]:
    known = sorted({offer.time for offer in offers if offer.time is not None})
    if not timed:
        if known and known[-1] - known[0] >= _DAY:
            raise DataError(
                f"input {layout.name!r} has no time, and the scene has {len(known)}: {_shown_times(known)}: name "
                "one of them, --datetime, or give each to its input by name"
            )
        return [(known[0] if known else None, list(offers))]
    if not known:
        owners = list(dict.fromkeys(offer.owner for offer in offers))
        alike = {tuple(o.band.name for o in offers if o.owner == owner) for owner in owners}
        arrays = [offer for offer in offers if offer.owner == owners[0]]
        if (
            len(owners) == 1
            and len({id(offer.open()) for offer in arrays}) > 1
            and len({o.band.name for o in arrays}) == 1
        ):
            return [(None, [offer]) for offer in arrays]
        if len(owners) > 1 and len(alike) == 1:  # the same bands again and again
            return [(None, [offer for offer in offers if offer.owner == owner]) for owner in owners]
        return [(None, list(offers))]
    exact = any(
        len({offer.time for offer in offers if offer.owner == owner}) > 1 for owner in {offer.owner for offer in offers}
    )
    groups: list[tuple[np.datetime64 | None, list[Offer]]] = []
    for time in known:
        here = [offer for offer in offers if offer.time == time]
        first = groups[-1][0] if groups else None
        if first is not None and not exact and time - first <= _TOGETHER:
            groups[-1][1].extend(here)
        else:
            groups.append((time, here))
    if timeless := [offer for offer in offers if offer.time is None]:
        raise DataError(
            f"input {layout.name!r}: {timeless[0].label} has no time, and others have: name its date in its file"
        )
    return groups


def _ordered(times: Sequence[np.datetime64 | None], layout: TensorSignature, model: Any) -> list[int]:
    """Put times in the order of the model, and hold their number and distances against it."""
    import xarray as xr

    from modelstac.registry.running.labels.times import by_time

    size = layout.axes[TIME]
    if not size.fits(len(times)):
        shown = ", ".join(str(time)[:16] for time in times[:6] if time is not None) or "none that is said"
        raise DataError(
            f"input {layout.name!r} reads {size} times; found {len(times)} ({shown}{', …' if len(times) > 6 else ''}): "
            "name as many"
        )
    if any(time is None for time in times):
        return list(range(len(times)))
    stamps = np.array(times, "datetime64[ns]")
    array = xr.DataArray(np.arange(len(times)), {TIME: stamps}, (TIME,))
    return [int(place) for place in by_time(array, TIME, model.description).values]


@dataclass(frozen=True)
class _Match:
    """Offers for each band of the model, these bands' names, and what to say."""

    names: tuple[str, ...]
    layers: tuple[tuple[Offer, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Matching:
    """Chooses offers of one time for each band of an input."""

    source: ModelInput
    layout: TensorSignature
    model: Any
    sentinel: bool
    bands: Any
    pixel: Pixel | None

    def match(self, offers: Sequence[Offer]) -> _Match:
        """Choose them."""
        known = is_sentinel(self.model.item.properties)
        wanted = bands_of_model(self.source, self.model.item)
        wanted = all_named(wanted) if known or self.sentinel else wanted
        selectors = selectors_of(self.bands, self.source.name, self.model)
        asked = bool(selectors) and any(map(numeric, _texts(selectors)))
        hidden, offers = offers, [offer for offer in offers if asked or not offer.hidden]
        stacked = _are_stacked(offers, wanted, selectors)
        piles = [[offer] for offer in offers] if stacked else [_of_keys(pile, selectors) for pile in _piles(offers)]
        seen = [pile[0].band for pile in piles]
        seen = all_named(seen) if known else seen
        names = tuple(str(band) for band in wanted)
        notes: tuple[str, ...] = ()
        if selectors is not None:
            places, names = selected(selectors, wanted, seen, piles, self.layout)
        elif stacked:
            places = list(range(len(piles)))
        elif not wanted:
            places, names = list(range(len(piles))), tuple("" if band == Band() else str(band) for band in seen)
            _check_count(places, self.layout, seen)
            notes = _of_unnamed(self.source.name, seen)
        elif _tell_nothing(seen, wanted):
            numbers = [counted(name) or 0 for name in names]
            if all(1 <= number <= len(seen) for number in numbers):  # the model counts as the program did
                places = [number - 1 for number in numbers]
            else:
                places = _in_order(wanted, seen, piles, self.source)
                notes = _of_order(piles, seen, names)
        else:
            seen = [_renamed(band, pile[0], wanted, seen) for band, pile in zip(seen, piles, strict=True)]
            places = self._by_name(wanted, seen, len(hidden) if len(hidden) > len(offers) else 0)
            notes = _of_others([piles[place][0] for place in places], names, self.source.name)
        layers = tuple(_layers(piles[place], self.source.name, self.pixel) for place in places)
        return _Match(names, layers, (*notes, *_of_lacking(layers, names)))

    def _by_name(self, wanted: Sequence[Band], seen: Sequence[Band], alpha: int) -> list[int]:
        try:
            return choose(wanted, seen, of=self.source.name, kind="bands")
        except DataError as error:
            order = ",".join(map(str, wanted))
            number = f"; its band {alpha} is marked as alpha: give its number there, if it is a band" if alpha else ""
            raise DataError(f"{error}; or say which are meant, --bands, in the order {order}{number}") from error


def _are_stacked(offers: Sequence[Offer], wanted: Sequence[Band], selectors: Selectors) -> bool:
    """Tell whether one file has bands of one name, as of two dates: just those of the model, or they are numbered."""
    names = [offer.band.name for offer in offers]
    if len({id(offer.open()) for offer in offers}) > 1 or len(set(names)) == len(names):
        return False
    if selectors is not None:
        return all(map(numeric, _texts(selectors)))
    return any(names) and names == [band.name for band in wanted]


def _tell_nothing(seen: Sequence[Band], wanted: Sequence[Band]) -> bool:
    """Tell whether bands of the data have no names; that of one alone may be that of its file."""
    if len(seen) == len(wanted) == 1:
        band = seen[0]
        return band.name != wanted[0].name and not (band.common or band.centre or _BAND.fullmatch(band.name))
    return all(band == Band() for band in seen)


def _of_order(piles: Sequence[Sequence[Offer]], seen: Sequence[Band], names: Sequence[str]) -> tuple[str, ...]:
    owner = _owner(piles[0][0])
    if len(names) > 1:
        shown = ", ".join(names)
        return (f"{owner}: its {len(names)} bands have no names and are taken in the order of the model, {shown}",)
    called = f" {seen[0].name!r}" if seen[0].name else ""
    return (f"{owner}: its band{called} is taken for that of the model, {names[0]}",)


def _of_unnamed(of: str, seen: Sequence[Band]) -> tuple[str, ...]:
    """Say that a model that names none of its bands reads those of the scene as they come."""
    if len(seen) < 2:
        return ()
    shown = f", {', '.join(map(str, seen))}" if any(band != Band() for band in seen) else ""
    return (f"input {of!r} does not name its bands: those of the scene are taken in their order{shown}",)


def _of_others(offers: Sequence[Offer], names: Sequence[str], of: str) -> tuple[str, ...]:
    """Say which bands were found by another name."""
    pairs = zip(offers, names, strict=True)
    found = [f"{offer.band} for {name}" for offer, name in pairs if name not in (str(offer.band), offer.key)]
    return (f"input {of!r} reads {', '.join(found)}",) if found else ()


def _of_lacking(layers: Sequence[Sequence[Offer]], names: Sequence[str]) -> Iterator[str]:
    """Say which of several sources lack a band that another has beside all the rest: the map is masked there."""
    owners = [{offer.owner for offer in several} for several in layers]
    every = {owner for owner in owners[0] if all(owner in there for there in owners)} if owners else set()
    lacking = {owner for there in owners for owner in there} - every if every else set()
    for owner in sorted(lacking):
        has = next(offer for several in layers for offer in several if offer.owner == owner)
        missed = ", ".join(name for name, there in zip(names, owners, strict=True) if owner not in there)
        yield f"{_owner(has)} is of a source without {missed}: where no other has it, the map is masked"


def _piles(offers: Sequence[Offer]) -> list[list[Offer]]:
    """Put offers of one band together."""
    piles: dict[Any, list[Offer]] = {}
    several = len({offer.owner for offer in offers}) > 1
    for offer in offers:
        band = offer.band
        key: Any = band.name or band.common or (None if several else id(offer.open()), offer.number)
        piles.setdefault(key, []).append(offer)
    return list(piles.values())


def _of_keys(pile: list[Offer], selectors: Selectors) -> list[Offer]:
    """Leave of one band the offers whose asset the user names, if there are such."""
    named = _texts(selectors)
    return [offer for offer in pile if offer.key in named] or pile


def _texts(selectors: Selectors) -> set[str]:
    return {str(one) for one in (selectors.values() if isinstance(selectors, Mapping) else selectors or ())}


def _renamed(band: Band, offer: Offer, wanted: Sequence[Band], seen: Sequence[Band]) -> Band:
    """Call a band as the model does, where that is another spelling of it or the name of its asset."""
    names, taken = [one.name for one in wanted], {one.name for one in seen}
    if band.name in names:
        return band
    if offer.key in names and offer.key not in taken:
        return replace(band, name=offer.key)
    stem = offer.key.rpartition(".")[0]
    if band.name and stem.endswith(band.name):  # a file of one band, SR_B4.tif, is called by more than B4
        ends = [name for name in names if name not in taken and (name == stem or stem.endswith(f"_{name}"))]
        if ends:
            return replace(band, name=max(ends, key=len))
    same = [name for name in names if name not in taken and name and spelled(name) == spelled(band.name)]
    return replace(band, name=same[0]) if len(same) == 1 else band


def _owner(offer: Offer) -> str:
    return offer.label.split(", band ")[0]


def _in_order(wanted: Sequence[Band], seen: Sequence[Band], piles: Any, source: ModelInput) -> list[int]:
    if len(seen) != len(wanted):
        _check_one_time([offer for pile in piles for offer in pile], source.name)
        raise DataError(
            f"input {source.name!r} needs the bands {', '.join(map(str, wanted))}; {_owner(piles[0][0])} has "
            f"{len(seen)} without names: say which are meant by their numbers, --bands 1,2,…"
        )
    return list(range(len(seen)))


def _check_count(places: Sequence[int], layout: TensorSignature, seen: Sequence[Band]) -> None:
    axis = next((dim for dim in layout.dim_order if dim in AXES), None)
    fits = len(places) == 1 if axis is None else layout.axes[axis].fits(len(places))
    if not fits:
        wanted = "one band" if axis is None else f"{layout.axes[axis]} bands"
        names = ", ".join(str(band) for band in seen)
        frames = "; files are its frames where their names say dates, as S2_20240601.tif does"
        raise DataError(
            f"input {layout.name!r} reads {wanted} and does not name them; the scene has {len(places)} ({names}): say "
            f"which are meant, --bands{frames if TIME in layout.dim_order else ''}"
        )


def _layers(pile: Sequence[Offer], of: str, pixel: Pixel | None) -> tuple[Offer, ...]:
    """Choose among offers of one band: the pixels of the model or the finest, then one for each source."""
    if (other := next((offer for offer in pile if offer.band.is_apart(pile[0].band)), None)) is not None:
        first = pile[0]
        raise DataError(
            f"input {of!r}: {first.label} calls {first.band} what sees {first.band.light}, and {other.label} what sees "
            f"{other.band.light}: give items of one sensor, or each to its input by name"
        )
    sizes = {offer.pixel for offer in pile if offer.pixel is not None}
    if len(sizes) > 1:
        fitting = {size for size in sizes if pixel is not None and not pixel.degrees and pixel.fits(size)}
        best = min(fitting or sizes)
        pile = [offer for offer in pile if offer.pixel in (best, None)]
    found: dict[int, Offer] = {}
    for owner in dict.fromkeys(offer.owner for offer in pile):
        found[owner] = _best([offer for offer in pile if offer.owner == owner], of)
    layers = tuple(found.values())
    for number, one in enumerate(layers if len(layers) > 1 else ()):
        for other in layers[:number]:
            if not one.key.endswith(other.key) and one.open().grid == other.open().grid and one.time == other.time:
                raise DataError(
                    f"input {of!r}: {other.label} and {one.label} both are the band {one.band}, of one place and time: "
                    "name one of them, or give each to its input by name"
                )
    return layers


def _check_one_time(offers: Sequence[Offer], of: str) -> None:
    count = len({offer.time for offer in offers})
    if count > 1:
        raise DataError(
            f"input {of!r}: {_owner(offers[0])} has {count} times, and the model reads one: select it, --datetime"
        )


def _best(offers: list[Offer], of: str) -> Offer:
    if len(offers) == 1:
        return offers[0]
    _check_one_time(offers, of)
    band = offers[0].band
    if len({offer.label for offer in offers}) == 1 and offers[0].time is not None:
        raise DataError(
            f"input {of!r}: {offers[0].label} has {len(offers)} of {band} at {str(offers[0].time)[:16]}: leave one of "
            "each time"
        )
    tests: tuple[Callable[[Offer], bool], ...] = (
        lambda offer: offer.key in (band.name, band.common),
        lambda offer: not _owner(offer).casefold().endswith(".jp2"),
    )
    for test in tests:
        if len(found := [offer for offer in offers if test(offer)]) == 1:
            return found[0]
        offers = found or offers
    several = len({offer.key for offer in offers}) == len(offers)
    shown = " and ".join(offer.key if several and offer.key else offer.label for offer in offers[:3])
    raise DataError(f"input {of!r}: {shown} both are the band {band}: say which is meant, --bands")
