"""``modelstac publish``: a model file of anybody's, or an item that somebody else made with its files beside it."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.catalog.ahead import uncollected
from modelstac.cli.common.options import (
    catalog_option,
    json_option,
    new_or_existing_catalog,
    print_json,
    read_text,
    trust_option,
)
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say
from modelstac.cli.making.said import by_fields, said_options

if TYPE_CHECKING:
    import pystac

ADDRESSES = ("http://", "https://", "s3://", "gs://", "az://")


def _template(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from modelstac.registry.publishing.written import TEMPLATE

        click.echo(TEMPLATE, nl=False)
        context.exit()


@click.command()
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--from-mlflow", metavar="URI", help="Instead of FILE, a model of MLflow: models:/NAME@ALIAS, runs:/ID.")
@click.option("--tracking-uri", metavar="URL", help="The MLflow server.  [default: MLFLOW_TRACKING_URI]")
@click.option("--from-hf", metavar="ORG/REPO[@REVISION]", help="Instead of FILE, a model of the Hugging Face Hub.")
@click.option(
    "--with",
    "written",
    metavar="YAML",
    type=click.Path(path_type=Path),
    help="All that is said, in a file; options win.",
)
@click.option(
    "--template",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_template,
    help="Print such a file, and end.",
)
@said_options
@click.option("--unproved", is_flag=True, help="Do not run it: the item says that nothing is proved.")
@trust_option
@catalog_option
@click.option("--by-reference", is_flag=True, help="Leave the files where they are: at addresses that others can read.")
@json_option("the published item")
def publish(
    *,
    file: str | None,
    from_mlflow: str | None,
    tracking_uri: str | None,
    from_hf: str | None,
    trust: tuple[str, ...],
    written: Path | None,
    catalog: str | None,
    unproved: bool,
    by_reference: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Publish FILE: a model (.keras, .pt2, .onnx, .tflite, .h5, …) or a STAC item (.json) whose assets lie beside it.

    Or a package of bioimage.io: rdf.yaml, its folder, archive or URL.

    Shapes, types, parameters, framework and version are read from a model file, without running code from it, and it is
    run once; what it cannot say is asked for. With --unproved it is not run, and the item says so.

    Of several inputs or outputs say which: --input-dims s1=batch,bands,y,x --input-dims s2=batch,bands,y,x. With
    --by-reference the assets of an item lie anywhere else.
    """
    if unproved:  # nothing runs, and nearly all that is made is what is imported, which stays
        click.get_current_context().with_resource(uncollected())
    given = {name: value for name, value in said.items() if value not in (None, (), {})}
    model = _model(file, from_mlflow, tracking_uri, from_hf)
    if isinstance(model, Path) and model.suffix.lower() == ".json" and not _is_model(model):
        if given or trust or unproved or written is not None:
            raise click.UsageError("an item says all by itself: give the .json file without options about the model")
        published = _published(read_item(model, by_reference=by_reference), catalog)
    elif by_reference:
        raise click.UsageError("--by-reference is for items, which say where their files are: give a .json file")
    else:
        published = _described(model, written, by_fields(given), catalog, trust, unproved=unproved)
    if as_json:
        print_json(published.to_dict(transform_hrefs=False))
    else:
        say(f"published {published.id}")


def _is_model(path: Path) -> bool:
    """Tell whether a JSON file holds trees, or the index of weights in parts, and no item."""
    from modelstac.registry.publishing.objects.boosted import kind_of

    return path.name.endswith(".index.json") or kind_of(path) is not None


def _model(file: str | None, from_mlflow: str | None, tracking_uri: str | None, from_hf: str | None) -> Any:
    """Return what is to be published: a path, or a model of another registry."""
    from modelstac.registry.exchange.places import HUB, Elsewhere

    if sum(one is not None for one in (file, from_mlflow, from_hf)) != 1:
        raise click.UsageError("give FILE, --from-mlflow URI or --from-hf ORG/REPO: one of them")
    if tracking_uri is not None and from_mlflow is None:
        raise click.UsageError("--tracking-uri says where --from-mlflow looks: give both")
    if from_mlflow is not None:
        return Elsewhere(from_mlflow, tracking_uri)
    if from_hf is not None:
        return Elsewhere(HUB + from_hf.removeprefix(HUB))
    return Elsewhere(str(file)) if "://" in str(file) else Path(str(file))


