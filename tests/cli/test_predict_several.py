"""``modelstac predict`` and ``show`` of a model of two inputs and two outputs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.registry import pairs

from modelstac.catalog import open_catalog
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.writing import write_item

ID = "pair-1.0.0-onnx"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    even = {"height": Size(2, 2), "width": Size()}
    description = ModelDescription(
        name="pair",
        version="1.0.0",
        variant="onnx",
        title="Pair",
        description="Radar and optical in, mask and height out.",
        license="MIT",
        geometry={"type": "Point", "coordinates": [5, 52]},
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 1, 2, tzinfo=UTC),
        format="onnx",
        framework_version="1.22.0",
        architecture="Linear",
        tasks=("regression",),
        parameters=12,
        artifact=pairs.write_onnx(folder),
        sizes={"s1": even, "s2": even},
        halo={"s1": {"height": 3, "width": "global"}, "s2": {"height": {"pixels": 1, "per": {"time": 2}}}},
        **pairs.fields(),
    )
    open_catalog(folder / "catalog", create=True).publish(write_item(description))
    return folder / "catalog"


@pytest.fixture
def files(here: Path) -> dict[str, np.ndarray]:
    """Files of both inputs in every form; return the outputs that they give."""
    inputs, outputs = pairs.example()
    for name, array in inputs.items():
        np.save(here / f"{name}.npy", array)
    np.savez(here / "both.npz", **inputs)
    np.savez(here / "odd.npz", first=inputs["s1"], second=inputs["s2"])
    dims = ("batch", "y", "x", "band")
    bands = {"s1": list(pairs.S1), "s2": list(pairs.S2)}
    y = np.arange(pairs.SHAPE[0]) * -10.0
    labelled = {n: xr.DataArray(a, {"band": bands[n], "y": y}, dims, n) for n, a in inputs.items()}
    labelled["s2"].isel(band=[2, 1, 0]).to_netcdf(here / "s2.nc")
    variables = {str(b): a.sel(band=b, drop=True) for n, a in labelled.items() for b in bands[n]}
    xr.Dataset(variables).to_netcdf(here / "bands.nc")
    (here / "text.nc").write_text("no such thing")
    (here / "text.npz").write_text("no such thing")
    return outputs


def given(*inputs: str) -> list[str]:
    return [word for text in inputs for word in ("--input", text)]


@pytest.mark.parametrize(
    "inputs",
    [
        ("s1=s1.npy", "s2=s2.npy"),
        ("s2=s2.npy", "s1=s1.npy"),
        ("both.npz",),
        ("s1=both.npz", "s2=both.npz"),
        ("s1=s1.npy", "s2=s2.nc"),
        ("bands.nc",),
    ],
    ids=" ".join,
)
def test_inputs_go_by_name(
    modelstac_command: Command, catalog: Path, here: Path, files: dict[str, np.ndarray], inputs: tuple[str, ...]
) -> None:
    done = modelstac_command("predict", ID, *given(*inputs), "-o", "out.npz", "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mask          shape [2, 6, 5" in done.stdout
    with np.load(here / "out.npz") as found:
        assert found.files == ["mask", "height"]
        for name, array in files.items():
            np.testing.assert_allclose(found[name].reshape(array.shape), array, atol=1e-5)


def test_netcdf_has_a_variable_for_each_output(
    modelstac_command: Command, catalog: Path, here: Path, files: dict[str, np.ndarray]
) -> None:
    done = modelstac_command("predict", ID, *given("bands.nc"), "-o", "out.nc", "--json", "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(json.loads(done.stdout)["outputs"]) == ["mask", "height"]
    with xr.open_dataset(here / "out.nc") as found:
        assert set(found.data_vars) == {"mask", "height"}
        np.testing.assert_allclose(found["mask"].values, files["mask"], atol=1e-5)
        np.testing.assert_array_equal(found["y"], np.arange(6) * -10.0)
    done = modelstac_command("predict", ID, *given("both.npz"), "-o", "plain.nc", "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    with xr.open_dataset(here / "plain.nc") as found:  # both have an axis "bands", of other lengths
        assert found["mask"].dims == ("batch", "height", "width", "mask_bands")
        np.testing.assert_allclose(found["height"].values, files["height"], atol=1e-5)


def test_an_output_that_is_called_as_an_axis_keeps_the_places(here: Path) -> None:
    from modelstac.cli.running.tensors import write_outputs
    from modelstac.registry import Signature, TensorSignature

    sizes = (Size.fixed(2), Size.fixed(2))
    signature = Signature((), (TensorSignature("y", sizes, ("y", "x"), "float32"),))
    found = xr.DataArray(np.ones((2, 2), np.float32), {"y": [15.0, 5.0]}, ("y", "x"), "y")
    write_outputs({"y": found}, here / "y.nc", signature)
    with xr.open_dataset(here / "y.nc") as written:
        assert written["y_output"].dims == ("y", "x")
        assert written["y_output"].values.tolist() == [[1, 1], [1, 1]]
        assert written["y"].values.tolist() == [15, 5]


def test_outputs_on_two_grids_have_a_grid_mapping_each(here: Path) -> None:
    from modelstac.cli.running.tensors import write_outputs
    from modelstac.registry import Signature, TensorSignature

    sizes = (Size.fixed(2), Size.fixed(2))
    signature = Signature((), tuple(TensorSignature(name, sizes, ("y", "x"), "float32") for name in ("fine", "coarse")))
    outputs = {
        name: xr.DataArray(np.zeros((2, 2), np.float32), {"y": [1.5 * pixel, 0.5 * pixel]}, ("y", "x"), name)
        .assign_coords(spatial_ref=xr.Variable((), 0, {"GeoTransform": f"0 {pixel} 0 {2 * pixel} 0 {-pixel}"}))
        .assign_attrs(grid_mapping="spatial_ref")
        for name, pixel in (("fine", 10), ("coarse", 20))
    }
    write_outputs(outputs, here / "two.nc", signature)
    with xr.open_dataset(here / "two.nc") as written:
        for name, pixel in (("fine", 10), ("coarse", 20)):
            mapping = written[written[name].attrs["grid_mapping"]]
            assert mapping.attrs["GeoTransform"] == f"0 {pixel} 0 {2 * pixel} 0 {-pixel}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (given("s1=s1.npy"), "needs the input s2; found s1"),
        (given("s1=s1.npy", "s3=s2.npy"), "no input 's3': its inputs are s1, s2; did you mean"),
        (given("s1.npy"), "the model has the inputs s1, s2: give arrays by name"),
        (given("s1.npy", "s2.npy"), "--input s1.npy has no name, and there are 2"),
        (given("s1=s1.npy", "s1=s2.npy"), "--input s1= is given twice"),
        (given("s1=odd.npz", "s2=s2.npy"), "odd.npz has the arrays first, second, and none is 's1'"),
        (given("odd.npz"), "no input 'first': its inputs are s1, s2"),
        (given("s1=none.npy", "s2=s2.npy"), "no array none.npy: check the path"),
        (given("s1=s1.tif", "s2=s2.npy"), "cannot read s1.tif: name a file that ends in .npy or .npz or .nc"),
        (given("text.nc"), "text.nc is no NetCDF: write it with xarray's to_netcdf"),
        (given("text.npz"), "text.npz is no .npz array of numbers"),
        (["s1.npy", *given("s2=s2.npy")], "both s1.npy and --input s2=s2.npy are given"),
        ([], "no input is given: give radar frames or one array, or --input NAME=FILE"),
        ([*given("both.npz"), "-o", "out.npy"], "cannot write the outputs mask, height to out.npy: name a file that"),
        ([*given("both.npz"), "--plot", "x.png"], "--plot x.png needs times and places"),
        ([*given("both.npz"), "--at", "2024-01-01T00:00"], "--at needs times and places"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_is_wrong_with_inputs_is_one_line(
    modelstac_command: Command, catalog: Path, here: Path, arguments: list[str], text: str
) -> None:
    before = {path.name for path in here.iterdir()}
    done = modelstac_command("predict", ID, *arguments, "-c", catalog)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in here.iterdir()} == before


def test_a_length_that_the_step_forbids_names_the_nearest(
    modelstac_command: Command, catalog: Path, here: Path
) -> None:
    inputs, _ = pairs.example()
    np.savez(here / "odd.npz", **{name: array[:, :5] for name, array in inputs.items()})
    done = modelstac_command("predict", ID, *given("odd.npz"), "-c", catalog)
    assert done.returncode == 2
    assert "height 5 does not fit, the nearest that does is 4 or 6: cut or pad it" in done.stderr


def test_show_says_sizes_and_halo_of_each(modelstac_command: Command, catalog: Path) -> None:
    shown = modelstac_command("show", ID, "-c", catalog).stdout
    assert "input           s1: float32 (batch any, height from 2 in steps of 2, width any, bands 1)" in shown
    assert "input           s2: float32 (batch any, height from 2 in steps of 2, width any, bands 3)" in shown
    assert "output          mask: float32 (batch any, height any, width any, bands 2)" in shown
    assert "halo            s1: height 3 pixels, width global" in shown
    assert "halo            s2: height 1 pixels and 2 for each of time" in shown
