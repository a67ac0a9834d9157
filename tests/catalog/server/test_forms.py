"""The pages that edit-form and create-form lead to, in a real browser, over each store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server
from tests.chromium import chromium

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.writing import write_item

NAME = "convlstm-knmi"


@pytest.fixture
def seeded(server: Server, describe: Describe) -> Server:
    ApiCatalog(server.href, key=server.key).publish(write_item(describe()))
    return server


def link(document: dict[str, Any], rel: str) -> str:
    [found] = [found for found in document["links"] if found["rel"] == rel]
    assert found["type"] == "text/html"
    href: str = found["href"]
    return href


def test_a_browser_changes_and_makes_what_its_key_may(seeded: Server, tmp_path: Path) -> None:
    collection = seeded.get(f"collections/{NAME}").json()
    item = seeded.get(f"collections/{NAME}/items").json()["features"][0]
    assert link(collection, "create-form").endswith(f"/forms/collections/{NAME}/items")
    assert link(seeded.get("collections").json(), "create-form") == link(seeded.get("").json(), "create-form")
    with chromium(tmp_path) as browser:

        def value(document: Any = None) -> str:
            """Return what the form holds, or put something in it."""
            field = browser.find_element(By.ID, "document")
            if document is not None:
                browser.execute_script("arguments[0].value = arguments[1]", field, json.dumps(document))
            return str(field.get_property("value"))

        def saved(key: str) -> str:
            browser.find_element(By.ID, "key").clear()
            browser.find_element(By.ID, "key").send_keys(key)
            browser.find_element(By.TAG_NAME, "button").click()
            said = browser.find_element(By.ID, "said")
            WebDriverWait(browser, 20).until(lambda _: said.text not in {"", "…"})
            return str(said.text)

        browser.get(link(item, "edit-form"))
        WebDriverWait(browser, 20).until(lambda _: value())
        assert json.loads(value())["id"] == item["id"]
        assert browser.find_element(By.ID, "what").text.endswith(item["id"])
        changed = json.loads(value())
        changed["properties"]["deprecated"] = True
        value(changed)
        assert "unknown or was revoked" in saved("msk_wrong")
        assert saved(seeded.key) == "Saved."
        assert seeded.get(f"collections/{NAME}/items/{item['id']}").json()["properties"]["deprecated"] is True
        # What is published stays what it is, and the page says why.
        value(changed | {"properties": changed["properties"] | {"mlm:architecture": "Another"}})
        assert "is published" in saved(seeded.key)
        browser.get(link(collection, "edit-form"))
        WebDriverWait(browser, 20).until(lambda _: value())
        assert seeded.request("PATCH", f"collections/{NAME}", key=True, json={"title": "Mine"}).status_code == 200
        assert "changed meanwhile" in saved(seeded.key)
        browser.get(link(seeded.get("").json(), "create-form"))
        value(collection | {"id": "new", "title": "<img src=x onerror=alert(1)>"})
        assert saved(seeded.key) == "Saved."
        assert seeded.get("collections/new").status_code == 200
        browser.get(link(seeded.get("collections/new").json(), "edit-form"))
        WebDriverWait(browser, 20).until(lambda _: "onerror" in value())
        assert not browser.find_elements(By.TAG_NAME, "img")


def test_a_form_says_what_may_run_in_it(seeded: Server) -> None:
    answer = seeded.get(f"forms/collections/{NAME}")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    # Else a browser asks for /favicon.ico, and complains that there is none.
    assert ('<link rel="icon" href="data:,">' in answer.text, "img-src data:" in policy) == (True, True)
    assert NAME not in answer.text
    # A form's links are the server's own: a document that is sent back with them is the same.
    collection = seeded.get(f"collections/{NAME}").json()
    sent = seeded.request("PUT", f"collections/{NAME}", key=True, json=collection)
    assert [found["rel"] for found in sent.json()["links"]].count("edit-form") == 1
