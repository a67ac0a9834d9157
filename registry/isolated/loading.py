"""From an item to a model that runs in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items import ModelDescription
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.fetch import fetch
from modelstac.registry.isolated.environments import Environment, Environments
from modelstac.registry.isolated.model import IsolatedModel, Runner
from modelstac.registry.isolated.requirements import ASSET, MAX_BYTES, Requirements, derive, parse
from modelstac.registry.trust import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    import pystac

    from modelstac.registry.artifact import Artifact


def requirements_of(item: pystac.Item, description: ModelDescription, policy: TrustPolicy) -> Requirements:
    """Return what an item needs to run: what it names, if that is allowed, or what follows from its format.

    Raises
    ------
    UntrustedError
        If it names what the policy does not allow.
    """
    if ASSET not in item.assets:
        return derive(description, trusted=policy.packages)
    data = fetch(item, ASSET, max_bytes=MAX_BYTES).data
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidItemError(f"asset {ASSET!r} of item {item.id!r} is no plain text: publish it anew") from error
    return parse(text, source=f"asset {ASSET!r} of item {item.id!r}", trusted=policy.packages)


def make_environment(
    item: pystac.Item,
    description: ModelDescription | None = None,
    policy: TrustPolicy = DEFAULT_POLICY,
    *,
    report: Report = ignore,
) -> Environment:
    """Make the environment of an item, unless it is there.

    Raises
    ------
    ModelStacError
        As :func:`requirements_of` and `Environments.provide` do.
    """
    requirements = requirements_of(item, description or ModelDescription.from_item(item), policy)
    return Environments().provide(requirements, purpose=f"running {item.id!r} isolated", report=report)


def open_isolated(
    item: pystac.Item,
    artifact_type: str,
    description: ModelDescription,
    policy: TrustPolicy,
    *,
    read: Callable[[], Artifact],
    report: Report = ignore,
) -> IsolatedModel:
    """Make the environment, unless it is there, and start the model in it.

    What ``read`` gives is verified here; the worker gets its bytes and inspects them before it imports a framework.

    Raises
    ------
    ModelStacError
        As :func:`modelstac.registry.load.load`, `Environments.provide` and `Runner.predict` do.
    """
    read()  # what is not the published file needs no environment
    runner = Runner(
        make_environment(item, description, policy, report=report),
        read,
        artifact_type=artifact_type,
        description=description,
        policy=policy,
        report=report,
    )
    try:
        runner.start()
    except BaseException:
        runner.close()
        raise
    return IsolatedModel(item, description, runner)
