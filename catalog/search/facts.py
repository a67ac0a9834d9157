"""What an item's document says to a search: its words, its time, where it was verified."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelstac.catalog.errors import InvalidItemError, InvalidQueryError
from modelstac.catalog.items.versions import parse_version, version_in
from modelstac.catalog.search.ranges import interval, requirements, terms

_DIFFERENCE = "max_absolute_difference"


def says(text: str, wanted: str) -> bool:
    """Tell whether a folded text has all words of one of the alternatives that are searched for."""
    alternatives = terms(wanted)
    return not alternatives or any(all(word in text for word in words) for words in alternatives)


def searched_text(document: dict[str, Any]) -> str:
    """Return the text in which free text is looked for: id, title, description and keywords, case folded."""
    properties = document["properties"]
    said = [document["id"], properties.get("title"), properties.get("description"), *(properties.get("keywords") or ())]
    return " ".join(part for part in said if isinstance(part, str)).casefold()


def runs_with(verified: Any, wanted: tuple[str, ...], within: float | None = None) -> bool:
    """Tell whether one of the verified environments has all the packages wanted, in versions within their ranges.

    Parameters
    ----------
    within
        What the model may have differed by there; an environment that does not say does not count then.
    """
    asked = requirements(wanted)
    environments = [e for e in verified if isinstance(e, dict)] if isinstance(verified, list) else []
    return any(
        all(_in_environment(environment, name, specifier) for name, specifier in asked)
        and (within is None or _is_within(environment.get(_DIFFERENCE), within))
        for environment in environments
    )


def _is_within(difference: Any, limit: float) -> bool:
    return isinstance(difference, (int, float)) and not isinstance(difference, bool) and difference <= limit


def _in_environment(environment: dict[str, Any], name: str, specifier: Any) -> bool:
    packages = environment.get("packages")
    if name == "python":
        found = environment.get("python")
    else:
        found = packages.get(name) if isinstance(packages, dict) else None
    try:
        return isinstance(found, str) and specifier.contains(parse_version(found), prereleases=True)
    except InvalidItemError:
        return False


def in_range(version: str, wanted: str) -> bool:
    """Tell whether a version lies in a range; what is no version, which others may have written, lies in none."""
    try:
        return version_in(version, wanted)
    except InvalidItemError:
        return False


def moments(document: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """Return first and last moment of an item, None when it has none that can be read."""
    properties = document["properties"]
    first = properties.get("start_datetime") or properties.get("datetime")
    last = properties.get("end_datetime") or properties.get("datetime")
    if not isinstance(first, str) or not isinstance(last, str):
        return None
    try:
        return interval(first)[0], interval(last)[1]
    except InvalidQueryError:
        return None  # somebody's item, whose time is none
