"""One page of what a search found."""

from __future__ import annotations

from dataclasses import dataclass

from modelstac.catalog.items.documents import Document


@dataclass(frozen=True)
class Page:
    """One page of a search.

    Parameters
    ----------
    documents
        The items as JSON, reduced to the query's ``fields``; links and assets have absolute hrefs.
    next
        Token of the page after this one, None on the last.
    matched
        Number of items on all pages together, where it was asked for.
    notes
        What of the catalog could not be searched, each item or collection in one line.
    """

    documents: tuple[Document, ...]
    next: str | None = None
    matched: int | None = None
    notes: tuple[str, ...] = ()
