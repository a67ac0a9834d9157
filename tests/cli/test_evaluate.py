"""``modelstac evaluate``: a model on scenes with labels, and maps that are there already, from the command line."""

from __future__ import annotations

import json
import shutil
from datetime import date

import numpy as np
import pytest
import rasterio

from modelstac.catalog import open_catalog
from modelstac.catalog.items.writing import write_item
from modelstac.training.scenes.generating import generate_scene
from modelstac.training.scenes.landcover import describe_landcover, train_landcover


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a model that was hardly trained, and two scenes with their labels."""
    folder = tmp_path_factory.mktemp("evaluate")
    described = describe_landcover(train_landcover(steps=1, places=1, unseen=1), folder)
    open_catalog(folder / "catalog", create=True).publish(write_item(described))
    for month in (4, 7):
        name = f"month{month}"
        how = {"seed": 10, "day": date(2024, month, 1), "labels": folder / "labels" / f"{name}.tif"}
        generate_scene(folder / "scenes" / name, 96, **how)
    return folder


def truth(place, month):
    with rasterio.open(place / "labels" / f"month{month}.tif") as raster:
        return raster.read(1)


def test_a_model_is_scored_on_scenes_and_its_maps_give_the_same(place, here, modelstac_command):
    words = ("landcover", place / "scenes", place / "labels", "--catalog", place / "catalog")
    done = modelstac_command("evaluate", *words, "--json", "--keep", "maps", "--output", "metrics")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    maps, labels = ([], [])
    for name in ("month4", "month7"):
        with (
            rasterio.open(here / "maps" / f"{name}.tif") as one,
            rasterio.open(place / "labels" / f"{name}.tif") as two,
        ):
            known = two.read(1) != 0
            maps.append(one.read(1)[known])
            labels.append(two.read(1)[known])
    maps, labels = np.concatenate(maps), np.concatenate(labels)
    assert said["pixels"] == len(labels)
    assert said["scores"]["overall_accuracy"] == pytest.approx((maps == labels).mean())
    assert [one["name"] for one in said["classes"]][:2] == ["Tree cover", "Shrubland"]
    assert [scene["map"].rsplit("/", 1)[1] for scene in said["scenes"]] == ["month4", "month7"]
    for name in ("metrics.json", "metrics.csv", "metrics.png", "scores.json"):
        assert (here / "metrics" / name).stat().st_size > 100
    again = json.loads(modelstac_command("evaluate", *words, "--json").stdout)
    assert again["confusion"] == said["confusion"]
    by_maps = json.loads(modelstac_command("evaluate", "--maps", "maps", place / "labels", "--json").stdout)
    assert by_maps["confusion"] == said["confusion"]
    assert by_maps["classes"] == said["classes"]


def test_scores_of_a_class_are_numbers_where_that_is_asked_for(place, here, modelstac_command):
    scene, labels = place / "scenes" / "month4", place / "labels" / "month4.tif"
    words = ("evaluate", "landcover", scene, labels, "--catalog", place / "catalog", "--post", "softmax", "--json")
    done = modelstac_command(*words)
    assert done.returncode == 2
    assert "9 bands: say which one" in done.stderr
    said = json.loads(modelstac_command(*words, "--band", 2).stdout)
    assert (said["kind"], list(said["scores"])) == ("numbers", ["rmse", "mae", "bias", "r2"])
    assert said["scores"]["bias"] == pytest.approx(-truth(place, 4)[truth(place, 4) != 0].mean(), abs=1)
    assert not list(here.iterdir())


def test_scenes_are_read_as_predict_reads_them(place, here, modelstac_command):
    scene, labels = place / "scenes" / "month4", place / "labels" / "month4.tif"
    said = ("--catalog", place / "catalog", "--offset", "2500", "--bands", "B03,B02,B04,B08,B05,B06,B07,B8A,B11,B12")
    done = modelstac_command("predict", "landcover", scene, *said, "--output", "map.tif")
    assert done.returncode == 0, done.stderr
    found = {}
    for name, more in (("kept", said), ("plain", said[:2])):
        done = modelstac_command("evaluate", "landcover", scene, labels, *more, "--keep", name, "--json")
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)["confusion"]
    by_map = json.loads(modelstac_command("evaluate", "--maps", "map.tif", labels, "--json").stdout)
    assert found["kept"] == by_map["confusion"] != found["plain"]


def test_maps_of_scenes_that_are_called_alike_are_all_kept(place, here, modelstac_command):
    rows = []
    for month in (4, 7):
        [item] = (place / "scenes" / f"month{month}").glob("*.json")
        copy = shutil.copytree(item.parent, here / f"month{month}")
        (copy / item.name).rename(copy / "item.json")
        rows.append(f"month{month}/item.json,{place / 'labels' / f'month{month}.tif'}")
    (here / "pairs.csv").write_text("\n".join(["scene,labels", *rows]))
    done = modelstac_command("evaluate", "landcover", "pairs.csv", "--catalog", place / "catalog", "--keep", "maps")
    assert done.returncode == 0, done.stderr
    assert {one.name for one in (here / "maps").glob("*.tif")} == {"month4_item.tif", "month7_item.tif"}


def test_a_person_reads_a_table(place, here, modelstac_command):
    scene, labels = place / "scenes" / "month4", place / "labels" / "month4.tif"
    done = modelstac_command("evaluate", "landcover", scene, labels, "--catalog", place / "catalog")
    assert "overall_accuracy" in done.stdout
    assert "Permanent water bodies" in done.stdout
    assert "no intervals" in done.stdout
    assert not list(here.iterdir())


def test_labels_may_be_ignored_translated_and_listed(place, here, modelstac_command):
    rows = [f"{place / 'labels' / 'month4.tif'},{place / 'labels' / 'month7.tif'}"]
    (here / "pairs.csv").write_text("\n".join(["scene,labels", *rows]))
    values, counts = np.unique(truth(place, 7), return_counts=True)
    ignored, old, new = [int(value) for value in values[np.argsort(-counts)] if value != 0][:3]
    words = ("--ignore", ignored, "--translate", f"{old}={new}", "--json")
    done = modelstac_command("evaluate", "--maps", "pairs.csv", *words)
    said = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    labels, maps = truth(place, 7), truth(place, 4)
    known = (labels != 0) & (maps != 0) & (labels != ignored)
    assert said["pixels"] == known.sum()
    assert said["scores"]["overall_accuracy"] == pytest.approx(
        (np.where(labels == old, new, labels) == maps)[known].mean()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["landcover"], "MODEL, SCENES and LABELS"),
        (["--maps", "a", "b", "c"], "MAPS and LABELS"),
        (["landcover", "nowhere.tif", "labels.tif"], "there is no nowhere.tif"),
        (["--maps", "a.tif", "b.tif", "--translate", "x=y"], "two whole numbers"),
        (["--maps", "a.txt"], "is no list of pairs"),
        (["--maps", "a.tif", "b.tif", "--bands", "1,2"], "--maps runs no model, and --bands would say how"),
    ],
)
def test_what_makes_no_sense_is_one_line(place, modelstac_command, words, said):
    done = modelstac_command("evaluate", *words, "--catalog", place / "catalog")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_found_before_any_work(place, here, modelstac_command):
    (here / "metrics").write_text("a file")
    (here / "there" / "metrics.json").mkdir(parents=True)
    for folder, said in (
        ("metrics", "is a file"),
        ("metrics/below", "is a file"),
        ("there", "metrics.json is a folder"),
    ):
        words = ("nowhere-1.0.0-onnx", place / "scenes", place / "labels", "--catalog", place / "catalog")
        done = modelstac_command("evaluate", *words, "--output", folder)
        assert done.returncode == 2
        assert said in done.stderr  # and not that there is no such model, which is looked for after it
    assert (here / "metrics").read_text() == "a file"
