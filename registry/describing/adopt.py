"""Take somebody else's item into a catalog of ours: named as ours are, verified, with where it came from.

What the item says is kept as far as it can be run by; what it leaves open and nobody can compute is asked for. The file
is fetched, pinned and looked into as for loading, and what would be refused there is not adopted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pystac

from modelstac.catalog.base import Catalog
from modelstac.catalog.credentials import bare, shown
from modelstac.catalog.errors import AmbiguousError, MissingPackageError, SpecError, StorageError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.links import refuse_files_of_ours
from modelstac.catalog.items.mlm import TASKS, TENSOR_FIELD, ModelInput, ModelOutput
from modelstac.catalog.items.versions import semver
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Report, ignore
from modelstac.catalog.search.spellings import canonical
from modelstac.registry.choosing import references
from modelstac.registry.choosing.candidates import no_runtime
from modelstac.registry.choosing.claims import described, held
from modelstac.registry.choosing.fetching import fetched
from modelstac.registry.choosing.foreign import NO_VERSION
from modelstac.registry.choosing.model_assets import ModelAsset, file_name, is_foreign, model_assets
from modelstac.registry.describing.impure import require_pure
from modelstac.registry.describing.keeping import classes, kept, sources
from modelstac.registry.describing.measuring import open_artifact
from modelstac.registry.describing.repeating import require_function
from modelstac.registry.facts import SUFFIXES, read_facts
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.files.fetch import place_of
from modelstac.registry.inspecting.inspection import inspect
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes import RUNTIMES
from modelstac.registry.runtimes.names import matched
from modelstac.registry.runtimes.opened import Naming
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

Array = TypeVar("Array", ModelInput, ModelOutput)


@dataclass(frozen=True)
class Said:
    """What the adopter says where the item does not, or otherwise.

    Parameters
    ----------
    name, version, license, framework_version
        As in an item of ours; semantic versions.
    tasks
        What the model is for, in MLM's terms.
    asset
        Key of the model file, of several.
    entrypoint
        ``package.module:function`` that builds the architecture of a file of weights.
    """

    name: str | None = None
    version: str | None = None
    license: str | None = None
    framework_version: str | None = None
    tasks: tuple[str, ...] = ()
    asset: str | None = None
    entrypoint: str | None = None


def adopt(
    what: str | PathLike[str] | pystac.Item,
    into: Catalog,
    *,
    source: Catalog | str | PathLike[str] | None = None,
    said: Said = Said(),
    by_reference: bool = False,
    policy: TrustPolicy = DEFAULT_POLICY,
    report: Report = ignore,
) -> pystac.Item:
    """Publish somebody else's item in a catalog of ours, and return it as published.

    Parameters
    ----------
    what
        URL or path of the item, its id in ``source``, or the item itself.
    into
        The catalog.
    source
        The catalog that an id is of.
    said
        What the item does not say.
    by_reference
        Leave the file where it is: with its checksum, a later change of it is refused.
    policy
        What may be in the file.

    Raises
    ------
    SpecError
        If something is missing that only a person can know (names all of it), or the item is one of ours.
    UntrustedError
        If the file runs code when it is read, or is refused by the policy.
    IntegrityError
        If the file is not the one that the item or the lock file names.
    ModelStacError
        As loading and publishing do.
    """
    item = what if isinstance(what, pystac.Item) else references.named(str(what), source)
    if not is_foreign(item):
        raise SpecError(f"item {item.id!r} was made by modelstac: copy it as it is with modelstac sync")
    if item is not what:  # whoever hands an item over may have led it to files of theirs
        refuse_files_of_ours(item)
    asset = _one(item, said.asset)
    description, remarks = described(item, asset, said.entrypoint)
    artifact = fetched(item, asset, policy, rehash=False, report=report)
    description, told = held(item, asset, description, artifact)
    remarks += told
    inspect(artifact, asset.artifact_type, policy)
    description = _as_in_file(item, description, artifact, policy, remarks)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        path = _written(artifact, Path(folder) / f"model{FORMATS[description.format].suffix}")
        beside = _written_beside(artifact, Path(folder))
        fields = _completed(item, description, path, said, policy)
        address = place_of(item, asset.key)
        if by_reference and isinstance(address, Path):
            raise SpecError(f"{address} is a file of this machine, which others cannot read: adopt it with its file")
        fields |= {"artifact": bare(str(address)) if by_reference else path, "checksum": artifact.sha256}
        fields |= {"size": len(artifact.data), "sources": (*_sources(item, what), *sources(item))}
        fields |= kept(item, asset.key, remarks)
        if not by_reference:
            fields["assets"] = dict(fields.get("assets", {})) | _copied(fields.get("assets", {}), beside)
        known = description.model_dump(exclude={"bbox", *fields})
        origin = f"Adopted from the item `{item.id}`" + (f"; {'; '.join(remarks)}." if remarks else ".")
        made = ModelDescription(**known | fields | {"description": f"{description.description}\n\n{origin}"})
        return into.publish(write_item(made), report=report)


def _as_in_file(
    item: pystac.Item, description: ModelDescription, artifact: Artifact, policy: TrustPolicy, remarks: list[str]
) -> ModelDescription:
    """Open the file as loading would, and say in the description what it calls its inputs and outputs.

    It is run, too: one input must give one output.

    A file of weights has no names, and is only opened with code that the policy allows: it stays closed. So does one
    whose runtime is not installed here.
    """
    if description.format == "torch":
        return description
    require_pure(artifact, description.format)
    try:
        opened = open_artifact(artifact, description, policy=policy)
    except MissingPackageError as error:
        remarks.append(f"its names were not compared with those of the file ({error})")
        return description
    signature = Signature.of(description).without_made(description, opened.outputs)
    inputs, outputs = ([tensor.name for tensor in side] for side in (signature.inputs, signature.outputs))
    where = f"the file of {artifact.item_id!r}"
    into, back = matched(opened, inputs, outputs, where=where, naming=Naming(free=True), remarks=remarks)
    model = Model(item, description, opened)
    del opened  # the model alone holds it, until it is closed

    def again() -> Model:
        return Model(item, description, open_artifact(artifact, description, policy=policy))

    if reason := require_function(model, again, artifact, description.format, model.signature):
        remarks.append(f"it was not run twice on one input ({reason})")
    return description.model_copy(
        update={
            "inputs": tuple(_called(tensor, into) for tensor in description.inputs),
            "outputs": tuple(_called(tensor, back or {}) for tensor in description.outputs),
        }
    )


def _called(tensor: Array, names: Mapping[str, str]) -> Array:
    if len(names) < 2 or names.get(tensor.name, tensor.name) == tensor.name:  # of one, there is no doubt
        return tensor
    return tensor.model_copy(update={TENSOR_FIELD: names[tensor.name]})


def _one(item: pystac.Item, wanted: str | None) -> ModelAsset:
    """Return the file to adopt: the one that is named, or the only one that runs no code."""
    found = [asset for asset in model_assets(item) if wanted in {None, asset.key}]
    if not found:
        raise SpecError(f"item {item.id!r} has no model {wanted!r}: its assets are {', '.join(map(repr, item.assets))}")
    runs = [asset for asset in found if asset.artifact_type in RUNTIMES]
    if len(runs) > 1:
        keys = ", ".join(asset.key for asset in runs)
        raise AmbiguousError(
            f"item {item.id!r} has {len(runs)} models ({keys}), and here each is an item: name one (--asset)"
        )
    if not runs:
        raise no_runtime(item, found[0])
    return runs[0]


def _completed(
    item: pystac.Item, description: ModelDescription, path: Path, said: Said, policy: TrustPolicy
) -> dict[str, Any]:
    """Return the fields that the item, its file or the adopter says; refuse what nobody says."""
    get = item.properties.get
    named = get("mlm:tasks")
    tasks = said.tasks or tuple(task for task in (named if isinstance(named, list) else ()) if task in TASKS)
    same = canonical(str(get("mlm:framework"))) == description.framework  # else it says what the file was made from
    written = said.framework_version or (description.framework_version if same else NO_VERSION)
    parameters = description.parameters
    if written == NO_VERSION and path.suffix in SUFFIXES:
        facts = read_facts(path, policy=policy)
        written, parameters = facts.framework_version, parameters or facts.parameters
    version = said.version or (semver(str(get("version"))) if get("version") else None)
    needed = {
        "--version": version,
        "--task (such as semantic-segmentation)": tasks,
        f"--framework-version (of {description.framework})": None if written == NO_VERSION else written,
    }
    if missing := [flag for flag, value in needed.items() if not value]:
        raise SpecError(f"item {item.id!r} does not say everything: give {', '.join(missing)}")
    keywords = get("keywords")
    return {
        "name": said.name or description.name,
        "version": version,
        "license": said.license or description.license,
        "tasks": tasks,
        "outputs": tuple(classes(output.model_copy(update={"tasks": tasks})) for output in description.outputs),
        "framework_version": written,
        "parameters": parameters,
        "keywords": tuple(map(str, keywords)) if isinstance(keywords, list) else (),
    }


def _sources(item: pystac.Item, what: object) -> tuple[Source, ...]:
    """Return where the item came from, if that is a place that others can go to."""
    links = (link.get_href(transform_href=False) for link in item.links if link.rel in {"self", "canonical"})
    places = [str(place) for place in (what, *links) if "://" in str(place)]
    return (Source(href=shown(places[0]), title=item.id),) if places else ()


def _written_beside(artifact: Artifact, folder: Path) -> dict[str, Path]:
    """Write the files that belong to a model file beside it, by the names that it calls them."""
    return {name: _write(data, folder / name) for name, data in artifact.beside.items()}


def _copied(assets: Mapping[str, ExtraAsset], beside: Mapping[str, Path]) -> dict[str, ExtraAsset]:
    """Have those assets that belong to the model file come with it, from wherever they are."""
    return {
        key: extra.model_copy(update={"path": beside[name], "checksum": None, "size": None})
        for key, extra in assets.items()
        if (name := file_name(str(extra.path))) in beside
    }


def _written(artifact: Artifact, path: Path) -> Path:
    return _write(artifact.data, path)


def _write(data: bytes, path: Path) -> Path:
    try:
        path.write_bytes(data)
    except OSError as error:
        advice = "free space there or set TMPDIR to another disk"
        raise StorageError.doing(f"copy {path.name} to {path.parent}", error, advice=advice) from error
    return path
