"""From the Hugging Face Hub and to it, by its own client, against a stand-in of its API on loopback."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
import yaml
from click.testing import CliRunner
from onnx import TensorProto, helper
from tests.registry.exchange.hub_server import Hub, hub_server

import modelstac
from modelstac.catalog.errors import (
    AmbiguousError,
    IntegrityError,
    ModelStacError,
    NotFoundError,
    SpecError,
    StorageError,
    UnauthorizedError,
    UntrustedError,
)
from modelstac.catalog.items.validation import validate
from modelstac.cli import main
from modelstac.registry.exchange.hub.taking import take
from modelstac.registry.exchange.pushing import push
from modelstac.registry.trust.policy import DEFAULT_POLICY

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client, as it uploads
NAME = "org/land-cover"
SAID: dict[str, Any] = {"bbox": (5, 50, 10, 55), "datetime": "2020", "architecture": "CNN", "code": False} | {
    "input_dims": ("batch", "bands", "height", "width"),
    "output_dims": ("batch", "class", "height", "width"),
    "bands": ("B02", "B03", "B04"),
    "example": np.random.default_rng(0).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32),
}
CARD = """---
license: cc-by-4.0
tags: [earth-observation, land-cover]
pipeline_tag: image-segmentation
base_model: org/backbone
datasets: [org/tiles]
model-index:
- name: land-cover
  results:
  - task: {type: image-segmentation}
    dataset: {type: tiles, name: Tiles}
    metrics: [{type: miou, value: 0.71, name: mIoU}, {type: accuracy, value: unknown}]
---
# Land cover

Of Sentinel-2.
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # an option of the client, read when it is imported
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_server() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


def graph() -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in "xy"]
    made = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    found: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return found


def test_a_model_is_taken_at_one_commit_with_its_card(hub: Hub, tmp_path: Path) -> None:
    data = graph()
    first = hub.commit(NAME, {"model.onnx": data, "README.md": CARD.encode(), "config.json": b"{}"})
    hub.commit(NAME, {"README.md": b"later"})
    hub.branches["v1"] = first
    item = modelstac.publish(f"hf://{NAME}@v1", catalog=tmp_path, **SAID)
    said = item.properties
    assert item.collection_id == "land-cover"
    assert said["license"] == "CC-BY-4.0"
    assert said["mlm:tasks"] == ["semantic-segmentation"]
    assert {"earth-observation", "land-cover"} <= set(said["keywords"])
    assert "Of Sentinel-2." in said["description"]
    assert "license: cc-by-4.0" not in said["description"]
    assert said["interop:scores"] == {"mIoU": 0.71}
    assert (said["mlm:pretrained"], said["mlm:pretrained_source"]) == (True, "org/backbone")
    assert {link.href for link in item.get_links("derived_from")} == {
        f"{hub.url}/{NAME}/tree/{first}",
        f"{hub.url}/datasets/org/tiles",
    }
    origin = said["interop:origin"]
    assert (origin["registry"], origin["name"], origin["version"], origin["revision"]) == (
        *("huggingface", NAME),
        *(first, "v1"),
    )
    digest = hashlib.sha256(data).hexdigest()
    assert origin["files"]["model.onnx"] == digest
    assert item.assets["model"].extra_fields["file:checksum"] == f"1220{digest}"
    assert modelstac.load(item.id, catalog=tmp_path).self_test().passed


