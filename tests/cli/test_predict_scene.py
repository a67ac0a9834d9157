"""``modelstac predict ID scene.tif --output map.tif``: models of many kinds, on rasters as people have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from obstore.store import from_url
from onnx import TensorProto, helper, numpy_helper
from tests.catalog import azurite
from tests.catalog.conftest import moto
from tests.cli.test_startup import CALL, imported_by
from tests.registry.statements import graph, statement

import modelstac
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main
from modelstac.registry.describing.describe import describe_file

PLACE = Affine(10, 0, 600000, 0, -10, 5800000)
RNG = np.random.default_rng(0)
IMAGE = ("batch", "bands", "height", "width")
CLASSES = ("batch", "class", "height", "width")


def raster(path: Path, values: np.ndarray, names: tuple[str, ...], **more: Any) -> Path:
    profile = {"crs": "EPSG:32631", "transform": PLACE, "nodata": 0} | more
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile
    ) as f:
        f.write(values)
        for number, name in enumerate(names):
            f.set_band_description(number + 1, name)
    return path


def weights(name: str, *shape: int, seed: int = 1) -> Any:
    return numpy_helper.from_array(np.random.default_rng(seed).normal(size=shape).astype(np.float32), name)


def cover(path: Path) -> Path:
    nodes = [("Conv", ["image", "w"], ["scores"], {"pads": [1] * 4})]
    tensors = ("image", ["n", 3, "h", "w"]), ("scores", ["n", 4, "h", "w"])
    return graph(path, nodes, [tensors[0]], [tensors[1]], weights=[weights("w", 4, 3, 3, 3)])


def change(path: Path) -> Path:
    nodes = [("Sub", ["after", "before"], ["d"]), ("Conv", ["d", "w"], ["change"], {"pads": [1] * 4})]
    inputs = [(name, ["n", 1, "h", "w"]) for name in ("before", "after")]
    return graph(path, nodes, inputs, [("change", ["n", 1, "h", "w"])], weights=[weights("w", 1, 1, 3, 3)])


def finer(path: Path) -> Path:
    nodes = [("Conv", ["image", "w"], ["x"], {"pads": [1] * 4}), ("DepthToSpace", ["x"], ["fine"], {"blocksize": 2})]
    outputs = [("fine", ["n", 1, None, None])]
    return graph(path, nodes, [("image", ["n", 1, "h", "w"])], outputs, weights=[weights("w", 4, 1, 3, 3)])


def forest(path: Path) -> Path:
    """Write two trees as scikit-learn's converter does: labels, and shares of two classes."""
    trees = helper.make_node(
        "TreeEnsembleClassifier", ["pixel"], ["label", "share"], domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0, 1, 1, 1], nodes_nodeids=[0, 1, 2] * 2, nodes_featureids=[0, 0, 0, 1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * 2, nodes_values=[1000.0, 0, 0, 500.0, 0, 0],
        nodes_truenodeids=[1, 0, 0] * 2, nodes_falsenodeids=[2, 0, 0] * 2,
        class_treeids=[0, 0, 1, 1], class_nodeids=[1, 2, 1, 2], class_ids=[0, 1, 0, 1], class_weights=[0.5] * 4,
        classlabels_int64s=[0, 1], post_transform="NONE",
    )  # fmt: skip
    import onnx

    sides = (helper.make_tensor_value_info("pixel", TensorProto.FLOAT, ["n", 2]),
             helper.make_tensor_value_info("share", TensorProto.FLOAT, ["n", 2]))  # fmt: skip
    made = helper.make_graph([trees], "g", [sides[0]], [sides[1]])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=9), path)
    return path


def series(path: Path) -> Path:
    nodes = [("ReduceMean", ["series"], ["m"], {"axes": [1], "keepdims": 0}), ("MatMul", ["m", "w"], ["scores"])]
    return graph(path, nodes, [("series", ["n", 3, 2])], [("scores", ["n", 3])], weights=[weights("w", 2, 3)])