def _published(item: pystac.Item, catalog: str | None) -> pystac.Item:
    with progress() as report:
        return new_or_existing_catalog(catalog).publish(item, report=report)


def _described(
    model: Any,
    written: Path | None,
    given: dict[str, Any],
    catalog: str | None,
    trust: tuple[str, ...],
    *,
    unproved: bool,
) -> pystac.Item:
    """Publish a model file with all that is said of it, by options and in a file."""
    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.publishing.call import made
    from modelstac.registry.publishing.written import read_file
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    policy = DEFAULT_POLICY.trusting(*trust)
    document = None if written is None else read_file(written)
    fields = {} if document is None else {name: one for name, one in document.values.items() if name not in given}
    if "geometry" in given:
        fields.pop("bbox", None)
    folder = Path.cwd() if written is None else written.absolute().parent
    lean_frameworks()
    model = model.absolute() if isinstance(model, Path) else model
    how: dict[str, Any] = {"folder": folder, "policy": policy, "unproved": unproved}
    with (
        progress() as report,
        nullcontext() if document is None else document.explaining(fields),
        made(model, fields | given, **how, report=report) as description,
    ):
        return new_or_existing_catalog(catalog).publish(write_item(description), report=report)


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

    from modelstac.catalog.backends.oddities import oddity
    from modelstac.catalog.errors import InvalidItemError, NotFoundError, UntrustedError
    from modelstac.catalog.items.digests import check_size
    from modelstac.catalog.items.links import local_file
    from modelstac.catalog.items.validation import is_foreign_model
    from modelstac.catalog.items.writing import file_fields
    from modelstac.registry.files.fetch import local_path

    try:
        value = json.loads(read_text(path, "STAC item"))
    except (ValueError, RecursionError) as error:
        raise InvalidItemError(f"{path} is no JSON ({error}): expected a STAC item") from error
    if not isinstance(value, dict) or value.get("type") != "Feature":
        found = value.get("type") if isinstance(value, dict) else type(value).__name__
        raise InvalidItemError(f"{path} is no STAC item: expected type 'Feature', found {found!r}")
    if (reason := oddity(value)) is not None:
        raise InvalidItemError(f"{path} is no STAC item that can be read: {reason}")
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
    folder, foreign = path.resolve().parent, is_foreign_model(value)
    for key, found in item.assets.items():
        if foreign and (found.href.startswith(ADDRESSES) or local_file(found) is None):
            continue  # what its publisher keeps elsewhere stays there
        asset = local_path(item, key).resolve()
        if not asset.is_relative_to(folder):
            raise UntrustedError(f"asset {key!r} of {path} lies at {asset}, outside {folder}: put it beside the item")
        if not asset.is_file():
            raise NotFoundError(f"no file {asset}, asset {key!r} of {path}: put it there or take it out of the item")
        found.href = str(asset)
        if foreign and "file:checksum" not in found.extra_fields:
            check_size(item, key, asset, asset.stat().st_size)
            found.extra_fields |= file_fields(asset, None, None)
    return _placed(item) if foreign else item


def _placed(item: pystac.Item) -> pystac.Item:
    """Give somebody else's item, which is kept as it is, a collection, and declare the extension of its checksums."""
    import pystac

    from modelstac.catalog.items.mlm import FILE_SCHEMA_URI

    if item.collection_id is None:
        named = str(item.properties.get("mlm:name") or item.id)
        item.collection_id = re.sub(r"[^A-Za-z0-9_.-]+", "-", named).strip("-._") or "models"
    if FILE_SCHEMA_URI not in item.stac_extensions:
        item.stac_extensions.append(FILE_SCHEMA_URI)
    if not item.get_links("collection"):
        item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    return item
