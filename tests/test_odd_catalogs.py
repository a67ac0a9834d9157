"""Pages, reports and tables of others' items of which nothing is what it should be: what can be read is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.selenium import Axe
from click.testing import CliRunner, Result
from pyarrow import parquet
from selenium import webdriver
from tests.chromium import chromium

from modelstac.catalog import open_catalog
from modelstac.catalog.items.documents import as_item
from modelstac.cli import main

EVIL = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"
CLASS_FIELD = "classification:classes"
CLASSES: tuple[Any, ...] = (None, [], {}, "x", [None], [{"name": "none"}], [{"value": "0", "name": "text"}])
COLOURS = ("FF0000", "#00FF00", "red;background:url(x)", "F00", 123456, None, [1], "FF00FF00")


def tensor(**changes: Any) -> dict[str, Any]:
    layout = {"shape": [-1, 3], "dim_order": ["batch", "channel"], "data_type": "float32"}
    return {"name": "x", "bands": [], "input": layout, "result": layout} | changes


def item(item_id: str, properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
    said = {"datetime": "2020-06-01T00:00:00Z", "mlm:name": item_id, "mlm:architecture": "U", "mlm:input": [tensor()]}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "geometry": None,
        "properties": said | {"mlm:tasks": ["classification"], "mlm:output": [tensor()]} | properties,
        "assets": {"m": {"href": "https://example.org/m.onnx", "roles": ["mlm:model"]}},
        "links": [],
    } | changes


def odd_items() -> list[dict[str, Any]]:
    coloured = [{"value": n, "name": f"c{n}", "color_hint": colour} for n, colour in enumerate(COLOURS)]
    nothing = dict.fromkeys(("datetime", "title", "description", "mlm:input", "mlm:output", "mlm:tasks", "keywords"))
    kinds = {"title": 5, "description": ["x"], "mlm:input": {"a": 1}, "mlm:output": "x", "mlm:tasks": "x", "license": 7}
    numbers = {"mlm:total_parameters": "many", "mlm:framework": ["a"], "mlm:framework_version": 2.0, "updated": 5}
    ours = {"interop:scores": {"a": "x", "b": None, "c": 1e308}, "interop:aliases": "x", "interop:verified": "x"}
    proofs = {"interop:parity": {"passed": "yes"}, "interop:route": [1], "interop:timing": 3, "interop:main_score": [1]}
    assets = {
        "": {"href": "./x", "file:size": -5},
        "act": {"href": "javascript:alert(3)", "title": EVIL, "type": "text/html"},
        "m": {"href": "https://example.org/a b/ü.onnx", "roles": ["mlm:model"], "file:size": "big"},
        "drawn": {"href": "data:image/svg+xml,<svg onload=alert(4)>", "roles": ["thumbnail"], "type": "image/svg+xml"},
    }
    empty = {"type": "GeometryCollection", "geometries": []}
    across = {"type": "MultiPoint", "coordinates": [[179, 89], [-179, -89]]}
    return [
        item("evil", {"title": EVIL, "description": f"{EVIL}\n\n| a |\n|---|\n| <b>1</b> |", "keywords": [EVIL]}),
        item("l" * 180, {"title": "T" * 5000, "description": "word" * 3000, "keywords": ["k" * 400] * 30}),
        item("right-to-left", {"title": "نموذج \u202eabc", "description": "מודל \u2067rtl\u2069"}),
        item(
            "classes", {"mlm:output": [tensor(**{"classification:classes": found}) for found in (*CLASSES, coloured)]}
        ),
        item("nothing", nothing),
        item("kinds", kinds),
        item("numbers", numbers | {"providers": [{"name": "<b>", "url": "javascript:alert(5)"}]}),
        item("ours", ours | proofs),
        item("assets", {}, assets=assets),
        item("across", {}, geometry=across, bbox=[-180, -89, 180, 89]),
        item("no-geometry", {}, geometry=empty),
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of others, a collection an item."""
    root = tmp_path_factory.mktemp("odd") / "catalog"
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    links = []
    for number, document in enumerate(odd_items()):
        folder = root / f"c{number}"
        folder.mkdir(parents=True)
        collection = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": f"c{number}",
            "title": EVIL,
            "extent": extent,
        }
        collection |= {"description": EVIL, "license": "other", "links": [{"rel": "item", "href": "./item.json"}]}
        (folder / "collection.json").write_text(json.dumps(collection))
        (folder / "item.json").write_text(json.dumps(document))
        links.append({"rel": "child", "href": f"./c{number}/collection.json"})
    head = {"type": "Catalog", "stac_version": "1.1.0", "id": "odd", "title": EVIL, "description": EVIL}
    (root / "catalog.json").write_text(json.dumps(head | {"links": links}))
    return root


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


def run(*words: str | Path) -> Result:
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done


def test_pages_and_report_show_what_can_be_read_and_everybody_can_read_them(
    place: Path, tmp_path: Path, browser: webdriver.Chrome
) -> None:
    for done in (
        run("pages", place, "--output", tmp_path / "pages"),
        run("report", "--catalog", place, "--output", tmp_path / "report.html"),
    ):
        assert "c10/item.json is left out: geometry: a collection needs a list" in done.stderr
    pages = sorted((tmp_path / "pages").glob("*.html"))
    assert len(pages) == len(odd_items())  # with the list, without the one that cannot be read
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for page in (*pages, tmp_path / "report.html"):
            size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(page.as_uri())
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, page.name
            assert browser.get_log("browser") == [], page.name
            assert Axe().run(browser)["violations"] == [], page.name


def test_a_table_leaves_out_what_has_no_place_in_its_columns(place: Path, tmp_path: Path) -> None:
    done = run("index", "--catalog", place, "--parquet", tmp_path / "all.parquet")
    assert "numbers is left out: its updated is 5, and a time of RFC 3339 is needed" in done.stderr
    assert "c10/item.json is left out" in done.stderr
    rows = {row["id"]: row for row in parquet.read_table(tmp_path / "all.parquet").to_pylist()}
    assert rows.keys() == {found["id"] for found in odd_items()} - {"numbers", "no-geometry"}
    assert rows["nothing"]["datetime"] is None


def test_an_item_without_any_time_is_read_as_it_is(place: Path) -> None:
    catalog = open_catalog(place)
    found = catalog.get("nothing")
    assert (found.datetime, found.properties["datetime"]) == (None, None)
    assert found.to_dict(transform_hrefs=False)["properties"]["datetime"] is None
    assert "nothing" in {one.id for one in catalog.search()}
    older = item("older", {"datetime": None}, stac_version="1.0.0")
    assert as_item(older).to_dict()["properties"]["datetime"] is None


def test_copies_name_what_is_left_out(place: Path, tmp_path: Path) -> None:
    done = run("sync", place, tmp_path / "copy.sqlite", "--no-artifacts")
    assert "nothing is left out" in done.stderr
    assert "kinds is left out" in done.stderr
    assert "copied" in done.stdout
