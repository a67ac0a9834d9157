"""One model file and one machine: whether it can run there, how well, and if not why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pystac

from modelstac.catalog.errors import (
    AmbiguousError,
    CannotRunError,
    InvalidItemError,
    InvalidQueryError,
    MachineError,
    MissingPackageError,
    ModelStacError,
    UntrustedError,
)
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.versions import parse_version
from modelstac.catalog.search.matching import VERIFIED
from modelstac.catalog.search.spellings import canonical
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.known_breaks import known_break
from modelstac.registry.choosing.machine import Machine
from modelstac.registry.choosing.model_assets import UNKNOWN, UNSAFE_TYPES, ModelAsset, is_foreign, model_assets
from modelstac.registry.choosing.ways_on import way_on
from modelstac.registry.choosing.wishes import PRECISIONS, Wishes, precision_of
from modelstac.registry.runtimes import RUNS_CODE, RUNTIMES
from modelstac.registry.runtimes.backends import PACKAGES

# The order of choice. "sibling" is any of the first three of another variant that was proved equal; "isolated" would
# run in an environment of its own; "none" cannot run.
EXACT, OF_VERIFIED, COMPATIBLE, SIBLING, ISOLATED, NONE = KINDS = (
    "exact",
    "verified",
    "compatible",
    "sibling",
    "isolated",
    "none",
)
# Package whose version says whether a reader is the writer; ONNX and LiteRT files carry versions of their own.
COMPARED = MappingProxyType(
    {
        "keras": "keras",
        "torch": "torch",
        "torch-export": "torch",
        "saved-model": "tensorflow",
        "openvino": "openvino",
    }
)
# Where nothing else decides: quickest to load and to run first, as measured on the ConvLSTM.
PREFERENCE = ("torch", "onnx", "openvino", "torch-export", "saved-model", "litert", "keras")


@dataclass(frozen=True)
class Candidate:
    """One model file, judged.

    Attributes
    ----------
    item, asset
        Which it is.
    kind
        One of :data:`KINDS`.
    reason
        Why it is of that kind; why it cannot run, for the kind ``none``.
    note
        A version difference that its user should know of.
    error
        What loading it would raise.
    looked
        Whether its file was held against the item; None where that was not tried, as it is not what is chosen.
    """

    item: pystac.Item = field(repr=False)
    asset: ModelAsset
    kind: str
    reason: str
    note: str | None = None
    error: ModelStacError | None = field(default=None, repr=False)
    rank: tuple[Any, ...] = field(default=(), repr=False)
    looked: bool | None = None

    @property
    def name(self) -> str:
        """Return the item id, with the asset's key where the item has several models."""
        return self.item.id if self.asset.key == "model" else f"{self.item.id} ({self.asset.key})"

    def to_json(self) -> dict[str, Any]:
        """Return what a program may want to know."""
        return {
            "item": self.item.id,
            "asset": self.asset.key,
            "artifact_type": self.asset.artifact_type,
            "kind": self.kind,
            "reason": self.reason,
            "note": self.note,
            "looked": self.looked,
        }


def model_asset(item: pystac.Item) -> tuple[str, str]:
    """Return key and artifact type of the one model of an item that a runtime here can load, installed or not.

    Raises
    ------
    InvalidItemError
        If the item has no model, or several.
    UntrustedError
        If it has one of a format that runs code, such as a pickle, or that no runtime knows.
    """
    found = model_assets(item)
    known = [asset for asset in found if asset.artifact_type in RUNTIMES]
    if len(known) > 1:
        keys = ", ".join(asset.key for asset in known)
        raise AmbiguousError(f"item {item.id!r} has {len(known)} models ({keys}); expected one")
    if not known:
        raise no_runtime(item, found[0])
    return known[0].key, known[0].artifact_type


