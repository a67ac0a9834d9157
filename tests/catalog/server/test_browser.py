"""STAC Browser, built from npm with our labels and driven in Chromium: what a person sees of a model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import ROOT, Server, serving

from modelstac.catalog.api import ApiCatalog

BUILT = ROOT / ".browser" / "dist"


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not BUILT.is_dir() or not program or not driver:
        message = "needs STAC Browser and Chromium: deploy/browser/build; apt-get install chromium chromium-driver"
        if os.environ.get("MODELSTAC_TEST_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'chromium'}",
    ):
        options.add_argument(argument)
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, "--catalog", str(tmp_path / "models.sqlite"), "--browser", str(BUILT)) as server:
        yield server


def test_a_person_finds_a_model(chromium: webdriver.Chrome, shown: Server, describe: Describe) -> None:
    ApiCatalog(shown.href, key=shown.key).publish(describe().to_item())

    def says(*words: str) -> None:
        def all_there(driver: webdriver.Chrome) -> bool:
            text = driver.find_element(By.TAG_NAME, "body").text
            return all(word in text for word in words)

        WebDriverWait(chromium, 40).until(all_there, f"no {words} at {chromium.current_url}")

    chromium.get(f"{shown.href}/browser/")
    says("ConvLSTM rain nowcasting")
    chromium.get(f"{shown.href}/browser/collections/convlstm-knmi")
    says("ConvLSTM rain nowcasting (PyTorch)")
    chromium.get(f"{shown.href}/browser/collections/convlstm-knmi/items/convlstm-knmi-1.0.0-torch")
    says("Version of the framework", "2.13.0+cpu", "PyTorch", "frames: batch any × time 18 × height any")
