"""The diagram of the architecture, drawn from the imports: ``python -m docs.diagram`` writes it into the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = {
    "command line": "src/modelstac",
    "exporters": "exporters",
    "training": "training",
    "registry": "registry",
    "catalog": "catalog",
}
_BLOCK = re.compile(r"```mermaid\n.*?```", re.S)


def draw() -> str:
    """Return the rooms, their parts and who imports whom, as a flowchart of Mermaid.

    An arrow that follows from others (the command line uses the catalog through the registry, too) is drawn all the
    same: it is an import that somebody wrote.
    """
    lines = ["```mermaid", "flowchart TB"]
    for room, folder in ROOMS.items():
        label = "<br>".join([f"<b>{room}</b>", *_parts(ROOT / folder)])
        lines.append(f'  {_key(room)}["{label}"]')
    for room, folder in ROOMS.items():
        lines += [f"  {_key(room)} --> {_key(other)}" for other in ROOMS if other in _used(ROOT / folder) - {room}]
    return "\n".join([*lines, "```"])


def _key(room: str) -> str:
    return room.replace(" ", "_")


def _modules(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if not any(parent.is_symlink() for parent in path.parents)]


def _parts(folder: Path) -> list[str]:
    return sorted({path.parent.name for path in _modules(folder) if path.parent.parent == folder})


def _used(folder: Path) -> set[str]:
    """Return the rooms that the modules of a folder import, at their top or where they need them."""
    names: set[str] = set()
    for path in _modules(folder):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("modelstac.")} & set(ROOMS)


if __name__ == "__main__":
    PAGE.write_text(_BLOCK.sub(lambda _: draw(), PAGE.read_text("utf-8")), encoding="utf-8")
