"""The page of ten minutes gives intervals over tiles where they cover, and none where they would not."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import study

from modelstac.training.scoring.metrics import score

RUNS = [study.Run("torch", seed) for seed in study.SEEDS[:2]]


@pytest.fixture(scope="module")
def scores():
    random = np.random.default_rng(0)
    observed = random.gamma(0.5, 2.0, (1, study.LEADS, 32, 32)).astype(np.float32)
    sizes = {"persistence": 1.0, "extrapolation": 0.9, RUNS[0].title: 0.3, RUNS[1].title: 0.4}
    fields = {title: observed + size * random.standard_normal(observed.shape) for title, size in sizes.items()}
    return {title: score(field, observed, tiles=4) for title, field in fields.items()}


def test_a_difference_beyond_chance_is_said_with_its_interval(scores):
    (row,) = study.over_seeds(RUNS, scores, "persistence", drawn=True).rows
    assert row[4] == "yes (2 of 2)"
    assert " to " in row[3]
    assert row[3].startswith("-0.")
    rows = {row[0]: row for row in study.verdicts(scores, dict.fromkeys(scores, 0.0), drawn=True).rows}
    assert rows[RUNS[0].title][5].startswith("RMSE yes, CSI yes")
    low, high = rows[RUNS[0].title][3].partition("(")[2].strip(")").split(" to ")
    assert float(low) < float(high) < 0


def test_without_intervals_nothing_is_said_about_chance(scores):
    tables = [study.over_seeds(RUNS, scores, "persistence", drawn=False)]
    tables += [study.verdicts(scores, dict.fromkeys(scores, 0.0), drawn=False)]
    for table in tables:
        assert not any("(" in cell for row in table.rows for cell in row[3:5])
        assert not any("chance" in cell or "yes" in cell for row in table.rows for cell in row)
    assert "no interval" in tables[0].rows[0]
    assert "errors hang together" in study.written(tables, scores, "errors hang together")
