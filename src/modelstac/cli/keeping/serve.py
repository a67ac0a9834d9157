"""``modelstac serve``, ``modelstac keys`` and ``modelstac database``: the API server and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import columns, json_option, print_json, trust_option
from modelstac.cli.common.quiet import quiet_frameworks
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.catalog.server.routes.keys import Keys
    from modelstac.catalog.server.settings import ServerSettings

DATABASE = "postgresql://USER@HOST:PORT/NAME"


def settings_of(**given: Any) -> ServerSettings:
    """Return the settings of a server: those of the environment, and those that are given."""
    from pydantic import ValidationError

    from modelstac.catalog.errors import CatalogError, MissingPackageError

    try:
        from modelstac.catalog.server.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "server", "serving a catalog") from error
    named = {name: value for name, value in given.items() if value is not None}
    if "catalog" in named and "database" not in named:
        named["database"] = None  # the file that is named goes before a database of the environment
    try:
        return ServerSettings(**named)
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogError(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@click.command()
@click.option(
    "--catalog", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="Embedded catalog; made when new."
)
@click.option("--database", metavar=DATABASE, help="Serve a pgstac database instead.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, metavar="N", help="Port to listen on (8080; 0 takes a free one).")
@click.option("--keys", type=click.Path(path_type=Path), metavar="FILE", help="File of the write keys.")
@click.option("--artifacts", metavar="FOLDER|URL", help="Where uploaded artifacts go.")
@click.option(
    "--browser",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A built STAC Browser to show (.browser/dist, if there).",
)
@click.option(
    "--predict",
    "models",
    multiple=True,
    metavar="ID",
    help="Run this model, or what MODEL@ALIAS points to, by the Open Inference Protocol at /v2; repeatable.",
)
@trust_option
def serve(models: tuple[str, ...], trust: tuple[str, ...], **given: Any) -> None:
    """Serve a catalog as a STAC API; reads are open, writes need a key of 'modelstac keys'.

    Every option can also be set by the environment, as MODELSTAC_CATALOG, MODELSTAC_DATABASE, MODELSTAC_PORT and so on.
    """
    settings = settings_of(**given)

    from modelstac.catalog.server.serve import serve as run

    run(settings, _inference(models, settings, trust))


def _inference(models: tuple[str, ...], settings: ServerSettings, trust: tuple[str, ...]) -> Any:
    """Return what makes the service beside the STAC API; None without models."""
    if not models:
        if trust:
            raise click.UsageError(f"--trust {trust[0]} is for the models of --predict: name one")
        return None
    quiet_frameworks()
    from modelstac.catalog.errors import MissingPackageError

    try:
        from modelstac.registry.serving.serve import inference
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "inference", "serving models") from error
    return inference(models, settings, trust=trust)


@click.group()
@click.option("--catalog", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="The catalog that is served.")
@click.option("--keys", "file", type=click.Path(path_type=Path), metavar="FILE", help="File of the write keys.")
@click.pass_context
def keys(context: click.Context, catalog: Path | None, file: Path | None) -> None:
    """Make and revoke the keys that may write to a server."""
    from modelstac.catalog.server.routes.keys import Keys

    context.obj = Keys(settings_of(catalog=catalog, keys=file).keys_file)


@keys.command("add", short_help="Make a key and print it, once.")
@click.argument("name")
@click.option("--team", metavar="CATALOG", help="Only for the models of this catalog of the server (/catalogs).")
@json_option("the key")
@click.pass_obj
def add_key(keys: Keys, name: str, team: str | None, as_json: bool) -> None:
    """Make a key for NAME and print it; it is not kept and cannot be shown again."""
    key = keys.make(name, team=team)
    if as_json:
        print_json({"name": name, "key": key} | ({"team": team} if team else {}))
    else:
        say(key)


@keys.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke_key(keys: Keys, name: str) -> None:
    """Take the key of NAME back, at once."""
    keys.remove(name)
    say(f"revoked {name}")


@keys.command("list")
@json_option("the names")
@click.pass_obj
def list_keys(keys: Keys, as_json: bool) -> None:
    """List the names of the keys."""
    known = keys.all()
    if as_json:
        print_json([{"name": key.name, "created": key.created, "team": key.team} for key in known])
    else:
        say(columns(("NAME", "CREATED", "TEAM"), [(key.name, key.created, key.team or "(all)") for key in known]))


@click.group()
def database() -> None:
    """Look after a pgstac database."""


@database.command(short_help="Bring it to this version's pgstac and indexes.")
@click.option("--database", "url", envvar="MODELSTAC_DATABASE", show_envvar=True, metavar=DATABASE, required=True)
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
@click.option("--older-than", type=click.FloatRange(min=0), default=24.0, show_default=True, metavar="HOURS")
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
