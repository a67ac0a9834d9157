"""Odd JSON at every place of a document that is sent: refused in one line that says why, no fault of the server."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items import documents
from modelstac.catalog.server.routes.incoming import Checks
from modelstac.catalog.testing import Examples

ODD: tuple[Any, ...] = (True, [[]], "a" * 5_000)
"""No text, a list that no set takes, and a name that no file system takes; kinds more take minutes and find no more."""


def places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value in a document; of a list, the first two."""
    yield here
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*here, name))
    elif isinstance(value, list):
        for index, part in enumerate(value[:2]):
            yield from places(part, (*here, index))


def with_odd(document: Any, place: tuple[str | int, ...], odd: Any) -> Any:
    """Return a copy that has another value at one place."""
    changed = copy.deepcopy(document)
    at = changed
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = odd
    return changed


@pytest.fixture
def item(tmp_path: Path) -> Any:
    """An item as a client sends it."""
    found = Examples(tmp_path).item().to_dict(transform_hrefs=False)
    for asset in found["assets"].values():
        asset["href"] = "https://example.com/model.bin"
    return json.loads(json.dumps(found))


def said(check: Callable[[Any], Any], document: Any) -> list[str | None]:
    """Return what is said of each odd document, None of one that is taken; anything but our errors is raised."""
    answers: list[str | None] = []
    for place in places(document):
        for odd in ODD if place else ():
            try:
                check(with_odd(document, place, odd))
                answers.append(None)
            except ModelStacError as error:
                answers.append(str(error))
    return answers


@pytest.mark.parametrize("any_items", [False, True])
def test_odd_items(item: Any, any_items: bool) -> None:
    checks, name = Checks(any_items=any_items), item["collection"]
    checks.item(copy.deepcopy(item), name, "http://here/")
    answers = said(lambda document: checks.item(document, name, "http://here/"), item)
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > len(answers) / 2
    assert not [answer for answer in refused if "\n" in answer]


def test_odd_collections(item: Any) -> None:
    made = documents.widened(documents.new_collection("rain", item["properties"]), item)
    collection = documents.stored_collection(made)
    Checks().collection(copy.deepcopy(collection), "http://here/")
    answers = said(lambda document: Checks().collection(document, "http://here/"), collection)
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > len(answers) / 4
    assert not [answer for answer in refused if "\n" in answer]
