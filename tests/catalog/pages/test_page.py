"""The page of a model says what its items say, escapes all of it, and takes whatever anybody wrote."""

from __future__ import annotations

import copy
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.catalog.pages.models import NAME, land_cover

from modelstac.catalog.items.validation import validate
from modelstac.catalog.pages.page import Links, entry, model_page, models_page

CHAMPION = f"{NAME}-1.1.0-torch"
VOID = {"meta", "link", "img", "rect", "path", "circle", "use", "br", "hr"}
ACTING = re.compile(r"(?i)^[\s\x00-\x1f]*(javascript|data:text|vbscript)")


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, which have to be closed in order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    items = land_cover(tmp_path_factory.mktemp("made"))
    for item in items:
        validate(item)
    return [json.loads(json.dumps(item.to_dict(transform_hrefs=False))) for item in items]


COLLECTION = {
    "type": "Collection",
    "id": NAME,
    "title": "Land cover of central Europe",
    "description": "Old.",
    "summaries": {"mlm:tasks": ["semantic-segmentation"], "mlm:framework": ["PyTorch"]},
    "interop:aliases": {"champion": CHAMPION},
}
LINKS = Links(
    catalog="https://models.example.org/it's",
    collection="../c",
    models="../models",
    browser="../browser",
    item=lambda item: f"../{item.get('id')}",
    asset=lambda item, key: item["assets"][key].get("href"),
    picture=lambda item, key: f"../pictures/{key}",
)


def test_it_says_what_the_items_say(documents: list[dict[str, Any]]) -> None:
    page = Reader(model_page(COLLECTION, documents, LINKS, footer="the end"))
    for words in (
        "Land cover of central Europe",
        "Says of each 10 m pixel of a Sentinel-2 scene which of five classes of land cover it shows.",
        "mIoU 0.714",
        f"champion is {CHAMPION}",
        f'model = modelstac.load("{NAME}@champion", catalog="https://models.example.org/it\'s")',
        'np.zeros((1, 4, 64, 64), dtype="float32")',
        "export MODELSTAC_CATALOG='https://models.example.org/it'\"'\"'s'",
        "height from 16 in steps of 16 halo 92",
        "B08 1 (x − 1,300) / 430",
        "1 forest & wood",
        "place Rhineland",
        "0° to 10° E, 49° N to 55° N",
        "June: yes",
        "May: no",
        "equal to land-cover-1.1.0-torch within 2.4e-06",
        "tested in 2 environments",
        "openvino 2026.4.1, Python 3.13.1: the same",
        "signed",
        "one prediction 21 ms",
        "What changed since 1.0.0",
        "score mIoU 0.68 0.714",
        f"modelstac diff {NAME}-1.0.0-torch {CHAMPION}",
        "licence CC-BY-4.0",
        "Lovelace (2026), Land cover & more.",
        "author = {Ada Lovelace}",
        "doi = {10.5281/zenodo.1234567}",
        "water 0.93",
        "the end",
    ):
        assert words in page.text, words
    assert page.all("img") == [
        {"src": "../pictures/thumbnail", "alt": "A map of the Rhine"},
        {"src": "../pictures/confusion", "alt": "Confusion matrix"},
    ]
    assert [rect["fill"] for rect in page.all("rect") if "fill" in rect] == ["#1F77B4", "#2CA02C", "#E6C619", "#D62728"]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_metric_that_matters_is_the_first_of_ten(documents: list[dict[str, Any]]) -> None:
    page = model_page(COLLECTION, documents, LINKS)
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th><td>([\d.]+)</td><td>([\d.]+)</td></tr>', page)
    assert rows[0] == ("mIoU", "0.714", "0.680")
    assert {row[0] for row in rows} >= {"accuracy", "loss", "recall", "IoU forest", "F1 water"}


def test_an_alias_says_which_item_a_page_is_about(documents: list[dict[str, Any]]) -> None:
    older = COLLECTION | {"interop:aliases": {"field": f"{NAME}-1.0.0-torch"}}
    assert f"{NAME}@field" in model_page(older, documents, LINKS)
    none = COLLECTION | {"interop:aliases": {"gone": "x"}}
    assert f"modelstac.load(&#34;{CHAMPION}&#34;" in model_page(none, documents, LINKS)
    deprecated = copy.deepcopy(documents)
    for item in deprecated:
        item["properties"]["deprecated"] = item["properties"]["version"] == "1.1.0"
    page = Reader(model_page(COLLECTION | {"interop:aliases": {}}, deprecated, LINKS))
    assert f'modelstac.load("{NAME}-1.0.0-torch"' in page.text
    assert "should no longer be used" not in page.text
    assert page.text.count("deprecated") == 3, "two variants and their version"


def hostile(value: Any, text: str) -> Any:
    """Put a text in place, or at the end, of every text of a document."""
    if isinstance(value, dict):
        return {
            hostile(name, text) if ":" not in name and name in {"image", "classes"} else name: hostile(part, text)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [hostile(part, text) for part in value]
    return f"{value}{text}" if isinstance(value, str) else value


def refuse_what_acts(page: str) -> None:
    read = Reader(page)
    assert len(read.all("script")) == 1
    assert not {"iframe", "object", "embed", "form", "base", "b0"} & {tag for tag, _ in read.elements}
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "src"):
            assert not ACTING.match(attributes.get(name) or ""), attributes
        if tag in {"img", "use"}:
            place = attributes.get("src") or attributes.get("href") or ""
            assert place.startswith(("#", "../", "data:image/")), place


