"""From a reference to the one model file that is best run on this machine, and why that one.

The order of choice: the exact framework and version; the same framework in a version in which the item was verified, or
that is compatible; a sibling format that was proved equal; an environment of its own. Within that, what was wished for
must hold, and full precision, a framework that is imported already and quickness decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import pystac

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    AmbiguousError,
    CannotRunError,
    InvalidItemError,
    InvalidQueryError,
    MachineError,
    MissingPackageError,
    ModelStacError,
    NotFoundError,
)
from modelstac.catalog.items.description import MODEL_ASSET
from modelstac.catalog.search.query import Query
from modelstac.registry.choosing import references
from modelstac.registry.choosing.candidates import ISOLATED, KINDS, NONE, SIBLING, Candidate, judge
from modelstac.registry.choosing.claims import at_hand, check_published, described, held
from modelstac.registry.choosing.default import default_catalog
from modelstac.registry.choosing.machine import Machine
from modelstac.registry.choosing.model_assets import UNKNOWN, ModelAsset, is_foreign, model_assets, sides
from modelstac.registry.choosing.references import Found
from modelstac.registry.choosing.wishes import Wishes, precision_of
from modelstac.registry.runtimes import RUNS_CODE, RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NEWER = "a newer version can run"


@dataclass(frozen=True)
class Resolution:
    """What was chosen, and from what.

    Attributes
    ----------
    chosen
        The best candidate.
    considered
        Every candidate that was looked at, the chosen one first.
    """

    chosen: Candidate
    considered: tuple[Candidate, ...]
    _rest: Callable[[], list[Candidate]]

    @property
    def item(self) -> pystac.Item:
        """The item that was chosen."""
        return self.chosen.item

    @property
    def asset(self) -> ModelAsset:
        """Which of its files."""
        return self.chosen.asset

    @property
    def note(self) -> str | None:
        """What differs from what was asked for, in one line; None if nothing does."""
        return self.chosen.note

    def candidates(self) -> list[Candidate]:
        """Return every candidate, also those that need not be looked at to choose; the chosen one first."""
        known = {candidate.name for candidate in self.considered}
        return [*self.considered, *(other for other in self._rest() if other.name not in known)]

    def explain(self) -> str:
        """Say why this one was chosen, and why every other one was not."""
        chosen = self.chosen
        unseen = "" if chosen.looked else "; its file is not at hand, and was not looked at"
        lines = [f"{chosen.name}: {chosen.kind}, {chosen.reason}{unseen}"]
        lines += [f"  not {other.name}: {_lost(other, chosen)}" for other in self.candidates()[1:]]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`explain` says, for programs."""
        others = [other.to_json() | {"lost": _lost(other, self.chosen)} for other in self.candidates()[1:]]
        return self.chosen.to_json() | {"others": others}


def resolve(
    what: str | PathLike[str] | pystac.Item | Query,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    strict: bool = False,
    machine: Machine | None = None,
    isolated: str = "never",
    code: frozenset[str] = frozenset(),
    **wishes: Any,
) -> Resolution:
    """Choose the model file that is best run on this machine.

    Parameters
    ----------
    what
        Item id, ``name@alias``, name of a model, name with a range of versions (``rain>=1,<2``), URL or path of an
        item, the item itself, or a query that means one model.
    catalog
        Where it is looked up: a catalog, its folder, or by default what ``MODELSTAC_CATALOG`` names.
    strict
        Only what was asked for, in the version of the framework that made it or in which it was verified.
    machine
        Another machine to choose for; by default this process.
    isolated
        Whether what cannot run here may run in an environment of its own: ``never``, ``auto`` (when nothing else can)
        or ``always`` (rather than another variant of it).
    code
        What may run code of its publisher's (:attr:`modelstac.registry.trust.policy.TrustPolicy.code`): in the one item
        that was named, and only a file that was named or that has none beside it which runs no code.
    **wishes
        What it must be: see :class:`modelstac.registry.choosing.wishes.Wishes`.

    Raises
    ------
    NotFoundError
        If there is no such item, model, alias or version; names the nearest.
    AmbiguousError
        If several models, or several files of an item, fit equally well.
    InvalidQueryError
        If a wish makes no sense.
    MissingPackageError, UntrustedError, CannotRunError
        If nothing of it can run here, with what to do about it.
    """
    wanted = Wishes.of(wishes)
    here, known = machine is None, dict[_Key, Candidate]()
    machine = machine or Machine.here()
    found = _find(what, catalog)
    judged = partial(_judged, machine=machine, wanted=wanted, strict=strict, known=known)
    code = code if found.asked is not None else frozenset()
    while True:  # what its file contradicts is not chosen; then there is the next best
        candidates, rest = _considered(found, wanted, judged, strict=strict, isolated=isolated, code=code)
        best = min(candidates, key=_order)
        if best.kind == NONE:
            unseen = [c for c in candidates if isolated_offer(c) is not None and _key(c) not in known]
            if not unseen:
                raise _nothing(candidates, found, wanted)
            best = unseen[0]  # a version that does not go may be one that its file does not have
        else:
            _refuse_a_tie(best, candidates)
        if _key(best) in known:
            break
        (plain,) = [one for one in judged(best.item, code=code) if one.asset.key == best.asset.key]
        known[_key(best)] = after = _looked(plain, partial(judge, machine=machine, wishes=wanted, strict=strict), here)
        if best.kind != NONE and (after.kind, after.rank) == (plain.kind, plain.rank):
            break
    others = sorted((other for other in candidates if other is not best), key=_order)
    note = "; ".join(filter(None, (found.note, best.note))) or None
    best = replace(best, note=note, looked=known[_key(best)].looked)
    return Resolution(best, (best, *others), rest)