def test_an_item_is_put_there_and_loads_from_there(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(NAME, {"model.onnx": graph(), "README.md": CARD.encode()})
    item = modelstac.publish(f"hf://{NAME}", catalog=tmp_path, **SAID)
    with pytest.raises(UnauthorizedError, match=r"\(401\).*HF_TOKEN"):
        push(item.id, "hf://org/again", catalog=tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = CliRunner().invoke(main, ["push", item.id, "hf://org/again", "--catalog", str(tmp_path)])
    assert done.exit_code == 0, done.output
    [(commit, files)] = hub.repositories["org/again"]
    assert done.stdout == f"pushed {item.id} to hf://org/again@{commit}\n"
    header = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert (header["license"], header["library_name"], header["pipeline_tag"]) == (
        *("cc-by-4.0", "onnx"),
        "image-segmentation",
    )
    assert "land-cover" in header["tags"]
    assert header["model-index"][0]["results"][0]["metrics"] == [{"type": "mIoU", "value": 0.71, "name": "mIoU"}]
    assert "Of Sentinel-2." in files["README.md"].decode()
    assert hashlib.sha256(files["model.onnx"]).hexdigest() == item.assets["model"].extra_fields["file:checksum"][4:]
    document = json.loads(files["item.json"])
    validate(pystac.Item.from_dict(document))
    validate(pystac.Collection.from_dict(json.loads(files["collection.json"])))
    assert document["assets"]["model"]["href"] == "./model.onnx"
    monkeypatch.delenv("HF_TOKEN")
    model = modelstac.load(f"{hub.url}/org/again/resolve/main/item.json")
    assert model.self_test().passed
    np.testing.assert_array_equal(model.predict(SAID["example"]), np.maximum(SAID["example"], 0))


def test_the_command_and_a_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(NAME, {"model.onnx": graph(), "README.md": CARD.encode()})
    hub.private.add(NAME)
    words = ["publish", "--from-hf", NAME, "--bbox", "5,50,10,55", "--datetime", "2020", "--architecture", "CNN"]
    words += ["--input-dims", "batch,bands,height,width", "--output-dims", "batch,class,height,width"]
    words += ["--bands", "B02,B03,B04", "--catalog", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "is not there, or not for you to see (401)" in done.stderr
    assert done.stderr.count("\n") == 1
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.stdout == "published land-cover-1.0.0-onnx\n"
    assert "hf_secret" not in done.output + "".join(path.read_text() for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason"),
    [
        (429, {"Retry_After": "7"}, StorageError, r"too many requests \(429\): ask again in 7 s"),
        (429, {}, StorageError, r"too many requests \(429\): ask again later"),
        (429, {"RateLimit": '"api";r=0;t=55'}, StorageError, r"too many requests \(429\): ask again in 55 s"),
        (401, {}, UnauthorizedError, r"\(401\): check its name; set HF_TOKEN"),
        (403, {}, UnauthorizedError, r"is not for you, to read or to change \(403\): check its name; set HF_TOKEN"),
        (403, {"X_Error_Code": "GatedRepo"}, UnauthorizedError, r"is gated \(403\): ask for access"),
        (500, {}, StorageError, r"cannot do it \(500\): no; try again later"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    hub: Hub, tmp_path: Path, *, status: int, headers: dict[str, str], kind: type[ModelStacError], reason: str
) -> None:
    hub.commit(NAME, {"model.onnx": graph()})
    hub.failing = (status, headers)
    with pytest.raises(kind, match=reason) as found:
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("answer", [b"<html>", []])
def test_what_is_no_hub_is_said(hub: Hub, tmp_path: Path, answer: Any) -> None:
    hub.answer = answer
    with pytest.raises(StorageError, match=r"answers otherwise than a Hub \(.*\): check HF_ENDPOINT"):
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)


def test_why_a_file_is_not_given_is_said_and_a_damaged_one_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.commit(NAME, {"model.onnx": b"abc"})
    with pytest.raises(ModelStacError, match=r"^model.onnx is no ONNX file, or a truncated one"):
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)
    hub.files_fail = 418
    with pytest.raises(StorageError, match=r"cannot do it \(418\)"):
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)
    assert not (tmp_path / "models").exists()


def test_what_is_not_there(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(NAME, {"model.onnx": graph(), "other.onnx": graph(), "README.md": b"# x"})
    hub.commit("org/pickled", {"pytorch_model.bin": b"x"})
    hub.commit("org/nothing", {"README.md": b"# x"})
    for place, kind, reason in (
        (f"{NAME}@v9", NotFoundError, "there is no such revision"),
        (NAME, AmbiguousError, r"has 2 models \(model.onnx, other.onnx\): name one, hf://org/land-cover/model.onnx"),
        (f"{NAME}/third.onnx", NotFoundError, "has no file 'third.onnx'"),
        (
            "org/pickled",
            UntrustedError,
            "runs code of its publisher's when it is read, and is never loaded from the Hub",
        ),
        ("org/pickled/pytorch_model.bin", UntrustedError, "never loaded from the Hub"),
        ("org/nothing", NotFoundError, "has no model file that is known here"),
        ("a b", SpecError, "is no repository"),
    ):
        with pytest.raises(kind, match=reason):
            modelstac.publish(f"hf://{place}", catalog=tmp_path / "models", **SAID)
    item = modelstac.publish(
        f"hf://{NAME}/other.onnx", catalog=tmp_path / "models", license="MIT", task="regression", **SAID
    )
    assert "other.onnx" in item.properties["interop:origin"]["files"]
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    with pytest.raises(ModelStacError, match="MODELSTAC_OFFLINE forbids to ask"):
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


@pytest.mark.parametrize("name", ["model.sav", "model.dat", "model.jit", "model.tar", "model.PKL"])
def test_no_pickle_of_the_hub_is_read_whatever_is_trusted(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.commit("org/pickled", {name: pickle.dumps(Canary(tmp_path / "canary"))})
    with pytest.raises(UntrustedError, match="never loaded from the Hub"):
        modelstac.publish(f"hf://org/pickled/{name}", catalog=tmp_path / "models", trust="pickle", **SAID)
    assert not (tmp_path / "canary").exists()


def test_trees_in_their_own_format(hub: Hub, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    table = np.random.default_rng(0).uniform(0, 1, (60, 3)).astype(np.float32)
    trees = xgboost.XGBClassifier(n_estimators=2).fit(table, (table[:, 0] > 0.5).astype(int))
    trees.save_model(tmp_path / "model.ubj")
    hub.commit("org/trees", {"model.ubj": (tmp_path / "model.ubj").read_bytes()})
    said = {"name": "water", "license": "MIT", "bbox": (5, 50, 10, 55), "datetime": "2020", "example": table}
    item = modelstac.publish("hf://org/trees", catalog=tmp_path / "models", code=False, **said)
    found = modelstac.load(item.id, catalog=tmp_path / "models").run({"input": table})
    np.testing.assert_array_equal(found["label"].ravel(), trees.predict(table))


def test_a_saved_model_at_the_top_of_a_repository_is_its_files_alone(hub: Hub, tmp_path: Path) -> None:
    parts = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "variables/variables.data-0": b"data"}
    hub.commit("org/saved", parts | {"README.md": CARD.encode(), "train.py": b"1", "assets.csv": b"a"})
    taken = take("org/saved", tmp_path / "taken", policy=DEFAULT_POLICY)
    assert {path.relative_to(taken.model).as_posix() for path in taken.model.rglob("*") if path.is_file()} == set(parts)
    assert taken.said["origin"]["files"].keys() == parts.keys() | {"README.md"}
    hub.commit("org/two", {"saved_model.pb": b"1", "small/saved_model.pb": b"2"})
    with pytest.raises(AmbiguousError, match=r"has 2 models \(\., small\): name one, hf://org/two/small"):
        take("org/two", tmp_path / "two", policy=DEFAULT_POLICY)
    small = take("org/two/small/saved_model.pb", tmp_path / "two", policy=DEFAULT_POLICY)
    assert (small.model / "saved_model.pb").read_bytes() == b"2"


def test_a_file_that_is_not_the_listed_one(hub: Hub, tmp_path: Path) -> None:
    hub.commit(NAME, {"model.onnx": graph()})
    hub.listed["model.onnx"] = "0" * 64
    with pytest.raises(IntegrityError, match="is not the file that the Hub lists"):
        modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", license="MIT", task="regression", **SAID)


def test_statistics_are_not_sent(hub: Hub, tmp_path: Path) -> None:
    hub.commit(NAME, {"model.onnx": graph(), "README.md": CARD.encode()})
    modelstac.publish(f"hf://{NAME}", catalog=tmp_path / "models", **SAID)
    assert {asked.split()[1].split("/")[1] for asked in hub.asked} <= {"api", "org", "cdn"}
    assert not any("telemetry" in asked for asked in hub.asked)
    assert onnx.load_from_string(graph()).graph.node
