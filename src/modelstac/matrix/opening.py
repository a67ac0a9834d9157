"""A model of a catalog, opened in an environment that a file names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pystac

from modelstac.catalog.errors import CannotRunError, ModelStacError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import Report
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.fetching import fetched
from modelstac.registry.choosing.model_assets import is_foreign, model_assets
from modelstac.registry.isolated.environments import Environment
from modelstac.registry.isolated.loading import open_isolated
from modelstac.registry.isolated.model import IsolatedModel
from modelstac.registry.isolated.requirements import FLOORS, Requirements, packages_of
from modelstac.registry.runtimes.options import Options
from modelstac.registry.trust.policy import DEFAULT_POLICY

_ALIKE = {"tensorflow-cpu": "tensorflow", "onnxruntime-gpu": "onnxruntime"}
LONGEST = 300
_BACKENDS = ("tensorflow", "torch", "jax")


def plain(name: str) -> str:
    """Name a package of several builds by the usual one."""
    return _ALIKE.get(name, name)


def lacking(form: str, packages: Iterable[str]) -> str | None:
    """Name what a format needs and an environment does not hold; None where it has all.

    Parameters
    ----------
    form
        Name of the format.
    packages
        All that is installed there, ``name==version``.
    """
    there = _names(packages)
    return next((name for name in packages_of(form, backend_in(there)) if name not in there), None)


def backend_in(packages: Iterable[str]) -> str | None:
    """Name what Keras runs on where these are installed."""
    there = _names(packages)
    return next((name for name in _BACKENDS if name in there), None)


def _names(packages: Iterable[str]) -> set[str]:
    return {plain(package.partition("==")[0]) for package in packages}


def refuse_holes(item: pystac.Item, requirements: Requirements, trusted: Any) -> None:
    """Refuse to give other people's files to versions with known holes.

    Raises
    ------
    CannotRunError
        With the version.
    """
    old = [f"{pin.name}=={pin.version}" for pin in requirements.pins if pin.name in FLOORS]
    if is_foreign(item) and (holes := [pin for pin in old if pin in trusted]):
        raise CannotRunError(f"{holes[0]} has known holes, so it gets no files that others made")


def said(error: ModelStacError) -> str:
    """Give an error as the reason in a cell: one line, no folders of this machine, and of a long one both ends."""
    text = re.sub(r"/\S*/(?=[^/\s])", "", " ".join(str(error).split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def open_in(
    item: pystac.Item, environment: Environment, requirements: Requirements, *, trusted: Any, report: Report
) -> tuple[ModelDescription, IsolatedModel]:
    """Describe an item and open it; a Keras file on the backend that the environment has.

    Raises
    ------
    ModelStacError
        If it does not run there.
    """
    refuse_holes(item, requirements, trusted)
    asset = model_assets(item)[0]
    description, _ = described(item, asset)
    backend = backend_in(environment.packages)
    if description.backend is not None and backend is not None:
        description = description.model_copy(update={"backend": backend})
    model = open_isolated(
        item,
        asset.artifact_type,
        description,
        DEFAULT_POLICY,
        read=lambda: fetched(item, asset, DEFAULT_POLICY, rehash=False, report=report),
        options=Options(),
        environment=environment,
        report=report,
    )
    return description, model
