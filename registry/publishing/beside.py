"""Files beside a model that its publisher gives: a card, tables and pictures of its scores, requirements."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import DataError, NotFoundError, SpecError, StorageError, at
from modelstac.catalog.items.description import ExtraAsset
from modelstac.registry.publishing.written import values_of

PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
MARKDOWN = "text/markdown"
MAX_CARD = 200_000  # characters


def read_scores(said: Any, folder: Path) -> dict[str, float]:
    """Read scores as flat names and numbers; of nested ones the names are joined: ``IoU_water``.

    Parameters
    ----------
    said
        A mapping, or the path of a file of one (JSON, YAML).
    folder
        What paths are relative to.

    Raises
    ------
    SpecError
        If one is no finite number.
    """
    with values_of(said, folder) as stated:
        if not isinstance(stated, Mapping) or not stated:
            raise SpecError(f"metrics are names with numbers, such as mIoU: 0.71, not {stated!r:.60}")
        found: dict[str, float] = {}
        for name, number in _flat(stated, ""):
            if not name or name in found:
                raise SpecError(f"metrics: {name!r} is {'there twice' if name else 'no name'}: call each by its own")
            found[name] = number
        return found


def _flat(said: Mapping[Any, Any], before: str) -> Iterator[tuple[str, float]]:
    for key, value in said.items():
        name = f"{before}{key}"
        with at(key):
            if isinstance(value, Mapping):
                yield from _flat(value, f"{name}_")
            else:
                yield name, _number(value, name)


def _number(value: Any, name: str) -> float:
    if isinstance(value, list) and len(value) == 1:  # as frameworks give one
        (value,) = value
    try:
        number = float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # text, arrays, tensors, 10**400
        raise SpecError(f"metrics: {name!r} is {value!r:.40}, no number") from error
    if isinstance(value, str | bool) or not math.isfinite(number):
        raise SpecError(f"metrics: {name!r} is {value!r:.40}, no finite number")
    return number


def read_card(said: Any, folder: Path) -> str:
    """Read a model card: Markdown, or the path of its file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    SpecError
        If it is no text, or too long.
    """
    if not isinstance(said, str | Path):
        raise SpecError(f"card is Markdown or the path of its file, not {said!r:.60}")
    text = str(said)
    if isinstance(said, Path) or ("\n" not in text and text.casefold().endswith((".md", ".markdown", ".txt"))):
        try:
            text = _read(folder / said, "card").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpecError(f"card {folder / said} is no text in UTF-8: give Markdown") from error
    if not text.strip() or len(text) > MAX_CARD:
        raise SpecError(f"card has {len(text)} characters: 1 to {MAX_CARD} are shown")
    return _without_front_matter(text)


def _without_front_matter(text: str) -> str:
    """Leave out what Hugging Face writes before a card, which no browser shows."""
    if not text.startswith("---\n"):
        return text
    _, _, rest = text[4:].partition("\n---")
    return rest.partition("\n")[2].lstrip() or text


def scores_table(scores: Mapping[str, float], main: str | None = None) -> str:
    """Write scores as a table of Markdown, the one that matters most first."""
    ordered = sorted(scores.items(), key=lambda score: score[0] != main)
    rows = [f"| {name.replace('|', '/')} | {value:.4g} |" for name, value in ordered]
    return "\n".join(["| Score | Value |", "| --- | --- |", *rows])


def card_asset(text: str, folder: Path) -> ExtraAsset:
    """Write a card beside the model."""
    description = "What the model is for, how it was made and how good it is; also in the description of this item."
    return ExtraAsset(
        path=_write(folder / "README.md", text.encode()),
        media_type=MARKDOWN,
        roles=("metadata",),
        title="Model card",
        description=description,
    )


def table_asset(said: Any, folder: Path, into: Path) -> ExtraAsset:
    """Write a table of scores: a CSV file, rows, columns, or a table of pandas.

    Raises
    ------
    SpecError
        If it is none.
    """
    if isinstance(said, str | Path):
        data = _read(folder / said, "metrics_table")
    elif hasattr(said, "to_csv"):
        data = str(said.to_csv(index=bool(getattr(said.index, "name", None)))).encode()
    else:
        data = _table(said).encode()
    path = _write(into / "metrics.csv", data)
    return ExtraAsset(path=path, media_type="text/csv", roles=("metadata",), title="Scores on held-out data")


def _table(said: Any) -> str:
    rows = list(said) if isinstance(said, list | tuple) else []
    if not rows:
        raise SpecError(f"metrics_table is a CSV file, a list of rows or a DataFrame, not {said!r:.60}")
    text = io.StringIO()
    if all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        table = csv.DictWriter(text, names)
        table.writeheader()
        table.writerows(rows)
    else:
        csv.writer(text).writerows([row if isinstance(row, list | tuple) else [row] for row in rows])
    return text.getvalue()


def picture_asset(said: Any, folder: Path, into: Path, *, name: str, title: str, role: str) -> ExtraAsset:
    """Copy a picture, or draw a figure of matplotlib, beside the model.

    Raises
    ------
    SpecError
        If it is neither.
    """
    if hasattr(said, "savefig"):
        buffer = io.BytesIO()
        said.savefig(buffer, format="png")
        return ExtraAsset(
            path=_write(into / f"{name}.png", buffer.getvalue()), media_type="image/png", roles=(role,), title=title
        )
    check_picture(said, folder)
    suffix = Path(said).suffix.casefold()
    path = _write(into / f"{name}{suffix}", _read(folder / said, name))
    return ExtraAsset(path=path, media_type=PICTURES[suffix], roles=(role,), title=title)


def check_picture(said: Any, folder: Path) -> None:
    """Refuse what is no file of a picture.

    Raises
    ------
    SpecError, NotFoundError
        If its name is of no picture, or it is not there.
    """
    suffix = Path(said).suffix.casefold() if isinstance(said, str | Path) else ""
    if suffix not in PICTURES:
        raise SpecError(f"this is a picture ({', '.join(PICTURES)}) or a figure of matplotlib, not {_shown(said)}")
    if not (folder / said).is_file():
        raise NotFoundError(f"there is no file {folder / said}")


def _shown(said: Any) -> str:
    return f"{str(said)!r}" if isinstance(said, Path) else f"{said!r:.60}"


def text_asset(said: Any, folder: Path, into: Path, *, name: str, title: str) -> ExtraAsset:
    """Copy a text file beside the model."""
    if not isinstance(said, str | Path):
        raise SpecError(f"{name} is the path of a file, not {said!r:.60}")
    path = _write(into / name, _read(folder / said, name))
    return ExtraAsset(path=path, media_type="text/plain", roles=("metadata",), title=title)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{what}: there is no file {path}") from error
    except IsADirectoryError as error:
        raise DataError(f"{what}: {path} is a folder, and a file is meant") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error


def _write(path: Path, data: bytes) -> Path:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError.doing(f"write {path}", error) from error
    return path
