"""The house: rooms and wings import from below only, nothing imports in a circle, and no folder is crowded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import pytest
from docs import house

PACKAGES = [name for name in house.packages() if len(house.parts(name)) > 1]
CROWDED = 16
"""So many files, beside ``__init__``, are too many for a folder: it wants wings."""
FRAMEWORKS = {"keras", "tensorflow", "torch", "onnx", "onnxruntime", "jax", "safetensors"}


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for other in graph.get(node, ()):
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in path:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            component = path[path.index(node) :]
            del path[path.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in number:
            visit(node)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_states_the_order_of_its_parts(package: str) -> None:
    stated = list(itertools.chain.from_iterable(house.order(package)))
    assert stated, f"{house.modules()[package]} states no order: see docs/house.py"
    assert sorted(stated) == sorted(house.parts(package))
    assert house.statement(package).count("\n") < 3


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_inside_a_folder_lead_to_lower_floors(package: str) -> None:
    lines = "\n".join(map(str, house.upward(package)))
    assert not lines, f"{package} has the order {house.order(package)}, against which are\n{lines}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one in house.imports():
        graph.setdefault(one.module, set()).add(one.target)
    found = circles(graph)
    lines = [str(one) for one in house.imports() for circle in found if {one.module, one.target} <= set(circle)]
    assert not found, "\n".join(lines)


def test_circles_are_found() -> None:
    assert circles({"a": "b", "b": "c", "c": "bd", "d": "", "e": "ea"}) == [["b", "c"]]


def test_imports_are_seen_wherever_they_are_written() -> None:
    source = "import a.b\nif TYPE_CHECKING:\n    from c import d, e\ndef f():\n    from .g import h\n"
    assert list(house.read(source)) == [("a.b", 1), ("c.d", 3), ("c.e", 3), (".g.h", 5)]


def test_imports_are_absolute() -> None:
    found = [
        f"{path}:{line}"
        for path in house.modules().values()
        for name, line in house.read(path.read_text("utf-8"))
        if name.startswith(".")
    ]
    assert not found


@pytest.mark.parametrize("package", house.packages())
def test_no_folder_is_crowded(package: str) -> None:
    files = [path.name for path in house.folder_of(package).glob("*.py") if path.name != "__init__.py"]
    assert len(files) < CROWDED


@pytest.mark.parametrize("room", house.ROOMS)
def test_the_import_name_leads_to_the_room(room: str) -> None:
    link = house.ROOT / "src" / "modelstac" / room
    assert link.is_symlink()
    assert link.resolve() == house.ROOT / room


def test_the_catalog_imports_no_framework() -> None:
    catalog = [path for name, path in house.modules().items() if name.startswith("modelstac.catalog")]
    found = {name for path in catalog for name, _ in house.read(path.read_text("utf-8"))}
    assert not {name for name in found if name.split(".")[0] in FRAMEWORKS}
