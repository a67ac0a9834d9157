"""Evaluating maps: scores equal to the formulas of scikit-learn, written out by hand, on whatever grid labels lie."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from PIL import Image

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.evaluating.classes import scores_by_class, scores_of_all
from modelstac.registry.scenes.evaluating.evaluation import evaluate_maps
from modelstac.registry.scenes.evaluating.grids import Rules
from modelstac.registry.scenes.evaluating.numbers import scores_of_numbers, sums
from modelstac.registry.scenes.evaluating.pooling import FEWEST_SCENES, intervals
from modelstac.registry.scenes.evaluating.writing import read_metrics, write_evaluation
from modelstac.registry.scenes.rasters import Class

PLACE = Affine(10, 0, 500_000, 0, -10, 5_800_000)
CLASSES = (Class(1, "Water"), Class(2, "Wood"), Class(3, "Town"))


def raster(path, values, *, transform=PLACE, crs="EPSG:32632", nodata=None):
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", dtype=values.dtype, crs=crs, transform=transform, nodata=nodata, **how) as out:
        out.write(values)
    return str(path)


def noisy(seed, shape=(96, 128), wrong=0.3):
    random = np.random.default_rng(seed)
    truth = random.integers(1, 4, shape, np.uint8)
    return np.where(random.random(shape) < wrong, random.integers(1, 4, shape, np.uint8), truth), truth


# The oracle: sklearn.metrics' definitions, pixel by pixel, with nothing of what is tested.


def by_hand(mapped, truth):
    found = {}
    labels = sorted({*mapped.ravel(), *truth.ravel()})
    for label in labels:
        true, taken = truth == label, mapped == label
        both = (true & taken).sum()
        precision, recall = both / taken.sum() if taken.any() else 0.0, both / true.sum() if true.any() else 0.0
        f1 = 2 * precision * recall / (precision + recall) if both else 0.0
        found[label] = {"iou": both / (true | taken).sum(), "f1": f1}
    agreed = (mapped == truth).mean()
    chance = sum((mapped == label).mean() * (truth == label).mean() for label in labels)
    total = {
        "overall_accuracy": agreed,
        "miou": np.mean([one["iou"] for one in found.values()]),
        "macro_f1": np.mean([one["f1"] for one in found.values()]),
        "kappa": (agreed - chance) / (1 - chance) if chance < 1 else np.nan,
    }
    return total, found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_scores_of_classes_are_those_of_scikit_learn(data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    mapped, truth = (data.draw(arrays(np.uint8, shape, elements=st.integers(0, 3))) for _ in range(2))
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (truth.ravel(), mapped.ravel()), 1)
    total, each = by_hand(mapped, truth)
    for name, value in scores_of_all(confusion).items():
        np.testing.assert_allclose(value, total[name], atol=1e-12)
    for label, expected in each.items():
        for name, value in expected.items():
            assert scores_by_class(confusion)[name][label] == pytest.approx(value)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (2, 3, 4), elements=st.floats(-100, 1000, width=32)))
def test_scores_of_numbers_are_those_of_scikit_learn(both):
    mapped, truth = both.astype(np.float64)
    found = scores_of_numbers(sums(mapped, truth, float(truth.flat[0])))
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((mapped - truth) ** 2)))
    assert found["mae"] == pytest.approx(np.mean(np.abs(mapped - truth)))
    assert found["bias"] == pytest.approx(np.mean(mapped - truth), abs=1e-9)
    spread = ((truth - truth.mean()) ** 2).sum()
    if spread > 1e-6:
        assert found["r2"] == pytest.approx(1 - ((mapped - truth) ** 2).sum() / spread, rel=1e-6, abs=1e-9)


def test_sums_keep_their_digits_where_labels_are_large():
    truth = 101_325.0 + np.linspace(0, 0.5, 1000)
    found = scores_of_numbers(sums(truth + 0.01, truth, float(truth[0])))
    assert found["r2"] == pytest.approx(1 - 1e-4 / truth.var(), rel=1e-6)


def test_maps_are_pooled_pixel_by_pixel_and_not_scene_by_scene(tmp_path):
    pairs, everything = [], []
    for k, (shape, wrong) in enumerate((((40, 30), 0.9), ((300, 270), 0.1))):
        mapped, truth = noisy(k, shape, wrong)
        everything.append((mapped.ravel(), truth.ravel()))
        pairs.append((raster(tmp_path / f"m{k}.tif", mapped), raster(tmp_path / f"l{k}.tif", truth)))
    found = evaluate_maps(pairs, classes=CLASSES)
    total, each = by_hand(*map(np.concatenate, zip(*everything, strict=True)))
    assert found.scores == pytest.approx(total)
    assert found.by_class["iou"] == pytest.approx([each[k]["iou"] for k in (1, 2, 3)])
    assert found.pixels == sum(len(one) for one, _ in everything)
    assert [scene["miou"] for scene in found.scenes] == pytest.approx([by_hand(*one)[0]["miou"] for one in everything])


def test_nodata_and_ignored_values_count_as_nothing_and_it_is_said_what_the_map_lacks(tmp_path):
    mapped, truth = noisy(0)
    mapped[:10], truth[:, :8] = 0, 255
    truth[-5:, 20:] = 9
    pairs = [(raster(tmp_path / "m.tif", mapped, nodata=0), raster(tmp_path / "l.tif", truth, nodata=255))]
    found = evaluate_maps(pairs, classes=CLASSES, rules=Rules(ignore=(9,)))
    known = (mapped != 0) & (truth != 255) & (truth != 9)
    assert found.pixels == known.sum()
    assert found.scores == pytest.approx(by_hand(mapped[known], truth[known])[0])
    lost = ((mapped == 0) & (truth != 255) & (truth != 9)).sum()
    assert found.scenes[0]["unmapped"] == lost
    assert f"{lost / (lost + known.sum()):.2%}" in found.notes[0]


def test_a_label_that_is_no_class_counts_as_missed_and_is_named(tmp_path):
    mapped, truth = noisy(1)
    truth[:20] = 7
    found = evaluate_maps([(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))], classes=CLASSES)
    assert [one.name for one in found.classes] == ["Water", "Wood", "Town", "7"]
    assert found.by_class["iou"][3] == 0
    assert "labels have 7, no class of the maps" in found.notes[0]


def test_labels_may_be_coded_otherwise(tmp_path):
    mapped, truth = noisy(2)
    swapped = np.array([0, 2, 1, 30])[truth].astype(np.int16)  # Water and Wood change places
    pairs = [(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", swapped))]
    found = evaluate_maps(pairs, classes=CLASSES, rules=Rules(translate={1: 2, 2: 1, 30: 3}))
    assert found.scores == pytest.approx(by_hand(mapped, truth)[0])


def test_values_of_classes_may_lie_far_apart(tmp_path):
    mapped, truth = (np.array([-7, 40_000, 3, 2])[one].astype(np.int32) for one in noisy(2))
    found = evaluate_maps([(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))])
    assert found.scores == pytest.approx(by_hand(mapped, truth)[0])
    assert [one.value for one in found.classes] == [2, 3, 40_000]


def test_labels_of_a_larger_area_are_cut_out_where_pixels_meet(tmp_path):
    _, truth = noisy(3, (200, 200))
    mapped = truth[40:140, 60:160].copy()
    place = PLACE @ Affine.translation(60, 40)
    pairs = [(raster(tmp_path / "m.tif", mapped, transform=place), raster(tmp_path / "l.tif", truth))]
    found = evaluate_maps(pairs)
    assert (found.scores["overall_accuracy"], found.pixels) == (1.0, 10_000)


def test_labels_on_another_grid_are_refused_or_resampled(tmp_path):
    mapped = np.kron(np.random.default_rng(0).integers(1, 4, (50, 40)), np.ones((2, 2))).astype(np.uint8)
    coarse = mapped[::2, ::2]
    labels = raster(tmp_path / "l.tif", coarse, transform=PLACE @ Affine.scale(2))
    pairs = [(raster(tmp_path / "m.tif", mapped), labels)]
    with pytest.raises(
        DataError, match=r"another grid \(EPSG:32632, 40 x 50 pixels of 20 from 500000, 5800000\).*--resample nearest"
    ):
        evaluate_maps(pairs)
    found = evaluate_maps(pairs, rules=Rules(resample=True))
    assert (found.scores["miou"], found.pixels) == (1.0, mapped.size)


TYPES = ["uint8", "int8", "int16", "uint32", "int64", "uint64", "float32", "float64"]


@pytest.mark.parametrize(
    ("dtype", "how"), [*((dtype, how) for dtype in TYPES for how in ("nothing", "nodata", "alpha")), ("uint8", "mask")]
)
def test_what_labels_of_another_grid_leave_out_counts_as_nothing_whatever_their_type(tmp_path, dtype, how):
    """GDAL's warped rasters give masks of bytes alone, and no nodata of 64 bits."""
    random = np.random.default_rng(0)
    mapped, coarse, known = (random.integers(1, 4, (40, 60)), random.integers(1, 4, (20, 20)), np.ones((20, 20), bool))
    known[:5] = how == "nothing"
    labels = tmp_path / "l.tif"
    stored = np.where(known, coarse, 9 if how == "nodata" else 2)
    stored = np.stack([stored, known * 100]) if how == "alpha" else stored
    raster(labels, stored.astype(dtype), transform=PLACE @ Affine.scale(2), nodata=9 if how == "nodata" else None)
    with rasterio.open(labels, "r+") as file:
        if how == "alpha":
            file.colorinterp = [rasterio.enums.ColorInterp.gray, rasterio.enums.ColorInterp.alpha]
        if how == "mask":
            file.write_mask(known)
    pairs = [(raster(tmp_path / "m.tif", mapped.astype(np.uint8)), str(labels))]
    found = evaluate_maps(pairs, rules=Rules(resample=True), kind="classes")
    fine, there = (np.kron(one, np.ones((2, 2), int)) for one in (coarse, known))
    total, _ = by_hand(mapped[:, :40][there > 0], fine[there > 0])
    assert found.pixels == there.sum()
    assert found.scores == pytest.approx(total)


