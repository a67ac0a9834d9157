"""Files of other formats: trees, HDF5 of Keras, scripts, checkpoints and pickles, each as what it computes."""

from __future__ import annotations

import importlib
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelstac
from modelstac.catalog.errors import InvalidItemError, SpecError, UntrustedError
from modelstac.catalog.messages import Note

SAID: dict[str, Any] = {"name": "of-a-file", "license": "MIT", "bbox": (5, 50, 10, 55), "datetime": "2020"}
X = np.random.default_rng(0).uniform(0, 1, (200, 4)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X).astype(np.float32)
Y = (X[:, 0] > 0.5).astype(int)
BUILDERS = "tests_builders_of_files"


def published(path: Path, catalog: Path, **said: Any) -> Any:
    return modelstac.load(modelstac.publish(path, catalog=catalog, **SAID | said).id, catalog=catalog)


@pytest.fixture
def trees() -> None:
    pytest.importorskip("onnxmltools", reason="the extra classical is not installed")


@pytest.mark.usefixtures("trees")
def test_text_of_lightgbm_gives_what_it_gives_also_where_values_are_missing(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    booster = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(GAPS, Y).booster_
    booster.save_model(tmp_path / "trees.txt")
    model = published(tmp_path / "trees.txt", tmp_path / "c", example=X[:50])
    for array in (X, GAPS):
        found = model.run({"input": array}, finite=False)["probabilities"]
        np.testing.assert_allclose(found[:, 1], booster.predict(array), atol=1e-5)


@pytest.mark.usefixtures("trees")
def test_json_of_xgboost_gives_what_it_gives_and_its_names_of_columns_are_bands(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    pandas = pytest.importorskip("pandas")
    names = ["B02", "B03", "B04", "B08"]
    own = xgboost.XGBClassifier(n_estimators=5).fit(pandas.DataFrame(GAPS, columns=names), Y)
    own.save_model(tmp_path / "trees.json")
    model = published(tmp_path / "trees.json", tmp_path / "c", example=X[:50])
    assert model.item.properties["mlm:input"][0]["bands"] == names
    np.testing.assert_allclose(model.run({"input": X})["probabilities"], own.predict_proba(X), atol=1e-5)
    found = model.run({"input": GAPS}, finite=False)["probabilities"]
    np.testing.assert_allclose(found, own.predict_proba(GAPS), atol=1e-5)


@pytest.mark.usefixtures("trees")
@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
def test_trees_of_others_in_a_pipeline(package: str, tmp_path: Path) -> None:
    library = pytest.importorskip(package)
    pipeline = pytest.importorskip("sklearn.pipeline")
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that columns have no names
        quiet = {"verbose": -1} if package == "lightgbm" else {}
        kind = "LGBMClassifier" if package == "lightgbm" else "XGBClassifier"
        own = pipeline.make_pipeline(scaler, getattr(library, kind)(n_estimators=5, **quiet)).fit(X, Y)
        wanted = own.predict_proba(X)
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], **SAID)
    assert item.properties["mlm:architecture"] == kind
    found = modelstac.load(item.id, catalog=tmp_path).predict(X)["probabilities"]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.usefixtures("trees")
def test_labels_that_are_texts_are_numbers_and_their_names_classes(tmp_path: Path) -> None:
    svm = pytest.importorskip("sklearn.svm")
    labels = np.asarray(["FC", "PP", "RG"])
    own = svm.SVC().fit(X, labels[(X[:, 0] * 3).astype(int)])
    (tmp_path / "grains.dat").write_bytes(pickle.dumps(own))
    with pytest.raises(UntrustedError, match="--trust pickle"):
        modelstac.publish(tmp_path / "grains.dat", catalog=tmp_path / "c", example=X[:50], **SAID)
    model = published(tmp_path / "grains.dat", tmp_path / "c", example=X[:50], trust="pickle")
    label = model.item.properties["mlm:output"][0]
    assert [one["name"] for one in label["classification:classes"]] == labels.tolist()
    found = model.run({"input": X})["label"]
    np.testing.assert_array_equal(labels[found.ravel()], own.predict(X))


