"""Kinds of models on scenes, each from the command line: dates or sensors, a finer grid, a forest, a time series."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import onnx
import pytest
import rasterio
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog import open_catalog
from modelstac.catalog.items.writing import write_item
from modelstac.cli.running.scene import is_scene
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.training.scenes.generating import generate_scene
from modelstac.training.scenes.observing import NO_POWER

SIZE, SEED = 64, 3
DAYS = (date(2024, 1, 15), date(2024, 4, 15), date(2024, 7, 15))
IMAGE = ("batch", "bands", "height", "width")
OUT = ("batch", "channel", "height", "width")
FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def publish(folder, name, graph, *, weights=(), classes=None, **said):
    """Write a graph, and publish it as somebody would."""
    nodes, *sides = graph
    tensors = [
        [helper.make_tensor_value_info(key, kind, shape) for key, (kind, *shape) in side.items()] for side in sides
    ]
    arrays = [numpy_helper.from_array(np.asarray(array), key) for key, array in dict(weights).items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph(nodes, name, *tensors, arrays), opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    about = {"version": "1.0.0", "tasks": ("semantic-segmentation",), "architecture": "by hand", "license": "MIT"}
    place = {"geometry": {"type": "Point", "coordinates": [6, 53]}, "start": moment, "end": moment}
    found = describe_file(path, Statement(name=name, **about | place | said))
    if classes:
        listed = [{"value": v, "name": n, "description": n, "color_hint": c} for v, n, c in classes]
        (out,) = found.outputs
        found = found.model_copy(update={"outputs": (out.model_copy(update={"classification:classes": listed}),)})
    open_catalog(folder / "catalog", create=True).publish(write_item(found))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Return a folder with three dates of one place, and its radar."""
    folder = tmp_path_factory.mktemp("scenes")
    for day in DAYS:
        generate_scene(folder / str(day.month), SIZE, seed=SEED, day=day, clouds=0)
    generate_scene(folder / "radar", SIZE, seed=SEED, day=DAYS[2], sensor="sentinel-1")
    return folder


def bands(folder, *names):
    """Return reflectances, or power, with NaN where there is nothing, read with nothing of ours."""
    found = []
    for name in names:
        with rasterio.open(next(folder.glob(f"*_{name}.tif"))) as raster:
            values = raster.read(1, masked=True).astype(float).filled(np.nan)
            found.append(values if raster.nodata == NO_POWER else values * 0.0001 - 0.1)
    return np.stack(found)


def raster(path):
    with rasterio.open(path) as found:
        return found, found.read(masked=True).astype(float).filled(np.nan)


