"""An item of ours into another registry."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import SpecError, StorageError
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.choosing import references
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import file_name, is_foreign, model_assets
from modelstac.registry.exchange.places import HUB
from modelstac.registry.files.fetch import fetch
from modelstac.registry.inspecting.external import ROLE
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    from os import PathLike

    import pystac

    from modelstac.catalog.base import Catalog

MLFLOW = "mlflow:"


def push(
    what: str,
    target: str,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    tracking_uri: str | None = None,
    private: bool = False,
    policy: TrustPolicy = DEFAULT_POLICY,
    report: Report = ignore,
) -> str:
    """Put an item of ours, with its verified file, into another registry.

    Parameters
    ----------
    what
        Id of the item, ``name@alias``, URL or path.
    target
        ``mlflow:NAME``, a model of MLflow; or ``hf://ORG/REPO``, a repository of the Hugging Face Hub.
    catalog
        That of the item; by default ``MODELSTAC_CATALOG``.
    tracking_uri
        Address of the MLflow server; by default ``MLFLOW_TRACKING_URI``.
    private
        Whether a repository that is made is seen by its owner alone.
    policy
        Largest file that is read.
    report
        Gets notes and progress.

    Returns
    -------
    str
        What it is found by there: ``models:/NAME/VERSION``, or ``hf://ORG/REPO@COMMIT``.

    Raises
    ------
    SpecError
        If the target is none, or the item was not made here.
    ModelStacError
        As fetching the file and the registry do.
    """
    if not target.startswith((MLFLOW, HUB)):
        raise SpecError(f"{target!r} is no registry: push to {MLFLOW}NAME or {HUB}ORG/REPO")
    item = references.named(what, catalog)
    if is_foreign(item):
        raise SpecError(f"item {item.id!r} was not made by modelstac: adopt it first, and push that")
    [asset] = model_assets(item)
    description, _ = described(item, asset, None)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as temporary:
        prepared = Path(temporary) / "prepared"
        prepared.mkdir()
        if target.startswith(MLFLOW):
            from modelstac.registry.exchange.mlflow.pushing import push as to_mlflow

            keys = [key for key, other in item.assets.items() if ROLE in (other.roles or ()) and key != asset.key]
            files = _files(item, [asset.key, *keys], Path(temporary) / "files", policy, report)
            name = target.removeprefix(MLFLOW)
            how: dict[str, Any] = {"tracking_uri": tracking_uri, "folder": prepared, "report": report}
            return to_mlflow(item, description, files, name, **how)
        from modelstac.registry.exchange.hub.pushing import push as to_hub

        files = _files(item, list(item.assets), Path(temporary) / "files", policy, report)
        return to_hub(item, description, files, target.removeprefix(HUB), private=private)


def _files(item: pystac.Item, keys: list[str], folder: Path, policy: TrustPolicy, report: Report) -> dict[str, Path]:
    """Copy the files of assets, verified, into a folder; one that has no checksum stays where it is."""
    found: dict[str, Path] = {}
    folder.mkdir()
    for key in keys:
        if "file:checksum" not in item.assets[key].extra_fields:
            continue
        name = file_name(item.assets[key].href)
        taken = {"README.md", "item.json", "collection.json", *(other.name for other in found.values())}
        path = folder / (f"{key}-{name}" if name in taken else name)
        artifact = fetch(item, key, max_bytes=policy.max_bytes, report=report)
        try:
            path.write_bytes(artifact.data)
        except OSError as error:
            raise StorageError.doing(f"copy {name} to {folder}", error, advice="set TMPDIR to another disk") from error
        found[key] = path
    return found
