"""The diagram of the architecture, drawn from the imports: ``python -m docs.diagram`` writes it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from docs import house

PICTURE = house.ROOT / "docs" / "images" / "architecture.svg"
ROOMS = {
    "command line": house.TOP,
    **{room: f"{house.TOP}.{room}" for room in reversed(house.ROOMS)},
}
"""From the top floor down."""
_WIDTH, _NAME, _GAP, _BEND = 480, 145, 34, 26
_ROW, _EDGE = 28, 8
_RED = "#c62828"


@dataclass(frozen=True)
class Box:
    """Where a room or a wing is drawn, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre."""
        return self.left + self.width / 2, self.top + self.height / 2


def draw() -> str:
    """Return the rooms one above the other, the wings of each in the order that it states, and who imports whom.

    Arrows to the next room are straight, those to rooms further down go around at the right, on a track of the room
    that imports. An arrow that follows from others is drawn all the same: it is an import that somebody wrote. Inside a
    room imports lead from a wing to those on the floors below it; one that does not is a red line, as is one from a
    room to a higher one.
    """
    rooms = _rooms()
    said, shapes = [], []
    order = list(ROOMS)
    for floor, room in enumerate(order):
        used = [other for other in order if other in _used(room)]
        said.append(f"{room} imports {', '.join(used) or 'none of the others'}")
        shapes += _room(room, rooms[room])
        shapes += [_arrow(rooms[room], rooms[other], floor, order.index(other) - floor) for other in used]
    drawn = {wing: box for room in order for wing, box in _wings(ROOMS[room], rooms[room])}
    shapes += [_wrong(drawn, one) for one in upward()]
    last = rooms[order[-1]]
    width, height = 20 + _WIDTH + _BEND * len(ROOMS), last.top + last.height + 10
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">',
            f"<title>{'; '.join(said)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#37474f"/></marker></defs>',
            f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def upward() -> list[house.Import]:
    """Return every import that leads to no lower floor: there should be none."""
    packages = [name for name in house.packages() if len(house.parts(name)) > 1]
    return [one for package in packages for one in house.upward(package)]


def wings() -> list[str]:
    """Return the wings as they are drawn from the top down, such as ``catalog/items``."""
    found = (wing for package in ROOMS.values() for floor in _floors(package) for wing in floor)
    return ["/".join(wing.split(".")[-2:]) for wing in found]


def _floors(package: str) -> list[list[str]]:
    """Return the wings of a room, the top floor first; what is a single module is left out."""
    inner = set(house.packages())
    rooms = set(ROOMS.values())
    floors = ([f"{package}.{name}" for name in floor] for floor in reversed(house.order(package)))
    kept = ([name for name in floor if name in inner and name not in rooms] for floor in floors)
    return [floor for floor in kept if floor]


def _rooms() -> dict[str, Box]:
    heights = [2 * _EDGE + _ROW * len(_floors(package)) for package in ROOMS.values()]
    tops = itertools.accumulate((height + _GAP for height in heights), initial=10)
    return {room: Box(10, top, _WIDTH, height) for room, top, height in zip(ROOMS, tops, heights, strict=False)}


def _wings(package: str, room: Box) -> Iterator[tuple[str, Box]]:
    for row, floor in enumerate(_floors(package)):
        width = (room.width - _NAME - _EDGE) / len(floor)
        for column, wing in enumerate(floor):
            left, top = room.left + _NAME + column * width, room.top + _EDGE + row * _ROW
            yield wing, Box(left + 2, top + 2, width - 4, _ROW - 4)


def _room(name: str, box: Box) -> Iterator[str]:
    yield _rectangle(box, "#e8eaf6", "#3f51b5")
    yield f'<text x="{box.left + 14:g}" y="{box.middle[1] + 5:g}" font-weight="bold">{name}</text>'
    for wing, inner in _wings(ROOMS[name], box):
        x, y = inner.middle
        yield _rectangle(inner, "#fff", "#9fa8da")
        yield f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle" font-size="13">{wing.rpartition(".")[2]}</text>'


def _rectangle(box: Box, fill: str, stroke: str) -> str:
    place = f'x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}"'
    return f'<rect {place} rx="6" fill="{fill}" stroke="{stroke}"/>'


def _arrow(start: Box, end: Box, floor: int, down: int) -> str:
    """Return the arrow from a room to another, some floors down; one that leads up is red."""
    colour = "#37474f" if down > 0 else _RED
    line = f'<path d="{{}}" fill="none" stroke="{colour}" marker-end="url(#tip)"/>'
    if down == 1:
        return line.format(f"M{start.middle[0]:g} {start.top + start.height:g}V{end.top:g}")
    edge, track = start.left + start.width, start.left + start.width + _BEND * (floor + 1)
    return line.format(f"M{edge:g} {start.middle[1]:g}H{track:g}V{end.top + 12 + 14 * floor:g}H{edge:g}")


def _wrong(drawn: dict[str, Box], one: house.Import) -> str:
    """Return a red line for an import that leads to no lower floor, where both of its ends are drawn."""
    ends = [box for end in (one.module, one.target) for wing, box in drawn.items() if f"{end}.".startswith(f"{wing}.")]
    if len(ends) < 2:
        return f"<!-- {one} -->"
    (x, y), (u, v) = (box.middle for box in ends)
    return f'<path d="M{x:g} {y:g}L{u:g} {v:g}" stroke="{_RED}" stroke-width="2"><title>{one}</title></path>'


def _used(room: str) -> set[str]:
    """Return the rooms that the modules of a room import, at their top or where they need them."""
    return {_room_of(one.target) for one in house.imports() if _room_of(one.module) == room} - {room}


def _room_of(module: str) -> str:
    return max((room for room, package in ROOMS.items() if f"{module}.".startswith(f"{package}.")), key=_depth)


def _depth(room: str) -> int:
    return ROOMS[room].count(".")


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    if wrong := upward():
        sys.exit("these imports lead to no lower floor:\n" + "\n".join(map(str, wrong)))
