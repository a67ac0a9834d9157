"""How a model is cited: a BibTeX entry of what its item says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelstac.catalog.pages.values import Document, mappings, properties, safe_href, text, texts

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_SPECIALS = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")
_DOI = re.compile(r"10\.\d{4,9}/[^\s{}\\]+", re.ASCII)


def doi(item: Document) -> str:
    """Return the DOI of a model, nothing where it has none."""
    found = text(properties(item).get("sci:doi"))
    return found if _DOI.fullmatch(found) else ""


def bibtex(item: Document, title: str, url: str) -> str:
    """Return an entry of BibTeX.

    Parameters
    ----------
    item
        What is cited.
    title
        Of the model.
    url
        Where it is, for models without a DOI; nothing where that is not known.
    """
    said = properties(item)
    key = re.sub(r"[^A-Za-z0-9]+", "-", text(item.get("id"))).strip("-") or "model"
    rows = [("title", f"{{{escaped(title)}}}")]
    if people := list(_people(item)):
        rows.append(("author", " and ".join(people)))
    if year := re.match(r"\d{4}", text(said.get("created")) or text(said.get("updated"))):
        rows.append(("year", year[0]))
    if version := text(said.get("version")):
        rows.append(("version", escaped(version)))
    if found := doi(item):
        rows.append(("doi", found))
    elif url:
        rows.append(("url", url.replace("{", "%7B").replace("}", "%7D")))
    if licence := text(said.get("license")):
        rows.append(("note", escaped(f"Licence: {licence}")))
    lines = [f"  {name} = {{{value}}}," for name, value in rows]
    return "\n".join([f"@software{{{key},", *lines, "}"])


def escaped(plain: str) -> str:
    """Return a text as LaTeX sets it."""
    return _SPECIALS.sub(lambda found: _SPECIAL[found[0]], plain)


def _people(item: Document) -> Iterator[str]:
    """Yield who made it; a name of one word is an organisation's, which BibTeX must not take apart."""
    providers = mappings(properties(item).get("providers"))
    makers = [one for one in providers if "producer" in texts(one.get("roles"))] or providers
    for one in makers:
        if name := text(one.get("name")):
            person = " " in name and "," not in name and " and " not in name
            yield escaped(name) if person else f"{{{escaped(name)}}}"


def people(item: Document) -> list[tuple[str, str | None, str]]:
    """Return name, address and roles of everybody who is behind a model."""
    found = mappings(properties(item).get("providers"))
    return [
        (name, safe_href(one.get("url")), ", ".join(texts(one.get("roles"))))
        for one in found
        if (name := text(one.get("name")))
    ]
