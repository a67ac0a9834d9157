"""The file of environments that ``modelstac matrix`` reads."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.jobs.job import NAME
from modelstac.registry.isolated.requirements import Requirements, parse

_FIELDS: dict[str, type] = {"name": str, "packages": list, "python": str, "trusted": list, "writes": list}
_OPTIONAL = frozenset({"python", "trusted", "writes"})

_KERAS, _TORCH = ("keras", "torch"), ("torch",)
WRITES = MappingProxyType(
    {
        "keras-tensorflow": _KERAS,
        "keras-torch": _KERAS,
        "saved-model": _KERAS,
        "torch": _TORCH,
        "torch-export": _TORCH,
        "onnx": _TORCH,
    }
)
"""What an environment can write, and the formats of what it writes that from."""


@dataclass(frozen=True)
class NamedEnvironment:
    """An environment to be made.

    Parameters
    ----------
    name
        In the tables.
    requirements
        What it holds.
    trusted
        Packages, or versions of them, that would be refused otherwise.
    writes
        Formats in which it saves models anew, by :data:`modelstac.exporters.routes.NODES`.
    """

    name: str
    requirements: Requirements
    trusted: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def to_parameters(self) -> dict[str, Any]:
        """Give what a job is told of it."""
        return {"name": self.name, "environment": str(self.requirements), "trusted": list(self.trusted)}


def read_environments(text: str, file: str) -> list[NamedEnvironment]:
    """Read tables ``[[environment]]`` with name, packages and, if wished, python, trusted and writes.

    Raises
    ------
    SpecError
        When it is no such file, or two environments have one name.
    UntrustedError
        When a package is no runtime, or has known holes in its version and ``trusted`` does not name it.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file} is no TOML: {error}") from error
    tables = found.get("environment")
    if not isinstance(tables, list) or not tables or set(found) != {"environment"}:
        raise SpecError(f"{file} is a list of [[environment]], each with name and packages")
    environments = [_environment(table, f"{file}, environment {number}") for number, table in enumerate(tables, 1)]
    names = [environment.name for environment in environments]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"{file}: two environments are called {twice[0]!r}")
    return environments


def _environment(table: Any, where: str) -> NamedEnvironment:
    if not isinstance(table, dict):
        raise SpecError(f"{where} is no table of fields")
    if unknown := sorted(set(table) - set(_FIELDS)):
        raise SpecError(f"{where} has an unknown field {unknown[0]!r}; known: {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        value: Any = table.get(name, kind() if name in _OPTIONAL else None)
        if not isinstance(value, kind) or not _texts(value):
            raise SpecError(f"{where}: {name} is a {'text' if kind is str else 'list of texts'}, not {value!r}")
    if not NAME.fullmatch(table["name"]):
        raise SpecError(f"{where}: the name {table['name']!r} has other signs than letters, digits, '_', '.' and '-'")
    if unknown := [form for form in table.get("writes", ()) if form not in WRITES]:
        raise SpecError(f"{where}: nothing writes {unknown[0]!r} anew; known: {', '.join(WRITES)}")
    python = table.get("python") or f"{sys.version_info.major}.{sys.version_info.minor}"
    trusted = tuple(table.get("trusted", ()))
    text = "\n".join([f"# python {python}", *table["packages"]])
    return NamedEnvironment(
        table["name"], parse(text, source=where, trusted=trusted), trusted, tuple(table.get("writes", ()))
    )


def _texts(value: Any) -> bool:
    return all(isinstance(one, str) for one in value)
