"""``modelstac alias``: pointers such as ``champion`` to one item of a model."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("name", metavar="MODEL")
@click.argument("alias", required=False)
@click.argument("item_id", metavar="[ID]", required=False)
@click.option("--remove", is_flag=True, help="Remove the alias.")
@click.option("--expect", metavar="ID", help="Only if it points to this now; 'none' for nothing.")
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="WHAT",
    help="From now on only for items with self_test, proved, scores or signature; 'none' takes the rule away.",
)
@catalog_option
@json_option("the model's aliases")
def alias(
    *,
    name: str,
    alias: str | None,
    item_id: str | None,
    remove: bool,
    expect: str | None,
    required: tuple[str, ...],
    catalog: str | None,
    as_json: bool,
) -> None:
    """List the aliases of MODEL, or point ALIAS to the item ID.

    What an alias points to is loaded by MODEL@ALIAS, for example convlstm-knmi@champion. With --require it is pointed
    only to items that show that: self_test is noted by 'modelstac test ID --record', proved of an
    item that was published --unproved by 'modelstac probe ID --record'.
    """
    from modelstac.catalog.rules import ANYTHING

    opened = existing_catalog(catalog)
    if required:
        if alias is None:
            raise click.UsageError("name the alias that --require is for")
        opened.protect_alias(name, alias, () if required == ("none",) else required)
        if item_id is None and not remove:
            say(f"{name}@{alias}: {'no rule' if required == ('none',) else 'only with ' + ', '.join(required)}")
            return
    if alias is not None and (remove or item_id is not None):
        if remove and item_id is not None:
            raise click.UsageError("--remove takes no ID")
        expected = ANYTHING if expect is None else None if expect == "none" else expect
        opened.set_alias(name, alias, item_id, expected=expected)
    elif remove or expect is not None:
        raise click.UsageError("name the alias to change, and the ID it should point to")
    aliases = opened.aliases(name)
    if alias is not None and not remove:
        aliases = {alias: opened.resolve(f"{name}@{alias}")}
    if as_json:
        print_json(aliases)
    elif aliases:
        say(columns(("ALIAS", "ID"), [*aliases.items()]))
    else:
        say(f"{name} has no aliases", err=True)
