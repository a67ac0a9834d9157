"""The page of a model: what a collection and its items say, put together and laid out by one template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from modelstac.catalog.items.documents import aliases_of
from modelstac.catalog.items.mlm import MODEL_ROLE
from modelstac.catalog.later import needing
from modelstac.catalog.pages import citation, markdown, places, scores, snippets
from modelstac.catalog.pages.tensors import tensors
from modelstac.catalog.pages.values import (
    PICTURES,
    Document,
    drawn_href,
    listed,
    mapping,
    number,
    properties,
    safe_href,
    size,
    text,
    texts,
)
from modelstac.catalog.pages.variants import variants
from modelstac.catalog.pages.versions import newest_first, versions

if TYPE_CHECKING:
    from jinja2 import Environment

CHAMPION = ("champion", "production", "stable", "latest")
"""Aliases that say which item a page is about, the first of them that there is."""
MOST_PICTURES = 4


def _none(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Links:
    """What a page leads to, as addresses seen from it; None where there is nothing.

    Parameters
    ----------
    catalog
        What a person gives as the catalog, in Python and in a shell.
    collection
        The document of what the page shows.
    models
        The list of all models.
    browser
        STAC Browser at the same.
    address
        Of the page itself, absolute; for citations.
    item, page
        From an item's document to where it is, and to where a person reads it.
    asset
        From an item and an asset's key to where the file is.
    picture
        The same of a picture, which the page itself shows; never one that is fetched from elsewhere.
    """

    catalog: str
    collection: str | None = None
    models: str | None = None
    browser: str | None = None
    address: str = ""
    item: Callable[[Document], str | None] = field(default=_none)
    page: Callable[[Document], str | None] = field(default=_none)
    asset: Callable[[Document, str], str | None] = field(default=_none)
    picture: Callable[[Document, str], str | None] = field(default=_none)


def model_page(collection: Document, items: Sequence[Document], links: Links, *, footer: str = "") -> str:
    """Return the page of a model as HTML.

    Parameters
    ----------
    collection
        Its document; of somebody else's, too.
    items
        The documents of its items, in any order.
    links
        Where the page stands.
    footer
        A line at the end.
    """
    ordered = newest_first(items)
    pointing = aliases_of(dict(collection))
    shown = _chosen(ordered, pointing)
    said = properties(shown)
    name = text(collection.get("id"))
    title = text(said.get("interop:model_title")) or text(collection.get("title")) or name
    inputs, outputs = tensors(shown, "input"), tensors(shown, "output")
    reference = _reference(name, shown, pointing)
    found, left = versions(ordered, pointing)
    return _rendered(
        "model.html",
        name=name,
        title=title,
        sentence=markdown.sentence(said.get("description")) or markdown.sentence(collection.get("description")),
        shown=shown,
        said=said,
        reference=reference,
        is_model=any(key.startswith("mlm:") for key in said),
        aliases=sorted(pointing.items()),
        tasks=texts(said.get("mlm:tasks")),
        keywords=list(dict.fromkeys((*texts(said.get("keywords")), *texts(collection.get("keywords")))))[:20],
        parameters=number(said.get("mlm:total_parameters")),
        cover=_cover(shown, links),
        pictures=list(_pictures(shown, links)),
        python=snippets.python(reference, links.catalog, inputs),
        shell=snippets.shell(reference, links.catalog, inputs, example=_has_example(shown)),
        inputs=inputs,
        outputs=outputs,
        map=places.footprint(shown),
        land=places.land(),
        period=places.period(shown),
        months=places.months(shown),
        all_months=places.MONTHS,
        region=places.region(shown),
        scores=scores.table(ordered),
        variants=variants(ordered, pointing),
        versions=found,
        older=left,
        files=list(_files(shown, links)),
        licence=text(said.get("license")) or text(collection.get("license")),
        licence_href=_linked(shown, "license"),
        citation=text(said.get("sci:citation")),
        doi=citation.doi(shown),
        bibtex=citation.bibtex(shown, title, links.address),
        people=citation.people(shown),
        sources=list(_sources(shown)),
        card=markdown.render(said.get("description")),
        links=links,
        footer=footer,
    )


def models_page(
    title: str, models: Sequence[Mapping[str, Any]], links: Links, *, footer: str = "", more: str | None = None
) -> str:
    """Return the list of models as HTML.

    Parameters
    ----------
    title
        Of the catalog.
    models
        ``name``, ``title``, ``sentence``, ``href`` and ``facts`` of each; see :func:`entry`.
    links
        Where the list stands; ``collection`` is the document of the whole catalog.
    footer
        A line at the end.
    more
        Where the list goes on.
    """
    return _rendered("models.html", title=title, models=models, links=links, footer=footer, more=more)


def entry(collection: Document, href: str) -> dict[str, Any]:
    """Return a model's line in the list of models."""
    summaries = mapping(collection.get("summaries"))
    name = text(collection.get("id"))
    facts = [", ".join(texts(summaries.get(key))[:6]) for key in ("mlm:tasks", "mlm:framework", "interop:format")]
    aliases = [f"@{alias}" for alias in sorted(aliases_of(dict(collection)))]
    return {
        "name": name,
        "title": text(collection.get("title")) or name,
        "sentence": markdown.sentence(collection.get("description")),
        "href": href,
        "facts": [one for one in (*facts, ", ".join(aliases), text(collection.get("license"))) if one],
    }


