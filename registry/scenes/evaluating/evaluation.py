"""What came out of an evaluation: scores of all scenes together, of each class and of each scene, with intervals."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.registry.scenes.evaluating.classes import scores_by_class, scores_of_all
from modelstac.registry.scenes.evaluating.comparing import Compared, Kind, compare, dense, first_label, kind_of
from modelstac.registry.scenes.evaluating.grids import Rules, classes_of_file
from modelstac.registry.scenes.evaluating.numbers import scores_of_numbers
from modelstac.registry.scenes.evaluating.pairing import Pair
from modelstac.registry.scenes.evaluating.pooling import Intervals, intervals
from modelstac.registry.scenes.rasters import Class


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of maps against labels.

    Parameters
    ----------
    kind
        Whether the maps have classes or numbers.
    scores
        Of all pixels of all scenes together: ``overall_accuracy``, ``miou``, ``macro_f1`` and ``kappa``; or ``rmse``,
        ``mae``, ``bias`` and ``r2``. NaN where one is not defined.
    scenes
        Of each scene its files, its pixels and the same scores.
    interval
        Of the scores, and of those by class.
    classes, confusion, by_class
        Of maps of classes: the classes, pixels by label (row) and map (column), and the scores of each.
    unit
        Of numbers.
    notes
        What a person should know: pixels that were left out, labels that are no class of the model.
    sample
        Some pairs of map and label, of numbers.
    """

    kind: Kind
    scores: Mapping[str, float]
    scenes: Sequence[Mapping[str, Any]]
    interval: Intervals
    classes: Sequence[Class] = ()
    confusion: NDArray[np.int64] | None = None
    by_class: Mapping[str, Sequence[float]] | None = None
    unit: str | None = None
    notes: Sequence[str] = ()
    sample: NDArray[Any] | None = None

    @property
    def pixels(self) -> int:
        """How many pixels were compared."""
        return sum(int(scene["pixels"]) for scene in self.scenes)

    def flat(self) -> dict[str, float]:
        """Return the scores as ``interop:scores`` has them: numbers by name, the unit in the name."""
        unit = f"_{_slug(self.unit)}" if self.unit and _slug(self.unit) else ""
        found = {name if name in _WITHOUT_UNIT else name + unit: value for name, value in self.scores.items()}
        names = [_slug(one.name) or str(one.value) for one in self.classes]
        for one, name, iou in zip(self.classes, names, (self.by_class or {}).get("iou", ()), strict=False):
            found[f"iou_{name}" if names.count(name) == 1 else f"iou_{name}_{one.value}"] = iou
        return {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; what is not defined is null."""
        said: dict[str, Any] = {"kind": self.kind, "pixels": self.pixels, "scores": _finite(self.scores)}
        if self.unit:
            said["unit"] = self.unit
        said["intervals"] = {
            "over": self.interval.over,
            "drawn": self.interval.drawn,
            "of": {name: _finite_pair(self.interval.of[name][0]) for name in self.scores if name in self.interval.of},
        }
        if self.confusion is not None and self.by_class is not None:
            said["classes"] = [self._class(k, one) for k, one in enumerate(self.classes)]
            said["confusion"] = self.confusion.tolist()
        return said | {
            "scenes": [{k: _finite_one(v) for k, v in scene.items()} for scene in self.scenes],
            "notes": [*self.notes, self.interval.told()],
            "flat": self.flat(),
        }

    def _class(self, k: int, one: Class) -> dict[str, Any]:
        assert self.confusion is not None
        assert self.by_class is not None
        found: dict[str, Any] = {"value": one.value, "name": one.name, "pixels": int(self.confusion[k].sum())}
        found |= {name: _finite_one(values[k]) for name, values in self.by_class.items()}
        drawn = {n: _finite_pair(self.interval.of[n][k]) for n in self.by_class if n in self.interval.of}
        return found | ({"intervals": drawn} if drawn else {})


_MOST_VALUES = 500
_WITHOUT_UNIT = frozenset({"overall_accuracy", "miou", "macro_f1", "kappa", "r2"})


def evaluate_maps(
    pairs: Sequence[Pair],
    *,
    kind: Kind | None = None,
    classes: Sequence[Class] = (),
    unit: str | None = None,
    rules: Rules = Rules(),  # noqa: B008 - frozen
    seed: int = 0,
    report: Report = ignore,
) -> Evaluation:
    """Compare maps with labels, pixel by pixel, pooled over all of them.

    Parameters
    ----------
    pairs
        Maps and their labels.
    kind
        What they show; by default classes, where maps have whole numbers.
    classes
        What the values of the maps mean, by default as the first one says; others are named by their value.
    unit
        Of numbers.
    rules
        How they are compared.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        If a file cannot be read, grids differ, or no pixel has both.
    """
    if not pairs:
        raise DataError("there are no maps to evaluate: name maps and their labels")
    kind = kind or kind_of(pairs[0][0])
    origin = first_label(pairs[0][1], rules) if kind == "numbers" else 0.0
    found = []
    report(Started("compare with labels", len(pairs)))
    for mapped, labels in pairs:
        found.append(compare(mapped, labels, kind, rules, origin=origin))
        report(Advanced("compare with labels"))
    report(Finished("compare with labels"))
    if kind == "classes" and not classes:
        classes = classes_of_file(pairs[0][0], rules.band)
    return evaluation_of(found, kind, classes=classes, unit=unit, seed=seed)


def evaluation_of(
    found: Sequence[Compared], kind: Kind, *, classes: Sequence[Class] = (), unit: str | None = None, seed: int = 0
) -> Evaluation:
    """Pool what was found in each scene.

    Raises
    ------
    DataError
        If no pixel has both.
    """
    if not any(one.pixels for one in found):
        names = Path(found[0].map).name + (f" and {len(found) - 1} more" if len(found) > 1 else "")
        raise DataError(f"no pixel of {names} has both a value and a label: see where they lie, and what is nodata")
    return _of_classes(found, classes, seed) if kind == "classes" else _of_numbers(found, unit, seed)


def _of_classes(found: Sequence[Compared], classes: Sequence[Class], seed: int) -> Evaluation:
    known = {one.value: one for one in classes}
    rows = np.concatenate([block for one in found for block in one.blocks])
    new = sorted({int(v) for v in np.unique(rows[:, :2])} - known.keys())
    for one in found:
        _check_names(one, known)
    notes = _notes(found)
    if known and (odd := [v for v in new if v in rows[:, 0]]):
        listed = ", ".join(map(str, odd[:5])) + (", …" if len(odd) > 5 else "")
        notes.append(f"labels have {listed}, no class of the maps: it counts as missed, unless --ignore leaves it out")
    everything = [*classes, *(Class(value, str(value)) for value in new)]
    values = [one.value for one in everything]
    if len(new) > _MOST_VALUES:
        raise DataError(
            f"{found[0].map} and its labels have {len(new)} values that no class is named for, more than a map of "
            "classes has: evaluate them as numbers (--kind numbers)"
        )
    scenes = [dense(one.blocks, values) for one in found]
    confusion = np.asarray(sum(part.sum(0) for part in scenes))
    by_class = {name: _list(scores) for name, scores in scores_by_class(confusion).items()}
    return Evaluation(
        kind="classes",
        scores=_numbers(scores_of_all(confusion)),
        scenes=_scenes(found, scenes, scores_of_all),
        interval=intervals(scenes, lambda drawn: {**scores_of_all(drawn), **scores_by_class(drawn)}, seed=seed),
        classes=everything,
        confusion=confusion,
        by_class=by_class,
        notes=notes,
    )


def _check_names(found: Compared, classes: Mapping[int, Class]) -> None:
    """Refuse labels that give a value the name that another one has on the map: they are numbered otherwise."""
    if not found.named or not classes:
        return
    there = {int(value) for block in found.blocks for value in block[:, 0]}
    by_name = {one.name.casefold(): one.value for one in classes.values()}
    moved = {}
    for one in found.named:
        ours = by_name.get(one.name.casefold(), one.value)
        same = one.value in classes and classes[one.value].name.casefold() == one.name.casefold()
        if one.value in there and ours != one.value and not same:
            moved[one.value] = (one.name, ours)
    if moved:
        value, (name, ours) = next(iter(moved.items()))
        flags = " ".join(f"--translate {old}={new}" for old, (_, new) in moved.items())
        raise DataError(
            f"the labels {found.labels} call {value} {name!r}, and the map calls {ours} so: say {flags}, or "
            f"--translate {value}={value} if the names of the labels are wrong"
        )


def _of_numbers(found: Sequence[Compared], unit: str | None, seed: int) -> Evaluation:
    scenes = [np.reshape(one.blocks, (len(one.blocks), 6)) for one in found]
    return Evaluation(
        kind="numbers",
        scores=_numbers(scores_of_numbers(np.asarray(sum(part.sum(0) for part in scenes)))),
        scenes=_scenes(found, scenes, scores_of_numbers),
        interval=intervals(scenes, scores_of_numbers, seed=seed),
        unit=unit,
        notes=_notes(found),
        sample=np.concatenate([part for one in found for part in one.sample]),
    )


def _scenes(
    found: Sequence[Compared],
    sums: Sequence[NDArray[Any]],
    scored: Callable[[NDArray[Any]], Mapping[str, NDArray[np.float64]]],
) -> list[dict[str, Any]]:
    return [
        {
            "map": one.map,
            "labels": one.labels,
            "pixels": one.pixels,
            "unmapped": one.unmapped,
            **_numbers(scored(part.sum(0))),
        }
        for one, part in zip(found, sums, strict=True)
    ]


def _notes(found: Sequence[Compared]) -> list[str]:
    missed, both = sum(one.unmapped for one in found), sum(one.pixels for one in found)
    if not missed:
        return []
    return [f"{missed / (missed + both):.2%} of the labelled pixels have no value on the map, and count as nothing"]


def _slug(text: str | None) -> str:
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def _numbers(scores: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}


def _list(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite_one(value) for name, value in scores.items()}


def _finite_one(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite_pair(pair: tuple[float, float]) -> list[float] | None:
    return list(pair) if all(map(math.isfinite, pair)) else None
