"""Classes and functions of installed packages that a Keras model is made of, where the caller trusts the package."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, UntrustedError
from modelstac.registry.inspecting.archives import objects
from modelstac.registry.trust.policy import within

if TYPE_CHECKING:
    from modelstac.registry.trust.policy import TrustPolicy


def custom_objects(data: bytes, policy: TrustPolicy, *, item_id: str) -> dict[str, Any]:
    """Import what the configuration of an archive names in packages that the policy trusts.

    Parameters
    ----------
    data
        A ``.keras`` file that was looked into.
    policy
        What is trusted.
    item_id
        For messages.

    Returns
    -------
    dict
        Classes and functions by the name that Keras looks for.

    Raises
    ------
    MissingPackageError
        If the package is not installed.
    InvalidItemError
        If it has no such class or function.
    UntrustedError
        If what the name means comes from elsewhere: an import in a trusted module must not widen the trust.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        config = json.loads(archive.read("config.json"))
    found = {}
    for value in objects(config):
        module, name = value.get("module"), value.get("class_name")
        name = value.get("config") if name == "function" else name
        if isinstance(module, str) and isinstance(name, str) and within(module, policy.custom_objects):
            found[str(value.get("registered_name") or name)] = _imported(module, name, item_id)
    return found


def _imported(module: str, name: str, item_id: str) -> Any:
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"item {item_id!r} needs {module}.{name}, and {error.name!r} is not installed: install what provides it"
        ) from error
    if value is None:
        raise InvalidItemError(f"item {item_id!r} needs {module}.{name}, which {module} does not have")
    if getattr(value, "__module__", None) != module or not callable(value):
        raise UntrustedError(f"item {item_id!r} names {module}.{name}, which is not defined in {module}")
    return value
