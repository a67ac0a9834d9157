"""Run a model over scenes and compare each map with its labels, without keeping it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, NotFoundError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.registry.loading import load
from modelstac.registry.scenes.evaluating.comparing import Compared, Kind, compare, first_label, kind_of
from modelstac.registry.scenes.evaluating.evaluation import Evaluation, evaluation_of
from modelstac.registry.scenes.evaluating.grids import Rules
from modelstac.registry.scenes.predicting import predict_scene
from modelstac.registry.scenes.running.layers import classes_of
from modelstac.registry.scenes.writing.layers import distinct

if TYPE_CHECKING:
    from modelstac.registry.scenes.evaluating.pairing import Pair
    from modelstac.registry.scenes.rasters import Layer, Raster


def evaluate(
    model: Any,
    pairs: Sequence[Pair],
    *,
    catalog: Any = None,
    output: str | None = None,
    kind: Kind | None = None,
    rules: Rules = Rules(),  # noqa: B008 - frozen
    maps: str | Path | None = None,
    predicting: Mapping[str, Any] | None = None,
    seed: int = 0,
    report: Report = ignore,
) -> Evaluation:
    """Make a map of each scene and compare it with its labels, pooled over all of them.

    Parameters
    ----------
    model
        A model that was loaded, or whatever :func:`modelstac.load` takes: an item id, alias, path or URL.
    pairs
        Scenes and their labels.
    catalog
        Where an id is looked up.
    output
        Which output is evaluated; needed where the model has several.
    kind
        What the maps show; by default classes, where they have whole numbers.
    rules
        How they are compared.
    maps
        Folder that gets the maps; by default they are not kept.
    predicting
        Further arguments of :func:`modelstac.predict_scene`.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        If a scene or its labels cannot be read, grids differ, or no pixel has both.
    """
    if not pairs:
        raise DataError("there are no scenes to evaluate: name scenes and their labels")
    task = "evaluate scenes"
    found: list[Compared] = []
    with ExitStack() as stack:
        ready = model
        if not hasattr(model, "run"):
            ready = stack.enter_context(load(model, catalog=catalog, spin=False, report=report))
        how = _How(
            output,
            kind,
            _ignoring(ready, output, rules),
            None if maps is None else _folder(maps),
            dict(predicting or {}),
        )
        report(Started(task, len(pairs)))
        for (scene, labels), name in zip(pairs, _kept_as([scene for scene, _ in pairs]), strict=True):
            # What was done to bands is said once, and not for each scene.
            kept = None if how.maps is None else how.maps / f"{name}.tif"
            found.append(_one(ready, (scene, labels), kept, how, ignore if found else report))
            report(Advanced(task))
        report(Finished(task))
    assert how.layer is not None
    assert how.kind is not None
    return evaluation_of(found, how.kind, classes=how.layer.classes, unit=how.layer.unit, seed=seed)


def _kept_as(scenes: Sequence[str]) -> list[str]:
    """Call maps that are kept as their scenes, and of those that are called alike each by its folder, too."""
    stems = [Path(scene).stem for scene in scenes]
    folders = [f"{Path(scene).absolute().parent.name}_" for scene in scenes]
    return distinct(
        stem if stems.count(stem) == 1 else folder + stem for stem, folder in zip(stems, folders, strict=True)
    )


def _ignoring(model: Any, output: str | None, rules: Rules) -> Rules:
    """Leave out labels that are called nothing by the item, unless they stand for something else."""
    outputs = [one for one in model.description.outputs if output in (None, one.name)]
    nothing = {one.value for each in outputs[:1] for one in classes_of(each) if one.nothing}
    return replace(rules, ignore=(*rules.ignore, *sorted(nothing - rules.translate.keys())))


@dataclass
class _How:
    output: str | None
    kind: Kind | None
    rules: Rules
    maps: Path | None
    predicting: dict[str, Any]
    origin: float | None = None
    layer: Layer | None = None

    def compare(self, mapped: str | Raster, labels: str, name: str) -> Compared:
        self.kind = self.kind or kind_of(mapped)
        if self.origin is None:  # one for all scenes, as their sums are added
            self.origin = first_label(labels, self.rules) if self.kind == "numbers" else 0.0
        return compare(mapped, labels, self.kind, self.rules, origin=self.origin, name=name)


def _one(model: Any, pair: Pair, kept: Path | None, how: _How, report: Report) -> Compared:
    """Make the map of a scene and compare it, as long as its pixels are there or in the file that is kept."""
    found: list[Compared] = []
    scene, labels = pair

    def sink(rasters: Sequence[Raster]) -> None:
        which = _which([raster.layer.name for raster in rasters], how.output)
        found.append(how.compare(rasters[which], labels, scene))

    if kept is None:
        made = predict_scene(model, scene, sink, report=report, **how.predicting)
        how.layer = list(made.plan.layers.values())[_which(list(made.plan.layers), how.output)]
        return found[0]
    made = predict_scene(model, scene, kept, report=report, **how.predicting)
    which = _which(list(made.plan.layers), how.output)
    how.layer = list(made.plan.layers.values())[which]
    return how.compare([path for path in made.paths if path.endswith(".tif")][which], labels, scene)


def _which(names: Sequence[str], output: str | None) -> int:
    if output is None and len(names) > 1:
        raise DataError(f"the model has the outputs {', '.join(names)}: say which one is evaluated (--output-name)")
    if output is not None and output not in names:
        raise NotFoundError.unknown("output", output, names, where="the model")
    return 0 if output is None else list(names).index(output)


def _folder(maps: str | Path) -> Path:
    folder = Path(maps)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.doing(f"write {folder}", error) from error
    return folder
