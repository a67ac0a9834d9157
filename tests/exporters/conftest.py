"""Weights as after training, sources to convert, Keras in a process of its own, and the workers of all conversions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.workers import Workers
from modelstac.registry.loading import load


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


SERIES = ("batch", "time", "feature")


@pytest.fixture
def of_series(tmp_path):
    """Give a catalog, and what publishes a module of series with an array as its example there."""
    catalog = open_catalog(tmp_path / "catalog", create=True)

    def publish(module, x):
        return modelstac.publish(
            module,
            example=x,
            catalog=catalog,
            name="series",
            version="1.0.0",
            task="regression",
            architecture="Net",
            license="CC-BY-4.0",
            bbox=(5, 50, 10, 55),
            datetime="2020",
            input_dims=SERIES,
            output_dims=SERIES,
        )

    return catalog, publish


@pytest.fixture
def converted(of_series, workers):
    """Publish a module of series, and give what its conversion to a format makes of an array."""
    catalog, publish = of_series

    def run(module, x, target):
        with load(export(ExportJob(publish(module, x).id, target), catalog, workers=workers)) as model:
            return np.asarray(model.predict(x))

    return run
