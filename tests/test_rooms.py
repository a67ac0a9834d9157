"""The house: who may import whom, and that a lower room never reaches up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"catalog": 1, "registry": 2, "training": 3, "exporters": 4, "src/modelstac": 5}


def modules(room: str) -> list[Path]:
    return [p for p in sorted((ROOT / room).rglob("*.py")) if not any(part.is_symlink() for part in p.parents)]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def floor_of(name: str) -> int:
    """Floor of an imported module, 0 when it is not ours."""
    package, room, *_ = [*name.split("."), ""]
    return FLOORS.get(room, 5) if package == "modelstac" else 0


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_only_from_below(room: str) -> None:
    files = modules(room)
    assert files, f"no modules found in {room}"
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if floor_of(name) > FLOORS[room]
    }
    assert not upward


@pytest.mark.parametrize("room", [r for r in FLOORS if "/" not in r])
def test_the_import_name_leads_to_the_room(room: str) -> None:
    link = ROOT / "src" / "modelstac" / room
    assert link.is_symlink()
    assert link.resolve() == ROOT / room


def test_the_catalog_imports_no_framework() -> None:
    frameworks = {"keras", "tensorflow", "torch", "onnx", "onnxruntime", "jax", "safetensors"}
    found = {name for path in modules("catalog") for name in imported(path) if name.split(".")[0] in frameworks}
    assert not found
