"""What a catalog's keeper adds to an item, and what searches rely on: checked, since anybody may write items."""

from __future__ import annotations

from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.versions import version_key

_VERIFIED = "interop:verified"
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
    return isinstance(packages, dict) and all(isinstance(version, str) for version in packages.values())
