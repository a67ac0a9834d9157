"""One meaning of a search on every backend: the same questions, the same answers."""

from __future__ import annotations

import re

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.search.matching import matches
from modelstac.catalog.search.query import Query
from modelstac.catalog.testing.examples import Examples
from modelstac.catalog.testing.fixtures import Filled
from modelstac.catalog.testing.meanings import (
    DESCRIBED,
    MEANINGS,
    NAME,
    ORDERS,
    REFUSED,
    described_items,
    said_id,
    said_items,
)


class Meaning(Filled):
    """What a search means.

    A catalog that nobody publishes to, such as one behind somebody else's API, is given as ``told`` with
    :func:`modelstac.catalog.testing.meanings.said_items` in it.
    """

    @pytest.fixture
    def told(self, catalog: Catalog, examples: Examples) -> Catalog:
        catalog.publish_many(said_items(examples))
        return catalog

    def test_a_search_has_one_meaning(self, told: Catalog) -> None:
        wrong = []
        for fields, answer in MEANINGS:
            found = [str(document["id"]) for document in told.page(Query(**fields)).documents]
            if found != sorted(map(said_id, answer.split())):
                wrong.append((fields, answer, found))
        assert not wrong

    def test_the_reference_means_the_same(self, examples: Examples) -> None:
        items = said_items(examples)
        for fields, answer in MEANINGS:
            found = {item.id for item in items if matches(Query(**fields), item)}
            assert found == set(map(said_id, answer.split())), fields

    def test_an_order_has_one_meaning_and_its_pages_lose_nothing(self, told: Catalog) -> None:
        for sortby, order in ORDERS:
            for limit in (None, 1, 4):
                found: list[str] = []
                token = None
                while True:
                    page = told.page(Query(sortby=sortby, limit=limit, token=token))
                    found += [str(document["id"]) for document in page.documents]
                    if (token := page.next) is None:
                        break
                assert found == [said_id(variant) for variant in order.split()], (sortby, limit)

    def test_what_has_no_meaning_is_refused(self, told: Catalog) -> None:
        for fields, message in REFUSED:
            with pytest.raises(InvalidQueryError, match=re.escape(message)):
                told.search(**fields)

    def test_the_extent_holds_what_lies_over_the_antimeridian(self, told: Catalog) -> None:
        from modelstac.catalog.items.geometry import boxes_meet

        box = told.collection(NAME).extent.spatial.bboxes[0]
        assert boxes_meet(box, (178, -19, 179, -18))
        assert boxes_meet(box, (-179, -19, -178.5, -18))


class Described(Filled):
    """What is asked by names that no item has as such: scores whatever their case, classes, bands and more.

    Somebody else's API does not know them.
    """

    def test_scores_classes_bands_licence_region_and_months_are_found_by_name(
        self, catalog: Catalog, examples: Examples
    ) -> None:
        catalog.publish_many(described_items(examples))
        for fields, answer in DESCRIBED:
            found = [str(document["id"]) for document in catalog.page(Query(**fields)).documents]
            assert found == sorted(map(said_id, answer.split())), fields
