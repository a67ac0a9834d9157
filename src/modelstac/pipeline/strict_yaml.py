"""YAML read strictly and safely, with the line of every value: plain data, nothing twice, nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.later import needing

with needing("a pipeline"):
    import yaml

Place = tuple[str | int, ...]
LIMIT = 1_000_000  # characters
DEPTH = 20


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
        near = place
        while near and near not in self.lines:
            near = near[:-1]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return f"{self.name} line {self.lines.get(near, 1)}" + (f", {field}" if field else "")


def read(text: str, name: str) -> Document:
    """Read one YAML document.

    Raises
    ------
    SpecError
        When it is no YAML, holds a field twice, an alias, a tag, or more than one document; with the line.
    """
    if len(text) > LIMIT:
        raise SpecError(f"{name} has {len(text)} characters, more than the {LIMIT} of any specification")
    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Place, int] = {}
        for place, one in _walk(node, (), name) if node is not None else ():
            lines.setdefault(place, one.start_mark.line + 1)
        return Document(name, yaml.safe_load(text), lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise SpecError(f"{name}{line} is no YAML: {problem}") from error
    except ValueError as error:  # dates such as 2010-13-01
        raise SpecError(f"{name} cannot be read: {' '.join(str(error).split())}") from error


def _check_events(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise SpecError(f"{name} line {event.start_mark.line + 1}: *{event.anchor} is an alias: write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise SpecError(f"{name} line {event.start_mark.line + 1}: lists in lists in lists, {depth} deep")


def _walk(node: Any, place: Place, name: str) -> Iterator[tuple[Place, Any]]:
    """Give every value with its place; fields at the line of their name."""
    yield place, node
    if isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise SpecError(f"{name} line {line}: the name of a field must be a plain word")
            if key.value in seen:
                raise SpecError(f"{name} line {line}: the field {key.value!r} is there twice")
            seen.add(key.value)
            yield (*place, key.value), key
            yield from _walk(value, (*place, key.value), name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*place, index), name)
