"""Packages of bioimage.io: axes, sizes, halo and processing are kept, and the test arrays decide."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner
from onnx import TensorProto, helper
from tests.registry.http_server import serving

import modelstac
from modelstac.catalog.errors import IntegrityError, InvalidItemError, NotFoundError, SpecError, UntrustedError
from modelstac.cli import main
from modelstac.registry.exchange.bioimageio.package import unpack
from modelstac.registry.exchange.bioimageio.processing import Step
from modelstac.registry.exchange.hub import card
from modelstac.registry.exchange.taken import read_yaml

RNG = np.random.default_rng(0)
RAW = RNG.uniform(100, 900, (1, 2, 16, 16)).astype(np.float32)
SAID: dict[str, Any] = {
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "task": "semantic-segmentation",
    "architecture": "CNN",
    "code": False,
}


def network(path: Path) -> Any:
    """Write a graph that averages two channels over three pixels each way; return what it computes."""
    weight = np.full((1, 2, 3, 3), 1 / 18, np.float32)
    ends = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2, "h", "w"])]
    ends += [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 1, "h", "w"])]
    node = helper.make_node("Conv", ["image", "weight"], ["mask"], pads=[1, 1, 1, 1])
    first = onnx.numpy_helper.from_array(weight, "weight")
    graph = helper.make_graph([node], "mean", ends[:1], ends[1:], [first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

    def compute(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        padded = np.pad(x.mean(1), ((0, 0), (1, 1), (1, 1)))
        height, width = x.shape[2:]
        parts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        return np.asarray(sum(parts) / 9)[:, None]

    return compute


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(folder: Path, version: str = "0.5.4", pre: Any = None, post: Any = None, **changes: Any) -> Path:
    """Write a package whose test arrays are what the network and the processing make."""
    folder.mkdir(parents=True)
    compute = network(folder / "weights.onnx")
    pre = [{"id": "scale_linear", "kwargs": {"gain": 0.001, "offset": -0.1}}] if pre is None else pre
    post = [{"id": "sigmoid"}] if post is None else post
    axes = ("batch", "channel", "y", "x") if version.startswith("0.5") else tuple("bcyx")
    x = RAW.astype(np.float64)
    for step in pre:
        x = Step(step, axes, "test").compute(x, {"raw": RAW})
    y = compute(x)
    for step in post:
        y = Step(step, axes, "test").compute(y, {"raw": RAW})
    np.save(folder / "in.npy", RAW)
    np.save(folder / "out.npy", y.astype(np.float32))
    rdf: dict[str, Any] = {
        "format_version": version,
        "type": "model",
        "name": "Mean of neighbours",
        "description": "Averages two channels.",
        "license": "CC-BY-4.0",
        "authors": [{"name": "Ada Lovelace", "orcid": "0000-0001-2345-6789", "affiliation": "Analytical Engines"}],
        "cite": [{"text": "Lovelace 1843", "doi": "10.1000/182"}],
        "tags": ["mean", "2d"],
        "documentation": "README.md",
        "weights": {"onnx": {"source": "weights.onnx", "sha256": digest(folder / "weights.onnx"), "opset_version": 17}},
    }
    (folder / "README.md").write_text("# Mean\n\nIt averages.\n")
    if version.startswith("0.5"):
        space = [{"type": "space", "id": name, "size": {"min": 16, "step": 8}} for name in "yx"]
        out = [{"type": "space", "id": name, "size": {"tensor_id": "raw", "axis_id": name}, "halo": 4} for name in "yx"]
        channels = {"type": "channel", "channel_names": ["VV", "VH"]}
        rdf["inputs"] = [
            {
                "id": "raw",
                "axes": [{"type": "batch"}, channels, *space],
                "preprocessing": pre,
                "test_tensor": {"source": "in.npy", "sha256": digest(folder / "in.npy")},
            }
        ]
        rdf["outputs"] = [
            {
                "id": "mask",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["mean"]}, *out],
                "postprocessing": post,
                "test_tensor": {"source": "out.npy", "sha256": digest(folder / "out.npy")},
            }
        ]
    else:
        named = [{"name": step["id"], "kwargs": step.get("kwargs", {})} for step in pre]
        after = [{"name": step["id"], "kwargs": step.get("kwargs", {})} for step in post]
        shape = {"min": [1, 2, 16, 16], "step": [0, 0, 8, 8]}
        same = {"reference_tensor": "raw", "scale": [1, 0.5, 1, 1], "offset": [0, 0, 0, 0]}
        first = {"name": "raw", "axes": "bcyx", "data_type": "float32", "shape": shape, "preprocessing": named}
        last = {"name": "mask", "axes": "bcyx", "data_type": "float32", "shape": same, "halo": [0, 0, 4, 4]}
        rdf |= {"inputs": [first], "outputs": [last | {"postprocessing": after}]}
        rdf |= {"test_inputs": ["in.npy"], "test_outputs": ["out.npy"]}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf | changes))
    return folder


@pytest.mark.parametrize("version", ["0.4.10", "0.5.4"])
def test_a_package_is_taken_with_all_that_it_says(tmp_path: Path, version: str) -> None:
    folder = package(tmp_path / "package", version)
    item = modelstac.publish(folder / "rdf.yaml", catalog=tmp_path / "models", **SAID)
    said = item.properties
    assert item.collection_id == "Mean-of-neighbours"
    assert said["license"] == "CC-BY-4.0"
    assert said["providers"][0]["name"] == "Ada Lovelace"
    assert said["sci:doi"] == "10.1000/182"
    assert {"mean", "2d"} <= set(said["keywords"])
    assert "It averages." in said["description"]
    assert said["interop:sizes"]["image"]["height"] == {"at_least": 16, "step": 8}
    assert said["interop:halo"]["image"] == {"height": 4, "width": 4}
    assert said["mlm:input"][0]["input"]["dim_order"] == ["batch", "channel", "height", "width"]
    [step] = said["mlm:input"][0]["value_scaling"]
    assert (step["type"], round(step["mean"]), round(step["stddev"])) == ("z-score", 100, 1000)
    [after] = said["mlm:output"][0]["post_processing_function"]
    assert after == {"format": "numpy", "expression": "1 / (1 + exp(-x))"}
    origin = said["interop:origin"]
    assert (origin["registry"], origin["format_version"], origin["weights"]) == ("bioimage.io", version, "onnx")
    assert origin["files"]["weights.onnx"] == digest(folder / "weights.onnx")
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    assert model.self_test().passed
    found = model.predict(RAW, scaled=False)
    np.testing.assert_allclose(found, np.load(folder / "out.npy"), atol=1e-5)


def test_channels_are_bands_by_name(tmp_path: Path) -> None:
    item = modelstac.publish(package(tmp_path / "package"), catalog=tmp_path / "models", **SAID)
    names = [band["name"] for band in item.assets["model"].extra_fields["raster:bands"]]
    assert names == ["VV", "VH"]


@pytest.mark.parametrize(
    ("pre", "post"),
    [
        ([{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}}], []),
        ([{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": 1e-3}}], [{"id": "sigmoid"}]),
        ([{"id": "scale_range", "kwargs": {"min_percentile": 1.0, "max_percentile": 99.0, "axes": ["y", "x"]}}], []),
        ([], [{"id": "softmax", "kwargs": {"axis": "channel"}}]),
        ([], [{"id": "scale_mean_variance", "kwargs": {"reference_tensor": "raw"}}]),
    ],
)
def test_what_depends_on_the_image_is_named_and_tested(tmp_path: Path, pre: Any, post: Any) -> None:
    folder = package(tmp_path / "package", pre=pre, post=post)
    item = modelstac.publish(folder, catalog=tmp_path / "models", **SAID)
    said = item.properties
    written = [
        function["expression"]["id"]
        for side, field in (("mlm:input", "pre_processing_function"), ("mlm:output", "post_processing_function"))
        for function in said[side][0].get(field) or ()
        if function["format"] == "bioimageio"
    ]
    assert written == [step["id"] for step in (*pre, *post) if step["id"] != "sigmoid"]
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    assert model.self_test().passed
    if pre:
        with pytest.raises(InvalidItemError, match="do it yourself"):
            model.predict(RAW, scaled=False)


def step(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"id": name, "kwargs": kwargs}


@pytest.mark.parametrize(
    "pre",
    [
        [step("clip", min=200.0, max=800.0)],
        [step("clip", min=200.0, max=800.0), step("scale_linear", gain=0.01)],
        [step("fixed_zero_mean_unit_variance", mean=[400.0, 500.0], std=[90.0, 80.0], axis="channel")],
        [step("binarize", threshold=500.0)],
        [step("ensure_dtype", dtype="float32"), step("scale_linear", gain=[0.1, 0.2], axis="channel")],
    ],
)
def test_what_is_the_same_for_every_image_is_scaling(tmp_path: Path, pre: Any) -> None:
    folder = package(tmp_path / "package", pre=pre, post=[{"id": "binarize", "kwargs": {"threshold": 0.0}}])
    item = modelstac.publish(folder, catalog=tmp_path / "models", **SAID)
    assert item.properties["mlm:input"][0]["value_scaling"]
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    assert model.self_test().passed
    found = model.predict(RAW, scaled=False)
    assert np.mean(found != np.load(folder / "out.npy")) < 0.01


def test_an_archive_and_the_web(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    archive = Path(shutil.make_archive(str(tmp_path / "mean"), "zip", folder))
    item = modelstac.publish(archive, catalog=tmp_path / "models", **SAID)
    with serving(archive.read_bytes()) as server:
        other = modelstac.publish(f"{server.url}/good/mean.zip", catalog=tmp_path / "others", **SAID)
    assert other.assets["model"].extra_fields["file:checksum"] == item.assets["model"].extra_fields["file:checksum"]


def test_the_command(tmp_path: Path) -> None:
    words = ["--bbox", "5,50,10,55", "--datetime", "2020", "--task", "regression", "--architecture", "CNN"]
    folder = package(tmp_path / "package")
    done = CliRunner().invoke(main, ["publish", str(folder), *words, "--catalog", str(tmp_path / "models")])
    assert done.exit_code == 0, done.output
    assert "published Mean-of-neighbours-1.0.0-onnx" in done.stdout
    assert "the test of the package passed: mask" in done.stderr
    done = CliRunner().invoke(main, ["adopt", str(folder / "rdf.yaml"), "--catalog", str(tmp_path / "models")])
    assert done.exit_code == 2
    assert "is a package of bioimage.io, and no item: modelstac publish" in done.stderr


NEWER = {"format_version": "0.6.1"}
PICKLED = {"weights": {"pytorch_state_dict": {"source": "weights.onnx"}}}


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        (NEWER, SpecError, r"format version 0\.6\.1, a newer one than is known here \(0\.4 and 0\.5\)"),
        ({"format_version": "0.3.2"}, SpecError, "an older one"),
        ({"type": "dataset"}, SpecError, "describes a dataset"),
        (PICKLED, UntrustedError, "run code when they are read"),
        ({"weights": {"onnx": {"source": "../weights.onnx"}}}, InvalidItemError, "none inside it"),
        ({"weights": {"onnx": {"source": "nothing.onnx"}}}, NotFoundError, "which is not there"),
        ({"weights": {"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}}, IntegrityError, "stated is 0000"),
        ({"weights": {}}, NotFoundError, "no weights that are known here"),
        ({"inputs": []}, InvalidItemError, "has no inputs"),
        ({"inputs": [{"id": "raw"}]}, InvalidItemError, "makes no sense"),
    ],
)
def test_what_cannot_be_taken_is_said_in_one_line(tmp_path: Path, changes: Any, kind: Any, reason: str) -> None:
    folder = package(tmp_path / "package", **changes)
    with pytest.raises(kind, match=reason) as found:
        modelstac.publish(folder, catalog=tmp_path / "models", **SAID)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "models" / "catalog.json").exists()


def test_a_step_that_is_none_of_the_vocabulary(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    text = (folder / "rdf.yaml").read_text().replace("id: sigmoid", "id: magic")
    (folder / "rdf.yaml").write_text(text)
    with pytest.raises(SpecError, match="processed by 'magic', which is not known here"):
        modelstac.publish(folder, catalog=tmp_path / "models", **SAID)


def test_a_model_that_fails_its_own_test_is_not_published(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    np.save(folder / "out.npy", np.load(folder / "out.npy") + 0.1)
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    rdf["outputs"][0]["test_tensor"] = {"source": "out.npy"}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    with pytest.raises(InvalidItemError, match="gives other numbers for 'mask' than its package expects"):
        modelstac.publish(folder, catalog=tmp_path / "models", **SAID)


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: 2020-13-45\n", "[" * 3_000, "a: !!bool x\n", "a: &a [*a]\n"])
def test_odd_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidItemError, match=r"no YAML that can be read|repeats its parts"):
        read_yaml(text, where="rdf.yaml")
    assert card.split(f"---\n{text}\n---\n# Card\n") == ({}, "# Card\n")


@pytest.mark.parametrize("source", ["file://{secret}", "s3://bucket/weights.onnx", "//[x/weights.onnx"])
def test_a_description_on_the_web_names_no_file_of_this_machine(tmp_path: Path, source: str) -> None:
    folder = package(tmp_path / "package")
    named = {"onnx": {"source": source.format(secret=folder / "weights.onnx")}}
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text()) | {"weights": named}
    with serving(yaml.safe_dump(rdf).encode()) as server, pytest.raises(InvalidItemError, match="none on the web"):
        modelstac.publish(f"{server.url}/good/rdf.yaml", catalog=tmp_path / "models", **SAID)


def test_a_link_out_of_a_package_is_refused(tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    (folder / "README.md").replace(tmp_path / "secret")
    (folder / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidItemError, match="a link that leads out of it"):
        modelstac.publish(folder, catalog=tmp_path / "models", **SAID)


def test_an_archive_is_as_large_as_a_file_may_be_at_most(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(name, bytes(600_000))
    with pytest.raises(UntrustedError, match="would unpack to more"):
        unpack(tmp_path / "bomb.zip", tmp_path / "out", 1_000_000)
    with zipfile.ZipFile(tmp_path / "clash.zip", "w") as archive:
        for name in ("a", "a/b"):
            archive.writestr(name, b"x")
    with pytest.raises(InvalidItemError, match="damaged"):
        unpack(tmp_path / "clash.zip", tmp_path / "out", 1_000_000)