def test_labels_from_south_to_north_lie_on_the_same_pixels(tmp_path):
    mapped, truth = noisy(5, (40, 60))
    turned = raster(tmp_path / "l.tif", truth[::-1], transform=PLACE @ Affine.translation(0, 40) @ Affine.scale(1, -1))
    found = evaluate_maps([(raster(tmp_path / "m.tif", mapped), turned)])
    assert found.scores == pytest.approx(by_hand(mapped, truth)[0])


@pytest.mark.parametrize(("dtype", "code"), [("float32", -999.9), ("float32", -3.4028235e38), ("int16", -999)])
def test_ignored_values_are_those_of_the_file_in_its_type(tmp_path, dtype, code):
    truth = np.arange(200).reshape(10, 20).astype(dtype)
    mapped = raster(tmp_path / "m.tif", (truth * 0.5 + 1).astype("float32"))
    truth[:3] = np.asarray(code).astype(dtype)
    labels = raster(tmp_path / "l.tif", truth)
    with rasterio.open(labels, "r+") as file:
        file.scales = (0.5,)
    found = evaluate_maps([(mapped, labels)], rules=Rules(ignore=(code,)))
    assert (found.pixels, found.scores["bias"], found.scores["rmse"]) == (140, 1, 1)


def test_labels_that_number_the_same_names_otherwise_are_refused(tmp_path):
    mapped, truth = noisy(6)
    named = {}
    for name, values, names in (("m", mapped, ("Water", "Wood", "Town")), ("l", truth, ("wood", "water", "Stadt"))):
        named[name] = raster(tmp_path / f"{name}.tif", values)
        with rasterio.open(named[name], "r+") as file:
            file.update_tags(1, **{f"CLASS_{number}": one for number, one in enumerate(names, 1)})
    pairs = [(named["m"], named["l"])]
    with pytest.raises(DataError, match=r"call 1 'wood', and the map calls 2 so: say --translate 1=2 --translate 2=1"):
        evaluate_maps(pairs)
    found = evaluate_maps(pairs, rules=Rules(translate={1: 2, 2: 1}))
    assert found.scores == pytest.approx(by_hand(mapped, np.array([0, 2, 1, 3])[truth])[0])
    assert evaluate_maps(pairs, rules=Rules(translate={1: 1, 2: 2})).scores == pytest.approx(by_hand(mapped, truth)[0])


