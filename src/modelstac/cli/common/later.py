"""Commands whose modules are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from modelstac.catalog.later import at


class Commands(dict[str, click.Command]):
    """The commands of a group by name, each imported when it is asked for.

    Parameters
    ----------
    places
        By name the module under ``modelstac.cli``, which has the command under its own name, and what the list of
        commands says of it.
    """

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(dict.fromkeys(places, click.Command(None)))
        self._places = places

    def __getitem__(self, name: str) -> click.Command:
        """Import a command."""
        module, _ = self._places[name]
        found: click.Command = at(f"modelstac.cli.{module}:{name}")
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """Import a command if there is one of the name."""
        if name not in self:
            return default
        return self[name]

    def values(self) -> Any:
        """Import all."""
        return {name: self[name] for name in self}.values()

    def items(self) -> Any:
        """Import all."""
        return {name: self[name] for name in self}.items()

    def said(self) -> list[tuple[str, str]]:
        """Return what the list of commands says of each, and import none."""
        return [(name, text) for name, (_, text) in self._places.items()]
