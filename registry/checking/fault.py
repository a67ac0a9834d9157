"""A fault of an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something in an item that breaks a rule.

    Parameters
    ----------
    rule
        Short name of the rule, such as ``bands-axis``.
    place
        Where, such as ``properties.mlm:input[0].input.dim_order``.
    text
        What was found, and why it is wrong.
    source
        Where the rule stands.
    repair
        What the repaired item has instead; None where only its publisher can know.
    """

    rule: str
    place: str
    text: str
    source: str
    repair: str | None = None

    def __str__(self) -> str:
        then = f"repaired: {self.repair}" if self.repair else "only its publisher can repair it"
        return f"{self.place}: {self.text} [{self.rule}; {self.source}; {then}]"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return asdict(self)


MLM = "MLM 1.5.2"
STAC = "STAC 1.1"
GEOJSON = "RFC 7946"
FILE = "file extension 2.1.0"


def objects(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield inputs or outputs that are objects, each with its place."""
    found = document["properties"].get(name)
    for number, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, dict):
            yield f"properties.{name}[{number}]", entry


def assets(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield assets that are objects, by key."""
    for key, asset in document["assets"].items():
        if isinstance(asset, dict):
            yield key, asset


def listed(found: Any) -> list[Any]:
    """Return a list as it is, and anything else as an empty one."""
    return found if isinstance(found, list) else []


def declare(document: Document, address: str) -> None:
    """Add an extension to those that an item declares."""
    if address not in document["stac_extensions"]:
        document["stac_extensions"].append(address)


def shown(value: Any) -> str:
    """Give a value as one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
