"""What an item says of its model file, and whether the file says the same: asked in one way wherever it matters.

A file is looked at where it is at hand, on this machine or in the cache; choosing fetches nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.errors import CannotRunError, InvalidItemError, ModelStacError
from modelstac.catalog.items.digests import from_multihash, other_digest
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.links import local_path
from modelstac.catalog.items.reading import read_item
from modelstac.registry.choosing.model_assets import ModelAsset, is_foreign, model_assets
from modelstac.registry.runtimes import RUNS_CODE, RUNTIMES, runtime

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.facts.records.record import Record
    from modelstac.registry.files.artifact import Artifact

SURE_OPSET, SURE_IR = 21, 10
"""What every ONNX Runtime that is supported here opens."""
LARGEST = 1 << 30
"""Bytes of a file that is read once more to choose it; a larger one is looked at when it is loaded."""


def described(
    item: pystac.Item, asset: ModelAsset, entrypoint: str | None = None
) -> tuple[ModelDescription, list[str]]:
    """Describe a model file of an item, our own or somebody else's, and say what is odd in it, each in half a line.

    Raises
    ------
    InvalidItemError
        If the item contradicts itself or makes no sense.
    """
    # Not at the top: what only a model that is there needs would be a tenth of `import modelstac`.
    from modelstac.registry.running.values.scaling import unmet
    from modelstac.registry.running.values.steps import left_undone

    if is_foreign(item):
        from modelstac.registry.choosing import foreign

        _check_media_type(item, asset)
        description, remarks = foreign.describe(item, asset, entrypoint=entrypoint)
    else:
        description = _own(item, asset)
        entries = [entry for entry in item.properties.get("mlm:input") or () if isinstance(entry, dict)]
        wants = ((entry.get("name"), text) for entry in entries for side in unmet(entry) for text in side)
        remarks = [f"input {name!r} wants {text}" for name, text in wants]
    return description, [*remarks, *left_undone(description)]


def _own(item: pystac.Item, asset: ModelAsset, read: ModelDescription | None = None) -> ModelDescription:
    """Return what an item of ours says of its model file."""
    _check_media_type(item, asset)
    try:
        return read or read_item(item)
    except InvalidItemError as error:
        text = str(error)
        raise InvalidItemError(text if repr(item.id) in text else f"item {item.id!r}: {text}") from error


def _check_media_type(item: pystac.Item, asset: ModelAsset) -> None:
    """Refuse an asset whose media type names another framework than its artifact type; one may name none."""
    if asset.artifact_type in RUNS_CODE:  # a pickle and a program of PyTorch have one media type
        return
    media_type = item.assets[asset.key].media_type or ""
    parameters = {p.strip().casefold() for p in media_type.split(";")[1:]} - {""}
    named = {f.artifact_type for f in FORMATS.values() if f.media_type.partition("; ")[2] in parameters}
    if named and asset.artifact_type not in named:
        raise InvalidItemError(
            f"asset {asset.key!r} of item {item.id!r} has the media type {media_type!r} and the artifact type "
            f"{asset.artifact_type!r}, which contradict each other: publish it anew"
        )


def check_publishable(item: pystac.Item, read: ModelDescription | None = None) -> None:
    """Refuse a model whose item contradicts its file, or wants steps that can never be computed.

    Parameters
    ----------
    read
        What the item says, where that is read already.

    Raises
    ------
    InvalidItemError, UntrustedError
        With both sides.
    """
    from modelstac.registry.running.values.steps import contradictions

    if not any(name.startswith("mlm:") for name in item.properties):
        return
    for asset in model_assets(item):
        if asset.artifact_type not in RUNTIMES:
            continue
        if is_foreign(item):
            description, _ = described(item, asset)
        else:
            description = _own(item, asset, read)
            if (found := next(contradictions(description), None)) is not None:
                raise InvalidItemError(f"item {item.id!r}: {found}")
        if (file := at_hand(item, asset)) is not None:
            held(item, asset, description, file, here=False)


def held(
    item: pystac.Item, asset: ModelAsset, description: ModelDescription, file: Artifact, *, here: bool = True
) -> tuple[ModelDescription, list[str]]:
    """Hold what an item says of a model file against the file, and the file against the runtime that is installed.

    Parameters
    ----------
    here
        Whether it is to run in this environment.

    Raises
    ------
    IntegrityError
        If the file has another size than the item says.
    InvalidItemError, UntrustedError
        As :func:`modelstac.registry.facts.comparing.compare` does.
    CannotRunError
        If its runtime is older than the file.
    """
    from modelstac.catalog.items.digests import check_size
    from modelstac.registry.facts.comparing import compare
    from modelstac.registry.facts.records.reading import record

    check_size(item, asset.key, file.path, len(file.data))
    told = record(file.data)
    found = compare(item, asset.key, asset.artifact_type, description, file, told=told)
    if here and told is not None and asset.artifact_type == FORMATS["onnx"].artifact_type:
        _check_versions(item, asset, told)
    return found


def _check_versions(item: pystac.Item, asset: ModelAsset, told: Record) -> None:
    if "opset" not in told.details:
        return
    ir_version, opset = told.details["ir_version"], told.details["opset"]
    if opset <= SURE_OPSET and ir_version <= SURE_IR:
        return
    if reason := runtime(asset.artifact_type, item_id=item.id).refuses(ir_version, opset):  # type: ignore[attr-defined]
        raise CannotRunError(
            f"item {item.id!r} holds an ONNX graph of opset {opset} and IR version {ir_version}, which the "
            f"installed ONNX Runtime does not open ({reason}): install a later one, or ask its publisher for an "
            "earlier opset"
        )


def at_hand(item: pystac.Item, asset: ModelAsset, *, hashed: bool = False) -> Artifact | None:
    """Return the file of an asset where it lies on this machine or in the cache; None where it would be fetched.

    Parameters
    ----------
    hashed
        Whether the digest of a file that is no part of the cache is wanted, too; what is loaded is verified then.
    """
    from modelstac.registry.files.artifact import Artifact

    found = item.assets[asset.key]
    href = found.href if "://" in found.href else found.get_absolute_href() or found.href
    try:
        here = local_path(href)
        path = here or _in_cache(found, href)
        if path is None or not path.is_file() or path.stat().st_size > LARGEST:
            return None
        if here is None or not hashed:
            return Artifact(item.id, path, path.read_bytes(), "")
        from modelstac.registry.files.cache import Cache
        from modelstac.registry.files.stamps import read

        content = read(path, Cache().local_stamp(path), keep=LARGEST, item_id=item.id)
        return None if content.data is None else Artifact(item.id, path, content.data, content.sha256, content.stamp)
    except (ModelStacError, OSError):  # loading says what is wrong with it
        return None


def check_published(item: pystac.Item, asset: ModelAsset, file: Artifact) -> None:
    """Refuse a file whose digest is known and is not the published one, or not the one that was pinned.

    Raises
    ------
    IntegrityError
        As loading does.
    """
    from modelstac.registry.files.fetch import not_published
    from modelstac.registry.files.lock import changed

    if not file.sha256:
        return
    checksum = item.assets[asset.key].extra_fields.get("file:checksum")
    loose = not isinstance(checksum, str) or other_digest(checksum) is not None
    published = _pinned(file.path) if loose else from_multihash(str(checksum))
    if published in {None, file.sha256}:
        return
    error = not_published(item, file.path, file.sha256, str(published))
    raise changed(error, file.path) if loose else error


def _pinned(href: str | Path) -> str | None:
    from modelstac.registry.files.lock import Lock

    lock = Lock()
    pin = lock.pins().get(lock.place(href))
    return None if pin is None else pin.sha256


def _in_cache(asset: pystac.Asset, href: str) -> Path | None:
    from modelstac.registry.files.cache import Cache

    checksum = asset.extra_fields.get("file:checksum")
    if isinstance(checksum, str) and other_digest(checksum) is None:
        return Cache().path(from_multihash(checksum))
    pinned = _pinned(href)
    return None if pinned is None else Cache().path(pinned)