def test_classes_whose_names_are_alike_in_ascii_have_scores_of_their_own(tmp_path):
    mapped, truth = noisy(7)
    pairs = [(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))]
    found = evaluate_maps(pairs, classes=(Class(1, "Äcker"), Class(2, "acker"), Class(3, "水")))
    iou = found.by_class["iou"]
    assert {k: v for k, v in found.flat().items() if k.startswith("iou")} == pytest.approx(
        {"iou_acker_1": iou[0], "iou_acker_2": iou[1], "iou_3": iou[2]}, abs=1e-6
    )


def test_labels_that_cover_a_part_say_nothing_of_the_rest(tmp_path):
    mapped, truth = noisy(4, (64, 64))
    labels = raster(tmp_path / "l.tif", truth[:16, :16])
    found = evaluate_maps([(raster(tmp_path / "m.tif", mapped), labels)])
    assert found.pixels == 256
    assert found.scores == pytest.approx(by_hand(mapped[:16, :16], truth[:16, :16])[0])


def test_a_map_of_numbers(tmp_path):
    random = np.random.default_rng(0)
    truth = random.normal(20, 5, (80, 90)).astype(np.float32)
    mapped = truth + random.normal(0.5, 1, truth.shape).astype(np.float32)
    mapped[0], truth[:, 0] = np.nan, -9999
    pairs = [(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth, nodata=-9999))]
    found = evaluate_maps(pairs, unit="m")
    error = (mapped - truth)[1:, 1:].astype(np.float64)
    assert found.scores["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found.scores["bias"] == pytest.approx(error.mean())
    assert set(found.flat()) == {"rmse_m", "mae_m", "bias_m", "r2"}


def test_numbers_are_compared_as_their_scale_and_offset_make_them(tmp_path):
    """Labels of 0 to 200 with a scale of 0.5 are 0 to 100, also where they are brought onto another grid."""
    truth = np.random.default_rng(0).integers(0, 200, (8, 9))
    mapped = raster(tmp_path / "map.tif", np.kron(truth * 0.5 - 3 + 1.25, np.ones((2, 2))).astype("float32"))
    labels = raster(tmp_path / "labels.tif", truth.astype("uint8"), transform=PLACE @ Affine.scale(2))
    with rasterio.open(labels, "r+") as file:
        file.scales, file.offsets = (0.5,), (-3,)
    found = evaluate_maps([(mapped, labels)], rules=Rules(resample=True))
    assert found.scores["bias"] == pytest.approx(1.25, abs=1e-5)
    assert found.scores["rmse"] == pytest.approx(1.25, abs=1e-5)
    with rasterio.open(mapped, "r+") as file:
        file.scales, file.offsets = (2,), (1,)
    found = evaluate_maps([(mapped, labels)], rules=Rules(resample=True))
    assert found.scores["bias"] == pytest.approx(
        (truth * 0.5 - 1.75).mean() * 2 + 1 - (truth * 0.5 - 3).mean(), abs=1e-4
    )


@pytest.mark.parametrize("form", ["labels.nc", "labels.nc/leaves", "labels.zarr"])
def test_labels_of_cubes_are_read_as_scenes_are(tmp_path, form):
    """With the places that GDAL finds none of, from the south, and without what lies beyond the valid range."""
    truth = np.random.default_rng(0).integers(0, 100, (8, 9)).astype(np.uint8)
    mapped = raster(tmp_path / "map.tif", (truth * 0.5 + 1.25).astype("float32"))
    with rasterio.open(mapped) as file:
        grid = GeoBox(file.shape, file.transform, file.crs)
    stored = np.where(np.arange(9) < 2, np.uint8(250), truth)
    attrs = {"scale_factor": 0.5, "valid_range": np.array([0, 100], np.uint8), "_FillValue": np.uint8(255)}
    cube = xr.Dataset({"leaves": (("y", "x"), stored, attrs)}, xr_coords(grid)).isel(y=slice(None, None, -1))
    cube["leaves"].attrs["grid_mapping"] = "spatial_ref"
    if form.endswith(".zarr"):
        cube.to_zarr(tmp_path / form, zarr_format=2)
    else:
        cube.to_netcdf(tmp_path / "labels.nc", group=form.removeprefix("labels.nc").strip("/") or None)
    found = evaluate_maps([(mapped, str(tmp_path / form))])
    assert found.pixels == 8 * 7
    assert found.scores["rmse"] == pytest.approx(1.25, abs=1e-5)


def test_a_map_of_classes_in_netcdf_has_the_names_of_its_flags(tmp_path):
    mapped, truth = noisy(0, (8, 9))
    flags = {"flag_values": np.array([1, 2, 3], np.uint8), "flag_meanings": "Water Wood Town"}
    grid = GeoBox(truth.shape, PLACE, "EPSG:32632")
    cover = xr.DataArray(mapped, xr_coords(grid), ("y", "x"), attrs=flags | {"grid_mapping": "spatial_ref"})
    cover.to_dataset(name="cover").to_netcdf(tmp_path / "map.nc")
    found = evaluate_maps([(str(tmp_path / "map.nc"), raster(tmp_path / "labels.tif", truth))])
    assert [one.name for one in found.classes] == ["Water", "Wood", "Town"]
    assert found.scores["overall_accuracy"] == pytest.approx((mapped == truth).mean())


def test_labels_of_several_bands_are_refused(tmp_path):
    mapped, truth = noisy(0)
    labels = raster(tmp_path / "labels.tif", np.stack([truth] * 3))
    with pytest.raises(DataError, match=r"labels\.tif have 3 bands"):
        evaluate_maps([(raster(tmp_path / "map.tif", mapped), labels)])


def test_intervals_are_over_scenes_where_there_are_enough(tmp_path):
    pairs = []
    for k in range(FEWEST_SCENES):
        mapped, truth = noisy(k, (40, 40), 0.1 + 0.05 * k)
        pairs.append((raster(tmp_path / f"m{k}.tif", mapped), raster(tmp_path / f"l{k}.tif", truth)))
    many, few = evaluate_maps(pairs, classes=CLASSES), evaluate_maps(pairs[:3], classes=CLASSES)
    assert (many.interval.over, many.interval.drawn) == ("scenes", FEWEST_SCENES)
    low, high = many.interval.of["miou"][0]
    assert low < many.scores["miou"] < high
    assert len(many.interval.of["iou"]) == 3
    assert few.interval.over is None
    assert few.to_dict()["notes"][-1].startswith("no intervals")
    assert evaluate_maps(pairs, classes=CLASSES).to_dict() == many.to_dict()


def test_intervals_of_one_large_scene_are_over_its_blocks(tmp_path):
    mapped, truth = noisy(0, (1280, 1280))
    found = evaluate_maps([(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))])
    assert (found.interval.over, found.interval.drawn) == ("blocks", 25)
    assert "nothing about other places" in found.interval.told()


