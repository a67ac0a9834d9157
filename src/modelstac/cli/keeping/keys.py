"""``modelstac keys``: who may write to a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import columns, json_option, print_json
from modelstac.cli.common.terminal import say
from modelstac.cli.keeping.settings import settings_of

if TYPE_CHECKING:
    from modelstac.catalog.server.routes.keys import Keys


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
