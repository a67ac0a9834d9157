"""What is taken from another registry: a model, and what is said of it there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import NAME_PATTERN, ModelDescription
from modelstac.catalog.items.mlm import SEMVER
from modelstac.catalog.later import needing

MAX_TEXT = 4 << 20
"""Bytes of a description."""
_REPEATED = 1 << 17
_NO_KEY = re.compile(r"[^0-9a-zA-Z_.-]+")


@dataclass(frozen=True)
class Taken:
    """A model of another registry, ready to be published.

    Parameters
    ----------
    model
        The path of its file, or an object of its framework.
    said
        What is said of it there, by the names of :class:`~modelstac.registry.publishing.saying.Said`.
    notes
        What its publisher should know.
    finish
        Says in the description of its file, which was run, what cannot be said otherwise.
    pickles
        Whether pickles of it may be read where the reader trusts them; of what anybody can put there, never.
    check
        Holds the description, with its example, against what is known of it there; raises where they differ.
    """

    model: Any
    said: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pickles: bool = True
    finish: Callable[[ModelDescription], ModelDescription] | None = None
    check: Callable[[ModelDescription], None] | None = None


def safe_name(path: str, *, where: str) -> PurePosixPath:
    """Return the path of a file inside a package, which leads nowhere else.

    Raises
    ------
    InvalidItemError
        If it does.
    """
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or "\\" in path or ":" in path or not found.parts:
        raise InvalidItemError(f"{where} names the file {path!r}, which is none inside it: ask its publisher")
    return found


def read_yaml(text: str | bytes, *, where: str) -> Any:
    """Return what a description in YAML says.

    Raises
    ------
    InvalidItemError
        If it is none, or grows when its aliases are written out: a few lines of those may be more than memory holds.
    """
    with needing(f"reading {where}"):
        import yaml

    if len(text) > MAX_TEXT:
        raise InvalidItemError(f"{where} has more than {MAX_TEXT} bytes, as no description has")
    try:
        found = yaml.safe_load(text)
    except Exception as error:  # of its own, and whatever odd dates, numbers and depths raise
        raise InvalidItemError(f"{where} is no YAML that can be read: {' '.join(str(error).split())[:120]}") from error
    waiting, size = [found], 0
    while waiting:
        one = waiting.pop()
        size += 1 + (len(one) if isinstance(one, str | bytes) else 0)
        if size > _REPEATED + 4 * len(text):
            raise InvalidItemError(f"{where} repeats its parts too often, by aliases: write it without them")
        if isinstance(one, Mapping):
            waiting.extend(one.keys())
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set):
            waiting.extend(one)
    return found


def placed(folder: Path, path: str, *, where: str) -> Path:
    """Return where a file of a package goes below a folder; the folders between are made."""
    target = folder / safe_name(path, where=where)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def as_name(text: str) -> str | None:
    """Return a name of somebody's as ours may be; None where nothing of it is left."""
    found = re.sub(r"[^a-zA-Z0-9_.-]+", "-", text).strip("-_.")[:100]
    return found if len(found) >= 3 and re.fullmatch(NAME_PATTERN, found) else None


def as_version(text: object) -> str | None:
    """Return a version as a semantic one, where it is nearly one: ``3`` is 3.0.0."""
    found = str(text).strip().removeprefix("v")
    if re.fullmatch(r"\d+(\.\d+)?", found):
        found += ".0" * (2 - found.count("."))
    return found if SEMVER.fullmatch(found) and "+" not in found else None


def as_key(text: str) -> str:
    """Return a name of a parameter as MLM allows it."""
    return _NO_KEY.sub("_", text) or "_"
