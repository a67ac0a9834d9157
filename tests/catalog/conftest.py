"""Small descriptions of models, whose artifacts are a few bytes: the catalog never looks inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.items import ModelDescription
from modelstac.catalog.testing import example_fields

Describe = Callable[..., ModelDescription]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Return a function that describes a model; its keyword arguments replace fields."""
    folder = tmp_path / "made"
    folder.mkdir()
    artifact, metrics = folder / "model.bin", folder / "metrics.json"
    artifact.write_bytes(b"weights")
    metrics.write_text('{"rmse": 0.9}\n')

    def make(**changes: Any) -> ModelDescription:
        return ModelDescription(**(example_fields(artifact, metrics) | changes))

    return make
