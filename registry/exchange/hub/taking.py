"""A model of the Hub, at one commit, with its card, its licence, its tags and the digests of its files."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from modelstac.catalog.errors import IntegrityError, SpecError, StorageError, UntrustedError
from modelstac.catalog.items.digests import sha256
from modelstac.registry.exchange.hub import card
from modelstac.registry.exchange.hub.asking import client, endpoint, explained
from modelstac.registry.exchange.hub.card import ITEM, README
from modelstac.registry.exchange.hub.choosing import TOP, model_file, parts_of
from modelstac.registry.exchange.taken import Taken, as_name, safe_name
from modelstac.registry.inspecting.onnx import external_files
from modelstac.registry.trust.policy import TrustPolicy

_PLACE = re.compile(r"(?P<repository>[^@/\s]+/[^@/\s]+|[^@/\s]+)(?:@(?P<revision>[^/\s]+))?(?:/(?P<path>\S+))?")
_TECHNICAL = re.compile(r"(license|region|arxiv|doi|base_model|dataset|model-index|endpoints_compatible)\b.*", re.I)
_TASKS = {"image-segmentation": "semantic-segmentation", "image-classification": "classification"} | {
    "object-detection": "object-detection",
}
_CHUNK = 1 << 20


def take(place: str, into: Path, *, policy: TrustPolicy) -> Taken:
    """Take a model from the Hub.

    Parameters
    ----------
    place
        ``ORG/REPO``, with ``@REVISION`` (branch, tag or commit), and ``/PATH`` of its file where there are several.
    into
        Folder for its files, which live until the model is published.
    policy
        Largest file that is fetched.

    Raises
    ------
    SpecError
        If it is no such text.
    NotFoundError, UnauthorizedError, StorageError, DownloadError
        If it is not there, not for one to see, or the Hub does not answer.
    AmbiguousError
        If the repository has several models.
    UntrustedError
        If its model is a pickle: these are never loaded from here.
    IntegrityError
        If a file is not the one that the Hub lists.
    """
    match = _PLACE.fullmatch(place)
    if match is None:
        raise SpecError(f"{place!r} is no repository: write ORG/REPO, ORG/REPO@REVISION or ORG/REPO@REVISION/FILE")
    repository = match["repository"]
    api = client()
    with explained(repository):
        info = api.model_info(repository, revision=match["revision"], files_metadata=True)
    commit = str(info.sha)
    listed = {str(one.rfilename): one for one in info.siblings or ()}
    names = list(listed)
    chosen = model_file(names, match["path"], where=repository)
    wanted = [chosen] if chosen in listed else []
    wanted += [name for name in parts_of(names, chosen) if name in listed]
    wanted += [README] if README in listed else []
    beside = into / "model" if chosen == TOP else into  # what else the repository has is no part of the model
    digests = {
        name: _fetch(api, repository, commit, listed[name], into if name == README else beside, policy=policy)
        for name in dict.fromkeys(wanted)
    }
    if chosen.endswith(".onnx"):
        for own in external_files((into / chosen).read_bytes()):
            name = str(PurePosixPath(chosen).parent / own)
            if name in listed:
                digests[name] = _fetch(api, repository, commit, listed[name], into, policy=policy)
    text = (into / README).read_text("utf-8", "replace") if README in listed else ""
    header, body = card.split(text)
    said = dict(_said(repository, info, header, body))
    said["origin"] = {
        "registry": "huggingface",
        "address": f"{endpoint()}/{repository}/tree/{commit}",
        "name": repository,
        "version": commit,
        "files": digests,
    } | {
        name: value
        for name, value in {
            "revision": match["revision"],
            "tags": list(info.tags or ()),
            "license": header.get("license_name") or header.get("license"),
            "license_link": header.get("license_link"),
        }.items()
        if value
    }
    its_item = f"{endpoint()}/{repository}/resolve/{commit}/{ITEM}"
    notes = (f"{repository} has a STAC item: modelstac.load({its_item!r}) runs it as it is",) if ITEM in listed else ()
    shutil.rmtree(beside / ".cache", ignore_errors=True)  # the client's own notes on what it fetched
    return Taken(beside / chosen, said, notes, pickles=False)


def _fetch(api: Any, repository: str, commit: str, one: Any, into: Path, *, policy: TrustPolicy) -> str:
    """Fetch a file, hold it against what the Hub lists, and return its SHA-256."""
    name = str(one.rfilename)
    safe_name(name, where=repository)
    if (one.size or 0) > policy.max_bytes:
        raise UntrustedError(f"{name} of {repository} has {one.size} bytes, more than the limit {policy.max_bytes}")
    with explained(repository):
        path = Path(api.hf_hub_download(repository, name, revision=commit, local_dir=into))
    found = sha256(path)
    expected = one.lfs.sha256 if one.lfs else None
    same = found == expected if expected else one.blob_id is None or _git_blob(path) == one.blob_id
    if not same:
        raise IntegrityError(
            f"{name} of {repository} is not the file that the Hub lists: its SHA-256 is {found}, "
            f"{f'listed is {expected}' if expected else f'its git blob should be {one.blob_id}'}; try again"
        )
    return found


def _git_blob(path: Path) -> str:
    """Return what git calls a file: the SHA-1 of its length and its bytes."""
    try:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    return digest.hexdigest()


def _said(repository: str, info: Any, header: Mapping[str, Any], body: str) -> Iterator[tuple[str, Any]]:
    organisation, _, short = repository.rpartition("/")
    if (name := as_name(short)) is not None:
        yield "name", name
    tags = [str(tag) for tag in info.tags or ()]
    if (licence := card.spdx(header.get("license"))) is not None:
        yield "license", licence
    if words := [tag for tag in tags if not _TECHNICAL.fullmatch(tag)]:
        yield "keywords", words
    if body.strip():
        yield "card", f"{body.strip()}\n"
    if organisation:
        yield "author", [{"name": organisation, "roles": ["producer"], "url": f"{endpoint()}/{organisation}"}]
    if info.pipeline_tag in _TASKS:
        yield "task", (_TASKS[info.pipeline_tag],)
    if scores := dict(_scores(header)):
        yield "metrics", scores
    if (doi := next((tag.removeprefix("doi:") for tag in tags if tag.startswith("doi:10.")), None)) is not None:
        yield "doi", doi
    base = header.get("base_model")
    if base := (base[0] if isinstance(base, list) and base else base):
        yield "pretrained", True
        yield "pretrained_source", str(base)
    sets = header.get("datasets")
    addresses = [f"{endpoint()}/datasets/{one}" for one in (sets if isinstance(sets, list) else [sets] if sets else ())]
    yield "derived_from", [f"{endpoint()}/{repository}/tree/{info.sha}", *addresses]


def _scores(header: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the scores that the header states, by their names, as far as they are numbers."""
    for model in _objects(header.get("model-index")):
        for result in _objects(model.get("results")):
            for metric in _objects(result.get("metrics")):
                value, name = metric.get("value"), metric.get("name") or metric.get("type")
                if isinstance(name, str) and isinstance(value, int | float) and math.isfinite(value):
                    yield re.sub(r"\s+", "_", name), float(value)


def _objects(listed: Any) -> list[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
