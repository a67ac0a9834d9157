"""Generated frames for the tests of this room, and the real ones where they lie beside the checkout."""

from pathlib import Path

import pytest

from modelstac.training.data.synthetic import generate


@pytest.fixture(scope="session")
def knmi_folder():
    """The 92 public frames of 26 August 2010, which are no part of the repository."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "knmi"
    if not folder.is_dir():
        pytest.skip("the real radar frames are not in ../shared/data/knmi beside the checkout")
    return folder


@pytest.fixture(scope="session")
def rain_folder(tmp_path_factory):
    """Forty generated frames of 48 x 40 pixels; tests that change files copy them first."""
    folder = tmp_path_factory.mktemp("rain")
    generate(folder, 40, seed=1, shape=(48, 40))
    return folder