def _chosen(ordered: Sequence[Document], pointing: Mapping[str, str]) -> Document:
    """Return the item that a page is about: what an alias points to, or the newest that is not deprecated."""
    by_id = {text(one.get("id")): one for one in ordered}
    for alias in (*CHAMPION, *sorted(pointing)):
        if pointing.get(alias) in by_id:
            return by_id[pointing[alias]]
    current = [one for one in ordered if properties(one).get("deprecated") is not True]
    return (current or list(ordered) or [{}])[0]


def _reference(name: str, shown: Document, pointing: Mapping[str, str]) -> str:
    item_id = text(shown.get("id"))
    alias = next((a for a in (*CHAMPION, *sorted(pointing)) if pointing.get(a) == item_id), None)
    return f"{name}@{alias}" if alias and item_id else item_id or name


def _has_example(item: Document) -> bool:
    return any(str(key).startswith("example-") for key in mapping(item.get("assets")))


def _cover(item: Document, links: Links) -> tuple[str, str] | None:
    return next(_drawn(item, links, "thumbnail"), None)


def _pictures(item: Document, links: Links) -> Iterator[tuple[str, str]]:
    found = _drawn(item, links, "overview")
    yield from (one for one, _ in zip(found, range(MOST_PICTURES), strict=False))


def _drawn(item: Document, links: Links, role: str) -> Iterator[tuple[str, str]]:
    """Yield address and title of the pictures with a role."""
    for key, one in mapping(item.get("assets")).items():
        asset = mapping(one)
        kind = text(asset.get("type")).partition(";")[0]
        if role in texts(asset.get("roles")) and kind in PICTURES and (href := drawn_href(links.picture(item, key))):
            yield href, text(asset.get("title")) or key


def _files(item: Document, links: Links) -> Iterator[dict[str, Any]]:
    for key, one in mapping(item.get("assets")).items():
        asset = mapping(one)
        found = number(asset.get("file:size"))
        yield {
            "key": text(key) or "unnamed",
            "title": text(asset.get("title")),
            "href": safe_href(links.asset(item, key)),
            "size": "" if found is None or found < 0 else size(found),
            "checksum": text(asset.get("file:checksum")).removeprefix("1220"),
            "is_model": MODEL_ROLE in texts(asset.get("roles")),
        }


def _linked(item: Document, rel: str) -> str | None:
    found = (one.get("href") for one in map(mapping, listed(item.get("links"))) if one.get("rel") == rel)
    return next((href for one in found if (href := safe_href(one)) and "://" in href), None)


def _sources(item: Document) -> Iterator[tuple[str, str | None]]:
    for one in map(mapping, listed(item.get("links"))):
        if one.get("rel") == "derived_from":
            href = safe_href(one.get("href"))
            named = text(one.get("interop:item_id")) or text(one.get("title")) or text(one.get("href"))
            yield named, href if href and "://" in href else None


@cache
def _templates() -> Environment:
    with needing("a page of a model"):
        import jinja2  # not at the top: who makes no page does without

    def load(name: str) -> str:
        return files("modelstac.catalog.pages").joinpath(name).read_text("utf-8")

    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(load),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _rendered(template: str, **values: Any) -> str:
    return str(_templates().get_template(template).render(**values, **_policy()))


@cache
def _policy() -> dict[str, str]:
    """Return style and script of all pages, and what a browser may do with one: nothing but these two, and pictures."""
    style, script = (
        files("modelstac.catalog.pages").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (style, script)]
    policy = (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": style, "script": script, "policy": policy}


def policy() -> str:
    """Return the Content-Security-Policy of a page."""
    return _policy()["policy"]