def _considered(
    found: Found,
    wanted: Wishes,
    judged: Callable[..., list[Candidate]],
    *,
    strict: bool,
    isolated: str,
    code: frozenset[str],
) -> tuple[list[Candidate], Callable[[], list[Candidate]]]:
    """Return the candidates to choose from, and what gives the others."""
    candidates = [candidate for item in found.items for candidate in judged(item, code=code)]
    if isolated == "always":
        candidates = _offered(candidates)
    candidates = _newest_that_runs(candidates)
    equals = partial(_equals, found, wanted, judged)
    rest: Callable[[], list[Candidate]] = equals
    if not strict and all(candidate.kind == NONE for candidate in candidates):
        candidates += equals()
        rest = list
    if isolated == "auto" and all(candidate.kind == NONE for candidate in candidates):
        candidates = _newest_that_runs(_offered(candidates))
    return candidates, rest


_Key = tuple[str, str | None, str]


def _key(candidate: Candidate) -> _Key:
    return candidate.item.id, candidate.item.collection_id, candidate.asset.key


def _looked(candidate: Candidate, again: Callable[..., Candidate], here: bool) -> Candidate:
    """Hold the file of a candidate against its item, and judge it by the version that the file says wrote it."""
    item, asset = candidate.item, candidate.asset
    file = at_hand(item, asset, hashed=True)
    if file is None:
        return replace(candidate, looked=False)
    try:
        check_published(item, asset, file)
        held(item, asset, described(item, asset)[0], file, here=here and candidate.kind not in {ISOLATED, NONE})
    except ModelStacError as error:
        return Candidate(item, asset, NONE, str(error), error=error, looked=True)
    if candidate.kind == NONE or asset.artifact_type in RUNS_CODE:
        return replace(candidate, looked=True)
    from modelstac.registry.facts.records.reading import record

    told = record(file.data)
    return replace(again(item, asset, written=None if told is None else told.version), looked=True)


def _equals(found: Found, wanted: Wishes, judged: Callable[[pystac.Item], list[Candidate]]) -> list[Candidate]:
    """Judge the variants that were proved equal to the one item that was asked for, in the same precision."""
    asked = found.asked
    if asked is None or found.catalog is None or asked.collection_id is None:
        return []
    precision = wanted.precision or precision_of(asked)
    equal = [other for other in references.siblings(asked, found.catalog) if precision_of(other) == precision]
    return [_as_sibling(candidate, asked) for other in equal for candidate in judged(other)]


def isolated_offer(candidate: Candidate) -> Candidate | None:
    """Return a candidate as one that could run in an environment of its own: when only packages or versions lack.

    What has the kind ``isolated`` is offered, and never chosen unasked.
    """
    if isinstance(candidate.error, MachineError) or not isinstance(
        candidate.error, (MissingPackageError, CannotRunError)
    ):
        return None
    reason = f"could run in an environment of its own ({candidate.reason})"
    return Candidate(
        candidate.item,
        candidate.asset,
        ISOLATED,
        reason,
        f"{candidate.error}; so it runs isolated",
        candidate.error,
        (KINDS.index(ISOLATED),),
    )


def _offered(candidates: Iterable[Candidate]) -> list[Candidate]:
    return [isolated_offer(candidate) or candidate for candidate in candidates]


