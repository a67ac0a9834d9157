"""Tables and pictures as text for a terminal and as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from modelstac.catalog.later import needing


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first cell of a row names it."""

    title: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_text(self) -> str:
        """Lay the table out for a terminal: the first column to the left, the others to the right."""
        widths = [max(len(row[i]) for row in (self.heads, *self.rows)) for i in range(len(self.heads))]

        def line(row: Sequence[str]) -> str:
            first, *rest = (
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            return "  ".join([first, *rest]).rstrip()

        return "\n".join([line(self.heads), line(["-" * w for w in widths]), *map(line, self.rows)])

    def to_markdown(self) -> str:
        """Write the table as Markdown."""

        def line(row: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"

        ruler = ["---", *("---:" for _ in self.heads[1:])]
        return "\n".join([line(self.heads), line(ruler), *map(line, self.rows)])


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows, for eyes and for screen readers."""

    png: bytes
    caption: str
    alternative: str = ""
    """Read aloud instead of the picture; by default the caption."""

    @property
    def base64(self) -> str:
        """The picture as the text of a data URL."""
        return base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Section:
    """A part of a page, with a heading of its own."""

    title: str
    text: str = ""
    href: str = ""
    """Where there is a page of its own about this part."""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def write_html(
    path: Path,
    *,
    title: str,
    summary: str,
    tables: Sequence[Table] = (),
    pictures: Sequence[Picture] = (),
    sections: Sequence[Section] = (),
    footer: str = "",
) -> None:
    """Write one self-contained page: no script, no font, nothing from the network."""
    with needing(f"writing {path}"):
        import jinja2

    template = files("modelstac").joinpath("report.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
    alone = [Section(table.title, tables=[table]) for table in tables]
    text = page.render(title=title, summary=summary, sections=[*alone, *sections], pictures=pictures, footer=footer)
    path.write_text(text, encoding="utf-8")
