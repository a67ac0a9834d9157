"""``modelstac publish``: an item that somebody else made, with its files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelstac.cli.options import catalog_option, json_option, new_or_existing_catalog, print_json, read_text
from modelstac.cli.progress import progress

if TYPE_CHECKING:
    import pystac

ADDRESSES = ("http://", "https://", "s3://", "gs://", "az://")


@click.command()
@click.argument("item_file", metavar="ITEM.json", type=click.Path(path_type=Path))
@catalog_option
@click.option("--by-reference", is_flag=True, help="Leave the files where they are: at addresses that others can read.")
@json_option("the published item")
def publish(item_file: Path, catalog: str | None, by_reference: bool, as_json: bool) -> None:
    """Publish ITEM.json, a STAC item whose assets lie beside it (or, with --by-reference, anywhere else)."""
    item = read_item(item_file, by_reference=by_reference)
    with progress() as report:
        published = new_or_existing_catalog(catalog).publish(item, report=report)
    if as_json:
        print_json(published.to_dict(transform_hrefs=False))
    else:
        click.echo(f"published {published.id}")


def read_item(path: Path, *, by_reference: bool = False) -> pystac.Item:
    """Read an item from a file, with the paths of its assets made absolute.

    Parameters
    ----------
    by_reference
        Every asset must have an address of the web or of an object store, and is not looked at.

    Raises
    ------
    NotFoundError
        If the file, or that of an asset, is not there.
    InvalidItemError
        If it is no STAC item.
    UntrustedError
        If an asset lies outside the item's folder: publishing somebody's item must not copy other files of yours.
    """
    import pystac

    from modelstac.catalog.errors import InvalidItemError, NotFoundError, UntrustedError
    from modelstac.registry.fetch import local_path

    try:
        value = json.loads(read_text(path, "STAC item"))
    except ValueError as error:
        raise InvalidItemError(f"{path} is no JSON ({error}): expected a STAC item") from error
    if not isinstance(value, dict) or value.get("type") != "Feature":
        found = value.get("type") if isinstance(value, dict) else type(value).__name__
        raise InvalidItemError(f"{path} is no STAC item: expected type 'Feature', found {found!r}")
    try:
        item = pystac.Item.from_dict(value, href=str(path.resolve()), preserve_dict=False)
    except (pystac.STACError, pystac.STACTypeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidItemError(f"{path} is no STAC item: {type(error).__name__}: {error}") from error
    if by_reference:
        for key, named in item.assets.items():
            if not named.href.startswith(ADDRESSES):
                raise InvalidItemError(
                    f"asset {key!r} of {path} is {named.href}, on this machine only: "
                    f"name it by an address ({', '.join(ADDRESSES)}…) or publish without --by-reference"
                )
        return item
    folder = path.resolve().parent
    for key in item.assets:
        asset = local_path(item, key).resolve()
        if not asset.is_relative_to(folder):
            raise UntrustedError(f"asset {key!r} of {path} lies at {asset}, outside {folder}: put it beside the item")
        if not asset.is_file():
            raise NotFoundError(f"no file {asset}, asset {key!r} of {path}: put it there or take it out of the item")
        item.assets[key].href = str(asset)
    return item
