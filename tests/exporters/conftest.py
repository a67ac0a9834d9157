"""Weights as after training, sources to convert, Keras in a process of its own, and the workers of all conversions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from modelstac.exporters.workers import Workers


def _neighbour(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sources():
    return _neighbour(Path(__file__).with_name("sources.py"))


@pytest.fixture(scope="session")
def make_weights(sources):
    return sources.trained_looking_weights


@pytest.fixture(scope="session")
def keras_process():
    return _neighbour(Path(__file__).parents[1] / "training" / "keras_process.py")


@pytest.fixture(scope="session")
def workers():
    """The processes of the tests that do not look at their start or end: each imports its framework once."""
    with Workers() as shared:
        yield shared