MODELS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "cover": (cover, {"input_dims": IMAGE, "output_dims": CLASSES, "bands": ("B02", "B03", "B04")}),
    "change": (
        change,
        {
            "input_dims": {"before": IMAGE, "after": IMAGE},
            "output_dims": ("batch", "channel", "height", "width"),
            "bands": {"before": ("B04",), "after": ("B04",)},
        },
    ),
    "finer": (finer, {"input_dims": IMAGE, "output_dims": ("batch", "channel", "height", "width"), "bands": ("B04",)}),
    "forest": (forest, {"input_dims": ("batch", "bands"), "output_dims": ("batch", "class"), "bands": ("B03", "B04")}),
    "series": (
        series, {"input_dims": ("batch", "time", "bands"), "output_dims": ("batch", "class"), "bands": ("B03", "B04")}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    catalog = modelstac.open(folder / "catalog", create=True)
    for name, (write, said) in MODELS.items():
        found = describe_file(write(folder / f"{name}.onnx"), statement(name=name, **said))
        if name == "cover":
            classes = [{"value": i, "name": f"c{i}", "description": f"Class {i}"} for i in range(4)]
            [output] = found.outputs
            changed = type(output)(**output.model_dump(exclude_none=True) | {"classification:classes": classes})
            found = found.model_copy(update={"outputs": (changed,)})
        catalog.publish(write_item(found))
    return folder / "catalog"


@pytest.fixture
def predict(catalog: Path) -> Callable[..., Result]:
    def run(name: str, *arguments: Any) -> Result:
        given = ["predict", f"{name}-1.0.0-onnx", *map(str, arguments), "--catalog", str(catalog)]
        return CliRunner().invoke(main, given)

    return run


def values_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = RNG.integers(1, 3000, (3, 90, 120)).astype(np.uint16)
    values[:, :10, :20] = 0
    return raster(tmp_path / "scene.tif", values, ("B02", "B03", "B04"))


def test_a_map_of_classes_at_its_place(predict: Any, scene: Path, tmp_path: Path, catalog: Path) -> None:
    done = predict("cover", scene, "--output", tmp_path / "map.tif", "--tile", 32)
    assert done.exit_code == 0, done.output
    x = values_of(scene)
    model = modelstac.load("cover-1.0.0-onnx", catalog=catalog)
    expected = model.run({"image": x[None].astype(np.float32)})["scores"][0].argmax(0)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.crs, file.transform, file.nodata, file.dtypes) == ("EPSG:32631", PLACE, 255, ("uint8",))
        made = file.read(1)
    assert (made[:10, :20] == 255).all()
    np.testing.assert_array_equal(made[(x != 0).all(0)], expected[(x != 0).all(0)])
    assert json.loads((tmp_path / "map.json").read_text())["type"] == "Feature"
    assert not (tmp_path / "map.tif.part").exists()


def test_the_item_of_a_map_leads_to_the_scene_from_wherever_it_lies(
    predict: Any, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "maps").mkdir()
    monkeypatch.chdir(tmp_path)
    assert predict("cover", scene.name, "--output", "maps/map.tif").exit_code == 0
    links = json.loads(Path("maps/map.json").read_text())["links"]
    assert str(scene) in [link["href"] for link in links if link["rel"] == "derived_from"]


def test_a_scene_in_files_loads_nothing_for_arrays_with_labels(scene: Path, tmp_path: Path, catalog: Path) -> None:
    arguments = ["predict", "cover-1.0.0-onnx", str(scene), "--output", str(tmp_path / "map.tif"), "-c", str(catalog)]
    assert imported_by(CALL.format(arguments), "{'onnxruntime', 'pandas', 'rasterio', 'xarray'}") == (
        "['onnxruntime', 'rasterio']"
    )
    assert (tmp_path / "map.tif").exists()