@pytest.mark.parametrize(
    "text",
    [
        '"><b0 onload=1>',
        "'><script>alert(1)</script>",
        "</title></style></script><b0>",
        "{{ 7777*7 }}",
        "\u202e]]>--><b0>",
    ],
)
def test_all_text_of_items_is_text(documents: list[dict[str, Any]], text: str) -> None:
    kept = ("type", "roles", "color_hint")
    items = []
    for item in documents:
        bad = hostile(item, text)
        for key, asset in bad["assets"].items():
            asset |= {name: item["assets"][key][name] for name in kept if name in item["assets"].get(key, {})}
        bad["properties"]["interop:scores"] = {text + "a": 1.0, text: 2.0}
        items.append(bad)
    page = model_page(
        hostile(COLLECTION, text) | {"interop:aliases": {text: items[0]["id"]}}, items, LINKS, footer=text
    )
    refuse_what_acts(page)
    assert "54439" not in page
    refuse_what_acts(models_page(text, [entry(hostile(COLLECTION, text), "../x")], Links(text), footer=text))


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", " JaVa\tScript:alert(1)", "data:text/html,<script>1</script>", "vbscript:x", "//evil"],
)
def test_links_that_act_are_none_and_no_picture_comes_from_elsewhere(
    documents: list[dict[str, Any]], href: str
) -> None:
    items = copy.deepcopy(documents)
    for item in items:
        for link in item["links"]:
            link["href"] = href
        for provider in item["properties"]["providers"]:
            provider["url"] = href
        item["properties"]["description"] = f"[a]({href}) <{href}> ![b]({href})\n\n[c]: {href}\n\n[c]"
    leading = Links(catalog=href, asset=lambda *_: href, picture=lambda *_: href, item=lambda _: "../x")
    page = model_page(COLLECTION, items, leading)
    refuse_what_acts(page)
    assert "<img" not in page


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_whatever_anybody_wrote_is_a_page(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    """Any value of JSON in place of any part of an item."""
    items = copy.deepcopy(documents)
    for item in items:
        spots = list(places_of(item))
        for _ in range(data.draw(st.integers(1, 4))):
            holder, key = data.draw(st.sampled_from(spots))
            holder[key] = data.draw(JSON)
        item.setdefault("id", "x")
    collection = dict(COLLECTION)
    collection[data.draw(st.sampled_from(sorted(COLLECTION)))] = data.draw(JSON)
    shown = Links(catalog="c", asset=lambda *_: "../x", picture=lambda *_: "../x")
    refuse_what_acts(model_page(collection, items, shown))
    refuse_what_acts(models_page("models", [entry(collection, "../x")], Links("models")))


def places_of(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_of(value[key])


def test_no_item_is_a_page_too() -> None:
    assert "licence" not in Reader(model_page({"type": "Collection", "id": "empty"}, [], LINKS)).text
    assert "No model is published" in models_page("models", [], Links("models"))


def test_lines_to_try_fit_several_inputs(documents: list[dict[str, Any]]) -> None:
    item = copy.deepcopy(documents[1])
    [first] = item["properties"]["mlm:input"]
    item["properties"]["mlm:input"] = [first | {"name": "s1"}, first | {"name": "s2"}]
    page = Reader(model_page(COLLECTION, [item], LINKS)).text
    assert "result = model.predict( # your arrays here s1=np.zeros((1, 4, 64, 64)" in page
    assert "--input s1=s1.npy \\ --input s2=s2.npy" in page
    item["properties"]["mlm:input"] = [first | {"name": "s 1"}, first | {"name": "class"}]
    page = Reader(model_page(COLLECTION, [item], LINKS)).text
    assert 'result = model.predict({ # your arrays here "s 1": np.zeros(' in page
    assert "}, scaled=False)" in page
    item["properties"]["mlm:input"] = [
        {key: value for key, value in one.items() if key != "value_scaling"} for one in item["properties"]["mlm:input"]
    ]
    page = Reader(model_page(COLLECTION, [item], LINKS)).text
    assert 'result = model.run({ # your arrays here "s 1": np.zeros(' in page
    assert "scaled=False" not in page


def test_a_page_fetches_nothing_and_lets_nothing_in(documents: list[dict[str, Any]]) -> None:
    page = Reader(model_page(COLLECTION, documents, LINKS))
    [policy] = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert [one["href"] for one in page.all("link")] == ["data:,", "../c"]


def test_coastlines_are_those_of_their_source() -> None:
    folder = Path(__file__).resolve().parents[3] / "catalog" / "pages"
    land = json.loads((folder / "land.json").read_text("utf-8"))
    assert "Natural Earth" in land["source"]
    assert re.fullmatch(r"(M-?\d+ -?\d+l(-?\d+ -?\d+ ?)+z)+", land["path"])
