"""Publishing without running: the facts of the file alone, an item that says so, and its proof later."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
from jsonschema import Draft7Validator
from onnx import numpy_helper
from tests.catalog.test_interop_schema import SCHEMA
from tests.registry.statements import IMAGE, PLAIN, graph

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    ConflictError,
    InvalidItemError,
    ItemExistsError,
    MissingPackageError,
    ModelStacError,
    NotFoundError,
    SpecError,
)
from modelstac.catalog.items.evidence import is_unproved, sizes_and_halo
from modelstac.catalog.items.validation import validate
from modelstac.catalog.messages import Note
from modelstac.catalog.pages.variants import variants
from modelstac.registry.checking.proving import prove
from modelstac.registry.facts import read_facts
from modelstac.registry.facts.onnx import RELEASES
from modelstac.registry.facts.onnx_graph import TYPES
from modelstac.registry.publishing.publisher import ModelstacPublisher

Python = Callable[..., dict[str, Any]]
SAID = {
    "task": "regression",
    "architecture": "CNN",
    "license": "MIT",
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "code": None,
}
OF_THE_PROOF = {"interop:sizes", "interop:halo", "interop:unproved", "created", "updated"}


def blurred(path: Path, sides: tuple[Any, Any] = ("h", "w"), shape: list[Any] | None = None) -> Path:
    """Write a convolution of 3 x 3 pixels over three bands."""
    weights = [numpy_helper.from_array(np.random.default_rng(1).random((2, 3, 3, 3), np.float32), "w")]
    given = ["n", 2, *sides] if shape is None else shape
    nodes = [("Conv", ["x", "w"], ["y"], {"pads": [1, 1, 1, 1]})]
    return graph(path, nodes, [("x", ["n", 3, *sides])], [("y", given)], weights=weights)


def fused(path: Path) -> Path:
    """Write a graph of two inputs of one size, and two outputs."""
    inputs = [("s1", ["n", 2, "h", "w"]), ("s2", ["n", 3, "h", "w"])]
    nodes = [("Concat", ["s1", "s2"], ["both"], {"axis": 1}), ("ReduceMean", ["s1"], ["mean"], {"axes": [1]})]
    return graph(path, nodes, inputs, [("both", ["n", 5, "h", "w"]), ("mean", ["n", 1, "h", "w"])])


def program(path: Path) -> Path:
    """Write an exported program of two inputs whose sides go together."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 3, padding=1)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.conv(a) + b

    height = torch.export.Dim("height", min=2)
    shapes = ({2: height}, {2: height})
    made = torch.export.export(
        Net().eval(), (torch.rand(1, 3, 6, 8), torch.rand(1, 2, 6, 8)), dynamic_shapes=shapes, strict=True
    )
    torch.export.save(made, path)
    return path


def pair(path: Path) -> Path:
    """Write an OpenVINO model, which is two files."""
    openvino = pytest.importorskip("openvino")
    openvino.save_model(openvino.convert_model(str(blurred(path.with_suffix(".onnx"), (32, 32)))), path, False)
    return path


def published(path: Path, into: Path, **more: Any) -> tuple[Catalog, pystac.Item, list[str]]:
    catalog, notes = open_catalog(into, create=True), list[str]()
    said = {"input_dims": IMAGE, "output_dims": PLAIN, "bands": ("B1", "B2", "B3"), **SAID, "name": "net"} | more

    def note(message: Any) -> None:
        if isinstance(message, Note):
            notes.append(message.text)

    return catalog, modelstac.publish(path, catalog=catalog, report=note, **said), notes


def facts(item: pystac.Item) -> dict[str, Any]:
    """Return all that an item says beside what was proved, with its files."""
    said = {name: value for name, value in item.properties.items() if name not in OF_THE_PROOF}
    files = {key: asset.extra_fields["file:checksum"] for key, asset in item.assets.items()}
    return json.loads(json.dumps({"said": said, "files": files, "box": item.bbox}, default=str))


