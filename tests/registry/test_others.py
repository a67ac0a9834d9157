"""Catalogs and items as others make them: what is odd is named, and the rest is found, shown, chosen and loaded."""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from safetensors.torch import save_file
from tests.catalog.server.conftest import serving
from torch import nn

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import AmbiguousError, InvalidItemError, ModelStacError, StorageError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.sync import sync
from modelstac.cli import main
from modelstac.exporters.matrix import matrix
from modelstac.registry.choosing.references import read_place
from modelstac.registry.describing.adopt import Said, adopt

IMAGES = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
LAYOUT = {"shape": [-1, 3, 4, 4], "dim_order": ["batch", "bands", "height", "width"], "data_type": "float32"}
RING = [[[3, 50], [7, 50], [7, 54], [3, 54], [3, 50]]]


@pytest.fixture(autouse=True)
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))


def identity(path: Path, outputs: int = 1) -> Path:
    """Write a graph that gives what it takes, as often as is asked."""
    shape = ["n", 3, 4, 4]
    ends = [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, shape) for number in range(outputs)]
    nodes = [helper.make_node("Identity", ["x"], [end.name]) for end in ends]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_model(
        helper.make_graph(nodes, "same", [x], ends), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(path))
    return path


def item(name: str, *, mlm: str = "https://stac-extensions.github.io/mlm/v1.5.1/schema.json", **more: Any) -> Any:
    """Return somebody else's item over ``identity.onnx`` beside it."""
    bands = ["B04", "B03", "B02"]
    properties = {
        "datetime": "2024-01-01T00:00:00Z",
        "mlm:name": name,
        "mlm:architecture": "U-Net",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "ONNX",
        "mlm:input": [{"name": "image", "bands": bands, "input": LAYOUT}],
        "mlm:output": [
            {
                "name": "mask",
                "tasks": ["semantic-segmentation"],
                "result": LAYOUT | {"dim_order": ["batch", "class", "height", "width"]},
            }
        ],
    }
    made = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [mlm],
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": RING},
        "bbox": [3, 50, 7, 54],
        "properties": properties | more.pop("properties", {}),
        "links": [],
        "assets": {
            "model": {
                "href": "./identity.onnx",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "onnx",
                "type": "application/octet-stream; framework=onnx",
            }
        },
    }
    return made | more


def link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": "application/json"}


def static(folder: Path, collections: dict[str, dict[str, Any]]) -> Path:
    """Write a static catalog: by collection, items by the name of their file."""
    children = [link("child", f"./{name}/collection.json") for name in collections]
    root = {"type": "Catalog", "stac_version": "1.1.0", "id": "others", "description": "others", "links": children}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.json").write_text(json.dumps(root))
    for name, items in collections.items():
        identity(folder / name / "identity.onnx")
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        collection = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": name,
            "description": name,
            "license": "other",
        }
        links = [link("item", f"./{file}") for file in items]
        (folder / name / "collection.json").write_text(json.dumps(collection | {"extent": extent, "links": links}))
        for file, document in items.items():
            if document is not None:
                text = document if isinstance(document, str) else json.dumps(document | {"collection": name})
                (folder / name / file).write_text(text)
    return folder


