"""From an item id to a model that runs: find, read, verify, and only then import the framework."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pystac

from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import CatalogError, InvalidItemError, UntrustedError
from modelstac.catalog.formats import FORMATS
from modelstac.catalog.items import ModelDescription
from modelstac.catalog.messages import Finished, Report, Started, ignore
from modelstac.registry.backends import import_keras
from modelstac.registry.fetch import fetch
from modelstac.registry.inspection import check_media_type, inspect, require_packages
from modelstac.registry.model import Model
from modelstac.registry.runtimes import RUNTIMES, runtime
from modelstac.registry.trust import DEFAULT_POLICY, PICKLES, TrustPolicy

if TYPE_CHECKING:
    from os import PathLike

VARIABLE = "MODELSTAC_CATALOG"
MODEL_ROLE = "mlm:model"


def load(
    item: str | pystac.Item,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    policy: TrustPolicy = DEFAULT_POLICY,
    rehash: bool = False,
    report: Report = ignore,
) -> Model:
    """Load a model by its item id.

    Parameters
    ----------
    item
        Item id, or the item itself.
    catalog
        Where the id is looked up: a catalog, its folder, or by default what ``MODELSTAC_CATALOG`` names.
    policy
        What may be loaded.
    rehash
        Hash the file even if it was verified before and did not change since.
    report
        Gets progress and notes, such as a Keras backend that is not the item's.

    Returns
    -------
    Model

    Raises
    ------
    NotFoundError
        If there is no such item (names the nearest ids) or no such file.
    CatalogError
        If no catalog is named, or what is named is none.
    IntegrityError
        If the file is not the published one; raised before any framework is imported.
    UntrustedError
        If the policy refuses the file.
    InvalidItemError
        If the item or the file make no sense.
    MissingPackageError
        If the framework is not installed.
    """
    if isinstance(item, str):
        item = default_catalog(catalog).get(item)
    key, artifact_type = model_asset(item)
    description = ModelDescription.from_item(item)
    if len(description.inputs) != 1 or len(description.outputs) != 1:
        raise InvalidItemError(
            f"item {item.id!r} has {len(description.inputs)} inputs and {len(description.outputs)} outputs; "
            "a model that can be loaded has one of each"
        )
    task = f"load {item.id}"
    report(Started(task))
    check_media_type(item, key, artifact_type)
    artifact = fetch(item, key, max_bytes=policy.max_bytes, rehash=rehash, report=report)
    require_packages(artifact_type, item_id=item.id)
    inspect(artifact, artifact_type, policy)
    if artifact_type == FORMATS["keras"].artifact_type:
        import_keras(description.backend, item_id=item.id, report=report)
    native, predict = runtime(artifact_type, item_id=item.id).load(artifact, description, policy)
    report(Finished(task))
    return Model(item, description, native, predict)


def default_catalog(catalog: Catalog | str | PathLike[str] | None = None) -> Catalog:
    """Open the catalog that was given, or else the one that ``MODELSTAC_CATALOG`` names."""
    if isinstance(catalog, Catalog):
        return catalog
    href = catalog if catalog is not None else os.environ.get(VARIABLE)
    if not href:
        raise CatalogError(f"no catalog was named: give one (catalog=…, --catalog) or set {VARIABLE}")
    return open_catalog(href)


def model_asset(item: pystac.Item) -> tuple[str, str]:
    """Return key and artifact type of the one asset that can be run.

    Raises
    ------
    InvalidItemError
        If the item has no model asset, or several.
    UntrustedError
        If it has one of a format that runs code, such as a pickle, or that no runtime knows.
    """
    types = {
        key: str(asset.extra_fields.get("mlm:artifact_type"))
        for key, asset in item.assets.items()
        if MODEL_ROLE in (asset.roles or ())
    }
    known = [key for key, artifact_type in types.items() if artifact_type in RUNTIMES]
    if len(known) == 1:
        return known[0], types[known[0]]
    if known:
        raise InvalidItemError(f"item {item.id!r} has {len(known)} models ({', '.join(known)}); expected one")
    if not types:
        raise InvalidItemError(f"item {item.id!r} has no asset with the role {MODEL_ROLE}, so there is nothing to load")
    refused = sorted(set(types.values()))
    reason = "a pickle, which runs code when read" if PICKLES & set(refused) else "which no runtime here knows"
    raise UntrustedError(
        f"item {item.id!r} holds {', '.join(refused)}, {reason}: loaded are {', '.join(sorted(RUNTIMES))}"
    )