@pytest.mark.usefixtures("trees")
def test_classes_of_a_pickle_have_the_values_of_its_labels(tmp_path: Path) -> None:
    forest = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(3, random_state=0)
    (tmp_path / "forest.pkl").write_bytes(pickle.dumps(forest.fit(X, np.where(X[:, 0] > 0.5, 30, 10))))
    said = {"example": X[:50], "classes": ["land", "water"], "trust": "pickle"}
    model = published(tmp_path / "forest.pkl", tmp_path / "c", **said)
    for output in model.item.properties["mlm:output"]:
        assert [(one["value"], one["name"]) for one in output["classification:classes"]] == [
            (10, "land"),
            (30, "water"),
        ]


@pytest.mark.usefixtures("trees")
@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("trees.json", json.dumps({"name": "tree", "tree_info": []}), "a dump of LightGBM"),
        ("trees.txt", "booster[0]:\n0:[f0<0.5]", "a dump of XGBoost"),
        ("trees.model", "binf\x00\x00", "old binary format"),
    ],
)
def test_dumps_that_cannot_be_read_back_say_what_to_save(name: str, text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidItemError, match=f"{reason}.*save_model"):
        modelstac.publish(tmp_path / name, catalog=tmp_path / "c", example=X, **SAID)


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of a user's with one line that builds his network."""
    text = "import torch\ndef net(config):\n    return torch.nn.Sequential(torch.nn.Linear(4, config['width']))\n"
    (tmp_path / f"{BUILDERS}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


IMAGES = {"task": "regression", "input_dims": "batch,channel", "output_dims": "batch,channel", "architecture": "MLP"}
BUILT = IMAGES | {"entrypoint": f"{BUILDERS}:net", "hyperparameters": {"width": 2}, "example": X[:8]}


@pytest.mark.usefixtures("builders")
@pytest.mark.parametrize("wrapped", ["alone", "state_dict", "lightning", "parallel"])
def test_weights_in_a_checkpoint_are_published_as_the_module_that_is_built(wrapped: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 2))
    state = net.state_dict()
    saved = {
        "alone": state,
        "state_dict": {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
        "lightning": {"state_dict": {f"model.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(2)}},
        "parallel": {f"module.{k}": v for k, v in state.items()},
    }[wrapped]
    torch.save(saved, tmp_path / "net.pth")
    item = modelstac.publish(tmp_path / "net.pth", catalog=tmp_path / "c", **SAID | BUILT)
    model = modelstac.load(item.id, catalog=tmp_path / "c", trust=f"entrypoint:{BUILDERS}")
    np.testing.assert_allclose(model.predict(X), net(torch.tensor(X)).detach().numpy(), atol=1e-6)


@pytest.mark.usefixtures("trees")
def test_a_file_of_skops_is_read_as_far_as_it_runs_no_code(tmp_path: Path) -> None:
    skops, linear = pytest.importorskip("skops.io"), pytest.importorskip("sklearn.linear_model")
    own = linear.Ridge().fit(X, X[:, 0] + X[:, 1])
    skops.dump(own, tmp_path / "line.skops")
    model = published(tmp_path / "line.skops", tmp_path / "c", example=X[:20])
    np.testing.assert_allclose(model.predict(X)[:, 0], own.predict(X), atol=1e-5)
    skops.dump(pytest.importorskip("sklearn.tree").DecisionTreeRegressor().fit(X, Y), tmp_path / "tree.skops")
    with pytest.raises(UntrustedError, match="types that skops does not know"):
        published(tmp_path / "tree.skops", tmp_path / "c", example=X[:20])


@pytest.mark.usefixtures("builders")
def test_what_of_a_checkpoint_is_left_out_is_said(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = torch.nn.Sequential(torch.nn.Linear(4, 2)).state_dict()
    saved = {"model": state | {"head.weight": torch.ones(2)}, "ema": state, "epoch": 3}
    torch.save(saved, tmp_path / "net.pth")
    said: list[Any] = []
    modelstac.publish(tmp_path / "net.pth", catalog=tmp_path / "c", report=said.append, **SAID | BUILT)
    notes = [note.text for note in said if isinstance(note, Note)]
    assert "net.pth holds several sets of weights: those of model are taken, not of ema" in notes
    assert f"weights of net.pth that {BUILDERS}:net does not have are left out: head.weight" in notes


@pytest.mark.usefixtures("builders")
def test_a_checkpoint_that_holds_more_than_weights_is_opened_for_one_who_trusts_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 2))
    torch.save({"state_dict": net.state_dict(), "where": Path("/data")}, tmp_path / "net.ckpt")
    with pytest.raises(UntrustedError, match=r"holds more than weights.*--trust pickle"):
        modelstac.publish(tmp_path / "net.ckpt", catalog=tmp_path / "c", **SAID | BUILT)
    item = modelstac.publish(tmp_path / "net.ckpt", catalog=tmp_path / "c", trust="pickle", **SAID | BUILT)
    model = modelstac.load(item.id, catalog=tmp_path / "c", trust=f"entrypoint:{BUILDERS}")
    np.testing.assert_allclose(model.predict(X), net(torch.tensor(X)).detach().numpy(), atol=1e-6)


def test_a_checkpoint_without_weights_says_what_it_holds(builders: None, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "net.pth")
    with pytest.raises(InvalidItemError, match=r"no weights under a usual name, but epoch, lr"):
        modelstac.publish(tmp_path / "net.pth", catalog=tmp_path / "c", **SAID | BUILT)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_is_refused_with_the_way_on_and_translated_for_one_who_trusts_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1), torch.nn.ReLU())
    torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    images = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    said = {"example": images, "bands": ["red", "green", "blue"], "classes": ["land", "water"]}
    said |= {"task": "semantic-segmentation", "architecture": "CNN"}
    with pytest.raises(UntrustedError, match=r"script of TorchScript.*--trust pickle"):
        modelstac.publish(tmp_path / "net.pt", catalog=tmp_path / "c", **SAID | said)
    model = published(tmp_path / "net.pt", tmp_path / "c", trust="pickle", **said)
    larger = np.random.default_rng(1).normal(size=(2, 3, 24, 40)).astype(np.float32)
    np.testing.assert_allclose(model.predict(larger), net(torch.tensor(larger)).detach().numpy(), atol=1e-5)


