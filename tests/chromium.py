"""Chromium from Debian, driven by selenium, in a profile of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from tests.needs import left_out


@contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """Start the browser; without one the test is skipped, and fails where everything must run."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        left_out("Chromium", "apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'chromium'}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield found
    found.quit()