def test_an_interval_holds_the_mean_as_often_as_it_says():
    random, held = np.random.default_rng(5), 0
    for turn in range(200):
        scenes = [np.array([[1.0, value]]) for value in random.normal(3, 1, 40)]
        low, high = intervals(scenes, lambda s: {"mean": s[..., 1] / s[..., 0]}, resamples=300, seed=turn).of["mean"][0]
        held += low < 3 < high
    assert 0.88 < held / 200 < 0.99


def test_everything_is_written_and_read_again_for_an_item(tmp_path):
    mapped, truth = noisy(0)
    truth[:] = np.where(truth == 3, 2, truth)  # Town is mapped and nowhere labelled: its recall is not defined
    pairs = [(raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth))]
    found = evaluate_maps(pairs, classes=CLASSES)
    paths = write_evaluation(found, tmp_path / "out")
    said = json.loads(paths[0].read_text())
    assert said["classes"][2]["recall"] is None
    assert np.array(said["confusion"]).sum() == mapped.size
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert [int(row["map: Wood"]) for row in rows] == [row[1] for row in said["confusion"]]
    with Image.open(paths[2]) as drawn:
        assert min(drawn.size) > 300
    scores, assets = read_metrics(tmp_path / "out")
    assert scores == {name: pytest.approx(value, abs=1e-6) for name, value in found.flat().items()}
    assert {*scores} >= {"miou", "overall_accuracy", "kappa", "iou_water"}
    assert {key: str(asset.path) for key, asset in assets.items()} == dict(
        zip(("metrics", "metrics-table", "metrics-picture"), map(str, paths[:3]), strict=True)
    )
    assert read_metrics(paths[3])[0] == scores


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"miou": "good"}', '{"flat": {}}', '{"a": 1e999}'])
def test_what_holds_no_scores_is_no_metrics(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DataError, match="holds no scores"):
        read_metrics(tmp_path)


