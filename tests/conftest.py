"""Fixtures that every room's tests may use."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.needs import left_out, table

from modelstac.catalog.errors import DownloadError, MissingPackageError, NotFoundError

LONGEST = (
    *("test_docs.py", "exporters/test_every_route.py", "exporters/test_keras_routes.py", "test_notebooks.py"),
    *("exporters/test_several_tensors.py", "benchmarks/test_corpus.py", "cli/test_jobs.py", "cli/test_matrix.py"),
    *("catalog/test_contract.py", "exporters/test_any_model.py", "registry/test_runtimes.py"),
    *("training/test_parallel.py", "exporters/test_several_proved.py", "catalog/server/test_many_writers.py"),
    *("exporters/test_jobs.py", "exporters/test_programs.py", "registry/exchange/test_mlflow.py"),
    *("catalog/server/test_webhooks.py", "registry/probing/test_table.py", "registry/scenes/test_running_exactly.py"),
    *("registry/publishing/test_files.py", "registry/probing/test_keras_networks.py", "catalog/server/test_places.py"),
    *("catalog/server/test_bulk.py", "exporters/test_unet.py", "exporters/test_diff.py", "training/test_fit.py"),
    *("training/test_repeatable.py", "registry/publishing/test_scripts.py", "registry/test_describing_keras.py"),
    *("registry/test_budgets.py", "registry/test_keras.py", "catalog/server/test_browser.py"),
)
"""Files that take a quarter of a minute or more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that at the end no process waits for another."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have Python look for cycles less often, and never in the tests and what they import: they stay."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    return collected


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the search indexes of the tests' catalogs out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder ``shared`` beside the checkout, which holds real frames and reference schemas."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs real data: the folder {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def _package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where uv finds no packages, as on a train; in CI such a test runs, and fails."""
    if os.environ.get("CI"):
        return
    from modelstac.registry.isolated.environments import compile_lock

    folder = tmp_path_factory.mktemp("index")
    try:
        compile_lock("numpy", python=sys.executable, folder=folder, purpose="the test", timeout=60)
    except (DownloadError, MissingPackageError, NotFoundError) as error:
        left_out("uv and a package index", str(error))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests out of the user's cache."""
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with one table of what was left out, and the command that brings it."""
    reports = terminalreporter.stats.get("skipped", [])
    if reports:
        terminalreporter.section("left out")
        terminalreporter.write("\n".join(table(report.longrepr[2] for report in reports)) + "\n")