GOOD = item("good-model")
ODD: dict[str, Any] = {
    "south above north": item("odd", bbox=[3, 54, 7, 50]),
    "geometry without anything": item("odd", geometry={}),
    "geometry that is a text": item("odd", geometry="everywhere"),
    "box of texts": item("odd", bbox=["a", "b", "c", "d"]),
    "box of a number": item("odd", bbox=4),
    "id that is a number": item("odd", id=7),
    "no id": {key: value for key, value in item("odd").items() if key != "id"},
    "properties in a list": {**item("odd"), "properties": []},
    "no properties": {key: value for key, value in item("odd").items() if key != "properties"},
    "time in words": item("odd", properties={"datetime": "last summer"}),
    "time in a list": item("odd", properties={"datetime": ["2024-01-01T00:00:00Z"]}),
    "not a number": json.dumps(item("odd")).replace("[3, 50, 7, 54]", "[NaN, 50, 7, 54]"),
    "no JSON": "<html>",
    "not there": None,
    "links without address": item("odd", links=[{"rel": "root"}]),
    "links in an object": item("odd", links={"root": "."}),
    "assets in a list": item("odd", assets=[]),
    "an asset without address": item("odd", assets={"model": {}}),
    "no item": {"type": "FeatureCollection", "features": []},
    "a list": "[]",
    "no version of STAC": {key: value for key, value in item("odd").items() if key != "stac_version"},
    "keywords in a number": item("odd", properties={"keywords": 7}),
    "the id of the other": item("good-model"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_item_is_named_and_the_rest_is_found(tmp_path: Path, kind: str) -> None:
    folder = static(tmp_path / "others", {"models": {"good-model.json": GOOD, "odd-model.json": ODD[kind]}})
    page = open_catalog(folder).page(modelstac.catalog.Query())
    assert [document["id"] for document in page.documents] == ["good-model"]
    [note] = page.notes
    assert "odd-model.json is left out: " in note
    assert "\n" not in note
    assert open_catalog(folder).page(modelstac.catalog.Query()).notes == page.notes  # from the index, too
    done = CliRunner().invoke(main, ["search", "--catalog", str(folder)])
    assert done.exit_code == 0, done.output
    assert "good-model" in done.stdout
    assert f"note: {note}" in done.stderr
    assert modelstac.load("good-model", catalog=folder).predict(IMAGES).shape == IMAGES.shape


def test_an_odd_collection_and_catalogs_between(tmp_path: Path) -> None:
    folder = static(tmp_path / "others", {"models": {"good-model.json": GOOD}})
    nested = static(folder / "below", {"more": {"second.json": item("second-model")}})
    (folder / "bad").mkdir()
    (folder / "bad" / "collection.json").write_text("{")
    root = json.loads((folder / "catalog.json").read_text())
    root["links"] += [
        link("child", "./below/catalog.json"),
        link("child", "./bad/collection.json"),
        link("child", "./x.json"),
    ]
    (folder / "catalog.json").write_text(json.dumps(root))
    assert nested.is_dir()
    catalog = open_catalog(folder)
    page = catalog.page(modelstac.catalog.Query())
    assert [document["id"] for document in page.documents] == ["good-model", "second-model"]
    assert [note.partition(" is left out")[0] for note in page.notes] == ["bad/collection.json", "x.json"]
    assert modelstac.load("second-model", catalog=folder).item.collection_id == "more"
    assert sorted(collection.id for collection in catalog.collections()) == ["models", "more"]


@contextmanager
def by_api(folder: Path, items: dict[str, Any]) -> Iterator[str]:
    with serving(folder, "--catalog", str(folder / "served.sqlite"), MODELSTAC_ITEMS="any") as server:
        for name, document in items.items():
            collection = {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": name}
            extent = {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]},
            }
            more = {"license": "other", "extent": extent, "links": []}
            answer = server.request("POST", "collections", key=True, json=collection | more)
            assert answer.status_code == 201, answer.text
            answer = server.request("POST", f"collections/{name}/items", key=True, json=document)
            assert answer.status_code == 201, answer.text
        yield server.href


def test_one_id_in_two_collections(tmp_path: Path) -> None:
    both = {name: {"same.json": item("same-id")} for name in ("a", "b")}
    folder = static(tmp_path / "others", both)
    embedded = open_catalog(tmp_path / "models.sqlite", create=True)
    for name in both:
        document = item("same-id", collection=name, links=[link("collection", "../collection.json")])
        document["assets"]["model"] |= {"href": "https://example.org/identity.onnx"}
        embedded.publish(pystac.Item.from_dict(document))
    catalogs = {"static": open_catalog(folder), "embedded": embedded}
    remote = {name: item("same-id") for name in both}
    for document in remote.values():
        document["assets"]["model"]["href"] = "https://example.org/identity.onnx"
    with by_api(tmp_path, remote) as href:
        catalogs["api"] = open_catalog(href)
        for kind, catalog in catalogs.items():
            assert [found.collection_id for found in catalog.search()] == ["a", "b"], kind
            first = catalog.page(modelstac.catalog.Query(limit=1))
            second = catalog.page(modelstac.catalog.Query(limit=1, token=first.next))
            assert [page.documents[0]["collection"] for page in (first, second)] == ["a", "b"], kind
            for ask in (catalog.find, catalog.get, lambda ref, c=catalog: modelstac.resolve(ref, catalog=c)):
                with pytest.raises(AmbiguousError, match="a/same-id or b/same-id") as caught:
                    ask("same-id")
                assert "\n" not in str(caught.value)
            assert catalog.get("b/same-id").collection_id == "b", kind
            assert modelstac.resolve("b/same-id", catalog=catalog).item.collection_id == "b", kind
            assert catalog.find("c/same-id") is None, kind
    done = CliRunner().invoke(main, ["search", "--catalog", str(folder)])
    printed = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert printed == ["a/same-id", "b/same-id"]
    for reference in printed:
        assert CliRunner().invoke(main, ["show", reference, "--catalog", str(folder)]).exit_code == 0
        np.testing.assert_array_equal(modelstac.load(reference, catalog=folder).predict(IMAGES), IMAGES)
    catalogs["embedded"].delete("a/same-id")
    assert catalogs["embedded"].get("same-id").collection_id == "b"


def test_a_collection_of_models_that_have_nothing_in_common(tmp_path: Path) -> None:
    older, newer = (
        item(f"clouds-{n}", properties={"mlm:name": f"{name}louds", "version": f"{n}.0.0"})
        for n, name in ((1, "C"), (2, "c"))
    )
    folder = static(tmp_path / "one", {"models": {"1.json": older, "2.json": newer}})
    assert modelstac.resolve("models", catalog=folder).item.id == "clouds-2"
    several = {"1.json": older, "2.json": newer, "3.json": item("crops"), "4.json": item("fires")}
    folder = static(tmp_path / "several", {"models": several})
    told = r"'models' is a collection of 3 models: clouds-1, crops, fires; name one of them, such as 'models/clouds-1'"
    asked = ("models", modelstac.catalog.Query(task="semantic-segmentation"))
    for what, ask in itertools.product(asked, (modelstac.resolve, modelstac.load)):
        with pytest.raises(AmbiguousError, match=told) as caught:
            ask(what, catalog=folder)
        assert "\n" not in str(caught.value)
    assert modelstac.resolve("models>=2", catalog=folder).item.id == "clouds-2"


def test_a_file_that_is_not_called_as_its_item(tmp_path: Path) -> None:
    folder = static(tmp_path / "others", {"models": {"mlm_item.json": item("the-real-id")}})
    done = CliRunner().invoke(main, ["search", "--catalog", str(folder)])
    [printed] = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert printed == "the-real-id"
    assert list(open_catalog(folder).ids()) == ["the-real-id"]
    for command in ("show", "resolve"):
        done = CliRunner().invoke(main, [command, printed, "--catalog", str(folder)])
        assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(modelstac.load(printed, catalog=folder).predict(IMAGES), IMAGES)
    assert open_catalog(folder).find("mlm_item") is None


@pytest.mark.parametrize(
    "stated",
    [
        "safetensor.torch.save_file",
        "safetensors.torch.save_file",
        "SafeTensors.torch.save_file()",
        "safe_tensors",
        ".safetensors",
    ],
)
def test_spellings_of_a_file_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "theirs.py").write_text("import torch\ndef build(*_):\n    return torch.nn.Conv2d(3, 3, 1)\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    network = nn.Conv2d(3, 3, 1)
    save_file(network.state_dict(), tmp_path / "model.safetensor")
    found = item("weights", properties={"mlm:framework": "PyTorch"})
    found["assets"]["model"] = {"href": "./model.safetensor", "roles": ["mlm:model"], "mlm:artifact_type": stated}
    (tmp_path / "mlm.json").write_text(json.dumps(found))
    model = modelstac.load(tmp_path / "mlm.json", entrypoint="theirs:build", trust="entrypoint:theirs")
    assert model.predict(IMAGES).shape == IMAGES.shape


def rich() -> Any:
    found = item("rich-model")
    found["properties"] |= {
        "version": "1.0.0",
        "license": "CC-BY-4.0",
        "mlm:accelerator": "amd64",
        "mlm:accelerator_constrained": True,
        "mlm:accelerator_count": 1,
        "mlm:accelerator_summary": "any",
        "mlm:memory_size": 1000,
        "mlm:batch_size_suggestion": 4,
        "mlm:pretrained": True,
        "mlm:pretrained_source": "ImageNet",
        "providers": [{"name": "Some lab", "roles": ["producer"]}],
        "sci:citation": "Some lab (2024)",
    }
    found["properties"]["mlm:input"][0] |= {
        "resize_type": "crop",
        "pre_processing_function": {"format": "python", "expression": "prep:run"},
        "value_scaling": [{"type": "z-score", "mean": n, "stddev": 1} for n in (1, 2, 3)],
    }
    found["properties"]["mlm:output"][0]["classification:classes"] = [
        {"value": 0, "name": "other"},
        {"value": 1, "name": "water"},
    ]
    found["links"] = [
        {"rel": "license", "href": "https://example.org/licence"},
        {"rel": "cite-as", "href": "https://doi.org/10.5555/none"},
        {"rel": "derived_from", "href": "https://example.org/data/item.json"},
    ]
    found["assets"] |= {
        "code": {
            "href": "https://example.org/code/model.py",
            "type": "text/x-python",
            "roles": ["mlm:source_code", "code"],
            "mlm:entrypoint": "model:Net",
        },
        "container": {
            "href": "ghcr.io/example/runner:1",
            "type": "application/vnd.oci.image.index.v1+json",
            "roles": ["mlm:inference-runtime"],
        },
    }
    return found


@pytest.mark.parametrize("kind", ["sqlite", "folder"])
def test_adopting_keeps_what_an_item_says(tmp_path: Path, kind: str) -> None:
    identity(tmp_path / "identity.onnx")
    (tmp_path / "item.json").write_text(json.dumps(found := rich()))
    into = open_catalog(tmp_path / ("models.sqlite" if kind == "sqlite" else "models"), create=True)
    adopt(tmp_path / "item.json", into, said=Said(framework_version="1.20.0"))
    made = into.get("rich-model-1.0.0-onnx").to_dict(transform_hrefs=False)
    changed = {"datetime", "mlm:input", "mlm:output"}
    for name, value in found["properties"].items():
        if name not in changed:
            assert made["properties"].get(name) == value, name
    before, after = found["properties"]["mlm:input"][0], made["properties"]["mlm:input"][0]
    assert {name: after[name] for name in ("bands", "resize_type", "pre_processing_function", "value_scaling")} == {
        name: before[name] for name in ("bands", "resize_type", "pre_processing_function", "value_scaling")
    }
    classes = made["properties"]["mlm:output"][0]["classification:classes"]
    assert [(entry["value"], entry["name"]) for entry in classes] == [(0, "other"), (1, "water")]
    assert made["assets"]["code"] == found["assets"]["code"]
    assert made["assets"]["container"] == found["assets"]["container"]
    assert "mlm:entrypoint" not in made["assets"]["model"]
    assert made["assets"]["model"]["roles"] == ["mlm:model", "data"]
    assert {(entry["rel"], entry["href"]) for entry in found["links"]} <= {
        (entry["rel"], entry["href"]) for entry in made["links"]
    }
    description = read_item(into.get("rich-model-1.0.0-onnx"))
    assert isinstance(description, ModelDescription)
    np.testing.assert_array_equal(modelstac.load("rich-model-1.0.0-onnx", catalog=into).predict(IMAGES), IMAGES)


def three(place: str, into: Any) -> list[str]:
    """Say what resolve, adopt and load answer: an error, or that it can be done."""
    said = []
    for ask in (
        lambda: modelstac.resolve(place),
        lambda: adopt(place, into, said=Said(version="1.0.0", framework_version="1.20.0")),
        lambda: modelstac.load(place),
    ):
        try:
            ask()
            said.append("done")
        except ModelStacError as error:
            said.append(str(error))
    return said


def second(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tasks": ["semantic-segmentation"],
        "result": LAYOUT | {"dim_order": ["batch", "class", "y", "x"]},
    } | more


@pytest.mark.parametrize(
    ("outputs", "names", "expected"),
    [
        (2, [second("mask"), second("embedding")], "done"),
        (
            1,
            [
                second("mask"),
                second("polygons", post_processing_function={"format": "python", "expression": "post:polygons"}),
            ],
            "done",
        ),
        (1, [second("mask"), second("embedding")], "has 1 output"),
        (3, [second("mask"), second("embedding")], "has 3 outputs"),
    ],
)
def test_outputs_are_counted_alike(tmp_path: Path, outputs: int, names: list[Any], expected: str) -> None:
    identity(tmp_path / "identity.onnx", outputs)
    (tmp_path / "item.json").write_text(json.dumps(item("several", properties={"mlm:output": names})))
    said = three(str(tmp_path / "item.json"), open_catalog(tmp_path / "models.sqlite", create=True))
    assert len(set(said)) == 1, said
    assert expected in said[0]


@pytest.mark.parametrize("name", ["mlm:input", "mlm:output"])
def test_an_object_where_a_list_is_needed(tmp_path: Path, name: str) -> None:
    identity(tmp_path / "identity.onnx")
    found = item("an-object")
    found["properties"][name] = found["properties"][name][0]
    (tmp_path / "item.json").write_text(json.dumps(found))
    place = str(tmp_path / "item.json")
    shown = CliRunner().invoke(main, ["show", place])
    said = [
        *three(place, open_catalog(tmp_path / "models.sqlite", create=True)),
        shown.stderr.removeprefix("error: ").strip(),
    ]
    assert len(set(said)) == 1, said
    assert f"has an {name} that is no list of objects" in said[0]


TAKEN: dict[str, Any] = {
    "older MLM": item("older-mlm", mlm="https://stac-extensions.github.io/mlm/v1.4.0/schema.json"),
    "no checksum": item("no-checksum"),
    "first address": item("first-address", mlm="https://crim-ca.github.io/mlm-extension/v1.2.0/schema.json"),
    "container": item("container-reference"),
}
TAKEN["container"]["assets"]["container"] = rich()["assets"]["container"]


def test_models_as_others_describe_them_are_taken_by_a_server(tmp_path: Path) -> None:
    for found in TAKEN.values():
        found["assets"]["model"]["href"] = "https://example.org/identity.onnx"
    with by_api(tmp_path, {found["id"]: found for found in TAKEN.values()}) as href:
        catalog = open_catalog(href)
        assert isinstance(catalog, ApiCatalog)
        found = catalog.get("container-reference")
        assert found.assets["container"].href == "ghcr.io/example/runner:1"
        assert sorted(catalog.ids()) == sorted(document["id"] for document in TAKEN.values())
        assert modelstac.resolve("older-mlm", catalog=catalog).chosen.looked is False


@pytest.mark.parametrize("kind", ["sqlite", "folder"])
def test_publishing_somebody_elses_item_keeps_it_as_it_is(tmp_path: Path, kind: str) -> None:
    identity(tmp_path / "identity.onnx")
    document = item("first-address", mlm="https://crim-ca.github.io/mlm-extension/v1.2.0/schema.json")
    (tmp_path / "item.json").write_text(json.dumps(document))
    place = str(tmp_path / ("models.sqlite" if kind == "sqlite" else "models"))
    done = CliRunner().invoke(main, ["publish", str(tmp_path / "item.json"), "--catalog", place])
    assert done.exit_code == 0, done.output
    catalog = open_catalog(place)
    found = catalog.get("first-address")
    assert found.properties["mlm:architecture"] == "U-Net"
    assert found.assets["model"].extra_fields["file:checksum"].startswith("1220")
    np.testing.assert_array_equal(modelstac.load("first-address", catalog=catalog).predict(IMAGES), IMAGES)


def test_somebody_elses_item_is_copied_with_its_alias_and_converted_once_it_is_adopted(tmp_path: Path) -> None:
    identity(tmp_path / "identity.onnx")
    document = item("theirs", collection="models")
    del document["assets"]["model"]["mlm:artifact_type"]
    (tmp_path / "item.json").write_text(json.dumps(document))
    place = str(tmp_path / "models.sqlite")
    done = CliRunner().invoke(main, ["publish", str(tmp_path / "item.json"), "--catalog", place])
    assert done.exit_code == 0, done.output
    catalog, copy, notes = open_catalog(place), open_catalog(tmp_path / "copy", create=True), list[Any]()
    catalog.set_alias("models", "champion", "theirs")
    assert sync(catalog, copy).copied == ("theirs",)
    assert copy.aliases("models") == {"champion": "theirs"}
    for words in (["export", "theirs", "--to", "openvino"], ["diff", "theirs", "theirs"]):
        done = CliRunner().invoke(main, [*words, "--catalog", place])
        assert done.exit_code == 2
        assert "item 'theirs' was described elsewhere" in done.output
        assert "adopt it (modelstac adopt)" in done.output
    assert matrix(catalog, report=notes.append) == []
    assert "theirs is left out: it was described elsewhere" in str(notes)


@pytest.mark.parametrize("kind", ["sqlite", "folder"])
def test_links_of_somebody_elses_item_may_lead_nowhere(tmp_path: Path, kind: str) -> None:
    """As those do that stac-model writes: root, parent and collection of the machine that made the item."""
    identity(tmp_path / "identity.onnx")
    links = [link(rel, "/nowhere/collection.json") for rel in ("root", "parent", "collection")]
    document = item("linked", links=links, collection="examples")
    (tmp_path / "item.json").write_text(json.dumps(document))
    place = str(tmp_path / ("models.sqlite" if kind == "sqlite" else "models"))
    done = CliRunner().invoke(main, ["publish", str(tmp_path / "item.json"), "--catalog", place])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(modelstac.load("linked", catalog=place).predict(IMAGES), IMAGES)


def test_a_file_of_another_size_than_somebody_elses_item_says_is_not_published(tmp_path: Path) -> None:
    identity(tmp_path / "identity.onnx")
    document = item("cut-short")
    document["assets"]["model"]["file:size"] = 5
    (tmp_path / "item.json").write_text(json.dumps(document))
    done = CliRunner().invoke(main, ["publish", str(tmp_path / "item.json"), "--catalog", str(tmp_path / "models")])
    assert done.exit_code == 2
    assert "and file:size is 5" in done.output
    assert not list(tmp_path.glob("models/*/*"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value_scaling": [{"type": "offset", "value": 1}, {"type": "scale", "value": 2}]}, r"2 steps .* 3"),
        ({"value_scaling": [{"type": "processing", "format": "numpy", "expression": "open(x)"}]}, "cannot be computed"),
        ({"pre_processing_function": {"format": "numpy", "expression": "x.sum("}}, "cannot be computed"),
    ],
)
def test_steps_that_can_never_be_computed_are_not_published(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    identity(tmp_path / "identity.onnx")
    (tmp_path / "item.json").write_text(json.dumps(item("plain", properties={"version": "1.0.0"})))
    first = open_catalog(tmp_path / "first.sqlite", create=True)
    made = adopt(tmp_path / "item.json", first, said=Said(framework_version="1.20.0"))
    made.properties["mlm:input"][0] |= fields
    into = open_catalog(tmp_path / "models.sqlite", create=True)
    with pytest.raises(InvalidItemError, match=said):
        into.publish(made)
    assert list(into.ids()) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resize_type": "pad"}, "wants its images resized by 'pad', which is not done here"),
        (
            {"pre_processing_function": {"format": "python", "expression": "a:b"}},
            "preprocessing that is not run here: a:b",
        ),
        (
            {"bands": [{"name": n, "format": "rio-calc", "expression": "B1"} for n in "abc"]},
            "wants 'c' computed from other bands (B1), which is not done here",
        ),
        (
            {"value_scaling": [{"type": "offset", "value": 1}, {"type": "scale", "value": 2}]},
            "wants a scaling that cannot be computed: value_scaling has 2 entries for 3 bands",
        ),
    ],
)
def test_what_others_want_and_nobody_does_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], said: str
) -> None:
    identity(tmp_path / "identity.onnx")
    found = item("wanting")
    found["properties"]["mlm:input"][0] |= fields
    (tmp_path / "item.json").write_text(json.dumps(found))
    modelstac.load(tmp_path / "item.json")
    assert sum(said in record.message for record in caplog.records) == 1, caplog.text


