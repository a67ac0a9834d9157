"""The diagram of the architecture, drawn from the imports: ``python -m docs.diagram`` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
ROOMS = {
    "command line": "src/modelstac",
    "exporters": "exporters",
    "training": "training",
    "registry": "registry",
    "catalog": "catalog",
}
"""From the top floor down."""
_WIDTH, _HEIGHT, _GAP, _BEND = 420, 56, 34, 26


def draw() -> str:
    """Return the rooms one above the other, their parts, and who imports whom, as SVG.

    Arrows to the next room are straight, those to rooms further down go around at the right, on a track of the room
    that imports. An arrow that follows from others is drawn all the same: it is an import that somebody wrote.
    """
    tops = {room: 10 + floor * (_HEIGHT + _GAP) for floor, room in enumerate(ROOMS)}
    shapes, said = [], []
    order = list(ROOMS)
    for floor, (room, folder) in enumerate(ROOMS.items()):
        used = [other for other in ROOMS if other in _used(ROOT / folder) - {room}]
        said.append(f"{room} imports {', '.join(used) or 'none of the others'}")
        shapes.append(_box(room, _parts(ROOT / folder), tops[room]))
        shapes += [_arrow(tops[room], tops[other], floor, order.index(other) - floor) for other in used]
    height = 20 + len(ROOMS) * (_HEIGHT + _GAP) - _GAP
    width = 20 + _WIDTH + _BEND * len(ROOMS)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
            f"<title>{'; '.join(said)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#37474f"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _box(room: str, parts: list[str], top: int) -> str:
    middle = 10 + _WIDTH // 2
    return (
        f'<rect x="10" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#e8eaf6" stroke="#3f51b5"/>'
        f'<text x="{middle}" y="{top + (24 if parts else 34)}" text-anchor="middle" font-weight="bold">{room}</text>'
        f'<text x="{middle}" y="{top + 45}" text-anchor="middle" font-size="13">{", ".join(parts)}</text>'
    )


def _arrow(start: int, end: int, floor: int, down: int) -> str:
    """Return the arrow from the room at one height to that at another, some floors down."""
    line = '<path d="{}" fill="none" stroke="#37474f" marker-end="url(#tip)"/>'
    if down == 1:
        return line.format(f"M{10 + _WIDTH // 2} {start + _HEIGHT}V{end}")
    edge, track = 10 + _WIDTH, 10 + _WIDTH + _BEND * (floor + 1)
    return line.format(f"M{edge} {start + _HEIGHT // 2}H{track}V{end + 12 + 14 * floor}H{edge}")


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
    PICTURE.write_text(draw(), encoding="utf-8")