def judge(
    item: pystac.Item,
    asset: ModelAsset,
    machine: Machine,
    wishes: Wishes,
    *,
    strict: bool = False,
    code: frozenset[str] = frozenset(),
    written: str | None = None,
) -> Candidate:
    """Judge one model file.

    Parameters
    ----------
    item, asset
        The file.
    machine
        Where it should run.
    wishes
        What it must be.
    strict
        Refuse any version of the framework but the item's own and those in which it was verified.
    code
        What may run code of its publisher's, see :attr:`modelstac.registry.trust.policy.TrustPolicy.code`.
    written
        Version of the framework that wrote the file, where the file says it.
    """
    if error := _refused(item, asset, machine, wishes, code, written):
        return Candidate(item, asset, NONE, str(error), error=error)
    if asset.artifact_type in RUNS_CODE:
        reason = f"it runs code of its publisher, whom trust={RUNS_CODE[asset.artifact_type][0]!r} trusts"
        return Candidate(item, asset, COMPATIBLE, reason, rank=(KINDS.index(COMPATIBLE),))
    kind, reason, note = _fit(item, asset, machine, written)
    if strict and note:
        error = CannotRunError(f"{note}; strict=True allows no other version: install that one, or load without it")
        return Candidate(item, asset, NONE, str(error), error=error)
    return Candidate(item, asset, kind, reason, note, rank=_rank(item, asset, machine, kind))


def _refused(  # noqa: PLR0917 - what judge was asked
    item: pystac.Item,
    asset: ModelAsset,
    machine: Machine,
    wishes: Wishes,
    code: frozenset[str],
    written: str | None,
) -> ModelStacError | None:
    what = f"asset {asset.key!r} of item {item.id!r}"
    if unmet := next(wishes.unmet(item, asset), None):
        return InvalidQueryError(f"{what}: {unmet}")
    word, entry = RUNS_CODE.get(asset.artifact_type, (None, None))
    entry = (entry if word in code else None) if word else RUNTIMES.get(asset.artifact_type)
    if entry is None:
        return no_runtime(item, asset)
    if is_foreign(item) or len(model_assets(item)) == 1:  # of ours there is one; of several, one is asked for
        try:
            described(item, asset)
        except InvalidItemError as error:
            return error
    for package in entry.packages:
        if package not in machine.packages:
            return MissingPackageError.extra(package, entry.extra, f"loading {item.id!r}")
    return _lacking(item, what, machine) or (None if word else _broken(item, asset, machine, written))


def no_runtime(item: pystac.Item, asset: ModelAsset) -> ModelStacError:
    """Return the error of a model file that nothing here runs, or only if its publisher is trusted."""
    if asset.artifact_type == UNKNOWN:
        return InvalidItemError(
            f"asset {asset.key!r} of item {item.id!r} does not say what it is ({'; '.join(asset.remarks)}): "
            "ask its publisher for mlm:artifact_type"
        )
    runs_code = asset.artifact_type in UNSAFE_TYPES - {"HDF5"}
    reason = "a pickle or the like, which runs code when read" if runs_code else "which no runtime here knows"
    return UntrustedError(
        f"item {item.id!r} holds {asset.artifact_type} (asset {asset.key!r}), {reason}: loaded are "
        f"{', '.join(sorted(RUNTIMES))}; ask its publisher for one of these{_if_trusted(asset)}{way_on(item, asset)}"
    )


def _if_trusted(asset: ModelAsset) -> str:
    word, _ = RUNS_CODE.get(asset.artifact_type, (None, None))
    return f", or, if you trust him, load this file alone with asset={asset.key!r}, trust={word!r}" if word else ""


def _lacking(item: pystac.Item, what: str, machine: Machine) -> ModelStacError | None:
    get = item.properties.get
    accelerator = get("mlm:accelerator")
    here_too = machine.accelerators | {"cpu"}  # which MLM does not list, and many write
    if get("mlm:accelerator_constrained") is True and accelerator and str(accelerator).casefold() not in here_too:
        here = ", ".join(sorted(machine.accelerators)) or "none"
        return MachineError(f"{what} needs the accelerator {accelerator}, here is {here}: use a machine that has it")
    needed = get("mlm:memory_size")
    if isinstance(needed, int) and machine.memory is not None and needed > machine.memory:
        return MachineError(
            f"{what} needs {needed / 1e9:.3g} GB of memory, {machine.memory / 1e9:.3g} GB are free: free some, or use "
            "a larger machine"
        )
    return None


def _broken(item: pystac.Item, asset: ModelAsset, machine: Machine, told: str | None) -> ModelStacError | None:
    package = COMPARED.get(_form(asset))
    if package is None or package not in machine.packages:
        return None
    installed, written = machine.packages[package], told or _written(item, asset)
    if found := known_break(asset.artifact_type, package, installed=installed, written=written):
        return CannotRunError(
            f"item {item.id!r} of {package} {written or '(version not said)'} does not go with {package} {installed}: "
            f"{found.reason}"
        )
    return None


