"""``modelstac demo``: the whole path on radar frames, in a few minutes."""

from __future__ import annotations

from pathlib import Path

import click

from modelstac.cli.common.progress import progress


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of radar frames; by default 92 public KNMI frames are fetched, or rain is generated when offline.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True, help="Catalog and report."
)
def demo(data: Path | None, out: Path) -> None:
    """Train, export, publish, search, load and check: the whole path on radar frames."""
    from modelstac.demo import demo as run

    with progress() as report:
        path = run(data, out, say=click.echo, report=report)
    click.echo(f"\ncatalog  {out / 'catalog'}\nreport   {path}")
