"""The files of a model as cards with badges: what each is, how near to its source, where it ran, if it is signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.items.evidence import is_unproved
from modelstac.catalog.items.identity import SIGNATURE
from modelstac.catalog.items.mlm import MODEL_ROLE
from modelstac.catalog.pages.values import Document, mapping, mappings, number, properties, short, size, text, texts
from modelstac.catalog.pages.versions import variant

RUNTIMES = (
    *("keras", "tensorflow", "tensorflow-cpu", "torch", "onnxruntime"),
    *("openvino", "ai-edge-litert", "litert", "jax", "scikit-learn"),
)
"""Packages that name an environment; what they need in turn does not."""
MOST_ENVIRONMENTS = 12


@dataclass(frozen=True)
class Badge:
    """A fact in a few words: its kind (``good``, ``bad`` or nothing), a label and a text."""

    label: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Variant:
    """The newest item of a variant.

    Parameters
    ----------
    name, id, version
        Of the item.
    badges
        What is said of it, in the order in which it matters.
    environments
        Where it was found to run, with the largest difference.
    more
        How many environments are left out.
    item
        Its document.
    """

    name: str
    id: str
    version: str
    badges: tuple[Badge, ...]
    environments: tuple[tuple[str, str], ...]
    more: int
    item: Document


def variants(ordered: Sequence[Document], pointing: Mapping[str, str]) -> list[Variant]:
    """Return the newest item of each variant; items come from the newest version on.

    Parameters
    ----------
    pointing
        Ids of items by the aliases that point to them.
    """
    found: dict[str, Document] = {}
    for item in ordered:
        found.setdefault(variant(item), item)
    return [_variant(name, item, pointing) for name, item in found.items()]


def _variant(name: str, item: Document, pointing: Mapping[str, str]) -> Variant:
    environments = list(_environments(item))
    return Variant(
        name=name,
        id=text(item.get("id")),
        version=text(properties(item).get("version")),
        badges=tuple(_badges(item, environments, pointing)),
        environments=tuple(environments[:MOST_ENVIRONMENTS]),
        more=max(0, len(environments) - MOST_ENVIRONMENTS),
        item=item,
    )


def _badges(item: Document, environments: Sequence[tuple[str, str]], pointing: Mapping[str, str]) -> Iterator[Badge]:
    said = properties(item)
    assets = mapping(item.get("assets"))
    if said.get("deprecated") is True:
        yield Badge("status", "deprecated", "bad")
    if is_unproved(said):
        yield Badge("not proved", "published without running it", "bad")
    for alias in sorted(name for name, target in pointing.items() if target == item.get("id")):
        yield Badge("alias", alias, "good")
    for label, *keys in (
        ("format", "interop:format"),
        ("framework", "mlm:framework", "mlm:framework_version"),
        ("backend", "interop:backend", "interop:backend_version"),
        ("precision", "interop:precision"),
    ):
        if words := " ".join(filter(None, (text(said.get(key)) for key in keys))):
            yield Badge(label, words)
    if bytes_of_it := _bytes(assets):
        yield Badge("size", size(bytes_of_it))
    yield from _parity(mapping(said.get("interop:parity")))
    seconds = number(mapping(said.get("interop:timing")).get("latency_seconds"))
    if seconds is not None:
        yield Badge("one prediction", f"{short(1000 * seconds)} ms")
    if environments:
        count = len(environments)
        yield Badge("tested in", f"{count} environment{'' if count == 1 else 's'}", "good")
    if SIGNATURE in assets:
        yield Badge("signed", "check with modelstac verify")


def _parity(parity: Mapping[str, Any]) -> Iterator[Badge]:
    if not parity:
        return
    source, apart, ppm = (
        text(parity.get("source")),
        number(parity.get("max_absolute_difference")),
        number(parity.get("differing_ppm")),
    )
    if parity.get("passed") is not True:
        yield Badge("differs from", source or "its source", "bad")
        return
    within = f" within {apart:.1e}" if apart else ""
    if ppm is not None and "outputs" not in parity:
        within = f" but for {short(ppm)} of a million values" if ppm else ""
    yield Badge("equal to", f"{source or 'its source'}{within}", "good")


def _bytes(assets: Mapping[str, Any]) -> float:
    files = [mapping(one) for one in assets.values()]
    models = [one for one in files if MODEL_ROLE in texts(one.get("roles"))]
    return sum(found for one in models or files if (found := number(one.get("file:size"))) is not None and found > 0)


def _environments(item: Document) -> Iterator[tuple[str, str]]:
    for one in mappings(properties(item).get("interop:verified")):
        packages = mapping(one.get("packages"))
        kept = [name for name in packages if name in RUNTIMES] or [name for name in packages if name != "numpy"]
        named = [f"{name.removesuffix('-cpu')} {text(packages[name])}" for name in sorted(kept)]
        python = text(one.get("python"))
        apart = number(one.get("max_absolute_difference"))
        words = ", ".join([*named, *([f"Python {python}"] if python else [])])
        yield words or "unnamed", "agreed" if apart is None else "the same" if apart == 0 else f"{apart:.1e} apart"
