"""Other people's items: read, searched and, where their file can be had and is safe or trusted, loaded and run."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from tests.registry.foreign_items import OFFICIAL, RGB, item, weights
from tests.registry.http_server import serving
from torch import nn
from torch.export.pt2_archive._package import package_pt2

import modelstac
from modelstac.catalog import Query
from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    MissingPackageError,
    ModelStacError,
    UntrustedError,
)
from modelstac.catalog.messages import Note
from modelstac.catalog.search.matching import matches
from modelstac.cli import main
from modelstac.registry import TrustPolicy
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.foreign import describe
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.files.lock import Lock
from modelstac.registry.isolated.loading import make_environment, requirements_of

IMAGES = np.random.default_rng(3).random((2, 3, 8, 8), dtype=np.float32)
Said = list[str]


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the lock file of this test."""
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    return tmp_path / "modelstac.lock"


def doubling(path: Path, factor: float = 2.0) -> Path:
    """Write an ONNX graph that multiplies."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 3, 8, 8]) for name in ("x", "y"))
    weight = [numpy_helper.from_array(np.array([factor], np.float32), "w")]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], weight)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


def program(path: Path, *, packaged: bool) -> Path:
    """Write an exported program, alone or with transforms and notes beside it as stac-model's ``package`` does."""
    shape = ((torch.export.Dim.AUTO, 3, 8, 8),)
    model = torch.export.export(Doubling().eval(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=shape)
    if packaged:
        notes = {"mlm-metadata": "properties: {}\n"}
        package_pt2(str(path), exported_programs={"model": model, "transforms": model}, extra_files=notes)
    else:
        torch.export.save(model, path)
    return path


@pytest.fixture
def architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that builds an architecture."""
    (tmp_path / "site").mkdir()
    code = "import torch\nclass D(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    code += "        self.factor = torch.nn.Parameter(torch.ones(1))\n    def forward(self, x):\n"
    (tmp_path / "site" / "others_models.py").write_text(
        f"{code}        return x * self.factor\ndef build(_):\n    return D()\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "others_models:build"


def write(folder: Path, document: dict[str, Any], name: str = "item.json") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(document))
    return str(folder / name)


def run(what: object, **options: Any) -> tuple[np.ndarray, Said]:
    messages: list[object] = []
    model = modelstac.load(what, report=messages.append, **options)
    return model.predict(IMAGES), [message.text for message in messages if isinstance(message, Note)]


def asset(href: str, **fields: Any) -> dict[str, Any]:
    return {"href": href, "roles": ["mlm:model"]} | fields


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_examples_are_read_and_their_pickles_refused(name: str) -> None:
    found = pystac.Item.from_dict(copy.deepcopy(OFFICIAL[name]))
    (model,) = model_assets(found)
    if name == "item_basic":  # a page about a model, no model
        with pytest.raises(InvalidItemError, match="does not say what it is"):
            modelstac.load(found)
        return
    assert model.artifact_type == "torch.save"
    with pytest.raises(UntrustedError, match=f"'{name}' holds torch.save .*: loaded are .*ask its publisher"):
        modelstac.load(found)
    # The same item with a file that can be loaded: its inputs and outputs are understood.
    found.assets[model.key].extra_fields["mlm:artifact_type"] = "onnx"
    description, _ = describe(found, model_assets(found)[0])
    assert len(description.inputs) == (3 if name == "item_multi_io" else 1)
    assert description.inputs[0].input.shape[0] == -1


@pytest.mark.parametrize(("name", "key"), [("item_eo_bands", "weights"), ("item_pytorch_geo_unet", "model")])
def test_official_examples_run_where_their_publisher_is_trusted(tmp_path: Path, name: str, key: str) -> None:
    """With a pickle here in the place of theirs, which is on the network."""
    document = copy.deepcopy(OFFICIAL[name])
    bands = document["properties"]["mlm:input"][0]["input"]["shape"][1:]
    torch.save(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(bands[0], 10)), tmp_path / "model.pth")
    document["assets"][key]["href"] = "./model.pth"
    path = write(tmp_path, document)
    with pytest.raises(UntrustedError, match="trust='pickle'"):
        modelstac.load(path)
    with modelstac.load(path, trust="pickle") as model:
        assert model.predict(np.ones((2, *bands), np.float32)).shape == (2, 10)


def test_the_example_that_stac_model_itself_builds() -> None:
    from stac_model.examples import eurosat_resnet

    made = eurosat_resnet().item
    with pytest.raises(UntrustedError, match=r"torch\.save"):
        modelstac.load(made)
    made.assets["model"].extra_fields["mlm:artifact_type"] = "torch.export.save"
    description, remarks = described(made, model_assets(made)[0])
    assert description.inputs[0].input.dim_order == ("batch", "bands", "height", "width")
    assert description.inputs[0].value_scaling is not None
    assert len(description.inputs[0].value_scaling) == 13
    assert remarks == [
        "input '13 Band Sentinel-2 Batch' wants a preprocessing that is not run here: "
        "torchgeo.datamodules.eurosat.EuroSATDataModule.collate_fn"
    ]


def test_scaling_of_mlm_before_1_4_is_read() -> None:
    found = pystac.Item.from_dict(copy.deepcopy(OFFICIAL["item_raster_bands"]))
    found.assets["weights"].extra_fields["mlm:artifact_type"] = "onnx"
    description, _ = describe(found, model_assets(found)[0])
    assert description.inputs[0].value_scaling is not None
    assert [step.model_dump() for step in description.inputs[0].value_scaling][:1] == [
        {"type": "z-score", "mean": 1354.4, "stddev": 245.7}
    ]


KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # name: MLM, assets, properties; {onnx}, {pt2}, {packaged} become files that are there
    "no checksum": ("1.5.2", {"model": asset("{onnx}", **{"mlm:artifact_type": "onnx"})}, {"mlm_framework": "ONNX"}),
    "no artifact type": ("1.0.0", {"model": asset("{onnx}")}, {"mlm_framework": "onnx"}),
    "other word": ("1.4.0", {"model": asset("{onnx}", **{"mlm:artifact_type": "torch.onnx.export"})}, {}),
    "unknown word": ("1.5.2", {"model": asset("{onnx}", **{"mlm:artifact_type": "onnxruntime.InferenceSession"})}, {}),
    "no role": ("1.2.0", {"weights": {"href": "{onnx}"}, "code": {"href": "{onnx}", "roles": ["code"]}}, {}),
    "fAIr, checkpoint beside": (
        "1.5.1",
        {"checkpoint": weights(), "model": asset("{onnx}", **{"mlm:artifact_type": "onnx"})},
        {"mlm_framework": "PyTorch", "mlm_framework_version": "2.10.0", "version": "1"},
    ),
    "stac-model archive": (
        "1.4.0",
        {"model": asset("{packaged}", **{"mlm:artifact_type": "torch.export.save"})},
        {"mlm_framework": "pytorch", "mlm_framework_version": torch.__version__},
    ),
    "exported program": (
        "1.5.0",
        {"model": asset("{pt2}", **{"mlm:artifact_type": "torch.export.save"})},
        {"mlm_framework": "torch", "mlm_framework_version": torch.__version__},
    ),
    "several models": (
        "1.5.2",
        {"torch": asset("{pt2}", **{"mlm:artifact_type": "torch.export.save"}), "onnx": asset("{onnx}")},
        {"mlm_framework": "PyTorch"},
    ),
    "a page as the model": (
        "1.3.0",
        {
            "model": {"href": "https://example.org/card", "type": "text/html", "roles": ["mlm:model"]},
            "weights": asset("{onnx}", roles=["mlm:weights"]),
        },
        {"mlm_input": [{"name": "RGB", "bands": [], "input": RGB | {"data_type": "Float32"}}]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_items_load_and_run(tmp_path: Path, kind: str) -> None:
    mlm, assets, properties = copy.deepcopy(KINDS[kind])
    folder = tmp_path / "others"
    folder.mkdir()
    for found in assets.values():
        name = found["href"]
        if name == "{onnx}":
            found["href"] = f"./{doubling(folder / 'model.onnx').name}"
        elif name in {"{pt2}", "{packaged}"}:
            found["href"] = f"./{program(folder / 'model.pt2', packaged=name == '{packaged}').name}"
    result, said = run(write(folder, item("others-model", mlm, assets, **properties)))
    np.testing.assert_allclose(result, 2 * IMAGES, rtol=1e-6)
    assert len(said) <= 3  # version, what is missing, what was pinned: once each
    assert any("has no checksum: pinned to sha256" in text for text in said)


@pytest.mark.usefixtures("_package_index")
def test_foreign_items_run_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "environments"))
    (tmp_path / "requirements.txt").write_text("torchgeo>=0.5\n--index-url https://example.com/simple\n")
    assets = {
        "model": asset(str(doubling(tmp_path / "model.onnx")), **{"mlm:artifact_type": "torch.onnx.export"}),
        "requirements": {"href": str(tmp_path / "requirements.txt"), "type": "text/plain"},  # of the training, say
    }
    found = pystac.Item.from_dict(
        item("others-model", "1.4.0", assets, mlm_framework="pytorch", mlm_framework_version="2.1.2+cu121")
    )
    with modelstac.load(found, isolated=True) as model:
        np.testing.assert_allclose(model.predict(IMAGES), 2 * IMAGES, rtol=1e-6)
        assert model.environment.asked == ("numpy", "onnxruntime")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("artifact", "framework", "given", "expected"),
    [
        ("torch.export.save", "pytorch", "2.9.1+cu121", {"torch==2.9.1"}),
        ("torch.export.save", "torch", None, {"torch"}),
        ("torch.export.save", "segmentation_models_pytorch", "0.3.3", {"torch"}),
        ("tf.keras.Model.save", "TensorFlow", "2.15.0", {"keras", "h5py"}),
    ],
)
def test_what_an_isolated_environment_of_a_foreign_item_holds(
    artifact: str, framework: str, given: str | None, expected: set[str]
) -> None:
    assets = {"model": asset("https://example.org/model", **{"mlm:artifact_type": artifact})}
    version = {} if given is None else {"mlm_framework_version": given}
    found = pystac.Item.from_dict(item("others-model", "1.4.0", assets, mlm_framework=framework, **version))
    description, _ = describe(found, model_assets(found)[0])
    pins = {str(pin) for pin in requirements_of(found, description, TrustPolicy()).pins}
    assert pins - {"numpy", "tensorflow", "tensorflow-cpu"} == expected
    assert (artifact == "tf.keras.Model.save") == any(pin.startswith("tensorflow") for pin in pins)


def test_a_foreign_framework_with_known_holes_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "environments"))
    assets = {"model": asset("https://example.org/model.pt2", **{"mlm:artifact_type": "torch.export.save"})}
    found = pystac.Item.from_dict(
        item("others-model", "1.4.0", assets, mlm_framework="pytorch", mlm_framework_version="2.1.2+cu121")
    )
    description, _ = describe(found, model_assets(found)[0])
    with pytest.raises(UntrustedError, match=r"'others-model' names torch==2\.1\.2, .*allowing_packages") as caught:
        make_environment(found, description)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "environments").exists()


def test_an_item_with_several_models_is_asked_by_asset(tmp_path: Path) -> None:
    doubling(tmp_path / "small.onnx", 2)
    doubling(tmp_path / "large.onnx", 3)
    assets = {"small": asset("./small.onnx"), "large": asset("./large.onnx")}
    path = write(tmp_path, item("two", "1.5.2", assets))
    with pytest.raises(InvalidItemError, match=r"'two' has 2 models \(small, large\) .* asset='small'"):
        run(path)
    np.testing.assert_allclose(run(path, asset="large")[0], 3 * IMAGES, rtol=1e-6)


def test_a_folder_of_mlstac_with_an_architecture_of_the_readers_own(tmp_path: Path, architecture: str) -> None:
    folder = tmp_path / "supers"
    folder.mkdir()
    save_file({"factor": torch.tensor([2.0])}, folder / "model.safetensors")
    (folder / "load.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    there = "https://huggingface.co/others/supers/resolve/main"
    assets = {
        "trainable": asset(f"{there}/model.safetensors", **{"mlm:artifact_type": "safetensors.torch.save_file"}),
        "load": {"href": f"{there}/load.py", "type": "text/x-python", "roles": ["code"]},
    }
    write(folder, item("supers", "1.4.0", assets, mlm_framework="pytorch"), "mlm.json")
    with pytest.raises(InvalidItemError, match=r"entry ?point"):
        run(folder)
    with pytest.raises(UntrustedError, match="not in the allow-list"):
        run(folder, entrypoint=architecture)
    result, _ = run(folder, entrypoint=architecture, policy=TrustPolicy().allowing("others_models"))
    np.testing.assert_allclose(result, 2 * IMAGES)
    assert not (tmp_path / "canary").exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Any]:
    """A server that has a model."""
    with serving(doubling(tmp_path / "model.onnx").read_bytes()) as server:
        yield server


def test_the_first_download_is_pinned_and_a_later_change_refused(elsewhere: Any, tmp_path: Path, lock: Path) -> None:
    def signed(signature: str) -> pystac.Item:
        href = f"{elsewhere.url}/model.onnx?X-Signature={signature}"
        return pystac.Item.from_dict(item("signed", "1.5.2", {"model": asset(href)}))

    result, said = run(signed("one"))
    np.testing.assert_allclose(result, 2 * IMAGES)
    assert any(str(lock) in text for text in said)
    (place,) = json.loads(lock.read_text())["files"]
    assert place == f"{elsewhere.url}/model.onnx"  # nothing of the signature
    elsewhere.reset()
    _, said = run(signed("two"))
    assert not any("pinned" in text for text in said)
    assert elsewhere.requests == []  # from the cache
    elsewhere.content = doubling(tmp_path / "other.onnx", 5).read_bytes()
    from modelstac.registry.files.cache import Cache

    Cache().path(Lock().pins()[place].sha256).unlink()
    with pytest.raises(IntegrityError, match=r"changed since it was pinned in .*modelstac lock update") as raised:
        run(signed("three"))
    assert "three" not in str(raised.value)
    lock.write_text("{}")
    with pytest.raises(InvalidItemError, match="no lock file"):
        run(signed("four"))
    lock.unlink()
    np.testing.assert_allclose(run(signed("five"))[0], 5 * IMAGES)


def test_a_local_file_is_pinned_relative_to_the_lock(tmp_path: Path, lock: Path) -> None:
    doubling(tmp_path / "model.onnx")
    path = write(tmp_path, item("local", "1.5.2", {"model": asset("./model.onnx")}))
    run(path)
    assert list(json.loads(lock.read_text())["files"]) == ["model.onnx"]
    doubling(tmp_path / "model.onnx", 7)
    with pytest.raises(IntegrityError, match=r"model\.onnx changed since it was pinned"):
        run(path)
    before = Lock().pins()["model.onnx"]
    done = CliRunner().invoke(main, ["lock", "update", path, "--json"])
    assert done.exit_code == 0, done.output
    (change,) = json.loads(done.stdout)
    assert (change["before"], change["place"]) == (before.sha256, "model.onnx")
    assert Lock().pins()["model.onnx"].sha256 == change["now"] != before.sha256
    np.testing.assert_allclose(run(path)[0], 7 * IMAGES)
    assert change["now"] in CliRunner().invoke(main, ["lock", "ls"]).stdout
    assert "nothing to change" in CliRunner().invoke(main, ["lock", "update", path]).stdout


def canary(path: Path) -> bytes:
    """Return a pickle that makes a folder when it is read."""

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(path),)

    torch.save(Payload(), path.with_suffix(".pt"))
    return path.with_suffix(".pt").read_bytes()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("model.pt", {}),
        ("model.pth", {"mlm:artifact_type": "torch.jit.save"}),
        ("model.onnx", {"mlm:artifact_type": "torch.save"}),
        ("model.onnx", {"mlm:artifact_type": "onnxruntime.InferenceSession"}),
        ("model.pth", {"mlm:artifact_type": "mmseg.checkpoint"}),
        ("model.onnx", {}),
        ("model.safetensors", {"mlm:artifact_type": "safetensors"}),
        ("model.pt2", {"mlm:artifact_type": "torch.export.save"}),
        ("model.keras", {"mlm:artifact_type": "keras"}),
        ("model.bin", {"type": "application/octet-stream; framework=onnx"}),
    ],
)
def test_pickles_are_refused_whatever_they_are_called(tmp_path: Path, name: str, fields: dict[str, str]) -> None:
    (tmp_path / name).write_bytes(canary(tmp_path / "canary"))
    path = write(tmp_path, item("hostile", "1.3.0", {"model": asset(f"./{name}", **fields)}, mlm_framework="pytorch"))
    with pytest.raises((UntrustedError, InvalidItemError)) as raised:
        run(path, entrypoint="modelstac.training.architectures.convlstm_torch:build")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mlm_input": ...}, "has no mlm:input"),
        ({"mlm_output": []}, "has no mlm:output"),
        ({"mlm_input": [{"name": "x"}]}, "'x' has no 'input' with shape and dim_order"),
        ({"mlm_input": [{"name": "x", "input": RGB | {"shape": [1, 2]}}]}, "'x' makes no sense.*differ in length"),
        ({"mlm_input": [{"name": "x", "input": RGB}] * 2}, "two inputs of the model are called 'x'"),
    ],
)
def test_items_that_leave_out_too_much(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    doubling(tmp_path / "model.onnx")
    path = write(tmp_path, item("poor", "1.1.0", {"model": asset("./model.onnx")}, **change))
    with pytest.raises(InvalidItemError, match=said) as raised:
        run(path)
    assert "'poor'" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("framework", ["pytorch", "PyTorch", "torch"])
def test_foreign_items_are_found_in_foreign_catalogs(tmp_path: Path, framework: str) -> None:
    folder = tmp_path / "others"
    model = item("their-model", "1.3.0", {"model": weights()}, mlm_framework=framework, mlm_framework_version="2.1")
    (folder / "their-model").mkdir(parents=True)
    write(folder / "their-model", model, "their-model.json")
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    common = {"stac_version": "1.0.0", "description": "theirs", "license": "other"}
    link = {"rel": "item", "href": "./their-model/their-model.json"}
    write(folder, {"type": "Collection", "id": "others", "extent": extent, "links": [link]} | common, "collection.json")
    child = {"rel": "child", "href": "./others/collection.json"}
    write(tmp_path, {"type": "Catalog", "id": "root", "links": [child]} | common, "catalog.json")
    catalog = modelstac.open(tmp_path)
    for wanted in ("PyTorch", "pytorch", "torch"):
        found = catalog.search(framework=wanted, framework_version=">=2,<3")
        assert [each.id for each in found] == ["their-model"]
        assert all(matches(Query(framework=wanted), each) for each in found)
    assert catalog.search(framework="ONNX") == []
    with pytest.raises(UntrustedError, match=r"'their-model' holds torch\.save"):
        modelstac.load("their-model", catalog=catalog)


def test_a_missing_framework_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, item("keras-model", "1.5.0", {"model": asset("./model.keras")}, mlm_framework="tf.keras"))
    from modelstac.registry.choosing.machine import Machine

    with pytest.raises(MissingPackageError, match=r"'keras-model' needs keras.*modelstac\[keras\]"):
        modelstac.resolve(path, machine=Machine(packages={"torch": "2.13.0"}))


def test_errors_are_ours(tmp_path: Path) -> None:
    """Whatever an item holds in the place of what belongs there, the error is one line of ours."""
    doubling(tmp_path / "model.onnx")
    base = item("odd", "1.5.2", {"model": asset("./model.onnx")})
    for name in ("mlm:input", "mlm:output", "mlm:hyperparameters", "mlm:framework", "mlm:memory_size", "version"):
        for wrong in (None, 7, "text", [1], {"a": None}, [None], [{"name": None, "input": None, "result": None}]):
            document = copy.deepcopy(base)
            document["properties"][name] = wrong
            said: Said = []
            try:
                said = run(write(tmp_path, document))[1]
            except ModelStacError as error:
                said = [str(error)]
            assert all("\n" not in text for text in said)
