"""Which labels belong to which scene: by their names, or as a list says."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelstac.catalog.errors import DataError, NotFoundError
from modelstac.registry.scenes.reading.finding.parts import CUBES, file_and_group, is_zarr

Pair = tuple[str, str]
"""A scene (or a map) and its labels: paths, or addresses."""
SCENES = frozenset({".tif", ".tiff", ".vrt", ".json", ".jp2", ".zip", ".tar", *CUBES})
"""How names of scenes end; a folder is a scene, too."""
_LABELS = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", *CUBES})
_ENDINGS = ("_labels", "_label", "_mask", "_truth", "-labels", "-label", "-mask", "-truth")


def pair(scenes: str | Path, labels: str | Path | None = None) -> list[Pair]:
    """Pair scenes with labels.

    Parameters
    ----------
    scenes
        A scene; a folder of scenes; or, without labels, a list of pairs: CSV with the columns ``scene`` and ``labels``,
        or JSON, an array of such objects. Its paths start from where it lies.
    labels
        The raster of one scene, or a folder of rasters that are called as their scenes are (``_labels``, ``_label``,
        ``_mask`` or ``_truth`` may follow).

    Raises
    ------
    NotFoundError
        If something is not there.
    DataError
        If a scene has no labels, or two.
    """
    path = Path(scenes)
    if labels is None:
        return _listed(path)
    theirs = Path(labels)
    if not theirs.is_dir():
        return [(_there(scenes), _there(labels))]
    _there(scenes)
    named = _by_name(theirs, _LABELS)
    if not path.is_dir() or is_zarr(str(path)):
        return [(str(path), _labels_of(path, named, theirs))]
    found = [one for one in sorted(path.iterdir()) if one.suffix.lower() in SCENES or one.is_dir()]
    # An item beside a raster of its name describes that raster.
    rasters = {one.stem for one in found if one.suffix.lower() != ".json" and not one.is_dir()}
    found = [one for one in found if one.suffix.lower() != ".json" or one.stem not in rasters]
    if not found:
        raise NotFoundError(f"there are no scenes in {path}: name a folder of rasters, items or folders of band files")
    return [(str(one), _labels_of(one, named, theirs)) for one in found]


def _labels_of(scene: Path, named: Mapping[str, Sequence[Path]], folder: Path) -> str:
    found = named.get(scene.name if scene.is_dir() else scene.stem, ()) or named.get(scene.stem, ())
    if not found:
        raise DataError(
            f"the scene {scene.name} has no labels of its name in {folder}: call them {scene.stem}.tif, or list pairs "
            "in a CSV file (scene,labels)"
        )
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise DataError(f"the scene {scene.name} has labels twice in {folder}: {names}; keep one of them")
    return str(found[0])


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes:
            name = path.stem
            for ending in _ENDINGS:
                name = name.removesuffix(ending)
            for one in dict.fromkeys((path.stem, name)):
                found.setdefault(one, []).append(path)
    return found


def _there(path: str | Path) -> str:
    if "://" not in str(path) and not Path(file_and_group(str(path))[0]).exists():
        raise NotFoundError(f"there is no {path}: name a scene, a folder of scenes, or their labels")
    return str(path)


def _listed(path: Path) -> list[Pair]:
    if path.suffix.lower() not in {".csv", ".json"}:
        raise DataError(f"{path} is no list of pairs: name the labels, too, or a .csv or .json of scenes and labels")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"the list of pairs {path} cannot be read: {error}") from error
    try:
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
        pairs = [(str(row["scene"]), str(row["labels"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of pairs: give each row a scene and its labels (scene,labels)") from error
    if not pairs:
        raise DataError(f"{path} lists no pairs: give each row a scene and its labels (scene,labels)")
    return [(_there(_from(path, scene)), _there(_from(path, label))) for scene, label in pairs]


def _from(path: Path, name: str) -> str:
    return name if "://" in name else str(path.parent / name)
