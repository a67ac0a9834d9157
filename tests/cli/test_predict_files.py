"""``modelstac predict`` on radar frames, with a real ONNX model that gives its input back."""

import shutil
from datetime import UTC, datetime

import h5py
import numpy as np
import onnx
import onnx.helper
import pytest
import xarray as xr
from click.testing import CliRunner
from PIL import Image
from pyproj import CRS, Transformer

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, Processing, ResultStructure
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main
from modelstac.cli.running.nowcast import nowcast
from modelstac.registry.running.labelled import LEAD_TIME
from modelstac.training.data import Preparation, read_frames
from modelstac.training.data.readers.knmi import SYNTHETIC
from modelstac.training.data.synthetic import generate

FRAMES = 4
ITEM = "echo-1.0.0-onnx"


@pytest.fixture(scope="module")
def rain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rain")
    generate(folder, 12, seed=3, shape=(40, 32))
    return folder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, rain):
    folder = tmp_path_factory.mktemp("published")
    shape = ["batch", FRAMES, 1, "height", "width"]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("frames", "rain")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["frames"], ["rain"])], "echo", *[[v] for v in values]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, folder / "echo.onnx")
    preparation = Preparation(rows=(4, 36), columns=(2, 26), scale=100.0)
    polygon, bbox = preparation.footprint(read_frames(rain))
    layout = {
        "shape": (-1, FRAMES, 1, -1, -1),
        "dim_order": ("batch", "time", "variables", "height", "width"),
        "data_type": "float32",
    }
    name = ("rainfall_rate",)
    description = ModelDescription(
        name="echo",
        version="1.0.0",
        variant="onnx",
        title="Echo",
        description="Gives its input back.",
        license="MIT",
        geometry=polygon,
        bbox=bbox,
        start=datetime(2010, 8, 26, tzinfo=UTC),
        end=datetime(2010, 8, 27, tzinfo=UTC),
        format="onnx",
        framework_version=onnx.__version__,
        architecture="Identity",
        tasks=("regression",),
        inputs=(
            ModelInput(
                name="frames",
                variables=name,
                input=InputStructure(**layout),
                value_scaling=(Processing(format="numpy", expression="clip(x, 0, 100) / 100"),),
            ),
        ),
        outputs=(
            ModelOutput(
                name="rain",
                variables=name,
                tasks=("regression",),
                result=ResultStructure(**layout),
                post_processing_function={"format": "numpy", "expression": "x * 100"},
                **{LEAD_TIME: "PT5M"},
            ),
        ),
        hyperparameters={"preparation": preparation.to_dict(), "data": {"product": SYNTHETIC}},
        parameters=0,
        cube_dimensions={
            "time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None]},
            **{
                axis: {"type": "spatial", "axis": axis, "extent": [0, 1], "step": 1000.0, "reference_system": 28992}
                for axis in "xy"
            },
        },
        cube_variables={"rainfall_rate": {"dimensions": ["time"], "type": "data", "unit": "mm h-1"}},
        artifact=folder / "echo.onnx",
    )
    open_catalog(folder / "catalog", create=True).publish(write_item(description))
    return folder / "catalog"


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(catalog, *arguments):
    return CliRunner().invoke(main, ["predict", ITEM, *map(str, arguments), "--catalog", str(catalog)])


def test_netcdf_says_when_and_where(catalog, rain, tmp_path):
    result = predict(catalog, rain, "--output", tmp_path / "forecast.nc")
    assert result.exit_code == 0, result.output
    frames = Preparation(rows=(4, 36), columns=(2, 26), scale=100.0).apply(read_frames(rain))
    with xr.open_dataset(tmp_path / "forecast.nc", decode_coords="all") as ds:
        rate = ds["rainfall_rate"]
        # The model gives its input back, so the forecast is the last four frames.
        np.testing.assert_allclose(rate.values, frames.rainfall_rate.values[-FRAMES:], rtol=1e-6)
        assert (rate.standard_name, rate.units, rate.dims) == ("rainfall_rate", "mm h-1", ("time", "y", "x"))
        last = frames.time.values[-1]
        assert ds.forecast_reference_time.values == last
        minutes = np.timedelta64(5, "m") * np.arange(1, FRAMES + 1)
        np.testing.assert_array_equal(ds.time.values, last + minutes)
        assert ds.forecast_period.values.tolist() == [5, 10, 15, 20]
        assert "echo-1.0.0-onnx" in ds.title
        # The place, through the reference system that GDAL and QGIS read.
        to_degrees = Transformer.from_crs(CRS.from_wkt(ds.crs.attrs["crs_wkt"]), "EPSG:4326", always_xy=True)
        longitude, latitude = to_degrees.transform(ds.x.values[0], ds.y.values[0])
        west, south, east, north = Preparation(rows=(4, 6), columns=(2, 4)).footprint(read_frames(rain))[1]
        assert west < longitude < east
        assert south < latitude < north