def test_bad_input_is_one_line(tmp_path):
    mapped, truth = noisy(0)
    good, labels = raster(tmp_path / "m.tif", mapped), raster(tmp_path / "l.tif", truth)
    (tmp_path / "text.tif").write_text("no raster")
    bad = {
        "cannot be read as a raster": (good, str(tmp_path / "text.tif")),
        "no CRS": (good, raster(tmp_path / "nowhere.tif", truth[1:], crs=None)),
        "2 bands: say which one": (raster(tmp_path / "two.tif", np.stack([mapped, mapped])), labels),
        "has both a value and a label": (good, raster(tmp_path / "none.tif", np.zeros_like(truth), nodata=0)),
        "which are no classes": (good, raster(tmp_path / "f.tif", truth + np.float32(0.5))),
        "complex numbers": (good, raster(tmp_path / "c.tif", truth.astype(np.complex64))),
        "too large for classes": (good, raster(tmp_path / "big.tif", truth * np.float32(1e20))),
        "too large for classes: ": (good, raster(tmp_path / "ids.tif", truth.astype(np.uint64) + 2**63)),
        "numbers \\(--kind numbers": (good, raster(tmp_path / "m2.tif", np.arange(truth.size).reshape(truth.shape))),
        "have 2 bands, and nobody can tell": (good, str(tmp_path / "two.nc")),
        "gdal_rasterize": (good, str(tmp_path / "fields.geojson")),
    }
    variables = dict.fromkeys(("cover", "height"), (("y", "x"), truth))
    places = {"lat": 50.0 - np.arange(truth.shape[0]), "lon": 5.0 + np.arange(truth.shape[1])}
    xr.Dataset({key: (("lat", "lon"), values) for key, (_, values) in variables.items()}, places).to_netcdf(
        tmp_path / "two.nc"
    )
    (tmp_path / "fields.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    for said, one in bad.items():
        with pytest.raises(DataError, match=said) as error:
            evaluate_maps([one])
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="leave out --translate"):
        evaluate_maps([(good, labels)], kind="numbers", rules=Rules(translate={1: 2}))
    cut = (tmp_path / "m.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(DataError, match=r"cut\.tif cannot be read"):
        evaluate_maps([(str(tmp_path / "cut.tif"), labels)])
