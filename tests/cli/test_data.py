from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from modelstac.catalog import open_catalog
from modelstac.catalog.items.validation import validate
from modelstac.cli import main
from modelstac.training.data import Preparation, footprint, make_windows, read_frames
from modelstac.training.data.store import prepare
from modelstac.training.data.synthetic import generate
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.recipes import RECIPES
from modelstac.training.jobs.train import train
from modelstac.training.spec import ConvLSTMSpec


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


def test_generated_frames_are_read_like_others_and_another_seed_gives_other_rain(tmp_path):
    first, other = (tmp_path / name for name in ("first", "other"))
    result = run("generate", first, "--frames", 2)
    assert result.exit_code == 0, result.output
    assert "holds 2 frames, RAD_NL25_RAP_5min_201008260000.h5 to" in result.output
    assert run("generate", other, "--frames", 2, "--seed", 1).exit_code == 0
    rates = [read_frames(folder)["rainfall_rate"].values for folder in (first, other)]
    assert rates[0].shape == rates[1].shape == (2, 765, 700)
    assert not np.array_equal(*rates, equal_nan=True)


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


def test_a_model_links_to_the_dataset_that_it_was_trained_on(tmp_path):
    generate(tmp_path / "frames", 16, seed=4, shape=(24, 24))
    preparation = Preparation(rows=None, columns=None)
    prepare(read_frames(tmp_path / "frames"), tmp_path / "rain.zarr", preparation, frames=4)
    catalog = tmp_path / "catalog"
    publish = ("publish", tmp_path / "rain.zarr", "--name", "rain", "--catalog", catalog)
    result = run(*publish)
    assert (result.exit_code, result.output) == (0, "published rain-1.0.0-data\n")
    assert run(*publish).exit_code == 0, "the same again changes nothing"

    item = open_catalog(catalog).get("rain-1.0.0-data")
    validate(item)
    packed = item.assets["data"].href
    np.testing.assert_array_equal(
        read_frames(packed).rainfall_rate.values,
        preparation.apply(read_frames(tmp_path / "frames")).rainfall_rate.values,
    )
    assert item.properties["interop:frames"] == 16
    assert item.properties["license"] == "MIT"
    assert item.bbox == pytest.approx(footprint(read_frames(packed))[1], abs=1e-6)

    job = TrainJob(
        variant="torch",
        data=packed,
        architecture=ConvLSTMSpec(filters=(2,), kernels=(3,), frames=2),
        fit=FitSpec(epochs=1, batch_size=4),
        preparation=preparation,
        name="small",
        data_href="rain-1.0.0-data",
    )
    model = train(job, open_catalog(catalog))
    (link,) = model.get_links("derived_from")
    assert Path(link.get_absolute_href()).samefile(item.get_self_href())
    shown = CliRunner().invoke(main, ["search", "--catalog", str(catalog)])
    assert "rain-1.0.0-data" in shown.output
    refused = CliRunner().invoke(main, ["predict", "rain-1.0.0-data", str(tmp_path), "--catalog", str(catalog)])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1


def test_an_unfinished_store_is_not_published(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    result = run("publish", tmp_path / "a.zarr", "--name", "rain", "--catalog", tmp_path / "catalog")
    assert result.exit_code == 2
    assert not (tmp_path / "catalog").exists()


def test_a_scene_is_generated(tmp_path):
    labels = tmp_path / "labels.tif"
    result = run("scene", tmp_path / "scene", "--size", 64, "--date", "2024-09-15", "--labels", labels)
    assert result.exit_code == 0, result.output
    assert "holds 10 bands and S2_32ULC_20240915.json" in result.output
    assert labels.is_file()
    assert run("scene", tmp_path / "radar", "--size", 64, "--sensor", "sentinel-1").exit_code == 0
    assert len(list((tmp_path / "radar").glob("*.tif"))) == 2


def test_a_scene_that_there_is_not_is_one_line(tmp_path):
    for words in (("--size", 7), ("--sensor", "landsat"), ("--clouds", 3)):
        result = run("scene", tmp_path / "scene", *words)
        assert result.exit_code != 0
        assert not (tmp_path / "scene").exists()
