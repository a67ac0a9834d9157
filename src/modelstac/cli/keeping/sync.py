"""``modelstac sync``: copy one catalog into another."""

from __future__ import annotations

import dataclasses

import click

from modelstac.cli.common.options import json_option, print_json
from modelstac.cli.common.progress import progress


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--artifacts/--no-artifacts", default=True, help="Copy files from other machines too, or leave them.")
@json_option("what was done")
def sync(source: str, target: str, artifacts: bool, as_json: bool) -> None:
    """Copy all items, with files and aliases, from the catalog SRC to DST.

    Each is a folder, an .sqlite file, or the URL of an object store or API. After an interruption, run it again.
    """
    from modelstac.catalog import open_catalog
    from modelstac.catalog.sync import sync as copy

    with progress() as report:
        done = copy(open_catalog(source), open_catalog(target, create=True), artifacts=artifacts, report=report)
    if as_json:
        print_json(dataclasses.asdict(done))
    else:
        click.echo(f"copied {len(done.copied)} items, {done.present} were there; {len(done.aliases)} aliases changed")
