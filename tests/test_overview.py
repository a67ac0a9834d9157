"""The page about a catalog: what it says, and that everybody can read it, at a desk and on a phone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from click.testing import CliRunner
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.chromium import chromium

from modelstac.catalog import open_catalog
from modelstac.catalog.items.description import ExtraAsset
from modelstac.catalog.testing import KERAS, ONNX, TORCH, Examples
from modelstac.cli import main

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of everything that the page shows, and the page."""
    folder = tmp_path_factory.mktemp("overview")
    catalog, examples = open_catalog(folder / "catalog", create=True), Examples(folder / "made")
    (folder / "made" / "thumbnail.png").write_bytes(PNG)
    items = [item for item in examples.various() if item.id in {TORCH, KERAS, ONNX}]
    found = {"max_absolute_difference": 3e-7, "windows": 4, "rmse_change": -2.5e-6, "csi_change": 0.0}
    packages = {"torch": "2.13.0", "numpy": "2.1.3", "sympy": "1.14.0"}
    items[0].properties["interop:verified"] = [{"python": "3.11", "packages": packages} | found]
    thumbnail = ExtraAsset(
        path=folder / "made" / "thumbnail.png", media_type="image/png", roles=("thumbnail",), title="Rain"
    )
    scores = {"rmse_mm_h": 0.9, "persistence_rmse_mm_h": 1.1, "extrapolation_rmse_mm_h": 0.8}
    drawn = examples.item(name="drawn", assets={"thumbnail": thumbnail}, scores=scores, title="<b>bold</b>")
    catalog.publish_many([*items, drawn])
    catalog.set_alias("convlstm-knmi", "champion", TORCH)
    catalog.deprecate(KERAS)
    return folder


def written(place: Path, *more: str) -> str:
    page = place / "report.html"
    done = CliRunner().invoke(main, ["report", "--catalog", str(place / "catalog"), "--output", str(page), *more])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_says_what_the_items_say(place: Path) -> None:
    assert json.loads(written(place, "--json"))["models"] == 2
    page = (place / "report.html").read_text("utf-8")
    for cell in (
        "PyTorch 2.13.0+cpu",
        "tensorflow 2.19.1",
        "champion",
        "deprecated",
        "2.0e-07",
        "3.0e-07",
        "torch 2.13.0, Python 3.11",
        "RMSE mm/h",
    ):
        assert f">{cell}<" in page, cell
    assert page.index(">persistence<") < page.index(">1.100<")
    assert base64.b64encode(PNG).decode() in page
    assert "<script" not in page
    assert "https://" not in page


def test_it_says_what_an_environment_changes(place: Path) -> None:
    written(place)
    page = (place / "report.html").read_text("utf-8")
    part = page[page.index(">What an environment changes<") :]
    row = part[part.index('<th scope="row">1.0.0-torch</th>') :].split("</tr>")[0]
    assert [cell.split("<")[0] for cell in row.split("<td>")[1:]] == ["1", "4", "3.0e-07", "–", "2.5e-06", "0"]


def test_a_catalog_of_several_models_begins_with_a_list(place: Path) -> None:
    written(place)
    page = (place / "report.html").read_text("utf-8")
    table = page[page.index("Each has a part of this page.") :].split("</table>")[0]
    assert '<th scope="row">convlstm-knmi</th><td>3</td>' in table
    assert '<th scope="row">drawn</th><td>1</td>' in table
    assert ">champion<" in table


def test_a_picture_that_is_gone_is_left_out_and_named(place: Path, tmp_path: Path) -> None:
    catalog = open_catalog(place / "catalog")
    path = Path(catalog.get("drawn-1.0.0-torch").assets["thumbnail"].href)
    path.rename(tmp_path / "away")
    done = CliRunner().invoke(main, ["report", "-c", catalog.href, "-o", str(tmp_path / "page.html")])
    (tmp_path / "away").rename(path)
    assert done.exit_code == 0, done.output
    assert "pictures 0" in done.stdout
    assert "a picture of drawn-1.0.0-torch is left out" in done.stderr


def test_an_empty_catalog_is_a_page_too(tmp_path: Path) -> None:
    open_catalog(tmp_path / "empty.sqlite", create=True)
    done = CliRunner().invoke(main, ["report", "-c", str(tmp_path / "empty.sqlite"), "-o", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert "0 models in 0 items" in (tmp_path / "page.html").read_text("utf-8")


@pytest.fixture(scope="module")
def browser(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    written(place)
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_violation_and_nothing_is_cut_off(
    place: Path, browser: webdriver.Chrome, width: str, scheme: str
) -> None:
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    phone = {"deviceScaleFactor": 1, "mobile": width == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size | phone)
    scheme_now = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_now)
    browser.get((place / "report.html").as_uri())
    found = Axe().run(browser)
    violations = [(v["id"], [node["html"][:90] for node in v["nodes"]]) for v in found["violations"]]
    assert not violations
    assert {"color-contrast", "image-alt", "region", "heading-order"} <= {rule["id"] for rule in found["passes"]}
    # Tables scroll in their own regions; the page itself never does sideways.
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)"
    )


def test_the_keyboard_gets_past_the_contents_and_into_every_table(place: Path, browser: webdriver.Chrome) -> None:
    browser.get((place / "report.html").as_uri())
    focused = "return [document.activeElement.className, document.activeElement.getAttribute('aria-label')]"
    tables = [region.get_attribute("aria-label") for region in browser.find_elements(By.CSS_SELECTOR, ".wide")]
    assert "convlstm-knmi: Environments" in tables
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.execute_script(focused)[0] == "skip"
    assert browser.execute_script("return document.activeElement.getBoundingClientRect().left") >= 0
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    reached = []
    for _ in tables:
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.execute_script(focused)[1])
    assert reached == tables
    assert browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
