"""``modelstac demo``: the whole path on radar frames, or from a scene to a map of land cover, in a few minutes."""

from __future__ import annotations

from pathlib import Path

import click

from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of radar frames; by default 92 public KNMI frames are fetched, or rain is generated when offline.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True, help="Catalog and report."
)
@click.option("--landcover", is_flag=True, help="From a scene to a map of land cover instead, in a minute or two.")
def demo(data: Path | None, out: Path, landcover: bool) -> None:
    """Train, export, publish, search, load and check: the whole path on radar frames.

    With --landcover a small network is trained on generated scenes and published, makes a map of a scene that it has
    not seen, and is scored on it.
    """
    from modelstac.demo import demo as run
    from modelstac.demo import make_room
    from modelstac.landcover import landcover as run_landcover

    if landcover and data is not None:
        raise click.UsageError("--landcover generates its scenes: give no --data")
    with progress() as report:
        if landcover:
            make_room(out)
            path = run_landcover(out, say=say, report=report)
            say(f"\ncatalog  {out / 'catalog'}\nmap      {out / 'map.tif'}\npicture  {path}")
            return
        path = run(data, out, say=say, report=report)
    say(f"\ncatalog  {out / 'catalog'}\nreport   {path}")
