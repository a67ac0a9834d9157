"""What a catalog's keeper adds to an item, and what searches rely on: checked, since anybody may write items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.versions import version_key

_VERIFIED = "interop:verified"
_NUMBERS = ("max_absolute_difference", "root_mean_square_difference", "rmse_change", "csi_change")
_SORTABLE = {
    "interop:framework_version_key": "mlm:framework_version",
    "interop:backend_version_key": "interop:backend_version",
}


def check_evidence(properties: dict[str, Any]) -> None:
    """Refuse verified environments that are none, and sortable versions that are not those of the versions.

    Raises
    ------
    InvalidItemError
        With the property.
    """
    environments = properties.get(_VERIFIED, [])
    if not isinstance(environments, list) or not all(map(_is_environment, environments)):
        example = {"python": "3.11.7", "packages": {"torch": "2.13.0"}}
        raise InvalidItemError(f"{_VERIFIED}: expected a list of environments such as {example}")
    for name, version in _SORTABLE.items():
        if name in properties and properties[name] != version_key(str(properties.get(version))):
            raise InvalidItemError(f"{name}: it is not the sortable form of {version}; leave it to modelstac")


def _is_environment(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("python", ""), str):
        return False
    packages = value.get("packages", {})
    numbers = [value[name] for name in _NUMBERS if name in value]
    return (
        isinstance(packages, dict)
        and all(isinstance(version, str) for version in packages.values())
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    )


def with_verified(properties: dict[str, Any], environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return properties with environments added in which the item was verified, each in place of one of its versions.

    Raises
    ------
    InvalidItemError
        If one is no environment.
    """
    check_evidence({_VERIFIED: list(environments)})
    new = {_versions(environment) for environment in environments}
    before = [one for one in properties.get(_VERIFIED, []) if _versions(one) not in new]
    return properties | {_VERIFIED: [*before, *environments]}


def _versions(environment: dict[str, Any]) -> tuple[Any, ...]:
    return environment.get("python"), *sorted(environment.get("packages", {}).items())