def same(found, expected, **allowed):
    """Hold a map against what it should be; both are NaN where there is nothing."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, **({"rtol": 0, "atol": 1e-4} | allowed))


def predict(command, folder, *words):
    done = command("predict", *words, "--catalog", folder / "catalog")
    assert done.returncode == 0, done.stderr


def test_a_change_map_of_two_dates(scenes, here, modelstac_command):
    """The difference of two vegetation indices."""
    nodes = []
    for name in ("before", "after"):
        nodes += [
            helper.make_node("Split", [name], [f"{name}_red", f"{name}_nir"], axis=1),
            helper.make_node("Sub", [f"{name}_nir", f"{name}_red"], [f"{name}_less"]),
            helper.make_node("Add", [f"{name}_nir", f"{name}_red"], [f"{name}_sum"]),
            helper.make_node("Add", [f"{name}_sum", "little"], [f"{name}_more"]),
            helper.make_node("Div", [f"{name}_less", f"{name}_more"], [f"{name}_index"]),
        ]
    nodes.append(helper.make_node("Sub", ["after_index", "before_index"], ["change"]))
    image = (FLOAT, "batch", 2, "height", "width")
    publish(
        here,
        "change",
        (nodes, {"before": image, "after": image}, {"change": (FLOAT, "batch", 1, "height", "width")}),
        weights={"little": np.float32([1.0])},
        input_dims={"before": IMAGE, "after": IMAGE},
        output_dims=OUT,
        bands={"before": ("B04", "B08"), "after": ("B04", "B08")},
    )
    dates = ("--input", f"before={scenes / '1'}", "--input", f"after={scenes / '7'}")
    predict(modelstac_command, here, "change", *dates, "--output", "change.tif")
    (red1, nir1), (red7, nir7) = (bands(scenes / month, "B04", "B08") for month in "17")
    expected = (nir7 - red7) / (nir7 + red7 + 1) - (nir1 - red1) / (nir1 + red1 + 1)
    same(raster(here / "change.tif")[1][0], expected)
    predict(modelstac_command, here, "change", *dates, "--output", "greener.tif", "--post", "threshold:0.1")
    found, labels = raster(here / "greener.tif")
    assert found.dtypes == ("uint8",)
    clear = ~(np.abs(expected - 0.1) < 1e-4)
    same(labels[0][clear], np.where(np.isnan(expected), np.nan, expected > 0.1)[clear])


def test_a_model_of_two_sensors(scenes, here, modelstac_command):
    publish(
        here,
        "fused",
        (
            [
                helper.make_node("Concat", ["optical", "radar"], ["both"], axis=1),
                helper.make_node("Conv", ["both", "weights"], ["out"]),
            ],
            dict.fromkeys(("optical", "radar"), (FLOAT, "batch", 2, "height", "width")),
            {"out": (FLOAT, "batch", 1, "height", "width")},
        ),
        weights={"weights": np.float32([1, 2, 3, 4]).reshape(1, 4, 1, 1)},
        input_dims={"optical": IMAGE, "radar": IMAGE},
        output_dims=OUT,
        bands={"optical": ("B04", "B08"), "radar": ("vv", "vh")},
    )
    sensors = ("--input", f"optical={scenes / '7'}", "--input", f"radar={scenes / 'radar'}")
    predict(modelstac_command, here, "fused", *sensors, "--output", "fused.tif")
    four = np.concatenate([bands(scenes / "7", "B04", "B08"), bands(scenes / "radar", "vv", "vh")])
    same(raster(here / "fused.tif")[1][0], np.tensordot([1, 2, 3, 4], four, 1))


def test_a_map_that_is_finer_than_the_scene(scenes, here, modelstac_command):
    how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    publish(
        here,
        "finer",
        (
            [helper.make_node("Resize", ["coarse", "", "twice"], ["fine"], **how)],
            {"coarse": (FLOAT, "batch", 2, "height", "width")},
            {"fine": (FLOAT, "batch", 2, "finer_height", "finer_width")},
        ),
        weights={"twice": np.float32([1, 1, 2, 2])},
        tasks=("super-resolution",),
        input_dims=IMAGE,
        output_dims=IMAGE,
        bands=("B11", "B12"),
        output_bands=("B11", "B12"),
    )
    predict(modelstac_command, here, "finer", scenes / "7", "--output", "finer.tif")
    found, values = raster(here / "finer.tif")
    with rasterio.open(next((scenes / "7").glob("*_B02.tif"))) as ten:
        assert (found.res, found.shape, found.bounds) == ((10, 10), (SIZE, SIZE), ten.bounds)
    same(values, bands(scenes / "7", "B11", "B12").repeat(2, 1).repeat(2, 2))


FOREST = (
    (1, 0.22005, 2, (2, 0.08005, 1, 0)),
    (2, 0.09005, 1, (1, 0.25005, 2, 0)),
    (0, 0.05005, 1, (3, 0.11005, 2, 0)),
)
"""Trees: the band and value to split at, the class at or below, and above it such a split again (with two classes).

