"""Inference beside the STAC API of a catalog: with its models, its keys and its settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pydantic import ValidationError

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.errors import CatalogError, InvalidItemError
from modelstac.catalog.server.files.artifacts import artifact_path
from modelstac.catalog.server.routes.keys import Keys
from modelstac.registry.runtimes.options import SPIN
from modelstac.registry.serving.app import Inference
from modelstac.registry.serving.models import Models
from modelstac.registry.serving.settings import InferenceSettings

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.base import Catalog
    from modelstac.catalog.server.settings import ServerSettings


def inference(references: Sequence[str], server: ServerSettings, *, trust: Sequence[str]) -> Callable[[str], Inference]:
    """Return what makes the service, as :func:`modelstac.catalog.server.serve.serve` wants it.

    Parameters
    ----------
    references
        What names the models: item ids, ``name@alias``, names, names with a range of versions.
    server
        Settings of the server.
    trust
        What may be loaded besides.

    Raises
    ------
    CatalogError
        If a setting makes no sense.
    SpecError
        If a word of trust is none.
    """
    try:
        settings = InferenceSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MODELSTAC_PREDICT_{first['loc'][0]}".upper()
        raise CatalogError(f"setting {name}: {first['msg']}") from error
    os.environ.setdefault(SPIN, "0")  # its threads share the cores with those that answer
    file = server.catalog if server.database is None else None

    def at(href: str) -> Inference:
        def opened() -> Catalog:
            # What is in PostgreSQL is read through the server itself, by the rules that its readers have.
            return ApiCatalog(href) if file is None else EmbeddedCatalog(file)

        def local(item: pystac.Item) -> pystac.Item:
            return with_local_files(item, href, server.artifact_place)

        return Inference(
            Models(references, opened, settings, trust=trust, local=local), settings, Keys(server.keys_file)
        )

    return at


def with_local_files(item: pystac.Item, href: str, place: str) -> pystac.Item:
    """Give the files that a server keeps their place in its folder, not the address by which it hands them out.

    Only what is an address of an artifact has one: an item of somebody's may name any, such as one that leads out.
    """
    prefix = f"{href}/artifacts/"
    for asset in item.assets.values():
        if asset.href.startswith(prefix) and "://" not in place:
            named = unquote(asset.href.removeprefix(prefix))
            with suppress(InvalidItemError):
                _, digest, name = named.split("/") if named.count("/") == 2 else ("", "", "")
                # As a URL: beside a self link on the web, pystac takes a bare path for one of that server's.
                asset.href = (Path(place) / artifact_path(digest, name)).as_uri()
    return item