def _find(what: str | PathLike[str] | pystac.Item | Query, catalog: Catalog | str | PathLike[str] | None) -> Found:
    if isinstance(what, pystac.Item):
        return Found((what,), what, references.catalog_beside(catalog))
    if isinstance(what, Query):
        return references.by_query(what, default_catalog(catalog))
    return references.reached(fspath(what), catalog)


def _judged(
    item: pystac.Item,
    *,
    machine: Machine,
    wanted: Wishes,
    strict: bool,
    known: Mapping[_Key, Candidate],
    code: frozenset[str] = frozenset(),
) -> list[Candidate]:
    try:
        assets = model_assets(item)
        if is_foreign(item):
            sides(item)
    except InvalidItemError as error:
        return [Candidate(item, ModelAsset(MODEL_ASSET, UNKNOWN), NONE, str(error), error=error)]
    alone = not any(asset.artifact_type in RUNTIMES for asset in assets)  # what runs code is no fallback
    candidates = [
        judge(
            item,
            asset,
            machine,
            wanted,
            strict=strict,
            code=code if alone or wanted.asset == asset.key else frozenset(),
        )
        for asset in assets
    ]
    return [known.get(_key(candidate), candidate) for candidate in candidates]


def _as_sibling(candidate: Candidate, asked: pystac.Item) -> Candidate:
    if candidate.kind == NONE:
        return candidate
    note = f"{asked.id} cannot run here, or not as wished; {candidate.item.id} was proved equal to it and runs instead"
    if candidate.note:
        note += f" ({candidate.note.removeprefix(f'{candidate.item.id} ')})"
    reason = f"proved equal to {asked.id} ({candidate.kind}: {candidate.reason})"
    return Candidate(
        candidate.item, candidate.asset, SIBLING, reason, note, rank=(KINDS.index(SIBLING), *candidate.rank)
    )


def _newest_that_runs(candidates: list[Candidate]) -> list[Candidate]:
    """Set older versions aside while a newer one can run."""
    newest = max(
        (references.version_of(candidate.item) for candidate in candidates if candidate.kind != NONE), default=None
    )
    return [
        candidate
        if newest is None or candidate.kind == NONE or references.version_of(candidate.item) == newest
        else Candidate(candidate.item, candidate.asset, NONE, NEWER)
        for candidate in candidates
    ]


def _order(candidate: Candidate) -> tuple[Any, ...]:
    return (candidate.kind == NONE, candidate.rank, candidate.item.id, candidate.asset.key)


def _refuse_a_tie(best: Candidate, candidates: Sequence[Candidate]) -> None:
    """Raise AmbiguousError for files of one item between which nothing decides."""
    tied = [c.asset.key for c in candidates if c.item.id == best.item.id and c.kind != NONE and c.rank == best.rank]
    if len(tied) > 1:
        raise AmbiguousError(
            f"item {best.item.id!r} has {len(tied)} models ({', '.join(tied)}) that fit equally well: name one, "
            f"for example asset={tied[0]!r}"
        )


def _nothing(candidates: Sequence[Candidate], found: Found, wanted: Wishes) -> ModelStacError:
    """Say why nothing can run: what stands in the way of what was asked for, and what might help."""
    errors = [candidate.error for candidate in candidates if candidate.error is not None]
    assert errors, "what cannot run has a reason"
    errors = [error for error in errors if not isinstance(error, InvalidQueryError)] or errors
    offers = [offer for candidate in candidates if (offer := isolated_offer(candidate)) is not None]
    first = next((error for error in errors if isinstance(error, MissingPackageError)), errors[0])
    if len(errors) == 1 or found.asked is not None:
        first = errors[0]
    if wanted and all(isinstance(error, InvalidQueryError) for error in errors):
        shown = "; ".join(str(error) for error in errors[:3])
        more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
        return NotFoundError(f"nothing fits {wanted}: {shown}{more}; wish for less")
    hint = (
        f"; or run it in an environment of its own: isolated=True, MODELSTAC_ISOLATED=auto ({offers[0].item.id})"
        if offers
        else ""
    )
    others = (
        f"; {len(errors) - 1} other candidates cannot run either (modelstac resolve --explain)" if errors[1:] else ""
    )
    return type(first)(f"{first}{others}{hint}")


def _lost(other: Candidate, chosen: Candidate) -> str:
    if other.kind in {NONE, ISOLATED}:
        return other.reason
    if other.kind != chosen.kind:
        return f"only {other.kind}, {other.reason}"
    names = ("kind", "precision", "accelerator", "imported already", "quicker")
    differing = [name for name, mine, its in zip(names, other.rank, chosen.rank, strict=False) if mine != its]
    return f"{other.kind} too, but the chosen one goes before it ({differing[0] if differing else 'by name'})"