def test_frames_unlike_those_of_the_training_are_refused_or_noted(catalog, rain, tmp_path):
    output = tmp_path / "forecast.npz"
    result = predict(catalog, rain, "--output", output)
    assert result.exit_code == 0
    assert "was trained on" not in result.output
    other = tmp_path / "other"
    shutil.copytree(rain, other)
    for path in other.iterdir():
        with h5py.File(path, "r+") as file:
            file["overview"].attrs["product_group_name"] = np.bytes_("RAD_NL25_RAU_5mi")
            file["geographic"].attrs["geo_row_offset"] = np.array([4600.0], np.float32)
    result = predict(catalog, other, "--output", output)
    assert result.exit_code == 0, result.output
    assert f"echo-1.0.0-onnx was trained on {SYNTHETIC}, and the frames are RAD_NL25_RAU_5mi" in result.output
    assert "was trained on rain of another region" in result.output
    for path in other.iterdir():
        with h5py.File(path, "r+") as file:
            file["geographic"].attrs["geo_pixel_size_x"] = np.array([2.0], np.float32)
            file["geographic"].attrs["geo_pixel_size_y"] = np.array([-2.0], np.float32)
    output.unlink()
    result = predict(catalog, other, "--output", output)
    assert result.exit_code == 2
    assert "reads blocks of 1000 x 1000 in its grid, and those of the frames are 2000 x 2000 m" in result.output
    assert not output.exists()


def test_plots_show_what_was_measured_beside_the_forecast(catalog, rain, tmp_path):
    plot = tmp_path / "forecast.gif"
    at = "2010-08-26T00:40"
    result = predict(catalog, rain, "-o", tmp_path / "a.npz", "--plot", plot, "--at", at)
    assert result.exit_code == 0, result.output
    assert "2010-08-26T00:45Z" in result.output
    with Image.open(plot) as moving:
        assert (moving.format, moving.n_frames) == ("GIF", 2 * FRAMES)
        two_panels = moving.width
    result = predict(catalog, rain, "-o", tmp_path / "a.npz", "--plot", plot)
    assert result.exit_code == 0, result.output
    with Image.open(plot) as moving:
        assert moving.width < 0.7 * two_panels, "there is nothing to compare the latest forecast with"
    result = predict(catalog, rain, "-o", tmp_path / "a.npz", "--plot", tmp_path / "sheet.png", "--at", at)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "forecast.gif", "sheet.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "forecast.tif"], "forecast.tif: name a file that ends in .nc or .npz or .npy"),
        (["--plot", "forecast.mp4"], "ends in .gif or .png"),
        (["--at", "2010-08-26T00:42"], "no frame ends at 2010-08-26 00:42 UTC: choose one from 2010-08-26 00:00"),
        (["--at", "2010-08-26T00:10"], "starts from 4 frames; found 3 up to 2010-08-26 00:10 UTC"),
        (["--output", "nowhere/forecast.nc"], "cannot write nowhere/forecast.nc"),
    ],
)
def test_one_line_says_what_is_wrong(catalog, rain, empty_folder, arguments, words):
    result = predict(catalog, rain, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(empty_folder.iterdir())


def test_an_array_has_no_place_on_the_map(catalog, tmp_path):
    np.save(tmp_path / "frames.npy", np.zeros((1, FRAMES, 1, 8, 8), dtype=np.float32))
    result = predict(catalog, tmp_path / "frames.npy", "-o", tmp_path / "forecast.nc")
    assert result.exit_code == 2
    assert "give radar frames" in result.stderr


def test_an_item_that_does_not_say_what_its_numbers_mean(catalog, rain):
    item = open_catalog(catalog).get(ITEM)
    del item.properties["mlm:output"][0]["post_processing_function"]
    with modelstac.load(item) as model, pytest.raises(InvalidItemError, match="does not say how frames become"):
        nowcast(model, rain)
