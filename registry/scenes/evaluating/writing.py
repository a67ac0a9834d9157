"""An evaluation as files: everything as JSON, a table as CSV, a picture; and its numbers as an item takes them."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, StorageError
from modelstac.catalog.items.provenance import ExtraAsset
from modelstac.registry.scenes.evaluating.picture import picture

if TYPE_CHECKING:
    from modelstac.registry.scenes.evaluating.evaluation import Evaluation

JSON, CSV, PICTURE, SCORES = "metrics.json", "metrics.csv", "metrics.png", "scores.json"
_ASSETS = (
    ("metrics", JSON, "application/json", "metadata", "Scores against labels"),
    ("metrics-table", CSV, "text/csv", "metadata", "Scores against labels, as a table"),
    ("metrics-picture", PICTURE, "image/png", "overview", "Scores against labels, as a picture"),
)


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that :func:`write_evaluation` could not write into, before anything is computed; make nothing.

    Raises
    ------
    StorageError
        If a file is in the way, or nothing may be written there.
    """
    folder = Path(folder).absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    files = [folder / name for name in (JSON, CSV, PICTURE, SCORES)]
    reason = None
    if not there.is_dir():
        reason = f"{there} is a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} may not be written"
    elif odd := next((path for path in files if path.is_dir()), None):
        reason = f"{odd} is a folder"
    elif odd := next((path for path in files if path.exists() and not os.access(path, os.W_OK)), None):
        reason = f"{odd} may not be written"
    if reason is not None:
        raise StorageError(f"cannot write {folder}: {reason}; choose another folder")


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write ``metrics.json``, ``metrics.csv``, ``metrics.png`` and ``scores.json`` into a folder; return their paths.

    The last has the scores alone, numbers by name, as an item takes them.

    Raises
    ------
    StorageError
        If one cannot be written.
    """
    folder = Path(folder)
    contents = {
        CSV: table(evaluation).encode(),
        PICTURE: picture(evaluation),
        SCORES: (json.dumps(evaluation.flat(), indent=2) + "\n").encode(),
        # Last, since it is what others read: where it is, the others are.
        JSON: (json.dumps(evaluation.to_dict(), indent=2) + "\n").encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise StorageError.doing(f"write {folder}", error, advice="free some space or choose another folder") from error
    return [folder / name for name in (JSON, CSV, PICTURE, SCORES)]


def table(evaluation: Evaluation) -> str:
    """Return a CSV table: of classes the confusion matrix and their scores, of numbers a row for each scene."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if evaluation.confusion is not None and evaluation.by_class is not None:
        names = [one.name for one in evaluation.classes]
        writer.writerow(["label", "value", *(f"map: {name}" for name in names), *evaluation.by_class])
        for k, one in enumerate(evaluation.classes):
            scores = [_cell(values[k]) for values in evaluation.by_class.values()]
            writer.writerow([one.name, one.value, *evaluation.confusion[k].tolist(), *scores])
    else:
        writer.writerow(["map", "labels", "pixels", *evaluation.scores])
        for scene in evaluation.scenes:
            scores = [_cell(scene[name]) for name in evaluation.scores]
            writer.writerow([scene["map"], scene["labels"], scene["pixels"], *scores])
        writer.writerow(["all", "", evaluation.pixels, *map(_cell, evaluation.scores.values())])
    return text.getvalue()


def read_metrics(path: str | Path) -> tuple[dict[str, float], dict[str, ExtraAsset]]:
    """Read what was written, for an item: its scores, and the files as assets.

    Parameters
    ----------
    path
        ``metrics.json``, or its folder; table and picture are taken where they lie beside it. Any JSON object of
        numbers by name does as well.

    Raises
    ------
    DataError
        If it holds no scores.
    """
    path = Path(path)
    path = path / JSON if path.is_dir() else path
    try:
        said: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no scores ({error}): give what modelstac evaluate --output writes") from error
    flat = said.get("flat", said) if isinstance(said, dict) else None
    if not isinstance(flat, dict) or not flat or not all(_is_number(value) for value in flat.values()):
        raise DataError(f"{path} holds no scores: give metrics.json of modelstac evaluate, or an object of numbers")
    assets = {}
    for key, name, media_type, role, title in _ASSETS:
        beside = path if name == JSON else path.with_name(name)
        if beside.is_file():
            assets[key] = ExtraAsset(path=beside.absolute(), media_type=media_type, roles=(role,), title=title)
    return {name: float(value) for name, value in flat.items()}, assets


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _cell(value: float) -> str:
    return f"{value:.6g}" if value == value else ""  # noqa: PLR0124 - NaN
