"""The study of the thesis's training, on a grid of a few pixels: it trains, scores and writes its page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks import thesis

from modelstac.training.data.synthetic import generate


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Train one variant for two epochs and write the page."""
    folder = tmp_path_factory.mktemp("thesis")
    generate(folder / "rain", 80, seed=1, shape=(48, 44))
    study = thesis.Study("Small", (12, 11), 2, 2, (1, 2), {"native PyTorch": ("torch", "thesis-pytorch")})
    thesis.train(study, "native PyTorch", folder / "rain", folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thesis, "QUARTER", study)
        thesis.page([study, study], folder / "rain", folder / "out", folder / "results")
    return folder, study


def test_it_keeps_what_it_trained(made):
    folder, study = made
    out = study.folder(folder / "out", "native PyTorch")
    losses = thesis.history(study, folder / "out", "native PyTorch")
    assert len(losses) == 2
    assert losses[1][1] < losses[0][1] < 1.5
    assert np.load(out / "forecast.npy").shape[1:] == (18, 12, 11)
    assert json.loads((out / "cost.json").read_text())["packages"].keys() == {"torch"}


def test_the_page_has_both_definitions_beside_baselines(made):
    text = (made[0] / "results" / "thesis.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for title in ("native PyTorch", "persistence", "no rain where measured", "no rain anywhere"):
        assert title in rows
    numbers = [cell.strip() for cell in rows["persistence"].split("|")[2:-1]]
    assert all(float(number) >= 0 for number in numbers)
    assert "0.1093 / 0.1077" in text
    assert (made[0] / "results" / "thesis-losses.png").stat().st_size > 10_000


def test_a_perfect_forecast_has_a_cross_entropy_above_nothing(made):
    folder, study = made
    targets = np.full((1, 18, 12, 11), 0.25, np.float32)
    rows = thesis.bce(study, folder / "out", targets).rows
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert rows[-1][-1] == f"– / {entropy:.4f}"
