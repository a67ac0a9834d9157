"""Names of others in pictures: no formulas, no empty boxes, and no warnings about letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.registry.scenes.test_evaluating import noisy, raster

from modelstac.registry.scenes.evaluating.evaluation import evaluate_maps
from modelstac.registry.scenes.evaluating.picture import picture
from modelstac.registry.scenes.lettering import drawable
from modelstac.registry.scenes.rasters import Class

NAMES = ("costs $5, not $10", r"$\foo$", "城市")


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Forêt", "Forêt"),
        ("Вода", "Вода"),
        ("城市", "class 3"),
        (r"$\foo$", r"\$\foo\$"),
        ("land\tuse\n2", "land use 2"),
        ("z" * 50, "z" * 35 + "…"),
    ],
)
def test_a_name_is_drawn_as_it_is_written_or_otherwise(name: str, drawn: str) -> None:
    assert drawable(name, "class 3") == drawn


@pytest.mark.filterwarnings("error")
def test_scores_of_classes_of_any_name_have_a_picture(tmp_path: Path) -> None:
    mapped, truth = noisy(0)
    pairs = [(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))]
    found = evaluate_maps(pairs, classes=[Class(value, name) for value, name in enumerate(NAMES, 1)])
    (tmp_path / "metrics.png").write_bytes(picture(found))
    with Image.open(tmp_path / "metrics.png") as drawn:
        assert np.asarray(drawn.convert("L")).std() > 10
