"""Weights as after training, sources to convert, and Keras in a process of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


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