The values lie between two numbers that are stored, where rounding decides nothing.
"""


def by_trees(pixels):
    votes = np.zeros((*pixels.shape[1:], 3))
    for band, value, low, (band2, value2, low2, high2) in FOREST:
        choice = np.where(pixels[band] <= value, low, np.where(pixels[band2] <= value2, low2, high2))
        votes += choice[..., None] == np.arange(3)
    return votes.argmax(-1)  # of equal votes the first class


def as_onnx():
    """Write the forest as a node of ONNX-ML: five nodes a tree, votes as weights."""
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree, (band, value, low, (band2, value2, low2, high2)) in enumerate(FOREST):
        rows = ((0, band, value, "BRANCH_LEQ", 1, 2), (1, 0, 0.0, "LEAF", 0, 0), (2, band2, value2, "BRANCH_LEQ", 3, 4),
                (3, 0, 0.0, "LEAF", 0, 0), (4, 0, 0.0, "LEAF", 0, 0))  # fmt: skip
        for row in rows:
            for key, item in zip(nodes, (tree, *row), strict=True):
                nodes[key].append(item)
        for node, label in ((1, low), (3, low2), (4, high2)):
            for key, item in zip(leaves, (tree, node, label, 1.0), strict=True):
                leaves[key].append(item)
    return helper.make_node(
        "TreeEnsembleClassifier",
        ["pixels"],
        ["label", "votes"],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1, 2],
        post_transform="NONE",
        **{f"nodes_{key}": items for key, items in nodes.items()},
        **{f"class_{key}": items for key, items in leaves.items()},
    )


def test_a_random_forest_of_pixels(scenes, here, modelstac_command):
    publish(
        here,
        "forest",
        ([as_onnx()], {"pixels": (FLOAT, "batch", 4)}, {"label": (WHOLE, "batch")}),
        input_dims=("batch", "bands"),
        output_dims=("batch",),
        bands=("B02", "B08", "B04", "B03"),
        classes=((0, "low", "0000ff"), (1, "middle", "00ff00"), (2, "high", "ff0000")),
    )
    predict(modelstac_command, here, "forest", scenes / "4", "--output", "forest.tif")
    pixels = bands(scenes / "4", "B02", "B08", "B04", "B03")
    expected = np.where(np.isnan(pixels).any(0), np.nan, by_trees(pixels))
    found, values = raster(here / "forest.tif")
    assert len(np.unique(expected[np.isfinite(expected)])) == 3
    same(values[0], expected)
    assert found.dtypes == ("uint8",)
    with rasterio.open(here / "forest.tif") as coloured:
        assert coloured.colormap(1)[2][:3] == (255, 0, 0)


@pytest.mark.parametrize("form", ["cube", "scenes"])
def test_a_classifier_of_time_series(scenes, here, modelstac_command, form):
    weights = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    publish(
        here,
        "series",
        (
            [
                helper.make_node("Flatten", ["series"], ["flat"], axis=1),
                helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
            ],
            {"series": (FLOAT, "batch", 3, 2)},
            {"scores": (FLOAT, "batch", 3)},
        ),
        weights={"weights": weights},
        input_dims=("batch", "time", "bands"),
        output_dims=("batch", "channel"),
        bands=("B04", "B08"),
        classes=((7, "maize", "ffff00"), (8, "wheat", "ff8800"), (9, "grass", "00ff00")),
    )
    cube = np.stack([bands(scenes / str(day.month), "B04", "B08") for day in DAYS])
    sources = [scenes / str(day.month) for day in DAYS]
    if form == "cube":
        sources = [as_cube(cube, scenes, here / "cube.nc")]
    predict(modelstac_command, here, "series", *sources, "--output", "series.tif")
    scores = np.moveaxis(cube, (0, 1), (-2, -1)).reshape(SIZE, SIZE, 6) @ weights
    expected = np.where(np.isnan(scores).any(-1), np.nan, 7 + scores.argmax(-1))
    found, values = raster(here / "series.tif")
    with rasterio.open(next((scenes / "7").glob("*_B02.tif"))) as ten:
        assert (found.transform, found.crs) == (ten.transform, ten.crs)
    two = np.sort(scores, -1)[..., -2:]
    clear = ~(two[..., 1] - two[..., 0] < 1e-4)
    same(values[0][clear], expected[clear])
    assert clear.mean() > 0.95


def as_cube(cube, scenes, path):
    """Write reflectances of several dates as one NetCDF file, as xarray users have them."""
    import rioxarray  # noqa: F401 - its accessor
    import xarray as xr

    with rasterio.open(next((scenes / "7").glob("*_B02.tif"))) as ten:
        left, top, crs = ten.bounds.left, ten.bounds.top, ten.crs
    place = {"y": top - 10 * (np.arange(SIZE) + 0.5), "x": left + 10 * (np.arange(SIZE) + 0.5)}
    times = {"time": np.array([np.datetime64(str(day), "ns") for day in DAYS])}
    variables = {name: (("time", "y", "x"), cube[:, k].astype(np.float32)) for k, name in enumerate(("B04", "B08"))}
    xr.Dataset(variables, times | place).rio.write_crs(crs).to_netcdf(path)
    return path


@pytest.mark.parametrize(("name", "is_one"), [("a.nc/data/red", True), ("product.zip", True), ("frames", False)])
def test_what_is_a_scene_where_the_output_may_be_either(tmp_path, name, is_one):
    (tmp_path / "a.nc").touch()
    said = {"api": None, "dry_run": False}
    assert is_scene([str(tmp_path / name)], (), "map.nc", said) == is_one
