"""What an alias may be called, and which items it may point to.

A model's collection says it: ``champion`` only for what was tested and scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from modelstac.catalog.errors import ConflictError, InvalidItemError
from modelstac.catalog.items.documents import Document
from modelstac.catalog.items.evidence import is_unproved
from modelstac.catalog.items.identity import RULES, SIGNATURE

ALIAS = re.compile(r"[a-zA-Z]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?", re.ASCII)
Rules = Mapping[str, Iterable[str]]


class Anything:
    """Whatever an alias points to, as what is expected of it."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = Anything()


def _tested(item: Document) -> bool:
    found = item["properties"].get("interop:verified")
    return any(isinstance(one, dict) and "max_absolute_difference" in one for one in found or ())


def _proved(item: Document) -> bool:
    return not is_unproved(item["properties"])


# What can be required: how it is told, how an item shows it, and what to do where it does not.
_REQUIREMENTS: dict[str, tuple[Callable[[Document], bool], str, str]] = {
    "self_test": (_tested, "has passed no self-test", "run 'modelstac test {id} --record'"),
    "proved": (_proved, "is not proved", "run 'modelstac probe {id} --record'"),
    "scores": (lambda item: bool(item["properties"].get("interop:scores")), "has no scores", "publish it with metrics"),
    "signature": (lambda item: SIGNATURE in item["assets"], "is not signed", "run 'modelstac sign {id}'"),
}
KNOWN = tuple(_REQUIREMENTS)


def check_rules(rules: Any) -> None:
    """Refuse what are no rules.

    Raises
    ------
    InvalidItemError
        With what is wrong.
    """
    if not isinstance(rules, Mapping):
        raise InvalidItemError(f"{RULES}: expected an object such as {{'champion': ['self_test', 'scores']}}")
    for alias, required in rules.items():
        if not isinstance(required, (list, tuple)) or not all(name in KNOWN for name in required):
            raise InvalidItemError(f"{RULES}.{str(alias)[:60]}: expected a list of {', '.join(KNOWN)}")


def refuse_unfit(name: str, alias: str, item: Document, *rules: Any) -> None:
    """Refuse to point an alias of a model to an item that lacks what the alias requires.

    Parameters
    ----------
    rules
        Those of the collection, and of the server; what is none requires nothing.

    Raises
    ------
    ConflictError
        With what is missing, and how the item gets it.
    """
    required = {
        r for found in rules if isinstance(found, Mapping) for r in found.get(alias) or () if r in _REQUIREMENTS
    }
    lacking = [_REQUIREMENTS[r][1:] for r in KNOWN if r in required and not _REQUIREMENTS[r][0](item)]
    if lacking:
        item_id = item["id"]
        missing, advice = (" and ".join(part) for part in zip(*lacking, strict=True))
        raise ConflictError(
            f"{name}@{alias} is only for items with {', '.join(r for r in KNOWN if r in required)}, and {item_id!r} "
            f"{missing}: {advice.format(id=item_id)}, or point it to another item"
        )


def with_rule(collection: Document, alias: str, required: Iterable[str]) -> Document:
    """Return a collection in which an alias requires just this; nothing takes its rule away."""
    wanted = list(dict.fromkeys(required))
    check_rules({alias: wanted})
    before = collection.get(RULES)
    rules = {**(before if isinstance(before, Mapping) else {}), alias: wanted}
    rules = {name: found for name, found in rules.items() if found}
    return {key: value for key, value in collection.items() if key != RULES} | ({RULES: rules} if rules else {})


def check_alias(alias: str) -> None:
    """Refuse what is no name that can point to an item.

    Raises
    ------
    InvalidItemError
        If it is none.
    """
    if not ALIAS.fullmatch(alias):
        raise InvalidItemError(
            f"alias {alias!r} is none: a letter, then up to 63 letters, digits, '_', '.' and '-', such as champion"
        )


def refuse_unexpected(name: str, alias: str, found: str | None, expected: str | Anything | None) -> None:
    """Raise ConflictError when an alias does not point to what the caller expects."""
    if not isinstance(expected, Anything) and found != expected:
        raise ConflictError(
            f"alias {name}@{alias} points to {found or 'nothing'}, not to {expected or 'nothing'}: "
            "somebody else changed it, look at it again"
        )


def refuse_pointed_at(item_id: str, name: str, aliases: dict[str, str]) -> None:
    """Raise ConflictError when aliases of the model point to the item, which is to go."""
    if pointing := [f"{name}@{alias}" for alias, target in aliases.items() if target == item_id]:
        raise ConflictError(f"item {item_id!r} is {', '.join(pointing)}: point the alias elsewhere or remove it first")
