"""The versions of a model, the newest first, and what of a model changed from each to the next."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.versions import version_key
from modelstac.catalog.pages import places
from modelstac.catalog.pages.scores import known_scores, title
from modelstac.catalog.pages.tensors import Tensor, tensors
from modelstac.catalog.pages.values import NOTHING, Document, listed, mapping, number, properties, short, text, texts

MOST_CHANGES = 12
MOST_VERSIONS = 40


@dataclass(frozen=True)
class Change:
    """A fact that is not the same in two versions; a dash where one has none."""

    fact: str
    before: str
    after: str


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Parameters
    ----------
    name, published
        Its number, and the day on which it was published.
    variants, aliases
        Of its items.
    deprecated
        Whether all of them should no longer be used.
    before
        The version that it is compared with; nothing for the first.
    first, second
        Ids of the items that are compared.
    changes, more
        What changed, and how much more did.
    """

    name: str
    published: str
    variants: tuple[str, ...]
    aliases: tuple[str, ...]
    deprecated: bool
    before: str = ""
    first: str = ""
    second: str = ""
    changes: tuple[Change, ...] = ()
    more: int = 0


def order(item: Document) -> tuple[Any, ...]:
    """Return what items are sorted by: versions as versions; what is converted comes after its source."""
    said = properties(item)
    version = text(said.get("version"))
    try:
        key = (1, version_key(version))
    except ModelStacError:
        key = (0, version)
    return (*key, "interop:parity" not in said, text(item.get("id")))


def newest_first(items: Sequence[Document]) -> list[Document]:
    """Return items from the newest version on; within one, sources before conversions, by their ids."""
    ordered = sorted(items, key=order, reverse=True)
    return [
        one
        for _, group in itertools.groupby(ordered, key=lambda item: text(properties(item).get("version")))
        for one in sorted(group, key=lambda item: ("interop:parity" in properties(item), text(item.get("id"))))
    ]


def versions(ordered: Sequence[Document], aliases: Mapping[str, str]) -> tuple[list[Version], int]:
    """Return the versions of items that are in order, and how many older ones are left out."""
    groups = [
        (name, list(group))
        for name, group in itertools.groupby(ordered, key=lambda item: text(properties(item).get("version")))
    ]
    found = []
    for i, (name, items) in enumerate(groups[:MOST_VERSIONS]):
        version = Version(
            name=name or "without a version",
            published=min((day for one in items if (day := text(properties(one).get("created"))[:10])), default=""),
            variants=tuple(dict.fromkeys(variant(one) for one in items)),
            aliases=tuple(
                alias for alias, target in sorted(aliases.items()) if target in {text(one.get("id")) for one in items}
            ),
            deprecated=all(properties(one).get("deprecated") is True for one in items),
        )
        found.append(_compared(version, items, groups[i + 1]) if i + 1 < len(groups) else version)
    return found, max(0, len(groups) - MOST_VERSIONS)


def variant(item: Document) -> str:
    """Return the variant of an item, or what tells it apart from others."""
    return text(properties(item).get("interop:variant")) or text(item.get("id"))


def _compared(version: Version, items: Sequence[Document], older: tuple[str, Sequence[Document]]) -> Version:
    name, others = older
    by_variant = {variant(one): one for one in reversed(others)}
    second = next((one for one in items if variant(one) in by_variant), items[0])
    first = by_variant.get(variant(second), others[0])
    changes = list(differences(first, second))
    return Version(
        **vars(version)
        | {
            "before": name or "without a version",
            "first": text(first.get("id")),
            "second": text(second.get("id")),
            "changes": tuple(changes[:MOST_CHANGES]),
            "more": max(0, len(changes) - MOST_CHANGES),
        }
    )


def differences(first: Document, second: Document) -> Iterator[Change]:
    """Yield the facts in which two items differ, without what names them and where they lie."""
    before, after = dict(_facts(first)), dict(_facts(second))
    for name in dict.fromkeys((*after, *before)):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name) or NOTHING, after.get(name) or NOTHING)


def _facts(item: Document) -> Iterator[tuple[str, str]]:
    said = properties(item)
    for name, score in known_scores(item).items():
        yield f"score {title(name)}", short(score)
    yield (
        "framework",
        " ".join(filter(None, (text(said.get("mlm:framework")), text(said.get("mlm:framework_version"))))),
    )
    yield (
        "backend",
        " ".join(filter(None, (text(said.get("interop:backend")), text(said.get("interop:backend_version"))))),
    )
    yield "precision", text(said.get("interop:precision"))
    yield "architecture", text(said.get("mlm:architecture"))
    parameters = number(said.get("mlm:total_parameters"))
    yield "parameters", "" if parameters is None else short(parameters)
    yield "tasks", ", ".join(texts(said.get("mlm:tasks")))
    yield "trained on", places.period(item)
    found = places.footprint(item)
    yield "trained in", found.words if found else ""
    yield "months", ", ".join(places.months(item))
    yield "licence", text(said.get("license"))
    yield "sources", ", ".join(_sources(item))
    for side in ("input", "output"):
        for tensor in tensors(item, side):
            yield f"{side} {tensor.name}", _told(tensor)
    for name, value in _flat(mapping(said.get("mlm:hyperparameters"))):
        yield name, value


def _sources(item: Document) -> Iterator[str]:
    for link in map(mapping, listed(item.get("links"))):
        if link.get("rel") == "derived_from":
            yield text(link.get("interop:item_id")) or text(link.get("href"))


def _told(tensor: Tensor) -> str:
    axes = ", ".join(f"{axis.name} {axis.size}" for axis in tensor.axes)
    parts = [f"{tensor.dtype} ({axes})"]
    if tensor.bands:
        parts.append("bands " + ", ".join(" ".join(filter(None, (b.name, b.scaling))) for b in tensor.bands))
    if tensor.scaling:
        parts.append("scaled " + ", ".join(tensor.scaling))
    if tensor.classes:
        parts.append("classes " + ", ".join(f"{one.value} {one.name}" for one in tensor.classes))
    return "; ".join(parts)


def _flat(fields: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and depth < 8:
            yield from _flat(mapping(value), f"{before}{name}.", depth + 1)
        else:
            yield text(f"{before}{name}"), text(str(value))[:200]