def _fit(item: pystac.Item, asset: ModelAsset, machine: Machine, told: str | None) -> tuple[str, str, str | None]:
    """Return how well a file that can run fits the machine: kind, reason, and the note on what differs."""
    form = _form(asset)
    package = COMPARED.get(form)
    verified = "it was verified in an environment with these versions" if _was_verified(item, form, machine) else ""
    if package is None:
        return (OF_VERIFIED, verified, None) if verified else (COMPATIBLE, "the format carries its own version", None)
    pairs = [(package, told or _written(item, asset), machine.packages.get(package))]
    if form == "keras" and (backend := _text(item, "interop:backend")):
        brings = PACKAGES.get(backend, backend)
        if machine.keras_backend not in {None, backend} or brings not in machine.packages:
            running = machine.keras_backend or "another backend"
            # What import_keras notes when it comes to that.
            return COMPATIBLE, f"made on Keras' {backend} backend, and this process runs Keras on {running}", None
        pairs.append((backend, _text(item, "interop:backend_version"), machine.packages.get(brings)))
    differing = [(name, made, here) for name, made, here in pairs if not _same(made, here)]
    if not differing:
        return EXACT, " and ".join(f"{name} {here}" for name, _, here in pairs), None
    if verified:
        return OF_VERIFIED, verified, None
    made = " and ".join(f"{name} {version or 'of an unknown version'}" for name, version, _ in differing)
    here = " and ".join(f"{version}" for _, _, version in differing)
    note = f"{item.id} was made with {made}, here is {here}"
    return COMPATIBLE, note.removeprefix(f"{item.id} was "), note


def _was_verified(item: pystac.Item, form: str, machine: Machine) -> bool:
    backend = _text(item, "interop:backend")
    needed = list(RUNTIMES[FORMATS[form].artifact_type].packages[:1])
    if not needed:  # another package's runtime does not say what it needs
        return False
    needed += [PACKAGES[backend]] if form == "keras" and backend is not None and backend in PACKAGES else []
    environments = item.properties.get(VERIFIED)
    for environment in environments if isinstance(environments, list) else ():
        packages = environment.get("packages") if isinstance(environment, Mapping) else None
        if isinstance(packages, Mapping) and all(
            package in machine.packages and _same(_published(packages, package), machine.packages[package])
            for package in needed
        ):
            return True
    return False


def _published(packages: Mapping[str, Any], package: str) -> str | None:
    """Return the version of an import package in a list of distributions."""
    from modelstac.registry.choosing.machine import DISTRIBUTIONS

    names = (package, *DISTRIBUTIONS.get(package, ()))
    return next((str(packages[name]) for name in names if name in packages), None)


def _same(made: str | None, here: str | None) -> bool:
    """Tell whether two versions are the same release; how they were built (``+cpu``) does not count."""
    if made is None or here is None:
        return False
    try:
        return parse_version(made).public == parse_version(here).public
    except InvalidItemError:
        return made == here


def _rank(item: pystac.Item, asset: ModelAsset, machine: Machine, kind: str) -> tuple[Any, ...]:
    form = _form(asset)
    made_for = item.properties.get("mlm:accelerator")
    return (
        KINDS.index(kind),
        PRECISIONS.index(precision_of(item)),
        0 if made_for is None or made_for in machine.accelerators else 1,
        0 if machine.imported.issuperset(RUNTIMES[asset.artifact_type].packages[:1]) else 1,
        PREFERENCE.index(form) if form in PREFERENCE else len(PREFERENCE),
    )


def _written(item: pystac.Item, asset: ModelAsset) -> str | None:
    """Return the version that wrote the file; one of TensorFlow says nothing of a Keras file that it wrote."""
    named = canonical(_text(item, "mlm:framework") or "")
    return _text(item, "mlm:framework_version") if named == FORMATS[_form(asset)].framework else None


def _form(asset: ModelAsset) -> str:
    known = FORMATS.of_artifact_type(asset.artifact_type)
    return asset.artifact_type if known is None else known.name


def _text(item: pystac.Item, name: str) -> str | None:
    found = item.properties.get(name)
    return found if isinstance(found, str) else None if found is None else json.dumps(found)