@contextmanager
def files(data: bytes) -> Iterator[str]:
    """Serve a file in pieces without its length, and to whoever gives user and password."""
    expected = "Basic " + base64.b64encode(b"me:p@w").decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if "auth" in self.path and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_files_without_a_length_and_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path / "cache"))
    data = identity(tmp_path / "identity.onnx").read_bytes()
    with files(data) as host:
        for name, href in (("pieces", f"http://{host}/m.onnx"), ("secret", f"http://me:p%40w@{host}/auth/m.onnx")):
            found = item(name)
            found["assets"]["model"]["href"] = href
            model = modelstac.load(pystac.Item.from_dict(found))
            np.testing.assert_array_equal(model.predict(IMAGES), IMAGES)
        found = item("refused")
        found["assets"]["model"]["href"] = f"http://me:wrong@{host}/auth/other.onnx"
        with pytest.raises(StorageError, match=r"give credentials for 127\.0\.0\.1 in ~/\.netrc") as caught:
            modelstac.load(pystac.Item.from_dict(found))
        assert "wrong" not in str(caught.value)
        assert "p%40w" not in caplog.text + (tmp_path / "modelstac.lock").read_text()
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password p@w\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        found["assets"]["model"]["href"] = f"http://{host}/auth/other.onnx"
        np.testing.assert_array_equal(modelstac.load(pystac.Item.from_dict(found)).predict(IMAGES), IMAGES)


def test_read_place_takes_paths_and_not_references(tmp_path: Path) -> None:
    with pytest.raises(ModelStacError, match="no item"):
        read_place(str(tmp_path / "nothing.json"))
