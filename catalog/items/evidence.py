"""What a catalog's keeper adds to an item, and what searches rely on: checked, since anybody may write items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.versions import version_key

_VERIFIED = "interop:verified"
UNPROVED = "interop:unproved"
PROVED = "proved"
"""In an environment of ``interop:verified``: the sizes and the halo that were found there of an unproved item."""
MEASURED = ("sizes", "halo")
_SCALED = 1.05
"""From here on what is allowed is told apart from the absolute tolerance: it grows with outputs above 1."""
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
        and _is_proof(value.get(PROVED, {}))
        and all(isinstance(version, str) for version in packages.values())
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    )


def _is_proof(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    try:
        sizes, halos = ([one for axes in value.get(name, {}).values() for one in axes.values()] for name in MEASURED)
        for size in sizes:
            Size.from_json(size)
    except (AttributeError, InvalidItemError):
        return False
    return all(map(_is_halo, halos))


def _is_halo(value: Any) -> bool:
    """Tell whether it is a number of pixels, all of them, or a number that grows with other axes."""
    if isinstance(value, dict) and value.keys() == {"pixels", "per"} and isinstance(value["per"], dict):
        numbers = [value["pixels"], *value["per"].values()]
        return bool(value["per"]) and all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    return value == "global" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def proved_later(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the sizes and the halo of an item that was published unproved and was run since; None of any other."""
    if properties.get(UNPROVED) is not True:
        return None
    environments = properties.get(_VERIFIED)
    proofs = [
        one[PROVED]
        for one in (environments if isinstance(environments, list) else ())
        if isinstance(one, dict) and PROVED in one and _is_proof(one[PROVED])
    ]
    return proofs[-1] if proofs else None


def sizes_and_halo(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an item says of ``sizes`` and ``halo``: what was proved later, or else its fields."""
    return proved_later(properties) or {name: properties.get(f"interop:{name}") for name in MEASURED}


def is_unproved(properties: Mapping[str, Any]) -> bool:
    """Tell whether nothing ran the file of an item before it was published, and nobody proved it since."""
    return properties.get(UNPROVED) is True and proved_later(properties) is None


def instead(item_id: str, properties: Mapping[str, Any]) -> str:
    """Say what to do instead of publishing an item with other content: scenes have no versions."""
    if not any(name == "version" or str(name).startswith(("mlm:", "dlm:", "ml-model:")) for name in properties):
        return "publish it by another id, or delete the one that is there first"
    proving = f", or prove what is there: modelstac probe {item_id} --record" if is_unproved(properties) else ""
    return f"publish under a new version{proving}"


def with_verified(properties: dict[str, Any], environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return properties with environments added in which the item was verified, each in place of one of its versions.

    Raises
    ------
    InvalidItemError
        If one is no environment.
    """
    check_evidence({_VERIFIED: list(environments)})
    new = {_versions(environment) for environment in environments}
    there = properties.get(_VERIFIED, [])
    before = [one for one in there if _versions(one) not in new]
    proofs = {_versions(one): {PROVED: one[PROVED]} for one in there if PROVED in one}  # no later test takes it away
    return properties | {_VERIFIED: [*before, *(proofs.get(_versions(one), {}) | one for one in environments)]}


def _versions(environment: dict[str, Any]) -> tuple[Any, ...]:
    return environment.get("python"), *sorted(environment.get("packages", {}).items())


def told_parity(parity: dict[str, Any]) -> str:
    """Say in words how far a conversion is from its source, what was allowed and who said so.

    Parameters
    ----------
    parity
        ``interop:parity`` of an item, also of an earlier build.
    """
    if (ppm := parity.get("differing_ppm")) is not None and "outputs" not in parity:
        return f"{ppm:.0f} of a million values differ{_allowed_labels(parity)}"
    return f"at most {parity['max_absolute_difference']:.1e} apart ({told_allowance(parity)})"


def told_allowance(parity: dict[str, Any]) -> str:
    """Say what was allowed, and by whom where it is not the precision of the file."""
    absolute, found = parity.get("absolute_tolerance"), parity.get("allowed_difference")
    if not isinstance(absolute, int | float):
        return "nothing said of what is allowed"
    said = f"allowed {absolute:.2g}"
    if isinstance(found, int | float) and absolute and found > _SCALED * absolute:
        said = f"allowed {found:.1e}, {absolute:.2g} of the largest value"
    elif isinstance(found, int | float) and _SCALED * found < absolute:
        said = f"allowed {found:.1e}, {parity.get('relative_tolerance', 0):.2g} of the largest value"
    elif found is None and parity.get("passed") and parity.get("max_absolute_difference", 0) > absolute:
        said += " of outputs up to 1, and more of larger ones"
    return said + _by(parity)


def told_cases(parity: dict[str, Any]) -> str:
    """Say in how many cases two models were compared, on which values, and what the others gave."""
    cases, judged = parity.get("cases"), parity.get("judged_cases")
    said = f"{cases} cases"
    if isinstance(judged, int) and judged != cases:
        beyond = parity.get("unjudged_difference")
        apart = f", up to {beyond:.1e} apart" if isinstance(beyond, int | float) and beyond else ""
        said = f"{judged} of {cases} cases (the others beyond what it is fed, or unsteady{apart})"
    if on := parity.get("judged_on"):
        said += f"; judged on {on}"
    if moved := parity.get("batch_difference"):
        said += f"; the result of a sample moves by {moved:.1e} with the others of its batch"
    return said


def _allowed_labels(parity: dict[str, Any]) -> str:
    allowed = parity.get("differing_ppm_tolerance")
    return "" if allowed is None else f" (allowed {allowed:.0f}{_by(parity)})"


def _by(parity: dict[str, Any]) -> str:
    return f", {parity['tolerance_by']}" if parity.get("tolerance_by") else ""
