"""Generated scenes have the form of real ones, and any window of a country is the same, however it was asked for."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pystac
import pytest
import rasterio

from modelstac.catalog.errors import DataError
from modelstac.training.scenes.generating import generate_scene
from modelstac.training.scenes.landscape import landscape
from modelstac.training.scenes.noise import fractal, smooth
from modelstac.training.scenes.observing import NO_POWER
from modelstac.training.scenes.palette import CLASSES, CROP, NOTHING, SNOW, WATER


def pixels(path):
    with rasterio.open(path) as raster:
        return raster.read(1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    return generate_scene(folder / "june", 600, labels=folder / "labels" / "june.tif")


def test_a_window_of_noise_is_cut_out_of_the_whole():
    whole = fractal(3, (slice(-40, 90), slice(10, 150)), 30, 3)
    part = fractal(3, (slice(7, 31), slice(64, 150)), 30, 3)
    np.testing.assert_allclose(part, whole[47:71, 54:], atol=1e-5)
    wide = smooth(5, (slice(0, 2000), slice(0, 2000)), 10)
    assert abs(wide.mean()) < 0.05
    assert wide.std() == pytest.approx(1, abs=0.05)


def test_neighbouring_windows_of_the_land_fit_together():
    whole = landscape(1, (slice(0, 200), slice(0, 200)))
    part = landscape(1, (slice(80, 160), slice(40, 200)))
    assert (whole.cover[80:160, 40:] == part.cover).mean() > 0.9999
    assert set(np.unique(landscape(0, (slice(0, 1500), slice(0, 1500))).cover)) == set(range(len(CLASSES)))


def test_bands_are_files_of_two_resolutions_with_tiles_overviews_and_nodata(scene):
    assert len(scene.files) == 10
    for name, path in scene.files.items():
        metres = 10 if name in {"B02", "B03", "B04", "B08"} else 20
        with rasterio.open(path) as raster:
            assert (raster.res, raster.shape) == ((metres, metres), (6000 // metres,) * 2)
            assert (raster.dtypes, raster.nodata, raster.crs.to_epsg()) == (("uint16",), 0, 32632)
            assert raster.profile["compress"] == "deflate"
            assert raster.overviews(1) == ([2, 4] if metres == 10 else [2])
            missing = raster.read(1) == 0
            assert missing[0, 0]
            assert not missing[-1, -1]
            # The corner is slanted, and the same in every band.
            assert 0 < missing[len(missing) // 2].sum() < missing[0].sum()
    fine, coarse = pixels(scene.files["B02"]) == 0, pixels(scene.files["B11"]) == 0
    assert (fine == coarse.repeat(2, 0).repeat(2, 1)).all()
    with rasterio.open(scene.files["B02"]) as raster:
        assert raster.block_shapes == [(512, 512)]


def test_the_item_leads_to_the_bands_and_says_what_their_numbers_mean(scene):
    item = pystac.Item.from_file(str(scene.item))
    assert item.properties["s2:processing_baseline"] == "05.10"
    assert "no observation" in item.properties["description"]
    for name, asset in item.assets.items():
        assert asset.get_absolute_href() == str(scene.files[name])
        told = json.loads(scene.item.read_text())["assets"][name]
        assert (told["raster:bands"][0]["scale"], told["raster:bands"][0]["offset"]) == (0.0001, -0.1)
        with rasterio.open(scene.files[name]) as raster:
            assert list(raster.transform)[:6] == told["proj:transform"]
            assert list(raster.shape) == told["proj:shape"]
    assert json.loads(scene.item.read_text())["assets"]["B08"]["eo:bands"][0]["common_name"] == "nir"
    west, south, east, north = item.bbox
    assert 5.9 < west < east < 6.2
    assert 53 < south < north < 53.3


def test_the_footprint_is_what_is_not_nodata(scene):
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    geometry = json.loads(scene.item.read_text())["geometry"]
    with rasterio.open(scene.files["B02"]) as raster:
        projected = transform_geom("EPSG:4326", raster.crs, geometry)
        inside = rasterize([projected], raster.shape, transform=raster.transform).astype(bool)
        assert (inside == (raster.read(1) != 0)).mean() > 0.99


def test_labels_lie_on_the_grid_of_the_finest_bands_and_have_worldcovers_colours(scene):
    with rasterio.open(scene.labels) as labels, rasterio.open(scene.files["B02"]) as blue:
        assert (labels.transform, labels.shape, labels.nodata) == (blue.transform, blue.shape, NOTHING)
        colours = labels.colormap(1)
        assert all(colours[one.value][:3] == tuple(bytes.fromhex(one.color[1:])) for one in CLASSES)
        codes = labels.read(1)
        assert not codes[blue.read(1) == 0].any()
    assert set(np.unique(codes)) <= {NOTHING, *(one.value for one in CLASSES)}


def test_classes_look_different_and_plants_change_with_the_season(tmp_path):
    scenes = {
        month: generate_scene(
            tmp_path / str(month), 400, day=date(2024, month, 15), clouds=0, labels=tmp_path / "l.tif"
        )
        for month in (1, 7)
    }
    codes = pixels(tmp_path / "l.tif")

    def mean(month, band, code):
        return (pixels(scenes[month].files[band])[codes == CLASSES[code].value]).mean() * 0.0001 - 0.1

    assert mean(7, "B08", CROP) > 1.2 * mean(1, "B08", CROP)
    assert mean(7, "B08", WATER) == pytest.approx(mean(1, "B08", WATER), abs=0.01)
    assert mean(7, "B02", SNOW) > 0.6
    assert 0 < mean(7, "B02", CROP) < 0.2
    assert scenes[1].item.name != scenes[7].item.name


def test_the_same_arguments_give_the_same_bytes_and_another_seed_another_country(tmp_path):
    first, again, other = (
        generate_scene(tmp_path / name, 128, seed=seed) for name, seed in (("a", 4), ("b", 4), ("c", 5))
    )
    for name, path in first.files.items():
        assert path.read_bytes() == again.files[name].read_bytes()
        assert path.read_bytes() != other.files[name].read_bytes()


def test_a_smaller_scene_is_the_corner_of_a_larger_one(tmp_path):
    large, small = (generate_scene(tmp_path / str(n), n, border=False, clouds=0.3) for n in (1024, 512))
    for name in ("B02", "B05"):
        few, many = pixels(small.files[name]), pixels(large.files[name])
        assert (many[: len(few), : len(few)] == few).all()


def test_clouds_hide_the_land_and_its_labels(tmp_path):
    scene = generate_scene(tmp_path / "s", 512, clouds=0.4, border=False, labels=tmp_path / "l.tif")
    hidden = pixels(tmp_path / "l.tif") == NOTHING
    assert 0.1 < hidden.mean() < 0.6
    assert (pixels(scene.files["B02"])[hidden] * 0.0001 - 0.1 > 0.3).all()


def test_radar_sees_the_same_place_in_two_polarisations_through_clouds(tmp_path):
    radar = generate_scene(tmp_path / "s1", 256, sensor="sentinel-1", clouds=0.9, labels=tmp_path / "s1.tif")
    generate_scene(tmp_path / "s2", 256, clouds=0, labels=tmp_path / "s2.tif")
    assert list(radar.files) == ["vv", "vh"]
    codes = pixels(tmp_path / "s1.tif")
    assert (codes == pixels(tmp_path / "s2.tif")).all()
    for path in radar.files.values():
        power = pixels(path)
        assert power.dtype == np.float32
        assert ((power == NO_POWER) == (codes == NOTHING)).all()
        assert (power[codes != NOTHING] >= 0).all()
    assert json.loads(radar.item.read_text())["properties"]["sar:polarizations"] == ["VV", "VH"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 33}, "an even number from 32 to 10980"),
        ({"size": 20_000}, "an even number"),
        ({"sensor": "landsat"}, "sentinel-2 or sentinel-1"),
        ({"clouds": 2}, "from 0 to 1"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_written(tmp_path, wrong, said):
    with pytest.raises(DataError, match=said):
        generate_scene(tmp_path / "scene", **{"size": 64} | wrong)
    assert not (tmp_path / "scene").exists()
