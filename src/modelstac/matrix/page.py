"""What was found as files: a page for a browser, one of Markdown, and the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.matrix.pictures import pictures
from modelstac.matrix.results import Cell, tables
from modelstac.report import Picture, Table, write_html

TITLE = "Which versions run which models"


def write_page(folder: Path, found: Sequence[Cell], lines: Sequence[str], *, report: Report = ignore) -> None:
    """Write ``matrix.html``, ``matrix.md`` and ``matrix-*.png`` into a folder.

    Parameters
    ----------
    lines
        What to say above the tables.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    laid_out = tables(found)
    try:
        drawn = pictures(found)
    except MissingPackageError as error:
        report(Note(f"the page has no pictures: {error}"))
        drawn = {}
    with explained(f"write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            (folder / f"matrix-{name}.png").write_bytes(picture.png)
        (folder / "matrix.md").write_text(_markdown(laid_out, drawn, lines), encoding="utf-8")
        shown = list(drawn.values())
        write_html(folder / "matrix.html", title=TITLE, summary=" ".join(lines), tables=laid_out, pictures=shown)


def _markdown(laid_out: Sequence[Table], drawn: Mapping[str, Picture], lines: Sequence[str]) -> str:
    *summaries, every = laid_out
    parts = [f"# {TITLE}", "\n".join(lines), *(_section(table) for table in summaries)]
    parts += [f"![{picture.caption}](matrix-{name}.png)" for name, picture in drawn.items()]
    return "\n\n".join([*parts, _section(every)]) + "\n"


def _section(table: Table) -> str:
    return f"## {table.title}\n\n{table.caption}\n\n{table.to_markdown()}"
