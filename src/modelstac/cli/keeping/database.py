"""``modelstac database`` and ``modelstac gc``: what a server keeps is looked after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modelstac.cli.common.terminal import say
from modelstac.cli.keeping.settings import DATABASE, settings_of


@click.group()
def database() -> None:
    """Look after a pgstac database."""


@database.command(short_help="Bring it to this version's pgstac and indexes.")
@click.option(
    "--database",
    "url",
    envvar="MODELSTAC_DATABASE",
    show_envvar=True,
    metavar=DATABASE,
    required=True,
    help="The database, empty or with pgstac in it.",
)
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for it to start.")
def migrate(url: str, wait: float) -> None:
    """Bring the database to this version's pgstac, queryables and indexes; again is harmless."""
    from modelstac.catalog.server.stores.migrate import migrate as run

    settings_of(database=url).database_url()
    say(f"pgstac {run(url, wait=wait)}")


@click.command()
@click.option("--catalog", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="The catalog that is served.")
@click.option("--database", metavar=DATABASE, help="The pgstac database that is served.")
@click.option("--artifacts", metavar="FOLDER|URL", help="Where uploaded artifacts are.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="Leave files that came later.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def gc(older_than: float, dry_run: bool, **given: Any) -> None:
    """Remove uploaded artifacts that no item names; those of the last hours may belong to a publish that is running."""
    import asyncio
    from datetime import timedelta

    settings = settings_of(**given)

    from modelstac.catalog.server.gc import collect

    removed = asyncio.run(collect(settings, older_than=timedelta(hours=older_than), dry_run=dry_run))
    for found in removed:
        say(found.path, err=True)
    size = sum(found.size for found in removed)
    say(f"{len(removed)} artifacts, {size} bytes{' would go' if dry_run else ' removed'}")
