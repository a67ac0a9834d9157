"""``modelstac sync``: copy one catalog into another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from modelstac.cli.common.options import json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--artifacts/--no-artifacts", default=True, help="Copy files from other machines too, or leave them.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Go on from the last copy, which this file remembers: only what changed since then is read.",
)
@click.option(
    "--delete",
    is_flag=True,
    help="With --state: remove from DST what is gone from SRC, or made anew there, since the last copy.",
)
@click.option("--theirs", is_flag=True, help="Take what SRC says of a collection where DST says something else.")
@json_option("what was done")
def sync(
    source: str, target: str, *, artifacts: bool, state: Path | None, delete: bool, theirs: bool, as_json: bool
) -> None:
    """Copy all items, with files and aliases, from the catalog SRC to DST.

    Each is a folder, an .sqlite file, or the URL of an object store or API. After an interruption, run it again.
    """
    from modelstac.catalog import open_catalog
    from modelstac.catalog.sync import sync as copy

    if delete and state is None:
        raise click.UsageError("--delete needs --state FILE, which remembers what was copied")
    if state is not None:
        from modelstac.catalog.increments import sync_on

        with progress() as report:
            places = open_catalog(source), open_catalog(target, create=True)
            went_on = sync_on(*places, state, delete=delete, theirs=theirs, artifacts=artifacts, report=report)
        done, gone, deleted = went_on.synced, went_on.gone, went_on.deleted
        if as_json:
            print_json(dataclasses.asdict(done) | {"gone": gone, "deleted": deleted})
            return
        say(
            f"copied {len(done.copied)} items, {done.present} were looked at again; {len(done.aliases)} aliases changed"
        )
        if gone:
            left = "" if delete else "; --delete removes them here"
            say(f"{len(gone)} items are gone from {source}, {len(deleted)} were removed{left}")
        return
    with progress() as report:
        places = open_catalog(source), open_catalog(target, create=True)
        done = copy(*places, theirs=theirs, artifacts=artifacts, report=report)
    if as_json:
        print_json(dataclasses.asdict(done))
    else:
        say(f"copied {len(done.copied)} items, {done.present} were there; {len(done.aliases)} aliases changed")
