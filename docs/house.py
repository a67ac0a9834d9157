"""The house as its sources say it: the rooms, the order that each folder states, and every import.

An ``__init__`` states the order of its folder in its docstring, lowest first::

    Order, each importing only from those before it: errors, messages · items · search · base.

Names between two dots stand side by side: they import nothing from each other either. An import counts wherever it is
written, for type checkers or inside a function as well. `tests/test_rooms.py` holds all this, and the diagram shows it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOP = "modelstac"
ROOMS = {"catalog": "catalog", "registry": "registry", "training": "training", "exporters": "exporters"}
"""Folders by the name under which they are imported; the command line is at home in ``src/modelstac`` itself."""

_ORDER = re.compile(r"^(Order, each importing only from those before it: .+?)\.$", re.M | re.S)


@dataclass(frozen=True)
class Import:
    """One line that imports one of our modules."""

    module: str
    target: str
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


def folder_of(package: str) -> Path:
    """Return the folder of a package."""
    first, *rest = package.split(".")[1:] or [""]
    return ROOT.joinpath(ROOMS[first], *rest) if first in ROOMS else ROOT.joinpath("src", TOP, first, *rest)


@cache
def modules() -> dict[str, Path]:
    """Return all modules by the name under which they are imported; a package is its ``__init__``."""
    found = {}
    for package in (TOP, *(f"{TOP}.{room}" for room in ROOMS)):
        folder = folder_of(package)
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package != TOP or parts[0] not in ROOMS:
                found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def packages() -> list[str]:
    """Return the packages, outermost first."""
    return sorted((name for name, path in modules().items() if path.name == "__init__.py"), key=lambda n: n.count("."))


def parts(package: str) -> set[str]:
    """Return the names of the modules and packages right in a package."""
    depth = package.count(".") + 1
    return {name.split(".")[depth] for name in modules() if name.startswith(f"{package}.")}


def statement(package: str) -> str:
    """Return the sentence in which a package states its order, as it is written; empty without one."""
    found = _ORDER.search(ast.get_docstring(ast.parse(modules()[package].read_text("utf-8"))) or "")
    return found[1] if found else ""


def order(package: str) -> list[list[str]]:
    """Return the floors of a package as it states them, lowest first, each with the parts that stand side by side."""
    _, _, names = " ".join(statement(package).split()).partition(": ")
    return [[name.strip() for name in floor.split(",")] for floor in names.split("·") if floor.strip()]


def read(source: str) -> Iterator[tuple[str, int]]:
    """Yield what a source imports, as written, and the line: ``a.b`` of ``import a.b`` and of ``from a import b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


@cache
def imports() -> tuple[Import, ...]:
    """Return every import of one of our modules by another."""
    known, found = modules(), {}
    for module, path in known.items():
        source = path.read_text("utf-8")
        lines = source.splitlines()
        for name, line in read(source):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != module:
                found[module, target, line] = Import(module, target, path, line, lines[line - 1].strip())
    return tuple(found.values())


def upward(package: str) -> list[Import]:
    """Return the imports between the parts of a package that do not lead to a lower floor."""
    floors = {name: floor for floor, names in enumerate(order(package)) for name in names}
    depth = package.count(".") + 1
    found = []
    for one in imports():
        if one.module.startswith(f"{package}.") and one.target.startswith(f"{package}."):
            above, below = one.module.split(".")[depth], one.target.split(".")[depth]
            if above != below and floors.get(below, 0) >= floors.get(above, 0):
                found.append(one)
    return found
