"""``modelstac publish``: a model file of anybody's, or an item that somebody else made with its files beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import catalog_option, json_option, new_or_existing_catalog, print_json, read_text
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import quiet_frameworks

if TYPE_CHECKING:
    import pystac

    from modelstac.registry.describing.describe import Statement

ADDRESSES = ("http://", "https://", "s3://", "gs://", "az://")


class Named(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """Words with commas between them, of the only input or output, or of one that is named: ``s1=batch,height``."""

    name = "named words"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - the names are click's
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str | None, tuple[str, ...]]:
        """Split name and words."""
        if isinstance(value, tuple):
            return value
        name, equals, words = value.rpartition("=")
        return (name.strip() if equals else None), tuple(word.strip() for word in words.split(","))


def by_name(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[str | None, tuple[str, ...]], ...]
) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    """Give the words of the only one, or those of each by its name; what is said again is added."""
    names = [name for name, _ in values]
    if all(name is None for name in names):
        return tuple(word for _, words in values for word in words)
    if None in names:
        raise click.BadParameter(f"name each: {ctx.command_path} {param.opts[0]} NAME=…", ctx, param)
    found: dict[str, tuple[str, ...]] = {}
    for name, words in values:
        found[str(name)] = (*found.get(str(name), ()), *words)
    return found


class Box(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A bounding box in degrees."""

    name = "box"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Read WEST,SOUTH,EAST,NORTH as GeoJSON; west beyond east crosses the antimeridian."""
        from modelstac.catalog.items.geometry import spans

        try:
            west, south, east, north = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no box: write WEST,SOUTH,EAST,NORTH in degrees", param, ctx)
        parts = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans(west, east)]
        if len(parts) == 1:
            return {"type": "Polygon", "coordinates": parts[0]}
        return {"type": "MultiPolygon", "coordinates": parts}


class Period(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A time, or two with a slash between them."""

    name = "period"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, datetime]:
        """Read START/END in ISO 8601."""
        try:
            times = [datetime.fromisoformat(part) for part in value.split("/")]
            start, end = times * 2 if len(times) == 1 else times
        except ValueError:
            self.fail(f"{value!r} is no time: write START/END, such as 2020-01-01/2021-12-31T12:00Z", param, ctx)
        return start, end


def named(flag: str, name: str, metavar: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make an option that is given once, or once for each input or output."""
    return click.option(flag, name, metavar=metavar, type=Named(), multiple=True, callback=by_name, help=text)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the model.")
@click.option("--version", metavar="VERSION", help="Version of the model, such as 1.0.0.")
@named("--task", "tasks", "TASK", "What it is for, in MLM's terms; repeatable, and by output: NAME=TASK.")
@click.option("--architecture", metavar="TEXT", help="Kind of network, such as U-Net.")
@click.option("--license", metavar="SPDX", help="Licence, such as CC-BY-4.0.")
@click.option("--bbox", "box", metavar="W,S,E,N", type=Box(), help="Place of the training data, degrees.")
@click.option("--geometry", metavar="GEOJSON", type=click.Path(path_type=Path), help="The same as a GeoJSON geometry.")
@click.option("--datetime", "period", metavar="START/END", type=Period(), help="Time of the training data, ISO 8601.")
@named("--input-dims", "input_dims", "[NAME=]A,B,…", "What the axes of the input are, in their order; of each by name.")
@named("--output-dims", "output_dims", "[NAME=]A,B,…", "What the axes of the output are.")
@named("--bands", "bands", "[NAME=]A,B,…", "Names along an input axis called bands, band, channel, channels or c.")
@named("--output-bands", "output_bands", "[NAME=]A,B,…", "The same of an output.")
@click.option("--variant", metavar="NAME", help="Last part of the item id.  [default: the format]")
@click.option("--title", metavar="TEXT", help="Title.  [default: the name]")
@click.option("--description", metavar="TEXT", help="What the model is, in Markdown.")
@click.option("--keyword", "keywords", metavar="WORD", multiple=True, help="Word to find it by; repeatable.")
@click.option("--backend", type=click.Choice(["tensorflow", "torch", "jax"]), help="What Keras ran on in training.")
@click.option("--backend-version", metavar="VERSION", help="Its version; a .keras file records neither.")
@click.option("--pretrained/--from-scratch", default=None, help="Whether training began from other weights.")
@click.option("--pretrained-source", metavar="TEXT", help="Whose weights those were.")
@click.option("--derived-from", "sources", metavar="ID", multiple=True, help="Item id or URL of data or a model.")
@catalog_option
@click.option("--by-reference", is_flag=True, help="Leave the files where they are: at addresses that others can read.")
@json_option("the published item")
def publish(*, file: Path, catalog: str | None, by_reference: bool, as_json: bool, **said: Any) -> None:
    """Publish FILE: a model (.keras, .pt2, .onnx) or a STAC item (.json) whose assets lie beside it.

    Shapes, types, parameters, framework and version are read from a model file, without running code from it, and it is
    run once; what it cannot say is asked for. Of several inputs or outputs say which: --input-dims s1=batch,bands,y,x
    --input-dims s2=batch,bands,y,x. With --by-reference the assets of an item lie anywhere else.
    """
    given = {name: value for name, value in said.items() if value not in (None, (), {})}
    if file.suffix.lower() == ".json":
        if given:
            raise click.UsageError("an item says all by itself: give the .json file without options about the model")
        item = read_item(file, by_reference=by_reference)
    elif by_reference:
        raise click.UsageError("--by-reference is for items, which say where their files are: give a .json file")
    else:
        from modelstac.catalog.items.writing import write_item
        from modelstac.registry.describing.describe import describe_file

        statement = _statement(given)
        quiet_frameworks()
        with progress() as report:
            item = write_item(describe_file(file, statement, report=report))
    with progress() as report:
        published = new_or_existing_catalog(catalog).publish(item, report=report)
    if as_json:
        print_json(published.to_dict(transform_hrefs=False))
    else:
        click.echo(f"published {published.id}")


def _statement(given: dict[str, Any]) -> Statement:
    from modelstac.catalog.errors import DataError
    from modelstac.registry.describing.describe import Statement

    if "box" in given and "geometry" in given:
        raise click.UsageError("give --bbox or --geometry, not both")
    if ("backend" in given) != ("backend_version" in given):
        raise click.UsageError("give --backend and --backend-version, or neither")
    if "geometry" in given:
        path = given["geometry"]
        try:
            given["geometry"] = json.loads(read_text(path, "GeoJSON geometry"))
        except ValueError as error:
            raise DataError(f"{path} is no JSON ({error}): expected a GeoJSON geometry") from error
    if "box" in given:
        given["geometry"] = given.pop("box")
    if "period" in given:
        given["start"], given["end"] = given.pop("period")
    return Statement(**given)


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
    from modelstac.registry.files.fetch import local_path

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
