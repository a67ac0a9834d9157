"""Items that are answered as they are stored but for links and assets say what they would say read whole."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstac.catalog.search.sql.rows import dumps
from modelstac.catalog.server.stores.spliced import opened

LINKS, ASSETS = [{"rel": "about", "href": "https://example.org"}], {"model": {"href": "artifacts/é"}}
names = st.sampled_from(["links", "assets", 'a"links', '"links":', "\\", "properties", "id"]) | st.text(max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, values, max_size=5), st.lists(values, max_size=3), st.booleans())
def test_what_is_opened_and_closed_again_has_other_links_and_assets(
    rest: dict[str, Any], listed: list[Any], links_first: bool
) -> None:
    parts = {"links": listed, "assets": {"a": listed}}
    document = rest | dict(sorted(parts.items(), reverse=links_first))
    text = dumps(document)
    found = opened(text)
    if found is None:
        assert max(text.count('"links":'), text.count('"assets":')) > 1
        return
    assert (found.links, found.assets) == (document["links"], document["assets"])
    assert json.loads(orjson.dumps(found.closed(LINKS, ASSETS))) == document | {"links": LINKS, "assets": ASSETS}


@pytest.mark.parametrize("rest", [{}, {"id": '"links":[1],"assets":{}'}, {"id": "é \\ \u2028"}])
@pytest.mark.parametrize("parts", [{"links": [], "assets": {}}, {"assets": {"a": {"href": "b"}}, "links": [1]}])
def test_the_usual_item_is_opened(rest: dict[str, Any], parts: dict[str, Any]) -> None:
    document = {"type": "Feature", **rest, **parts, "collection": "c"}
    found = opened(dumps(document))
    assert found is not None
    assert json.loads(orjson.dumps(found.closed(LINKS, ASSETS))) == document | {"links": LINKS, "assets": ASSETS}


@pytest.mark.parametrize(
    "properties",
    [{"links": []}, {"assets": {}}, {'a"links': 1}, {"mlm:hyperparameters": {"depth": 3, "links": ["a"]}}],
)
def test_an_item_with_a_name_twice_is_read_whole(properties: dict[str, Any]) -> None:
    assert opened(dumps({"properties": properties, "links": [], "assets": {}})) is None
