"""``modelstac env``: environments in which models run whose framework is not installed here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.registry.isolated.environments import Environment

SHOWN = 12


@click.group()
def env() -> None:
    """Look after the environments of isolated models (MODELSTAC_ENVIRONMENTS, MODELSTAC_ISOLATED)."""


@env.command()
@json_option("the environments")
def ls(*, as_json: bool) -> None:
    """List the environments, the least recently used first."""
    from modelstac.registry.isolated.environments import Environments

    here = Environments()
    documents = [_document(entry) for entry in here.entries()]
    if as_json:
        print_json(documents)
        return
    if documents:
        rows = [
            (d["digest"][:SHOWN], d["python"], f"{d['size']:,}", d["used"], " ".join(d["asked"])) for d in documents
        ]
        say(columns(("digest", "python", "bytes", "last used", "runs"), rows))
    say(f"{len(documents)} environments in {here.root}")


@env.command()
@click.option("--days", type=click.FloatRange(min=0), default=0.0, help="Keep what was used in so many days.")
@json_option("the removed environments")
def prune(*, days: float, as_json: bool) -> None:
    """Remove the environments, but for those in which a model runs."""
    from modelstac.registry.isolated.environments import Environments

    removed, busy = Environments().prune(unused_days=days)
    if as_json:
        print_json([entry.digest for entry in removed])
        return
    for entry in removed:
        say(f"removed {entry.digest[:SHOWN]}")
    for entry in busy:
        say(f"kept {entry.digest[:SHOWN]}, in which a model runs")
    say(f"{len(removed)} environments removed")


@env.command(short_help="Make the environment of a model now.")
@click.argument("item_id", metavar="ID")
@catalog_option
@json_option("the environment")
def create(*, item_id: str, catalog: str | None, as_json: bool) -> None:
    """Make the environment of the model ID now, so that it runs later without a network."""
    with progress() as report:
        from modelstac.registry.choosing.claims import described
        from modelstac.registry.choosing.resolve import resolve
        from modelstac.registry.isolated.loading import make_environment

        chosen = resolve(item_id, catalog=existing_catalog(catalog), isolated="always").chosen
        description, _ = described(chosen.item, chosen.asset)
        found = make_environment(chosen.item, description, report=report)
    if as_json:
        print_json(_document(found))
    else:
        say(f"{found.digest[:SHOWN]}  Python {found.python}  {' '.join(found.packages)}")


def _document(entry: Environment) -> dict[str, Any]:
    used = datetime.fromtimestamp(entry.used, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "digest": entry.digest,
        "python": entry.python,
        "asked": list(entry.asked),
        "packages": list(entry.packages),
        "size": entry.size(),
        "used": used,
    }
