"""Searches and their pages."""

from __future__ import annotations

import re

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    InvalidQueryError,
)
from modelstac.catalog.search.matching import matches
from modelstac.catalog.search.query import Query
from modelstac.catalog.testing.examples import TORCH, Examples
from modelstac.catalog.testing.fixtures import Filled
from modelstac.catalog.testing.searches import BAD_SEARCHES, SEARCHES, SORTS


class Searching(Filled):
    """Searching, sorting, paging."""

    def test_search_finds_what_matches(self, filled: Catalog) -> None:
        items = sorted(filled.items(), key=lambda item: item.id)
        nothing = 0
        for fields in SEARCHES:
            query = Query(**fields)
            expected = [item.id for item in items if matches(query, item)]
            page = filled.page(query, count=True)
            assert [document["id"] for document in page.documents] == expected, fields
            assert page.matched == len(expected), fields
            nothing += not expected
        assert nothing <= 12, "the searches should find something"

    def test_a_bad_search_is_refused(self, filled: Catalog) -> None:
        for fields, message in BAD_SEARCHES:
            with pytest.raises(InvalidQueryError, match=re.escape(message)):
                filled.search(**fields)

    def test_a_framework_that_only_this_catalog_knows(self, catalog: Catalog, examples: Examples) -> None:
        with pytest.raises(InvalidQueryError):
            catalog.search(architecture="ConvLSTM", backend="tensorflo")
        catalog.publish(examples.item())
        assert [item.id for item in catalog.search(framework="PyTorch")] == [TORCH]

    def test_pages_in_any_order_are_the_whole(self, filled: Catalog) -> None:
        for sortby in SORTS:
            whole = [document["id"] for document in filled.page(Query(sortby=sortby)).documents]
            assert len(whole) == len(set(whole)) == len(list(filled.ids()))
            paged: list[str] = []
            token = None
            while True:
                page = filled.page(Query(sortby=sortby, limit=2, token=token), count=True)
                assert page.matched == len(whole)
                paged += [document["id"] for document in page.documents]
                if (token := page.next) is None:
                    break
                assert len(page.documents) == 2
            assert paged == whole

    def test_the_order_is_that_of_versions_and_missing_comes_last(self, filled: Catalog) -> None:
        found = filled.search(name="convlstm-knmi", format="torch", sortby="-version")
        assert [item.properties["version"] for item in found] == ["1.10.0", "1.1.0", "1.0.0"]
        for sign in ("", "-"):
            backends = [i.properties.get("interop:backend") for i in filled.search(sortby=f"{sign}interop:backend")]
            assert backends[:2] == sorted(["tensorflow", "torch"], reverse=bool(sign))
            assert set(backends[2:]) == {None}

    def test_a_token_belongs_to_its_search(self, filled: Catalog) -> None:
        token = filled.page(Query(limit=2)).next
        assert token is not None
        assert filled.page(Query(limit=3, token=token)).documents
        with pytest.raises(InvalidQueryError, match="another search"):
            filled.search(framework="PyTorch", token=token)
        with pytest.raises(InvalidQueryError, match="token"):
            filled.search(token=token[:-3])

    def test_pages_hold_what_was_asked_for(self, filled: Catalog) -> None:
        (some,) = filled.page(Query(ids=(TORCH,), fields=("mlm:framework", "properties.version"))).documents
        assert some == {
            "id": TORCH,
            "collection": "convlstm-knmi",
            "properties": {"mlm:framework": "PyTorch", "version": "1.0.0"},
        }
        (less,) = filled.page(Query(ids=(TORCH,), fields=("-assets", "-mlm:input"))).documents
        assert "assets" not in less
        assert "mlm:input" not in less["properties"]
        assert "mlm:output" in less["properties"]
        assert filled.search(ids=TORCH, fields=("title",))[0].properties["title"].startswith("ConvLSTM")
