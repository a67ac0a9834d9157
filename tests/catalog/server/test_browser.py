"""STAC Browser, built from npm with our labels and driven in Chromium: what a person sees of a model."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pystac
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.ui import WebDriverWait
from tests.catalog.pages.models import NAME, land_cover
from tests.catalog.server.conftest import ROOT, Server, serving
from tests.chromium import chromium as start
from tests.needs import left_out

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.testing import ONNX, TORCH, Examples

WITHIN = 40
BUILT = ROOT / ".browser" / "dist"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    sources = b"".join(path.read_bytes() for path in sorted((ROOT / "deploy" / "browser").iterdir()))
    made = BUILT / "built-from"
    if not made.is_file() or made.read_text().strip() != hashlib.sha256(sources).hexdigest():
        left_out("STAC Browser as deploy/browser makes it", "deploy/browser/build")
    with start(folder) as found:
        yield found


@pytest.fixture(scope="module", params=["embedded", "pgstac"])
def shown(folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    place = folder / request.param
    place.mkdir()
    if request.param == "embedded":
        with serving(place, "--catalog", str(place / "models.sqlite"), "--browser", str(BUILT)) as server:
            yield server
        return
    cluster = request.getfixturevalue("cluster")
    with (
        cluster.database() as url,
        serving(place, "--artifacts", str(place / "files"), "--browser", str(BUILT), MODELSTAC_DATABASE=url) as server,
    ):
        yield server


class Person:
    """What a person does with the page that is shown, and what they read there; places are XPath."""

    def __init__(self, chromium: webdriver.Chrome) -> None:
        self._chromium = chromium

    def reads(self, *words: str) -> str:
        """Wait until all the words are shown, and return all that is."""
        shown = [""]

        def all_there(driver: webdriver.Chrome) -> bool:
            shown.append(driver.find_element(By.TAG_NAME, "body").text)
            return all(word in shown[-1] for word in words)

        with contextlib.suppress(TimeoutException):
            WebDriverWait(self._chromium, WITHIN, ignored_exceptions=[StaleElementReferenceException]).until(all_there)
        missing = [word for word in words if word not in shown[-1]]
        assert not missing, f"no {missing} at {self._chromium.current_url}: {shown[-1]}"
        return shown[-1]

    def clicks(self, place: str, *, unless: str | None = None) -> None:
        found = self._wait(place)
        if unless is None or not self._chromium.find_elements(By.XPATH, unless):
            # By script: what still slides into its place, or lies in a closed menu, would not take the click.
            self._chromium.execute_script("arguments[0].click()", found)

    def types(self, place: str, text: str) -> None:
        self._wait(place).send_keys(text)

    def _wait(self, place: str) -> WebElement:
        return WebDriverWait(self._chromium, WITHIN).until(presence_of_element_located((By.XPATH, place)), place)


@pytest.fixture(scope="module")
def published(shown: Server, folder: Path) -> dict[str, pystac.Item]:
    """Publish a model and its conversion."""
    catalog = ApiCatalog(shown.href, key=shown.key)
    items = {item.id: item for item in Examples(folder / "made").various() if item.id in {TORCH, ONNX}}
    items |= {item.id: item for item in land_cover(folder / "land-cover")}
    hostile = "frames<b id='hostile'>"
    items[ONNX].properties["mlm:input"][0]["name"] = hostile
    for item in items.values():
        catalog.publish(item)
    return items


def test_a_person_finds_a_model(
    chromium: webdriver.Chrome, shown: Server, published: dict[str, pystac.Item], folder: Path
) -> None:
    """From the front page to the items, and a file."""
    person = Person(chromium)
    chromium.get(f"{shown.href}/browser/")
    person.reads("Models for Earth observation", "ConvLSTM rain nowcasting")
    person.clicks("//a[contains(@class, 'stretched-link')][contains(., 'ConvLSTM rain nowcasting')]")
    person.reads("Items", "2", "Framework", "PyTorch", "ONNX")
    person.clicks(f"//a[contains(@class, 'stretched-link')][contains(@href, '/items/{TORCH}')]")
    person.reads(
        *("Version of the framework", "2.13.0+cpu", "PyTorch", "frames: batch any × time 18 × height any"),
        *("RMSE mm/h", "1,234"),
    )
    person.clicks("//button[@aria-controls='asset-model']", unless="//*[@id='asset-model'][contains(@class, 'show')]")
    downloaded = folder / "downloads" / "model.bin"
    downloaded.unlink(missing_ok=True)
    person.clicks("//*[@id='asset-model']//a[contains(., 'Download')]")
    WebDriverWait(chromium, WITHIN).until(lambda _: downloaded.exists(), "nothing was downloaded")
    assert downloaded.read_bytes() == b"weights"

    chromium.get(f"{shown.href}/browser/collections/convlstm-knmi/items/{ONNX}")
    person.reads("Largest difference", "2e-7", published[ONNX].properties["mlm:input"][0]["name"])
    assert not chromium.find_elements(By.ID, "hostile"), "text of an item became a part of the page"


@pytest.mark.usefixtures("published")
def test_a_person_searches_by_framework(chromium: webdriver.Chrome, shown: Server) -> None:
    person = Person(chromium)
    chromium.get(f"{shown.href}/browser/search/")
    person.clicks("//a[contains(., 'Search for Items')]")
    person.clicks("//div[contains(@class, 'active')]//a[span='Framework']")
    person.types("//div[contains(@class, 'queryable-row')]//input", "ONNX")
    person.clicks("//div[contains(@class, 'active')]//button[@type='submit']")
    person.reads("ConvLSTM rain nowcasting (PyTorch)", "Land cover (ONNX)")
    found = chromium.find_elements(By.XPATH, "//a[contains(@class, 'stretched-link')][contains(@href, '/items/')]")
    names = {str(card.get_attribute("href")).rpartition("/")[2] for card in found}
    assert names == {ONNX, f"{NAME}-1.1.0-onnx-from-torch"}


@pytest.mark.usefixtures("published")
def test_a_person_sees_what_a_model_takes_and_gives(chromium: webdriver.Chrome, shown: Server) -> None:
    """Bands, classes with colours, a table of the card, lines to try; and from there to the page of the model."""
    person = Person(chromium)
    chromium.get(f"{shown.href}/browser/collections/{NAME}/items/{NAME}-1.1.0-torch")
    person.reads(
        *("image: batch any × bands 4 × height from 16 in steps of 16 (halo 92)", "B08 (x − 1300) / 430"),
        *("forest & wood 1", "field <b> 2", "June, July, August"),
        f'model = modelstac.load("{NAME}-1.1.0-torch", catalog="{shown.href}")',
    )
    scores = chromium.find_elements(By.XPATH, "//tr[td='mIoU']/preceding-sibling::tr[td]")
    assert not scores, "the main metric comes first"
    swatches = chromium.find_elements(By.XPATH, "//tr/td/span[@title='#2CA02C']")
    assert [one.value_of_css_property("background-color") for one in swatches] == ["rgba(44, 160, 44, 1)"]
    cells = chromium.find_elements(By.CSS_SELECTOR, ".styled-description table td")
    assert "0.93" in [str(cell.get_attribute("textContent")) for cell in cells]
    assert not chromium.find_elements(By.CSS_SELECTOR, ".styled-description img")
    assert "Raster Imagery" not in _of_the_file(chromium, "Bands of the model")
    person.clicks(f"//a[contains(., 'Page of {NAME}')]")
    WebDriverWait(chromium, WITHIN).until(
        lambda driver: len(driver.window_handles) > 1 or "/models/" in driver.current_url
    )
    chromium.get(f"{shown.href}/models/{NAME}")
    person.reads("Land cover of central Europe")
    person.clicks("//a[.='In STAC Browser']")
    person.reads("Items", "Land cover (ONNX)")
    assert chromium.current_url.startswith(f"{shown.href}/browser/collections/{NAME}")


def _of_the_file(chromium: webdriver.Chrome, words: str) -> str:
    """Return what is said of the model file, be it open or not."""

    def said(driver: webdriver.Chrome) -> str:
        text = str(driver.find_element(By.ID, "asset-model").get_attribute("textContent"))
        return text if words in text else ""

    return WebDriverWait(chromium, WITHIN).until(said, f"no {words}")


def test_it_is_shown_where_it_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ServerSettings().browser_folder is None
    Path(".browser/dist").mkdir(parents=True)
    assert ServerSettings().browser_folder == Path(".browser/dist")
    assert ServerSettings(browser=Path("other")).browser_folder == Path("other")
