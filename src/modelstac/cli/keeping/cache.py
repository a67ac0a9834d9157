"""``modelstac cache``: what was fetched from elsewhere, how much it is, and whether it is still what it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import columns, json_option, print_json
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.registry.files.cache import Entry


@click.group()
def cache() -> None:
    """Look after the files fetched from elsewhere (MODELSTAC_CACHE, MODELSTAC_CACHE_LIMIT, MODELSTAC_OFFLINE)."""


@cache.command()
@json_option("the files")
def ls(*, as_json: bool) -> None:
    """List the files, the least recently used first."""
    from modelstac.registry.files.cache import Cache

    here = Cache()
    entries = here.entries()
    if as_json:
        print_json(_documents(entries))
        return
    if entries:
        rows = [(e.sha256, f"{e.size:,}", _time(e), "" if e.complete else "incomplete") for e in entries]
        say(columns(("sha256", "bytes", "last used", ""), rows))
    say(f"{len(entries)} files, {sum(e.size for e in entries):,} of {here.limit:,} bytes in {here.root}")


@cache.command(short_help="Remove the least recently used files.")
@click.option("--limit", metavar="SIZE", help="Keep so much, such as 500MB; by default the limit of the cache.")
@json_option("the removed files")
def prune(*, limit: str | None, as_json: bool) -> None:
    """Remove the least recently used files until the rest is within the limit; --limit 0 removes all."""
    from modelstac.registry.files.cache import Cache, parse_size

    try:
        size = None if limit is None else parse_size(limit)
    except ValueError as error:
        raise click.BadParameter(f"{limit!r} is no size, such as 500MB or 20GB", param_hint="--limit") from error
    _print_removed(Cache().prune(size), as_json=as_json)


@cache.command()
@json_option("the removed files")
def verify(*, as_json: bool) -> None:
    """Hash every file anew and remove those that changed."""
    from modelstac.registry.files.cache import Cache

    _print_removed(Cache().verify(), as_json=as_json)


def _print_removed(entries: list[Entry], *, as_json: bool) -> None:
    if as_json:
        print_json(_documents(entries))
    else:
        say("\n".join([*(f"removed {e.sha256}" for e in entries), f"{len(entries)} files removed"]))


def _documents(entries: list[Entry]) -> list[dict[str, object]]:
    return [{"sha256": e.sha256, "size": e.size, "used": _time(e), "complete": e.complete} for e in entries]


def _time(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.used, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