DIFFERENCE = """
import torch
class Difference(torch.nn.Module):
    def forward(own, after, before):
        return after - before
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_of_several_inputs_takes_them_by_name_whatever_it_calls_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")

    (tmp_path / "their_difference.py").write_text(DIFFERENCE)
    monkeypatch.syspath_prepend(tmp_path)
    their: Any = importlib.import_module("their_difference")
    torch.jit.save(torch.jit.script(their.Difference()), tmp_path / "difference.pt")
    after, before = np.random.default_rng(0).normal(size=(2, 1, 3, 16, 16)).astype(np.float32)
    said: dict[str, Any] = {"example": {"before": before, "after": after}, "task": "regression", "architecture": "none"}
    said["bands"] = {name: ["red", "green", "blue"] for name in ("after", "before")}
    model = published(
        tmp_path / "difference.pt", tmp_path / "c", trust="pickle", output_dims="batch,channel,height,width", **said
    )
    np.testing.assert_allclose(model.predict(before=before, after=after), after - before, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pickled_module_is_saved_as_one_that_is_given_in_python(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 2))  # lengths that hang together by their product
    torch.save(net, tmp_path / "net.pth")
    series = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    said = {
        "example": series,
        "input_dims": "batch,time,channel",
        "output_dims": "batch,class",
        "task": "classification",
    }
    model = published(tmp_path / "net.pth", tmp_path / "c", trust="pickle", architecture="MLP", **said)
    more = np.repeat(series, 3, 0)
    np.testing.assert_allclose(model.predict(more), net(torch.tensor(more)).detach().numpy(), atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_a_pickled_module_takes_what_it_names_from_a_relative_path(
    several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    package = tmp_path / "lab_nets.py"
    lines = ["import torch", "class Fused(torch.nn.Module):", "    def forward(self, optical, radar):"]
    lines += ["        return optical * 2 - radar", "class Alone(torch.nn.Module):", "    def forward(self, optical):"]
    package.write_text("\n".join([*lines, "        return optical * 2"]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import lab_nets  # type: ignore[import-not-found]

    torch.save(lab_nets.Fused() if several else lab_nets.Alone(), "net.pth")
    optical, radar = np.random.default_rng(0).random((2, 1, 3, 8, 8), np.float32)
    given: Any = {"optical": optical, "radar": radar} if several else {"optical": optical}
    dims = ["batch", "bands", "height", "width"]
    said: dict[str, Any] = {"example": given if several else optical, "input_dims": dict.fromkeys(given, dims)}
    said |= {"bands": {key: ["a", "b", "c"] for key in given}, "output_dims": ["batch", "channel", "height", "width"]}
    model = published(Path("net.pth"), tmp_path / "c", trust="pickle", task="regression", **said)
    np.testing.assert_allclose(model.predict(**given), optical * 2 - (radar if several else 0), atol=1e-6)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    keras = pytest.importorskip("keras")
    entry = keras.Input((4,))
    net = keras.Model(entry, keras.layers.Dense(2, activation="softmax")(keras.layers.Dense(8, "relu")(entry)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.save(tmp_path / "net.h5")
    return tmp_path / "net.h5"


def test_a_whole_model_in_hdf5_is_saved_anew_and_held_against_the_keras_that_wrote_it(whole: Path) -> None:
    keras = pytest.importorskip("keras")
    heard: list[Any] = []
    said = IMAGES | {"example": X[:8], "classes": ["land", "water"], "output_dims": "batch,class"}
    item = modelstac.publish(whole, catalog=whole.parent / "c", report=heard.append, **SAID | said)
    assert item.properties["interop:format"] == "keras"
    assert any("held against what Keras" in getattr(message, "text", "") for message in heard)
    own = keras.saving.load_model(whole, compile=False)
    found = modelstac.load(item.id, catalog=whole.parent / "c").predict(X)
    np.testing.assert_allclose(found, np.asarray(keras.ops.convert_to_numpy(own(X))), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({"class_name": "Lambda", "config": {"name": "own"}}, "wants Lambda as 'own'"),
        ({"class_name": "TFOpLambda", "config": {"name": "f", "function": "io.write_file"}}, "of io.write_file"),
        ({"class_name": "TFOpLambda", "config": {"name": "f", "function": {"of": "io"}}}, "runs code that is not"),
        ({"class_name": "Mine", "registered_name": "Mine>Layer", "config": {"name": "m"}}, "wants Mine as 'm'"),
        ({"class_name": "TextVectorization", "config": {"vocabulary": "/etc/passwd"}}, "from the file"),
    ],
)
def test_layers_that_run_code_are_refused_by_name(layer: dict[str, Any], reason: str, whole: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(whole, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].append(layer)
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UntrustedError, match=reason):
        modelstac.publish(whole, catalog=whole.parent / "c", example=X[:8], **SAID | IMAGES)


@pytest.mark.parametrize("version", ["3.0\nother", "3.0 @ https://example.org/other.whl", "2.11.1\nother"])
def test_a_version_that_names_another_package_is_refused(version: str, whole: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(whole, "a") as file:
        file.attrs["keras_version"] = version
    with pytest.raises(InvalidItemError, match="which is no version"):
        modelstac.publish(whole, catalog=whole.parent / "c", example=X[:8], **SAID | IMAGES)


def test_a_link_to_another_file_is_refused(whole: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(whole, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/other.h5", "/weights")
    with pytest.raises(UntrustedError, match="leads out of its weights"):
        modelstac.publish(whole, catalog=whole.parent / "c", example=X[:8], **SAID | IMAGES)


def test_weights_alone_in_hdf5_ask_for_what_builds_their_model(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        file["kernel"] = X
    with pytest.raises(SpecError, match="holds weights alone: give entrypoint"):
        modelstac.publish(tmp_path / "net.weights.h5", catalog=tmp_path / "c", **SAID | IMAGES)
