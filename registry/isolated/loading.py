"""From an item to a model that runs in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.messages import Report, ignore
from modelstac.catalog.search.spellings import canonical
from modelstac.registry.choosing.foreign import NO_VERSION
from modelstac.registry.choosing.model_assets import is_foreign
from modelstac.registry.files.fetch import fetch
from modelstac.registry.isolated.environments import Environment, Environments
from modelstac.registry.isolated.model import IsolatedModel, Runner
from modelstac.registry.isolated.requirements import ASSET, MAX_BYTES, Requirements, derive, parse
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.runtimes.options import Options


def requirements_of(item: pystac.Item, description: ModelDescription, policy: TrustPolicy) -> Requirements:
    """Return what an item needs to run: what it names, if that is allowed, or what follows from its format.

    An asset of that name means something else in other people's items, and is left alone.

    Raises
    ------
    UntrustedError
        If it names what the policy does not allow.
    """
    if ASSET not in item.assets or is_foreign(item):
        versioned = _is_versioned(item, description)
        return derive(description, item_id=item.id, versioned=versioned, trusted=policy.packages)
    data = fetch(item, ASSET, max_bytes=MAX_BYTES).data
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidItemError(f"asset {ASSET!r} of item {item.id!r} is no plain text: publish it anew") from error
    return parse(text, source=f"asset {ASSET!r} of item {item.id!r}", trusted=policy.packages)


def _is_versioned(item: pystac.Item, description: ModelDescription) -> bool:
    """Tell whether an item says which version of its framework made it; of another framework's it does not."""
    framework = canonical(str(item.properties.get("mlm:framework")))
    return framework == description.framework and description.framework_version != NO_VERSION


def make_environment(
    item: pystac.Item,
    description: ModelDescription,
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
    requirements = requirements_of(item, description, policy)
    return Environments().provide(requirements, purpose=f"running {item.id!r} isolated", report=report)


def open_isolated(
    item: pystac.Item,
    artifact_type: str,
    description: ModelDescription,
    policy: TrustPolicy,
    *,
    read: Callable[[], Artifact],
    options: Options,
    environment: Environment | None = None,
    report: Report = ignore,
) -> IsolatedModel:
    """Start the model in an environment; by default in the item's own, which is made unless it is there.

    What ``read`` gives is verified here; the worker gets its bytes and inspects them before it imports a framework.

    Raises
    ------
    ModelStacError
        As :func:`modelstac.registry.loading.load`, `Environments.provide` and `Runner.predict` do.
    """
    if environment is None:
        environment = make_environment(item, description, policy, report=report)
    runner = Runner(
        environment,
        read,
        item_id=item.id,
        artifact_type=artifact_type,
        description=description,
        policy=policy,
        options=options,
        report=report,
    )
    return runner.open(item)