def test_a_dry_run_prints_what_would_be_done(predict: Any, scene: Path, tmp_path: Path) -> None:
    done = predict("cover", scene, "--dry-run", "--tile", 32, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert "120 x 90 pixels, uint8" in said["layer scores"]
    assert "cut at a margin of 1" in said["tiles"]
    assert {"memory", "time", "batch"} <= said.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_change_map_of_two_dates(predict: Any, tmp_path: Path) -> None:
    dates = [RNG.integers(1, 3000, (1, 40, 50)).astype(np.uint16) for _ in range(2)]
    files = [raster(tmp_path / f"{i}.tif", values, ("B04",)) for i, values in enumerate(dates)]
    named = ("--input", f"before={files[0]}", "--input", f"after={files[1]}")
    done = predict("change", *named, "--output", tmp_path / "map.tif")
    assert done.exit_code == 0, done.output
    assert values_of(tmp_path / "map.tif").shape == (1, 40, 50)
    same = predict(
        "change", "--input", f"before={files[0]}", "--input", f"after={files[0]}", "-o", tmp_path / "same.tif"
    )
    assert same.exit_code == 0, same.output
    assert (values_of(tmp_path / "same.tif") == 0).all()


def test_a_finer_grid(predict: Any, tmp_path: Path) -> None:
    file = raster(tmp_path / "x.tif", RNG.integers(1, 3000, (1, 40, 50)).astype(np.uint16), ("B04",))
    done = predict("finer", file, "--output", tmp_path / "map.tif", "--tile", 16)
    assert done.exit_code == 0, done.output
    with rasterio.open(tmp_path / "map.tif") as found:
        assert (found.shape, found.transform) == ((80, 100), Affine(5, 0, 600000, 0, -5, 5800000))


def test_a_forest_on_every_pixel(predict: Any, scene: Path, tmp_path: Path, catalog: Path) -> None:
    done = predict("forest", scene, "--output", tmp_path / "map.tif", "--post", "argmax")
    assert done.exit_code == 0, done.output
    x = values_of(scene)
    pixels = x[1:].reshape(2, -1).T.astype(np.float32)
    expected = modelstac.load("forest-1.0.0-onnx", catalog=catalog).run({"pixel": pixels})["share"].argmax(1)
    there = (x != 0).all(0)
    assert set(expected) == {0, 1}
    np.testing.assert_array_equal(values_of(tmp_path / "map.tif")[0][there], expected.reshape(90, 120)[there])


def test_a_series_on_every_pixel(predict: Any, tmp_path: Path, catalog: Path) -> None:
    frames = [RNG.integers(1, 3000, (2, 20, 30)).astype(np.uint16) for _ in range(3)]
    days = ("20250601", "20250701", "20250801")
    files = [raster(tmp_path / f"S2_{day}.tif", v, ("B03", "B04")) for day, v in zip(days, frames, strict=True)]
    done = predict("series", *files, "--output", tmp_path / "map.tif", "--post", "argmax")
    assert done.exit_code == 0, done.output
    pixels = np.stack(frames).astype(np.float32).reshape(3, 2, -1).transpose(2, 0, 1)
    expected = modelstac.load("series-1.0.0-onnx", catalog=catalog).run({"series": pixels})["scores"].argmax(1)
    np.testing.assert_array_equal(values_of(tmp_path / "map.tif")[0], expected.reshape(20, 30))
    said = json.loads((tmp_path / "map.json").read_text())["properties"]
    assert (said["start_datetime"], said["end_datetime"]) == ("2025-06-01T00:00:00Z", "2025-08-01T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{scene}", "--output", "map.docx"), "map.docx"),
        (("{scene}", "--output", "none/map.tif"), "no folder"),
        (("none.tif", "--output", "map.tif"), "none.tif"),
        (("{scene}",), "--output"),
        (("{scene}", "--output", "map.tif", "--post", "magic"), "magic"),
        (("{scene}", "--output", "map.tif", "--memory", "much"), "much"),
        (("{scene}", "--output", "map.tif", "--bands", "B02,B03,B99"), "B99"),
        (("--from", "https://127.0.0.1:1/", "--output", "map.tif"), "--collections"),
        (("{scene}", "--from", "https://127.0.0.1:1/", "--output", "map.tif"), "--from"),
        (("{scene}", "--input", "image={scene}", "--output", "map.tif"), "--input"),
        (("{scene}", "--collections", "sentinel-2", "--output", "map.tif"), "--from"),
        (("{scene}", "--datetime", "1999", "--output", "map.tif"), "nothing at the time 1999"),
        (("{scene}", "--datetime", "noon", "--output", "map.tif"), "'noon' cannot be read"),
        (("x.npy", "--tile", "32"), "--tile"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_left(
    predict: Any, scene: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    tmp_path = scene.parent
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 4, 4), np.float32))
    done = predict("cover", *(part.replace("{scene}", str(scene)) for part in arguments))
    assert done.exit_code == 2, done.output
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert said in line
    assert "bug" not in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif", "x.npy"]


