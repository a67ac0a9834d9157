"""From an item id to a model that runs: find, read, verify, and only then import the framework."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from modelstac.catalog.base import Catalog
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.messages import Finished, Message, Note, Report, Started, ignore
from modelstac.catalog.search.query import Query
from modelstac.catalog.terminal import harmless
from modelstac.registry.choosing.candidates import ISOLATED
from modelstac.registry.choosing.claims import described, held
from modelstac.registry.choosing.fetching import fetched
from modelstac.registry.choosing.model_assets import ModelAsset
from modelstac.registry.choosing.references import home
from modelstac.registry.choosing.resolve import resolve
from modelstac.registry.isolated import choice
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes import runtime
from modelstac.registry.runtimes.backends import import_keras
from modelstac.registry.runtimes.options import Options
from modelstac.registry.runtimes.sharing.opening import opening
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import pystac

    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.isolated.reopening import Recipe


REQUIRE_SIGNATURE = "MODELSTAC_REQUIRE_SIGNATURE"

logger = logging.getLogger("modelstac")


def load(
    item: str | PathLike[str] | pystac.Item | Query,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    policy: TrustPolicy = DEFAULT_POLICY,
    trust: str | Sequence[str] = (),
    rehash: bool = False,
    report: Report = ignore,
    strict: bool = False,
    entrypoint: str | None = None,
    isolated: bool | None = None,
    threads: int | None = None,
    device: str | None = None,
    spin: bool | None = None,
    memory_limit: int | str | None = None,
    require_signature: Sequence[str | PathLike[str]] | None = None,
    **wishes: Any,
) -> Model:
    """Load a model by its item id, or by whatever else names it.

    Parameters
    ----------
    item
        Item id, ``name@alias``, name, name with a range of versions, URL or path of an item, the item itself, or a
        query: as :func:`modelstac.resolve` takes them, which chooses what is loaded.
    catalog
        Where it is looked up: a catalog, its folder, or by default what ``MODELSTAC_CATALOG`` names.
    policy
        What may be loaded.
    trust
        What may be loaded besides: ``entrypoint:PACKAGE``, ``operators:DOMAIN``, ``custom:PACKAGE``, ``pickle``,
        ``lambda``: see :meth:`modelstac.registry.trust.policy.TrustPolicy.trusting`. It is logged, holds for the item
        that is named, and nothing falls back to it. What runs code of its publisher's runs in a process of its own.
    rehash
        Hash the file even if it was verified before and did not change since.
    report
        Gets progress and notes, such as a Keras backend that is not the item's; without it, notes are logged.
    strict
        Refuse other versions of the framework than those the item was made or verified with.
    entrypoint
        ``package.module:function`` that builds the architecture of a weights file whose item names none; the policy
        must allow it.
    isolated
        Run it in a process and an environment of its own, made by uv from what the item needs; by default as
        ``MODELSTAC_ISOLATED`` says: ``never``, ``auto`` (when nothing of it can run here) or ``always``.
    threads, device, spin
        How it is to run, see :class:`modelstac.registry.runtimes.options.Options`; by default what
        ``MODELSTAC_THREADS``, ``MODELSTAC_DEVICE`` and ``MODELSTAC_SPIN`` say.
    memory_limit
        Bytes that it may take, or a text such as ``"4GB"``: it then runs in a process of its own, which is held to it
        (Linux); by default as ``MODELSTAC_MEMORY_LIMIT`` says.
    require_signature
        Public keys (PEM files) of which one must have signed what is loaded; by default those that
        ``MODELSTAC_REQUIRE_SIGNATURE`` names.
    **wishes
        What it must be, such as ``framework="ONNX"``: see :func:`modelstac.resolve`.

    Returns
    -------
    Model

    Raises
    ------
    NotFoundError
        If there is no such item (names the nearest ids) or no such file.
    CatalogError
        If no catalog is named, or what is named is none.
    AmbiguousError
        If several models fit equally well.
    IntegrityError
        If the file is not the published one, or not the one pinned; raised before any framework is imported.
    UntrustedError
        If the policy refuses the file.
    InvalidItemError
        If the item or the file make no sense.
    MissingPackageError, CannotRunError
        If nothing of it can run here.
    WorkerError
        If the process of an isolated model ends early, or wants more memory than its limit.
    """
    say = _log if report is ignore else report
    options = Options.of(threads, device, memory_limit, spin=spin)
    policy = policy.trusting(*([trust] if isinstance(trust, str) else trust))
    when = choice(isolated)
    resolution = resolve(item, catalog=catalog, strict=strict, isolated=when, code=policy.code, **wishes)
    found, asset = resolution.item, resolution.asset
    if require_signature is not None or REQUIRE_SIGNATURE in os.environ:
        from modelstac.registry.trust.signing import require

        require(found, require_signature)
    description, remarks = described(found, asset, entrypoint)
    read = partial(fetched, found, asset, policy, rehash=rehash, report=say)
    isolate = when == "always" or resolution.chosen.kind == ISOLATED
    task = f"load {found.id}"
    report(Started(task))
    artifact = read()
    inspected = not isolate and not policy.code
    if inspected:  # before anything else reads it; what is trusted or isolated is looked into where that is settled
        _look_into(artifact, asset.artifact_type, policy)
    description, told = held(found, asset, description, artifact, here=not isolate)
    remarks += told
    note = None if when == "always" else resolution.note  # it gets the versions that made it
    for text in [note, _remarks(found, asset, remarks)]:
        if text is not None:
            say(Note(text))
    how: dict[str, Any] = {"read": read, "isolate": isolate, "options": options, "report": say}
    how["inspected"] = inspected
    model = _open(artifact, asset.artifact_type, found, description, policy, **how)
    model.reopen = partial(
        _reopen, model, asset, read, entrypoint=entrypoint, isolated=isolate, policy=policy, options=options
    )
    report(Finished(task))
    _keep(item, catalog, found)
    return model


def _keep(what: object, catalog: Catalog | str | PathLike[str] | None, found: pystac.Item) -> None:
    """Keep an item of a catalog on the web, for when that cannot be reached."""
    if not isinstance(what, (str, os.PathLike)):
        return
    asked = os.fspath(what)
    if (where := home(asked, catalog)) is not None:
        from modelstac.catalog.items.documents import located
        from modelstac.registry.files.download import offline
        from modelstac.registry.files.kept import keep

        if not offline():
            keep(where, asked, located(found))


def _reopen(model: Model, asset: ModelAsset, read: Callable[[], Artifact], **how: Any) -> tuple[Any, ...]:
    """Say what makes the model in another process."""
    from modelstac.registry.isolated.reopening import Recipe

    outputs = tuple(tensor.name for tensor in model.signature.outputs)
    return reopened, (Recipe.of(model.item, asset.key, read().sha256, outputs=outputs, **how),)


def reopened(recipe: Recipe) -> Model:
    """Make a model that arrived from another process; it is loaded when it first runs."""
    from modelstac.registry.isolated.reopening import Reopened

    item, asset = recipe.found
    description, _ = described(item, asset, recipe.entrypoint)
    model = Reopened(recipe, item, description, _load_again)
    model.reopen = lambda: (reopened, (recipe,))
    return model


def _load_again(recipe: Recipe) -> Model:
    item, asset = recipe.found
    return load(
        item,
        asset=asset.key,
        policy=recipe.policy,
        entrypoint=recipe.entrypoint,
        isolated=recipe.isolated,
        threads=recipe.options.threads,
        device=recipe.options.device,
        spin=recipe.options.spin,
        memory_limit=recipe.options.memory_limit,
    )


def _open(
    artifact: Artifact,
    artifact_type: str,
    item: pystac.Item,
    description: ModelDescription,
    policy: TrustPolicy,
    *,
    read: Callable[[], Artifact],
    isolate: bool,
    inspected: bool,
    options: Options,
    report: Report,
) -> Model:
    """Open what was verified: here, or in another process what is isolated, limited, or runs its publisher's code."""
    word = None
    if policy.code:
        from modelstac.registry.isolated.trusted import trusted_by

        word = trusted_by(artifact, artifact_type, policy)
    if word is None:
        policy = policy.without_code()
    if not isolate and word is None and options.memory_limit is None:
        if not inspected:
            _look_into(artifact, artifact_type, policy)
        return _open_here(artifact, artifact_type, item, description, policy, options=options, report=report)
    from modelstac.registry.isolated.loading import open_isolated

    environment = None
    if not isolate:
        from modelstac.registry.isolated.trusted import ThisEnvironment

        environment = ThisEnvironment.here()
    how: dict[str, Any] = {"read": read, "options": options, "environment": environment, "report": report}
    return open_isolated(item, artifact_type, description, policy, **how)


def _look_into(artifact: Artifact, artifact_type: str, policy: TrustPolicy) -> None:
    from modelstac.registry.inspecting.inspection import inspect
    from modelstac.registry.runtimes.installed import require_packages

    require_packages(artifact_type, item_id=artifact.item_id)
    inspect(artifact, artifact_type, policy)


def _open_here(
    artifact: Artifact,
    artifact_type: str,
    item: pystac.Item,
    description: ModelDescription,
    policy: TrustPolicy,
    *,
    options: Options,
    report: Report,
) -> Model:
    with opening(item.id):
        if artifact_type == FORMATS["keras"].artifact_type:
            import_keras(description.backend, item_id=item.id, report=report)
        opened = runtime(artifact_type, item_id=item.id).load(artifact, description, policy, options)
    model = Model(item, description, opened)
    for remark in model.remarks:
        report(Note(remark))
    return model


def _log(message: Message) -> None:
    if isinstance(message, Note):
        logger.warning(harmless(message.text))


def _remarks(item: pystac.Item, asset: ModelAsset, remarks: list[str]) -> str | None:
    return f"item {item.id!r}, asset {asset.key!r}: {'; '.join(remarks)}" if remarks else None
