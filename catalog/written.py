"""What people write in YAML, of which JSON is a part: plain data with the line of every value, and nothing twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import ModelStacError, NotFoundError, Place, SpecError, StorageError
from modelstac.catalog.later import needing

with needing("reading YAML"):
    import yaml

LIMIT = 1_000_000  # characters
DEPTH = 20
_TIME, _WHOLE, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "int", "merge"))


class _Timeless(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]  # whose sources are not typed
    """Dates stay what was written: 2020-06 and 2020-06-05 are times here, too."""


_Timeless.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != _TIME]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """A YAML file.

    Parameters
    ----------
    name
        Of the file, for errors.
    values
        What it holds.
    lines
        Where each value begins, counted from 1.
    """

    name: str
    values: Any
    lines: dict[Place, int]

    def where(self, place: Place) -> str:
        """Name a place by its line and its field: ``pipeline.yaml line 7, grid.presets[1]``."""
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return f"{self.name} line {self.lines.get(self._known(place), 1)}" + (f", {field}" if field else "")

    def _known(self, place: Place) -> Place:
        """Leave out of a place what is not written."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    @contextmanager
    def explaining(self, fields: Collection[str] | None = None) -> Iterator[None]:
        """Put file, line and field before what an error inside says of a value of this file.

        Parameters
        ----------
        fields
            Those that were taken from this file; by default all that is said is in it.
        """
        try:
            yield
        except ModelStacError as error:
            place = error.place
            if place is None or (fields is not None and not (place and place[0] in fields)):
                raise
            explained = type(error)(f"{self.where(self._known(place))}: {error}")
            explained.place = None
            raise explained from error


def read(text: str, name: str, *, strict: bool = True) -> Document:
    """Read one YAML document.

    Parameters
    ----------
    text, name
        Of the file.
    strict
        Refuse aliases, and read dates; else dates stay texts.

    Raises
    ------
    SpecError
        When it is no YAML, holds a field twice, a tag, or more than one document; with the line.
    """
    if len(text) > LIMIT:
        raise SpecError(f"{name} has {len(text)} characters, more than the {LIMIT} of any specification")
    loader = yaml.SafeLoader if strict else _Timeless
    try:
        _check_events(text, name, strict=strict)
        node = yaml.compose(text, Loader=loader)
        lines: dict[Place, int] = {}
        for place, one in _walk(node, (), name, strict, set()) if node is not None else ():
            lines.setdefault(place, one.start_mark.line + 1)
        return Document(name, yaml.load(text, Loader=loader), lines)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise SpecError(f"{name}{line} is no YAML: {problem}") from error
    except ModelStacError:
        raise
    except ValueError as error:  # dates such as 2010-13-01
        raise SpecError(f"{name} cannot be read: {' '.join(str(error).split())}") from error


def read_file(path: Path) -> Document:
    """Read a file, in which dates stay texts.

    Raises
    ------
    NotFoundError, StorageError
        If it is not there, or cannot be read.
    SpecError
        As :func:`read` does.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}: check the path") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is no text: expected YAML") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    return read(text, str(path), strict=False)


def _check_events(text: str, name: str, *, strict: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if strict and isinstance(event, yaml.AliasEvent):
            raise SpecError(f"{name} line {event.start_mark.line + 1}: *{event.anchor} is an alias: write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise SpecError(f"{name} line {event.start_mark.line + 1}: lists in lists in lists, {depth} deep")


def _walk(node: Any, place: Place, name: str, strict: bool, walked: set[int]) -> Iterator[tuple[Place, Any]]:
    """Give every value with its place; fields at the line of their name, and what aliases repeat once."""
    yield place, node
    if id(node) in walked:
        return
    walked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE and not strict:
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                raise SpecError(f"{name} line {line}: the name of a field must be a plain word")
            if key.value in seen:
                raise SpecError(f"{name} line {line}: the field {key.value!r} is there twice")
            seen.add(key.value)
            inside = (*place, int(key.value) if key.tag == _WHOLE and key.value.isdecimal() else key.value)
            yield inside, key
            yield from _walk(value, inside, name, strict, walked)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*place, index), name, strict, walked)