def test_a_scene_is_not_written_over(predict: Any, scene: Path, tmp_path: Path) -> None:
    before = scene.read_bytes()
    (tmp_path / "link.tif").symlink_to(scene)
    (tmp_path / "folder.tif").mkdir()
    for words, said in [
        (["--output", str(scene)], "it is read for this map, and would be lost"),
        (["--output", str(tmp_path / "link.tif")], "it is read for this map, and would be lost"),
        (["--output", str(tmp_path / "folder.tif")], "a folder of this name"),
        (["--output", str(tmp_path / "map.tif"), "--preview", str(tmp_path / "no" / "a.png")], "no such folder"),
        (["--output", str(tmp_path / "map.tif"), "--at", "2024-01-01T00:00"], "--at is for forecasts"),
        (["--output", str(tmp_path / "map.tif"), "--plot", str(tmp_path / "a.png")], "--preview draws the map"),
        (["--output", str(tmp_path / "map.tif"), "--post", "clip:1:0"], "the lower number first"),
        (["--output", str(tmp_path / "map.tif"), "--post", "stretch:2:198"], "percentiles from 0 to 100"),
        (["--output", str(tmp_path / "map.tif"), "--post", "argmax,softmax"], "'softmax' is of scores"),
        (["--output", str(tmp_path / "map.tif"), "--vector", str(tmp_path / "map.json")], "two results"),
    ]:
        done = predict("cover", str(scene), *words)
        assert (done.exit_code, said in done.stderr.splitlines()[-1]) == (2, True), done.stderr
    assert scene.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tif", "link.tif", "scene.tif"]


def test_polygons_alone_are_a_map_too(predict: Any, scene: Path, tmp_path: Path) -> None:
    import geopandas

    done = predict("cover", scene, "--output", tmp_path / "map.parquet")
    assert done.exit_code == 0, done.output
    both = ("--output", tmp_path / "raster.tif", "--vector", tmp_path / "x.parquet")
    assert predict("cover", scene, *both).exit_code == 0
    assert (tmp_path / "map.parquet").read_bytes() == (tmp_path / "x.parquet").read_bytes()
    assert set(geopandas.read_parquet(tmp_path / "map.parquet")["name"]) <= {f"c{i}" for i in range(4)}
    said = json.loads((tmp_path / "map.json").read_text())
    assert list(said["assets"]) == ["polygons"]
    refused = predict("change", "--input", f"before={scene}", "--input", f"after={scene}", "-o", tmp_path / "c.parquet")
    assert refused.exit_code == 2
    assert "error:" in refused.stderr


def test_the_item_of_a_map_names_its_files_as_addresses_and_what_ran_the_model(
    predict: Any, scene: Path, tmp_path: Path
) -> None:
    import onnxruntime

    done = predict("cover", scene, "--output", tmp_path / "map of 100%.tif")
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / "map of 100%.json").read_text())
    assert said["assets"]["map"]["href"] == "./map%20of%20100%25.tif"
    assert said["properties"]["processing:software"]["onnxruntime"] == onnxruntime.__version__
    assert said["properties"]["processing:software"].keys() == {"modelstac", "onnxruntime"}
    # It is a scene itself, whose file is found by that address.
    again = predict("finer", tmp_path / "map of 100%.json", "--bands", "scores", "--dry-run")
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_map_goes_to_an_object_store(
    predict: Any, scene: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    import obstore

    with moto() if kind == "s3" else azurite.azurite() as address:
        if kind == "s3":
            variables = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                         "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}  # fmt: skip
            urlopen(Request(f"{address}/maps", method="PUT")).close()
        else:
            variables = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": address,
                         "AZURE_STORAGE_ACCOUNT_NAME": azurite.ACCOUNT, "AZURE_ALLOW_HTTP": "true"}  # fmt: skip
            azurite.make_container(address, "maps")
        for name, value in {**variables, "MODELSTAC_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        base = "s3://maps/july" if kind == "s3" else "az://maps/july"
        done = predict("cover", scene, "--output", f"{base}/map.tif", "--preview", f"{base}/map.png")
        assert done.exit_code == 0, done.output
        store = from_url(base)
        assert {one["path"] for page in obstore.list(store) for one in page} == {"map.tif", "map.png", "map.json"}
        (tmp_path / "fetched.tif").write_bytes(bytes(obstore.get(store, "map.tif").bytes()))
        assert predict("cover", scene, "--output", tmp_path / "map.tif").exit_code == 0
        np.testing.assert_array_equal(values_of(tmp_path / "fetched.tif"), values_of(tmp_path / "map.tif"))
        refused = predict("cover", scene, "--output", base.replace("maps", "nowhere") + "/map.tif")
        assert refused.exit_code == 2
        assert refused.stderr.splitlines()[-1].startswith("error: cannot write")
