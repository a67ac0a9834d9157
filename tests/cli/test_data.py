import pytest
from click.testing import CliRunner

from modelstac.cli import main
from modelstac.training.data import Preparation, make_windows, read_frames
from modelstac.training.data.synthetic import generate
from modelstac.training.jobs import RECIPES


@pytest.fixture(scope="module")
def national(tmp_path_factory):
    """Nine frames of the national grid, which the presets of training crop."""
    folder = tmp_path_factory.mktemp("national")
    generate(folder, 9, seed=2)
    return folder


def run(*arguments):
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def test_frames_are_prepared_as_a_preset_of_training_wants_them(national, tmp_path):
    store = tmp_path / "rain.zarr"
    result = run("prepare", national, store, "--preset", "tiny", "--window", 4)
    assert result.exit_code == 0, result.output
    assert "holds 9 frames of 64 x 64 pixels" in result.output
    preparation: Preparation = RECIPES["tiny"][1]
    windows = make_windows(preparation.apply(read_frames(store)), 2, 2)
    expected = make_windows(preparation.apply(read_frames(national)), 2, 2)
    assert (windows.inputs([0, 5]) == expected.inputs([0, 5])).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--preset", "tinny"], "did you mean 'tiny'?"), ([], "prepared from other frames or in another way")],
)
def test_what_cannot_be_prepared_is_one_line(national, tmp_path, arguments, words):
    store = tmp_path / "rain.zarr"
    assert run("prepare", national, store, "--preset", "tiny").exit_code == 0
    result = run("prepare", national, store, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
