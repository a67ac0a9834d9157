"""Pages as files: beside a catalog or anywhere, readable by everybody, at a desk and on a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from click.testing import CliRunner, Result
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.catalog.pages.models import NAME, land_cover, picture
from tests.chromium import chromium
from tests.registry.statements import graph

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.items.links import PAGE_FIELD
from modelstac.catalog.sync import sync
from modelstac.catalog.testing import TORCH, Examples
from modelstac.cli import main

CHAMPION = f"{NAME}-1.1.0-torch"
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog in a folder."""
    folder = tmp_path_factory.mktemp("pages")
    catalog = open_catalog(folder / "catalog", create=True)
    catalog.publish_many([*land_cover(folder / "made"), *Examples(folder / "others").various()])
    catalog.set_alias(NAME, "champion", CHAMPION)
    return folder / "catalog"


@pytest.fixture
def catalog(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "catalog"))


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def targets(page: Path) -> set[str]:
    return set(re.findall(r'(?:href|src)="(\.[^"]+)"', page.read_text("utf-8")))


def test_pages_lie_beside_the_documents_and_each_leads_to_the_other(catalog: Path) -> None:
    done = run("pages", catalog, "--address", "https://example.org/models/", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"][NAME] == str(catalog / NAME / "index.html")
    page = catalog / NAME / "index.html"
    text = html.unescape(page.read_text("utf-8"))
    assert f'modelstac.load("{NAME}@champion", catalog="https://example.org/models/")' in text
    found = targets(page)
    assert {"../index.html", "./collection.json", f"./{CHAMPION}/thumbnail.png"} <= found
    for path in (page, catalog / "index.html"):
        assert all((path.parent / target).is_file() for target in targets(path))
    assert set(re.findall(r'href="([^"#:]+/index.html)"', (catalog / "index.html").read_text("utf-8"))) == {
        f"{name}/index.html" for name in (NAME, "convlstm-knmi", "pacific", "unet")
    }
    root = json.loads((catalog / "catalog.json").read_text("utf-8"))
    assert [link["href"] for link in root["links"] if link["rel"] == "about"] == ["./index.html"]
    assert 'href="catalog.json"' in (catalog / "index.html").read_text("utf-8")
    for place in (f"{NAME}/collection.json", f"{NAME}/{CHAMPION}/{CHAMPION}.json"):
        links = json.loads((catalog / place).read_text("utf-8"))["links"]
        [about] = [link for link in links if link["rel"] == "about"]
        assert (catalog / place).parent.joinpath(about["href"]).resolve() == page.resolve()


def test_the_same_again_changes_nothing_and_what_is_new_comes_in(catalog: Path, tmp_path: Path) -> None:
    before = open_catalog(catalog).get(CHAMPION)
    assert run("pages", catalog).exit_code == 0
    first = content(catalog)
    assert run("pages", catalog).exit_code == 0
    assert content(catalog) == first
    opened = open_catalog(catalog)
    assert opened.publish(before).id == CHAMPION, "a page makes no other item"
    opened.publish(Examples(tmp_path / "new").item(version="9.0.0"))
    assert run("pages", catalog).exit_code == 0
    assert "9.0.0" in (catalog / "convlstm-knmi" / "index.html").read_text("utf-8")
    copied = open_catalog(tmp_path / "copy", create=True)
    sync(opened, copied)
    links = [link.to_dict(transform_href=False) for link in copied.get(CHAMPION).links]
    assert not [link for link in links if PAGE_FIELD in link]
    opened.delete("convlstm-knmi-9.0.0-torch")
    assert run("pages", catalog).exit_code == 0
    assert "9.0.0" not in (catalog / "convlstm-knmi" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("place", ["index.html", "unet/index.html"])
def test_a_page_of_somebody_else_is_left_alone(catalog: Path, place: str) -> None:
    (catalog / place).write_text("<h1>mine</h1>")
    before = content(catalog)
    done = run("pages", catalog)
    assert done.exit_code in {1, 2}
    assert "no page of modelstac" in done.stderr
    assert content(catalog) == before


def test_any_catalog_has_pages_elsewhere_with_their_pictures(made: Path, tmp_path: Path) -> None:
    into = open_catalog(tmp_path / "models.sqlite", create=True)
    sync(open_catalog(made), into)
    before = content(made)
    assert run("pages", tmp_path / "models.sqlite").exit_code != 0, "beside a file there is no place"
    for source in (tmp_path / "models.sqlite", made):
        out = tmp_path / f"out-{source.name}"
        done = run("pages", source, "--output", out)
        assert done.exit_code == 0, done.output
        assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == sorted(
            ["index.html", *(f"{name}.html" for name in (NAME, "convlstm-knmi", "pacific", "unet"))]
        )
        page = (out / f"{NAME}.html").read_text("utf-8")
        assert page.count('<img src="data:image/png;base64,') == 2
        assert f"{NAME}@champion" in page
        assert str(tmp_path) not in page.replace(str(source), ""), "nothing of this machine but what was given"
    assert content(made) == before


def test_the_report_writes_pages_and_leads_to_them(made: Path, tmp_path: Path) -> None:
    done = run("report", "-c", made, "-o", tmp_path / "report.html", "--pages", tmp_path / "pages")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report.html").read_text("utf-8")
    assert f'<a href="pages/{NAME}.html">Page of {NAME}</a>' in text
    heads = re.findall(r'<th scope="col">([^<]+)</th>', text)
    assert "mIoU" in heads, "the main metric is among those shown"


def test_a_picture_that_is_gone_is_left_out_and_named(catalog: Path, tmp_path: Path) -> None:
    (catalog / NAME / CHAMPION / "thumbnail.png").write_bytes(picture((9, 9)))
    done = run("pages", catalog, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert f"a picture of {CHAMPION} is left out" in done.stderr
    assert (tmp_path / "out" / f"{NAME}.html").read_text("utf-8").count("<img") == 1


def write_scene(path: Path, bands: tuple[str, ...]) -> None:
    import rasterio

    shape = {"height": 32, "width": 32, "count": len(bands), "dtype": "float32"}
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_500_000)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=transform, **shape) as scene:
        scene.write(np.random.default_rng(1).random((len(bands), 32, 32), "float32"))
        scene.descriptions = bands


def test_the_lines_to_try_run(tmp_path: Path) -> None:
    shape: list[int | str | None] = ["n", 3, "h", "w"]
    path = graph(tmp_path / "net.onnx", [("Relu", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    said: dict[str, Any] = {
        "name": "relu-net",
        "task": "regression",
        "architecture": "Relu",
        "license": "MIT",
        "bbox": [5, 50, 10, 55],
        "datetime": "2020",
        "input_dims": ["batch", "bands", "height", "width"],
        "output_dims": ["batch", "bands", "height", "width"],
        "bands": ["a", "b", "c"],
        "output_bands": ["a", "b", "c"],
        "metrics": {"accuracy": 0.5, "reliability": 0.9},
        "main_metric": "reliability",
        "example": np.random.default_rng(0).random((1, 3, 8, 8), "float32"),
    }
    item = modelstac.publish(path, catalog=tmp_path / "catalog", alias="champion", **said)
    assert item.properties["interop:main_metric"] == "reliability"
    assert run("pages", tmp_path / "catalog").exit_code == 0
    page = (tmp_path / "catalog" / "relu-net" / "index.html").read_text("utf-8")
    assert "0.900 <span>reliability, the metric that its publisher names</span>" in page
    assert "modelstac test relu-net@champion" in page
    code, shell = (html.unescape(one) for one in re.findall(r"<code>([^<]+)</code></pre>", page)[:2])
    names: dict[str, Any] = {}
    exec(code, names)
    assert np.array_equal(names["result"], np.zeros((1, 3, 64, 64), "float32"))
    write_scene(tmp_path / "scene.tif", ("a", "b", "c"))
    for line in shell.splitlines()[1:]:
        words = line.replace("scene.tif", str(tmp_path / "scene.tif")).replace("map.tif", str(tmp_path / "map.tif"))
        done = CliRunner().invoke(main, words.split()[1:], env={"MODELSTAC_CATALOG": str(tmp_path / "catalog")})
        assert done.exit_code == 0, done.output
    assert (tmp_path / "map.tif").is_file()


def test_a_main_metric_that_is_no_score_is_refused(tmp_path: Path) -> None:
    shape: list[int | str | None] = ["n", 3]
    path = graph(tmp_path / "net.onnx", [("Relu", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    done = run(
        *("publish", path, "--name", "relu-net", "--task", "regression", "--architecture", "Relu", "--license", "MIT"),
        *("--bbox", "5,50,10,55", "--datetime", "2020", "--input-dims", "batch,feature", "--output-dims"),
        *("batch,feature", "--metrics", "mIoU=0.7", "--main-metric", "miou", "-c", tmp_path / "catalog"),
    )
    assert done.exit_code == 2
    assert "main_metric 'miou' is none of the metrics: did you mean 'mIoU'?" in done.stderr
    assert not (tmp_path / "catalog").exists()


@pytest.fixture(scope="module")
def written(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Path(shutil.copytree(made, tmp_path_factory.mktemp("shown") / "catalog"))
    assert run("pages", copy).exit_code == 0
    return copy


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


def show(browser: webdriver.Chrome, page: Path, width: str = "desk", scheme: str = "light") -> None:
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", size | {"deviceScaleFactor": 1, "mobile": width == "phone"}
    )
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    browser.get(page.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("place", ["index.html", f"{NAME}/index.html", "convlstm-knmi/index.html"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    written: Path, browser: webdriver.Chrome, place: str, width: str, scheme: str
) -> None:
    browser.get_log("browser")
    show(browser, written / place, width, scheme)
    for details in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", details)
    found = Axe().run(browser)
    assert not [(v["id"], [node["html"][:90] for node in v["nodes"]]) for v in found["violations"]]
    assert {"color-contrast", "region", "heading-order"} <= {rule["id"] for rule in found["passes"]}
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert all(
        browser.execute_script("return arguments[0].naturalWidth", one)
        for one in browser.find_elements(By.TAG_NAME, "img")
    )
    assert not browser.get_log("browser"), "the policy of a page lets all of it in"


def test_a_button_copies_and_is_not_there_without_scripts(written: Path, browser: webdriver.Chrome) -> None:
    page = written / NAME / "index.html"
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    show(browser, page)
    assert not any(one.is_displayed() for one in browser.find_elements(By.TAG_NAME, "button"))
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    show(browser, page)
    button = browser.find_element(By.CSS_SELECTOR, "button[aria-label='Copy: Python']")
    button.click()
    said = browser.find_element(By.ID, "said")
    WebDriverWait(browser, 20).until(lambda _: said.get_attribute("textContent"))
    assert said.get_attribute("textContent") in {"Copied.", "Selected: copy it with the keyboard."}
    if said.get_attribute("textContent") != "Copied.":
        assert "modelstac.load(" in browser.execute_script("return getSelection().toString()")


def test_the_keyboard_gets_past_the_contents(written: Path, browser: webdriver.Chrome) -> None:
    show(browser, written / NAME / "index.html")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.get_attribute("class") == "skip"
    assert skip.rect["x"] >= 0
    skip.send_keys(Keys.ENTER)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("aria-label") == "Copy: Python"
    assert TORCH not in browser.page_source