CLASSES = [{"name": "land", "color": "green"}, {"name": "water", "value": 7}]
BY_NAME = {"input_dims": {"s1": IMAGE, "s2": PLAIN}, "output_dims": {"both": PLAIN, "mean": PLAIN}}
OF_TWO = {"a": ("batch", "bands", "height", "width"), "b": ("batch", "class", "height", "width")}
KINDS = {
    "onnx": (blurred, "net.onnx", {"scaling": 10000, "units": "1", "range": (0, 1)}),
    "onnx, classes": (blurred, "net.onnx", {"output_dims": None, "classes": CLASSES}),
    "onnx, several": (fused, "net.onnx", {**BY_NAME, "bands": {"s1": ("VV", "VH")}}),
    "torch-export": (program, "net.pt2", {"input_dims": OF_TWO, "bands": {"a": ("R", "G", "B")}}),
    "openvino": (pair, "net.xml", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_all_that_a_proved_item_says_but_the_proof(tmp_path: Path, kind: str) -> None:
    make, name, said = KINDS[kind]
    path = make(tmp_path / name)
    _, proved, _ = published(path, tmp_path / "proved", **said)
    catalog, item, notes = published(path, tmp_path / "catalog", unproved=True, **said)
    assert facts(item) == facts(proved)
    assert item.properties["interop:unproved"] is True
    assert "interop:halo" not in item.properties
    assert "interop:unproved" not in proved.properties
    assert any(f"modelstac probe {item.id} --record" in note for note in notes)
    validate(item)
    Draft7Validator(SCHEMA).validate(item.to_dict(transform_hrefs=False))
    now = prove(catalog.get(item.id), catalog)
    assert sizes_and_halo(now.properties) == {
        part: proved.properties[f"interop:{part}"]
        for part in ("sizes", "halo")
        if f"interop:{part}" in proved.properties
    }
    Draft7Validator(SCHEMA).validate(now.to_dict(transform_hrefs=False))
    assert not is_unproved(now.properties)


def test_what_pytorch_writes_unasked_is_no_least_length(tmp_path: Path) -> None:
    """Of an open axis it writes at least 2, and batches of one run."""
    import torch

    class Net(torch.nn.Module):
        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return a * 2

    sides = {0: torch.export.Dim.AUTO, 2: torch.export.Dim("side", min=8)}
    made = torch.export.export(Net().eval(), (torch.rand(4, 3, 16, 16),), dynamic_shapes=(sides,))
    torch.export.save(made, tmp_path / "net.pt2")
    catalog, item, _ = published(tmp_path / "net.pt2", tmp_path / "catalog", unproved=True)
    sizes = item.properties["interop:sizes"]["a"]
    assert {axis: size["at_least"] for axis, size in sizes.items()} == {"batch": 1, "height": 8}
    assert modelstac.load(item.id, catalog=catalog).predict(np.ones((1, 3, 8, 16), np.float32)).max() == 2


LAYERS = """
    import keras
    from pathlib import Path
    from keras import layers as L
    from modelstac.catalog.errors import SpecError
    from modelstac.registry.facts import read_facts

    def one(*layers, shape=(32, 24, 3), dtype=None):
        x = first = keras.Input(shape, name="x", dtype=dtype)
        for layer in layers:
            x = layer(x)
        return keras.Model(first, x)

    s1, s2 = (keras.Input((None, None, n), name=f"s{n}") for n in (1, 2))
    both = L.Concatenate()([s1, s2])
    mask = L.Conv2D(1, 1, activation="sigmoid", name="mask")(both)
    depth = L.Conv2D(1, 3, padding="same", name="depth")(both)
    shared = L.Conv2D(1, 3, padding="same")
    video = (5, 8, 8, 1)
    models = {
        "trained": one(L.Dense(4), L.Dropout(0.3), L.Dense(2, activation="softmax"), shape=(9,)),
        "strides": one(L.Conv2D(8, 3, strides=2, padding="same"), L.ReLU(), L.Conv2D(4, 5, dilation_rate=2)),
        "open": one(L.Conv2D(8, 3, strides=2), L.BatchNormalization(), shape=(None, None, 3)),
        "transposed": one(L.Conv2DTranspose(3, 3, strides=2, padding="same"), L.Conv2DTranspose(3, 4, strides=2)),
        "pooled": one(L.MaxPooling2D(3, strides=2, padding="same"), L.AveragePooling2D(2)),
        "global": one(L.GlobalAveragePooling2D(keepdims=True)),
        "sides": one(L.ZeroPadding2D(((1, 2), (3, 4))), L.Cropping2D(2), L.UpSampling2D((2, 3))),
        "flat": one(L.Permute((3, 1, 2)), L.Reshape((-1, 4)), L.Flatten()),
        "recurrent": one(L.Bidirectional(L.GRU(5, return_sequences=True)), shape=(None, 3)),
        "rain": one(L.ConvLSTM2D(4, 3, padding="same", return_sequences=True), L.Conv3D(1, 3), shape=video),
        "each frame": one(L.TimeDistributed(L.Conv2D(4, 3)), shape=video),
        "depthwise": one(L.SeparableConv2D(4, 3), L.DepthwiseConv2D(3, depth_multiplier=2)),
        "words": one(L.Embedding(9, 4), shape=(None,), dtype="int32"),
        "counts": one(L.Rescaling(1 / 255), dtype="uint8"),
        "half": one(L.Dense(2, dtype="mixed_float16"), shape=(4,)),
        "sequence": keras.Sequential([keras.Input((None, 8, 2)), L.Conv2D(3, 3), L.LeakyReLU()]),
        "nested": one(L.Conv2D(3, 3), keras.Sequential([keras.Input((30, 22, 3)), L.Conv2D(3, 3), L.ReLU()])),
        "lists": keras.Model([s1, s2], [mask, depth]),
        "dictionaries": keras.Model({"s2": s2, "s1": s1}, {"relief": depth, "water": mask}),
        "sum": keras.Model([s1, s2], L.Add()([mask, depth])),
        "shared": keras.Model(s1, shared(L.ReLU()(shared(s1)))),
    }
    first = next(iter(models.values()))
    first.compile("adam", "mse")
    first.fit(*(keras.ops.zeros((4, n)) for n in (9, 2)), verbose=0)
    path, found = Path(sys.argv[1]) / "net.keras", {}
    for name, model in models.items():
        model.save(path)
        found[name] = read_facts(path, alone=True) == read_facts(path)
    refused = {
        "operation": keras.Model([s1, s2], keras.ops.sigmoid(depth)),
        "states": one(L.LSTM(4, return_state=True), shape=(7, 3)),
        "twice": one(L.SpectralNormalization(L.Conv2D(2, 3))),
    }
    for name, model in refused.items():
        model.save(path)
        try:
            read_facts(path, alone=True)
        except SpecError as error:
            refused[name] = str(error)
    answer(found=found, refused=refused)
"""


def test_what_layers_of_keras_give_is_computed_as_keras_does(tmp_path: Path, on_keras: Python) -> None:
    answer = on_keras("tensorflow", LAYERS, tmp_path)
    assert [name for name, same in answer["found"].items() if not same] == []
    for text in answer["refused"].values():
        assert text.endswith("Keras alone tells: leave out --unproved")


WITHOUT = """
import sys
import modelstac
said = dict(task="regression", architecture="CNN", license="MIT", bbox=(0, 0, 1, 1), datetime="2020", name=sys.argv[2])
dims = ("batch", "channel", "height", "width")
item = modelstac.publish(sys.argv[1], catalog=sys.argv[3], unproved=True, input_dims=dims, output_dims=dims, **said)
frameworks = ("keras", "tensorflow", "torch", "onnx", "onnxruntime", "openvino", "ai_edge_litert", "numpy")
print(item.id, *(name for name in frameworks if name in sys.modules))
"""


def test_no_framework_is_imported(tmp_path: Path) -> None:
    path = blurred(tmp_path / "net.onnx")
    arguments = [sys.executable, "-c", WITHOUT, path, "net", tmp_path / "catalog.sqlite"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "net-1.0.0-onnx\n"


def test_a_file_that_lies_is_found_out_when_it_is_proved(tmp_path: Path) -> None:
    path = blurred(tmp_path / "net.onnx", (8, 8), [1, 2, 4, 4])
    catalog, item, _ = published(path, tmp_path / "catalog", unproved=True)
    with pytest.raises(InvalidItemError, match=r"the output 'y' is|does not run|cannot be opened") as caught:
        prove(item, catalog)
    assert "\n" not in str(caught.value)
    assert is_unproved(catalog.get(item.id).properties)


def test_what_is_certainly_no_function_is_refused_all_the_same(tmp_path: Path) -> None:
    nodes = [("RandomNormalLike", ["x"], ["noise"]), ("Add", ["x", "noise"], ["y"])]
    path = graph(tmp_path / "net.onnx", nodes, [("x", [1, 3, 4, 4])], [("y", [1, 3, 4, 4])])
    with pytest.raises(InvalidItemError, match="RandomNormalLike draws random numbers"):
        published(path, tmp_path / "catalog", unproved=True)


class Bomb:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("unpickled"), "!")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def spoiled(tmp_path: Path, kind: str) -> Path:
    import pickle

    if kind == "truncated graph":
        truncated(path := blurred(tmp_path / "net.onnx"))
    elif kind == "truncated program":
        truncated(path := program(tmp_path / "net.pt2"))
    elif kind == "missing":
        path = tmp_path / "nothing.onnx"
    elif kind == "folder":
        (path := tmp_path / "saved").mkdir()
        (path / "saved_model.pb").write_bytes(b"")
    else:
        path = tmp_path / f"net{kind}"
        path.write_bytes(pickle.dumps(Bomb()))
    return path


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("truncated graph", ModelStacError, "no ONNX file|truncated"),
        ("truncated program", ModelStacError, "net.pt2"),
        ("missing", NotFoundError, "check the path"),
        ("folder", SpecError, "read by its framework alone: leave out unproved"),
        (".onnx", ModelStacError, "no ONNX file"),
        (".keras", InvalidItemError, "no .keras archive"),
        (".pt2", ModelStacError, "net.pt2"),
        (".tflite", InvalidItemError, "is a pickle, and not what its name says"),
        (".xml", ModelStacError, "an OpenVINO model is a pair"),
        *((kind, SpecError, "read by its framework alone: leave out unproved") for kind in (".h5", ".pkl", ".pt")),
        *((kind, SpecError, "read by its framework alone") for kind in (".joblib", ".safetensors", ".txt", ".jpg")),
    ],
)
def test_bad_files_give_one_line_and_leave_nothing(
    tmp_path: Path, kind: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = spoiled(tmp_path, kind)
    with pytest.raises(error, match=said) as caught:
        published(path, tmp_path / "catalog.sqlite", unproved=True, trust="pickle")
    assert "\n" not in str(caught.value)
    assert open_catalog(tmp_path / "catalog.sqlite").search() == []
    assert not [*tmp_path.glob("catalog.artifacts/**/net*")]
    assert not Path("unpickled").exists()


def test_an_example_names_axes_and_is_not_published(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    values = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    example = xarray.DataArray(values, dims=IMAGE, coords={"bands": ["B1", "B2", "B3"]}, attrs={"units": "1"})
    path = blurred(tmp_path / "net.onnx")
    _, item, notes = published(path, tmp_path / "catalog", unproved=True, example=example, input_dims=None, bands=None)
    assert item.properties["mlm:input"][0]["bands"] == ["B1", "B2", "B3"]
    assert "statistics" in item.assets["model"].extra_fields["raster:bands"][0]
    assert [*item.assets] == ["model"]
    assert any("the example is not published" in note for note in notes)


def test_an_alias_may_be_for_proved_items_only(tmp_path: Path) -> None:
    catalog, item, _ = published(blurred(tmp_path / "net.onnx"), tmp_path / "catalog", unproved=True)
    catalog.protect_alias("net", "champion", ["proved"])
    with pytest.raises(ConflictError, match=f"is not proved: run 'modelstac probe {item.id} --record'"):
        catalog.set_alias("net", "champion", item.id)
    prove(item, catalog)
    catalog.set_alias("net", "champion", item.id)
    assert catalog.aliases("net")["champion"] == item.id


def test_a_proof_counts_and_no_later_test_takes_it_away(tmp_path: Path) -> None:
    catalog, item, _ = published(blurred(tmp_path / "net.onnx"), tmp_path / "catalog", unproved=True)
    before = modelstac.load(item.id, catalog=catalog).description
    assert (before.unproved, before.halo) == (True, None)
    assert "not proved" in [badge.label for badge in variants([item.to_dict()], {})[0].badges]
    proved = prove(item, catalog)
    after = modelstac.load(item.id, catalog=catalog).description
    assert (after.unproved, after.halo) == (False, {"x": {"height": 1, "width": 1}})
    (environment,) = proved.properties["interop:verified"]
    versions = {name: environment[name] for name in ("python", "packages")}
    again = catalog.add_verified(item.id, [versions | {"max_absolute_difference": 0.0}])
    assert again.properties["interop:verified"] == [environment | {"max_absolute_difference": 0.0}]
    assert not is_unproved(again.properties)
    assert "not proved" not in [badge.label for badge in variants([again.to_dict()], {})[0].badges]


NO_PROOFS = [
    *([], "yes", {"sizes": []}, {"sizes": {"x": {"height": 4}}}, {"sizes": {"x": {"height": {"step": "1"}}}}),
    *({"halo": {"x": 3}}, {"halo": {"x": {"height": -1}}}, {"halo": {"x": {"height": "all"}}}),
    {"halo": {"x": {"height": {"pixels": 1, "per": {}}}}},
]


@pytest.mark.parametrize("proof", NO_PROOFS)
def test_evidence_that_is_no_proof_proves_nothing(tmp_path: Path, proof: Any) -> None:
    catalog, item, _ = published(blurred(tmp_path / "net.onnx"), tmp_path / "catalog", unproved=True)
    with pytest.raises(InvalidItemError, match="interop:verified"):
        catalog.add_verified(item.id, [{"python": "3.11.7", "proved": proof}])
    said = {"interop:unproved": True, "interop:verified": [{"proved": proof}]}
    assert is_unproved(said)


def test_a_proved_one_does_not_take_its_place_and_says_what_does(tmp_path: Path) -> None:
    path = blurred(tmp_path / "net.onnx")
    _, item, _ = published(path, tmp_path / "catalog", unproved=True)
    said = f"a new version, or prove what is there: modelstac probe {item.id} --record"
    with pytest.raises(ItemExistsError, match=said):
        published(path, tmp_path / "catalog")
    assert published(path, tmp_path / "catalog", unproved=True)[1].id == item.id


def test_only_an_unproved_item_is_proved(tmp_path: Path) -> None:
    catalog, item, _ = published(blurred(tmp_path / "net.onnx"), tmp_path / "catalog")
    with pytest.raises(SpecError, match="was not published unproved: there is nothing to prove"):
        prove(item, catalog)


def test_the_callback_passes_it_on(tmp_path: Path) -> None:
    said = SAID | {"name": "net", "input_dims": PLAIN, "output_dims": PLAIN}
    publisher = ModelstacPublisher(catalog=tmp_path / "catalog", unproved=True, **said)
    assert is_unproved(publisher.publish(blurred(tmp_path / "net.onnx")).properties)


def test_only_an_output_without_a_shape_takes_the_package_of_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [("Relu", ["x"], ["y"])]
    bare = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    path = graph(tmp_path / "net.onnx", nodes, [("x", [1, 3, 4, 4])], [bare])
    shaped = blurred(tmp_path / "shaped.onnx")
    assert read_facts(path).outputs[0].shape == (1, 3, 4, 4)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert read_facts(shaped).parameters == 54
    with pytest.raises(MissingPackageError, match=r"onnx.*publish"):
        read_facts(path)


def test_the_tables_of_onnx_are_those_of_its_package() -> None:
    names = onnx.TensorProto.DataType.items()
    plain = {"float": "float32", "double": "float64"}
    assert dict(enumerate(TYPES)) == {number: plain.get(name.lower(), name.lower()) for name, number in names}
    newest = {}
    for release, ir, opset, *_ in onnx.helper.VERSION_TABLE:
        newest.setdefault((ir, opset), release)
    assert [*newest.items()] == [((ir, opset), release) for release, ir, opset in RELEASES]
