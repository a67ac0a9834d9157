"""``modelstac adopt``: somebody else's item into a catalog of yours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modelstac.cli.common.options import (
    catalog_option,
    json_option,
    new_or_existing_catalog,
    print_json,
    trust_option,
)
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("what", metavar="ITEM")
@click.option("--from", "source", metavar="CATALOG", help="The catalog that ITEM is an id of: a folder or a STAC API.")
@click.option("--name", metavar="NAME", help="Name here.  [default: its own, made to fit ours]")
@click.option("--version", metavar="VERSION", help="Version here, such as 1.0.0, where the item has none.")
@click.option("--task", "tasks", metavar="TASK", multiple=True, help="What it is for, where the item does not say.")
@click.option("--license", metavar="SPDX", help="Licence, where the item does not say.")
@click.option("--framework-version", metavar="VERSION", help="Of what wrote the file, where nothing says.")
@click.option("--asset", metavar="KEY", help="The model file, of several.")
@click.option("--entrypoint", metavar="MODULE:FUNCTION", help="What builds the architecture of a file of weights.")
@click.option("--by-reference", is_flag=True, help="Leave the file where it is, and record its checksum.")
@trust_option
@catalog_option
@json_option("the published item")
def adopt(
    *,
    what: str,
    source: str | None,
    trust: tuple[str, ...],
    catalog: str | None,
    by_reference: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Publish somebody else's ITEM (URL, path, or id with --from) in the catalog: named as ours are, and verified.

    The file is fetched and looked into; its checksum is computed, or compared if the item states one. Where it came
    from is a link of the new item.
    """
    lean_frameworks()
    from modelstac.catalog.errors import SpecError
    from modelstac.registry.describing.adopt import Said
    from modelstac.registry.describing.adopt import adopt as publish
    from modelstac.registry.exchange.bioimageio.naming import is_package
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    if not what.startswith(("http://", "https://")) and is_package(what, Path.cwd()):
        raise SpecError(
            f"{what} is a package of bioimage.io, and no item: modelstac publish {what} --bbox … --datetime …"
        )
    into = new_or_existing_catalog(catalog)
    how: dict[str, Any] = {"by_reference": by_reference, "policy": DEFAULT_POLICY.trusting(*trust)}
    with progress() as report:
        made = publish(what, into, source=source, said=Said(**said), report=report, **how)
    if as_json:
        print_json(made.to_dict(transform_hrefs=False))
    else:
        say(f"published {made.id}")
