"""Pipelines and trees: the file gives what the model gives, labels and probabilities as what they are."""

from __future__ import annotations

import hashlib
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import xarray as xr

import modelstac
from modelstac.catalog.errors import DataError, InvalidItemError, SpecError
from modelstac.catalog.messages import ignore
from modelstac.registry.publishing.comparing import _hold
from modelstac.registry.publishing.objects import classical

skl2onnx = pytest.importorskip("skl2onnx", reason="the extra classical is not installed")
lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")
RandomForestClassifier = pytest.importorskip("sklearn.ensemble").RandomForestClassifier
RandomForestRegressor = pytest.importorskip("sklearn.ensemble").RandomForestRegressor
LogisticRegression = pytest.importorskip("sklearn.linear_model").LogisticRegression
VotingClassifier = pytest.importorskip("sklearn.ensemble").VotingClassifier
StandardScaler = pytest.importorskip("sklearn.preprocessing").StandardScaler
FunctionTransformer = pytest.importorskip("sklearn.preprocessing").FunctionTransformer
make_pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline

SAID: dict[str, Any] = {"name": "trees", "license": "MIT", "bbox": (5, 50, 10, 55), "datetime": "2020"}
X = np.random.default_rng(0).uniform(0, 1, (200, 4)).astype(np.float32)
Y = (X[:, 0] > 0.5).astype(int)
BANDS = ["B02", "B03", "B04", "B08"]


def fitted(kind: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of each other
        if kind == "scikit-learn":
            return make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, Y)
        if kind == "vote":
            voters = [(f"forest-{n}", RandomForestClassifier(n, random_state=0)) for n in (5, 7)]
            return VotingClassifier(voters, voting="soft").fit(X, Y)
        if kind == "xgboost":
            return xgboost.XGBClassifier(n_estimators=5).fit(X, Y)
        return lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, Y)


@pytest.mark.parametrize("kind", ["scikit-learn", "vote", "xgboost", "lightgbm"])
def test_a_classifier_gives_labels_and_probabilities(kind: str, tmp_path: Path) -> None:
    model = fitted(kind)
    item = modelstac.publish(model, catalog=tmp_path, example=X[:50], bands=BANDS, classes=["land", "water"], **SAID)
    assert item.properties["mlm:tasks"] == ["classification"]
    label, probabilities = item.properties["mlm:output"]
    assert label["result"]["dim_order"] == ["batch"]
    assert probabilities["result"]["dim_order"] == ["batch", "class"]
    assert [one["name"] for one in probabilities["classification:classes"]] == ["land", "water"]
    found = modelstac.load(item.id, catalog=tmp_path)
    assert found.self_test().passed
    outputs = found.predict(X[50:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(outputs["label"].ravel(), model.predict(X[50:]))
        np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(X[50:]), atol=1e-5)


@pytest.mark.parametrize("example", [X[:50], None], ids=["example", "none"])
@pytest.mark.parametrize("how", [{"zero_as_missing": True}, {"linear_tree": True}, {"objective": "multiclassova"}])
def test_what_the_converter_leaves_out_of_trees_is_found(how: dict[str, Any], example: Any, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    gaps = np.where(chance.random(X.shape) < 0.2, 0, X).astype(np.float32)
    kind = lightgbm.LGBMClassifier if "objective" in how else lightgbm.LGBMRegressor
    own = kind(n_estimators=5, verbose=-1, **how).fit(gaps, np.floor(X[:, 0] * 3) if "objective" in how else X[:, 0])
    with pytest.raises(InvalidItemError, match=r"gives other numbers .* it is not the same model"):
        modelstac.publish(own, catalog=tmp_path, example=example, bands=BANDS, **SAID)
    assert not (tmp_path / "trees").exists()


@pytest.mark.parametrize("kind", ["lightgbm", "histograms"])
def test_trees_with_thresholds_around_zero_and_of_double_precision_split_as_they_do(kind: str, tmp_path: Path) -> None:
    """LightGBM splits centred values at what it takes for zero, 1e-35, and both compare in double precision."""
    centred = np.random.default_rng(3).normal(size=(200, 3)).astype(np.float32)
    noise = np.random.default_rng(4).normal(0, 0.1, 200)
    labels = (centred @ [1, -2, 0.5] + noise > 0).astype(int)
    ensemble = pytest.importorskip("sklearn.ensemble")
    kinds = {
        "lightgbm": partial(lightgbm.LGBMClassifier, verbose=-1),
        "histograms": ensemble.HistGradientBoostingClassifier,
    }
    own = make_pipeline(kinds[kind]()).fit(centred, labels)
    item = modelstac.publish(own, catalog=tmp_path, example=centred[:20], bands=["a", "b", "c"], **SAID)
    [path] = (tmp_path / "trees" / item.id).glob("*.onnx")
    [trees] = [node for node in onnx.load(path).graph.node if node.op_type.startswith("TreeEnsemble")]
    fields = {one.name: onnx.helper.get_attribute_value(one) for one in trees.attribute}
    splits = [v for v, mode in zip(fields["nodes_values"], fields["nodes_modes"], strict=True) if mode != b"LEAF"]
    values = np.random.default_rng(5).choice(np.array([*splits, 1e-35, -1e-35, 5e-36, 0], np.float32), (2000, 3))
    values = np.concatenate([values, np.nextafter(values, np.float32(9)), np.nextafter(values, np.float32(-9))])
    found = modelstac.load(item.id, catalog=tmp_path).predict(values)["probabilities"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(found, own.predict_proba(values), atol=1e-5)


def test_scores_of_a_booster_that_are_no_shares_are_held_against_it(tmp_path: Path) -> None:
    said = {"objective": "multiclassova", "num_class": 3, "verbose": -1, "min_data_in_leaf": 5}
    own = lightgbm.train(said, lightgbm.Dataset(X, label=np.floor(X[:, 0] * 3)), 3)
    with pytest.raises(InvalidItemError, match=r"other numbers for 'probabilities'"):
        modelstac.publish(own, catalog=tmp_path, bands=BANDS, **SAID)


@pytest.mark.parametrize(
    ("where", "name", "beside"),
    [
        ("ensemble", "IsolationForest", "decision_function"),
        ("svm", "OneClassSVM", "decision_function"),
        ("mixture", "GaussianMixture", "predict_proba"),
        ("cluster", "KMeans", "transform"),
    ],
)
def test_what_lies_apart_and_what_lies_together(where: str, name: str, beside: str, tmp_path: Path) -> None:
    chosen = {"IsolationForest": {"random_state": 0}, "GaussianMixture": {"n_components": 3}, "KMeans": {"n_init": 1}}
    own = getattr(pytest.importorskip(f"sklearn.{where}"), name)(**chosen.get(name, {})).fit(X)
    assert len(classical.save(own, tmp_path, {}, {}).run({"input": X})) == 2  # and so both are held against it
    item = modelstac.publish(own, catalog=tmp_path / "c", bands=BANDS, **SAID)
    label, scores = modelstac.load(item.id, catalog=tmp_path / "c").run({"input": X}).values()
    np.testing.assert_array_equal(label, own.predict(X))
    np.testing.assert_allclose(scores, getattr(own, beside)(X), atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # that a perceptron has not converged
@pytest.mark.parametrize("kind", ["least squares", "perceptron"])
def test_several_numbers_of_each_row_are_as_many_as_the_model_gives(kind: str, tmp_path: Path) -> None:
    squares = pytest.importorskip("sklearn.cross_decomposition").PLSRegression(3)
    perceptron = pytest.importorskip("sklearn.neural_network").MLPRegressor(hidden_layer_sizes=(6,), max_iter=50)
    traits = np.stack([X[:, 0] + X[:, 1], X[:, 2]], 1)
    own = {"least squares": squares, "perceptron": perceptron}[kind].fit(X, traits)
    item = modelstac.publish(own, catalog=tmp_path, example=X[:20], bands=BANDS, **SAID)
    assert item.properties["mlm:output"][0]["result"]["shape"] == [-1, 2]
    np.testing.assert_allclose(modelstac.load(item.id, catalog=tmp_path).predict(X), own.predict(X), atol=1e-5)


def test_several_numbers_of_each_row_of_a_forest_are_as_many_as_there_are(tmp_path: Path) -> None:
    own = RandomForestRegressor(3, random_state=0).fit(X, np.stack([X[:, 0], X[:, 1] * 2, Y], 1))
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    assert item.properties["mlm:output"][0]["result"]["shape"] == [-1, 3]
    found = modelstac.load(item.id, catalog=tmp_path).predict(X[50:])
    np.testing.assert_allclose(found, own.predict(X[50:]), atol=1e-5)


def test_labels_of_a_classifier_without_probabilities(tmp_path: Path) -> None:
    svm = pytest.importorskip("sklearn.svm")
    own = make_pipeline(StandardScaler(), svm.LinearSVC()).fit(X, Y)
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    outputs = modelstac.load(item.id, catalog=tmp_path).run({"input": X})
    assert list(outputs) == ["label"]
    np.testing.assert_array_equal(outputs["label"].ravel(), own.predict(X))


def test_values_that_a_model_refuses_are_said_not_to_be_compared(tmp_path: Path) -> None:
    transformer = pytest.importorskip("sklearn.preprocessing").PowerTransformer(method="box-cox")
    ridge = pytest.importorskip("sklearn.linear_model").Ridge()
    own = make_pipeline(transformer, ridge).fit(X + 1, X[:, 0])
    said: list[Any] = []
    modelstac.publish(own, catalog=tmp_path, example=X[:50] + 1, bands=BANDS, report=said.append, **SAID)
    refused = [str(note) for note in said if "not held against the model itself" in str(note)]
    assert any("on the negative values, which that refuses: " in note for note in refused)
    assert not any("times a hundred" in note for note in refused)


def test_an_example_that_a_model_itself_refuses_is_said_in_a_line(tmp_path: Path) -> None:
    def refuse(_: Any) -> Any:
        raise RuntimeError("no rows of today")

    own = pytest.importorskip("sklearn.linear_model").Ridge().fit(X, X[:, 0])
    own.predict = refuse
    with pytest.raises(InvalidItemError, match=r"the model itself fails on the example, so .*: no rows of today"):
        modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)


def test_columns_of_a_table_are_bands(tmp_path: Path) -> None:
    table = pd.DataFrame(X, columns=BANDS)
    model = RandomForestRegressor(5, random_state=0).fit(table, X[:, 1])
    item = modelstac.publish(model, catalog=tmp_path, example=table[:20], **SAID)
    assert item.properties["mlm:input"][0]["bands"] == BANDS
    assert item.properties["mlm:architecture"] == "RandomForestRegressor"
    found = modelstac.load(item.id, catalog=tmp_path).predict(X)
    np.testing.assert_allclose(found[:, 0], model.predict(table), rtol=1e-5)


def test_clusters_that_take_double_precision_alone_are_held_against_the_model(tmp_path: Path) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    own = make_pipeline(StandardScaler(), cluster.KMeans(3, n_init=1, random_state=0)).fit(X.astype(float))
    said: list[Any] = []
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, report=said.append, **SAID)
    assert not [note for note in said if "not held against" in str(note)]
    label = modelstac.load(item.id, catalog=tmp_path).run({"input": X})["label"]
    np.testing.assert_array_equal(label, own.predict(X.astype(float)))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_votes_count_as_they_are_weighted(kind: str, tmp_path: Path) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    linear = pytest.importorskip("sklearn.linear_model")
    if kind == "classifier":
        voters = [("forest", RandomForestClassifier(5, random_state=0)), ("line", LogisticRegression())]
        own = VotingClassifier(voters, voting="soft", weights=[1, 3]).fit(X, Y)
        expected = own.predict_proba(X)
    else:
        voters = [("forest", RandomForestRegressor(5, random_state=0)), ("line", linear.Ridge())]
        own = ensemble.VotingRegressor(voters, weights=[1, 3]).fit(X, X[:, 1])
        expected = own.predict(X)[:, None]
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    found = modelstac.load(item.id, catalog=tmp_path).run({"input": X})
    np.testing.assert_allclose([*found.values()][-1], expected, atol=1e-5)
    assert own.weights == [1, 3]


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_what_is_fitted_on_logarithms_is_given_without_them(loss: str, tmp_path: Path) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    own = ensemble.HistGradientBoostingRegressor(max_iter=5, loss=loss).fit(X, 40 * X[:, 1] + 1)
    item = modelstac.publish(own, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    found = modelstac.load(item.id, catalog=tmp_path).run({"input": X})
    np.testing.assert_allclose([*found.values()][-1][:, 0], own.predict(X), rtol=1e-5)


@pytest.mark.parametrize("within", [True, False])
def test_boosted_shares_are_no_logits(within: bool, tmp_path: Path) -> None:
    own = xgboost.XGBRegressor(n_estimators=5, objective="reg:logistic")
    own = (make_pipeline(FunctionTransformer(), own) if within else own).fit(X, X[:, 1] ** 2)
    item = modelstac.publish(own, catalog=tmp_path, bands=BANDS, example=X[:50], **SAID)
    found = modelstac.load(item.id, catalog=tmp_path).predict(X)
    np.testing.assert_allclose(found[:, 0], own.predict(X), atol=1e-5)


def test_a_booster_is_published(tmp_path: Path) -> None:
    booster = xgboost.XGBRegressor(n_estimators=5).fit(X, X[:, 1]).get_booster()
    item = modelstac.publish(booster, catalog=tmp_path, example=X[:20], **SAID)
    assert item.properties["mlm:architecture"] == "XGBoost"
    found = modelstac.load(item.id, catalog=tmp_path).predict(X)
    np.testing.assert_allclose(found[:, 0], booster.predict(xgboost.DMatrix(X)), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(RandomForestClassifier(), "was not fitted"), (StandardScaler(), "predicts nothing")],
)
def test_what_cannot_be_published_is_said(model: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=reason):
        modelstac.publish(model, catalog=tmp_path, example=X, **SAID)


def test_classes_have_the_values_and_the_order_of_the_models_own_labels(tmp_path: Path) -> None:
    """Scores lie in the order of the labels: names in another order would call water land."""
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.where(Y, 30, 10))
    said = {"catalog": tmp_path, "example": X[:50], "bands": BANDS, "variant": "onnx", **SAID}

    def classes(version: str, classes: Any) -> list[list[tuple[int, str]]]:
        outputs = modelstac.publish(forest, classes=classes, version=version, **said).properties["mlm:output"]
        return [[(one["value"], one["name"]) for one in output["classification:classes"]] for output in outputs]

    expected = [[(10, "land"), (30, "water")]] * 2
    assert classes("1.0.0", ["land", "water"]) == expected
    assert classes("1.0.1", [{"name": "water", "value": 30}, {"name": "land", "value": 10}]) == expected
    with pytest.raises(SpecError, match="the model gives the labels 10, and no class has that value"):
        classes("1.0.2", [{"name": "water", "value": 30}, {"name": "land", "value": 1}])


def test_classes_are_not_named_in_another_order_than_the_models_own_texts(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.where(Y, "water", "land"))
    said = {"catalog": tmp_path, "example": X[:50], "bands": BANDS, **SAID}
    with pytest.raises(SpecError, match="class 0 is called 'water', and the model itself has 0 land, 1 water: name"):
        modelstac.publish(forest, classes=["Water", "Land"], **said)
    item = modelstac.publish(forest, classes=["Land", "Lakes"], **said)
    [_, second] = item.properties["mlm:output"][0]["classification:classes"]
    assert (second["value"], second["name"]) == (1, "Lakes")


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("within", [True, False])
def test_graphs_of_others_give_arrays_for_mappings_and_texts(
    zipmap: bool, texts: bool, within: bool, tmp_path: Path
) -> None:
    """By default the converter of scikit-learn writes a mapping a row; labels that are texts have no array."""
    kinds = np.array(["built", "forest", "water"] if texts else [30, 10, 20])
    kinds.sort()
    which = np.digitize(X[:, 1], [0.3, 0.7])
    estimator = LogisticRegression() if within else RandomForestClassifier(5, random_state=0)
    model = make_pipeline(StandardScaler(), estimator).fit(X, kinds[which])
    path = tmp_path / "theirs.onnx"
    onnx.save(skl2onnx.to_onnx(model, X[:1], options={"zipmap": zipmap}), path)
    item = modelstac.publish(path, catalog=tmp_path / "models", bands=BANDS, architecture="forest", **SAID)
    [label, scores] = item.properties["mlm:output"]
    named = [(one["value"], one["description"]) for one in label["classification:classes"]]
    assert named == [(n if texts else int(kind), str(kind)) for n, kind in enumerate(kinds)]
    assert scores["classification:classes"] == label["classification:classes"]
    found = modelstac.load(item.id, catalog=tmp_path / "models").predict(X)
    by_value = dict(named)
    assert [by_value[int(value)] for value in found[label["name"]]] == list(map(str, model.predict(X)))
    np.testing.assert_allclose(found[scores["name"]], model.predict_proba(X), atol=1e-6)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    as_it_was = item.assets["model"].extra_fields["file:checksum"].endswith(digest)
    assert as_it_was == (not (zipmap or texts))


def test_a_graph_of_trees_and_a_mapping_alone(tmp_path: Path) -> None:
    """As CatBoost writes it: of no operator of ONNX itself."""
    trees = onnx.helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "tensor"],
        domain="ai.onnx.ml",
        classlabels_int64s=[4, 7],
        class_ids=[0, 0],
        class_nodeids=[1, 2],
        class_treeids=[0, 0],
        class_weights=[-1.0, 2.0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_featureids=[1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_nodeids=[0, 1, 2],
        nodes_treeids=[0, 0, 0],
        nodes_truenodeids=[1, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        post_transform="LOGISTIC",
    )
    mapped = onnx.helper.make_node(
        "ZipMap", ["tensor"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[4, 7]
    )
    types = onnx.helper
    rows = types.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["N", 4])
    label = types.make_tensor_value_info("label", onnx.TensorProto.INT64, ["N"])
    row = types.make_map_type_proto(onnx.TensorProto.INT64, types.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
    maps = types.make_value_info("probabilities", types.make_sequence_type_proto(row))
    graph = types.make_graph([trees, mapped], "trees", [rows], [label, maps])
    made = types.make_model(graph, opset_imports=[types.make_opsetid("ai.onnx.ml", 2)], ir_version=8)
    path = tmp_path / "trees.onnx"
    onnx.save(made, path)
    said = {"bands": BANDS, "classes": ["land", "water"], "architecture": "CatBoost", **SAID}
    item = modelstac.publish(path, catalog=tmp_path / "models", unproved=True, **said)
    assert [one["value"] for one in item.properties["mlm:output"][1]["classification:classes"]] == [4, 7]
    found = modelstac.load(item.id, catalog=tmp_path / "models").predict(X)
    water = 1 / (1 + np.exp(-np.where(X[:, 1] <= 0.5, -1.0, 2.0)))
    np.testing.assert_allclose(found["probabilities"], np.stack([1 - water, water], axis=1), atol=1e-6)
    np.testing.assert_array_equal(found["label"], np.where(X[:, 1] <= 0.5, 4, 7))


def test_a_broken_graph_of_trees_is_refused_in_a_line(tmp_path: Path) -> None:
    broken = onnx.helper.make_node("ArrayFeatureExtractor", [], ["y"], domain="ai.onnx.ml")
    value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.STRING, ["n"])
    made = onnx.helper.make_model(onnx.helper.make_graph([broken], "trees", [], [value]), ir_version=8)
    path = tmp_path / "trees.onnx"
    for content in (made.SerializeToString(), made.SerializeToString().replace(b"trees", b"tr\xffes")):
        path.write_bytes(content)
        with pytest.raises(InvalidItemError, match=r"trees\.onnx.*"):
            modelstac.publish(path, catalog=tmp_path / "models", bands=BANDS, architecture="trees", **SAID)


def test_gaps_are_refused_with_the_way_to_what_trees_make_of_them(tmp_path: Path) -> None:
    table = np.where(np.random.default_rng(5).random(X.shape) < 0.2, np.nan, X).astype(np.float32)
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1).fit(table, X[:, 0])
    item = modelstac.publish(model, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    found = modelstac.load(item.id, catalog=tmp_path)
    with pytest.raises(DataError, match=r"fill them as in training .* model\.run\(\{…\}, finite=False\)"):
        found.predict(table)
    [gaps] = found.run({"input": table}, finite=False).values()
    np.testing.assert_allclose(gaps.ravel(), model.predict(table), rtol=1e-4)


@pytest.mark.parametrize("library", ["lightgbm", "histograms", "forest"])
def test_an_example_with_gaps_says_that_trees_are_fed_them(library: str, tmp_path: Path) -> None:
    """The numbers are those of the model itself, also of a mask and of what a file calls missing."""
    table = np.where(np.random.default_rng(5).random(X.shape) < 0.2, np.nan, X).astype(np.float32)
    if library == "lightgbm":
        model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1)
    elif library == "histograms":
        model = pytest.importorskip("sklearn.ensemble").HistGradientBoostingRegressor(max_iter=5)
    else:
        model = RandomForestRegressor(5, random_state=0)
    model.fit(table, X[:, 0])
    item = modelstac.publish(model, catalog=tmp_path, example=table[:50], bands=BANDS, **SAID)
    assert item.properties["mlm:input"][0]["interop:gaps"] is True
    statistics = item.assets["model"].extra_fields["raster:bands"][1]["statistics"]
    assert statistics["maximum"] == pytest.approx(np.nanmax(table[:50, 1]), rel=1e-6)
    found = modelstac.load(item.id, catalog=tmp_path)
    expected = model.predict(table).astype(np.float32)
    assert found.self_test().passed
    np.testing.assert_allclose(found.predict(table).ravel(), expected, rtol=1e-4)
    gone = np.isnan(table)
    np.testing.assert_allclose(found.predict(np.ma.masked_array(X, gone)).ravel(), expected, rtol=1e-4)
    labelled = xr.DataArray(
        np.where(gone, -9999, X), dims=("batch", "bands"), coords={"bands": BANDS}, attrs={"_FillValue": -9999.0}
    )
    np.testing.assert_allclose(found.predict(labelled).values.ravel(), expected, rtol=1e-4)
    with pytest.raises(DataError, match="infinite"):
        found.predict(np.where(gone, np.inf, X))
    with pytest.raises(DataError, match=r"none to show it"):
        modelstac.publish(model, catalog=tmp_path, example=X[:50], bands=BANDS, gaps=True, **SAID)
    with pytest.raises(DataError, match=r"has gaps \(NaN\) in input: fill them as in training"):
        modelstac.publish(model, catalog=tmp_path, example=table[:50], bands=BANDS, gaps=False, **SAID)


def test_gaps_that_the_file_takes_otherwise_than_the_model_are_refused(tmp_path: Path) -> None:
    """The converter of votes sends all gaps of their forests one way; and a linear model takes none."""
    table = np.where(np.random.default_rng(5).random(X.shape) < 0.2, np.nan, X).astype(np.float32)
    vote = fitted("vote").fit(table, Y)
    with pytest.raises(InvalidItemError, match="not the same model"):
        modelstac.publish(vote, catalog=tmp_path, example=table, bands=BANDS, **SAID)
    linear = LogisticRegression().fit(X, Y)
    with pytest.raises(DataError, match=r"gaps|does not take"):
        modelstac.publish(linear, catalog=tmp_path, example=table, bands=BANDS, **SAID)


def test_categories_are_tried_as_whole_numbers(tmp_path: Path) -> None:
    """Between two of them one library takes the lower one, and another none: nobody is fed that."""
    table = X.copy()
    table[:, 3] = np.arange(len(X)) % 6
    kinds = {"max_cat_to_onehot": 1, "min_data_per_group": 1, "cat_smooth": 1, "verbose": -1, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(
        table, np.isin(table[:, 3], [1, 4]) * 3.0 + table[:, 0], categorical_feature=[3], params=kinds
    )
    model = lightgbm.train({**kinds, "num_leaves": 7, "num_threads": 1}, data, 8)
    item = modelstac.publish(model, catalog=tmp_path, example=table[:50], bands=BANDS, **SAID)
    found = modelstac.load(item.id, catalog=tmp_path).predict(table)
    np.testing.assert_allclose(found.ravel(), model.predict(table), atol=1e-5)


def test_whole_labels_that_are_floats_are_the_values_of_the_classes(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.where(Y, 30.0, 10.0))
    item = modelstac.publish(forest, catalog=tmp_path, example=X[:50], bands=BANDS, **SAID)
    for output in item.properties["mlm:output"]:
        assert [(one["value"], one["name"]) for one in output["classification:classes"]] == [(10, "10"), (30, "30")]
    label = modelstac.load(item.id, catalog=tmp_path).predict(X)["label"]
    np.testing.assert_array_equal(label.ravel(), forest.predict(X))


def test_labels_are_the_same_or_others_however_large_they_are() -> None:
    own = np.arange(5000, 5100)
    with pytest.raises(InvalidItemError, match="gives other numbers for 'label'"):
        _hold({"label": own + 1}, [own], ignore, "the example's values")
    _hold({"label": own.astype(np.float32)}, [own], ignore, "the example's values")


def test_columns_that_are_chosen_by_name_lie_at_their_places(tmp_path: Path) -> None:
    """Transformers of a table choose columns by name, and a file has an array; the model stays as it was."""
    compose = pytest.importorskip("sklearn.compose")
    table = pd.DataFrame(X, columns=BANDS)
    chosen = compose.ColumnTransformer(
        [("scaled", StandardScaler(), ["B08", "B02"]), ("as it is", "passthrough", ["B03"])]
    )
    model = make_pipeline(chosen, RandomForestClassifier(5, random_state=0)).fit(table, Y)
    item = modelstac.publish(model, catalog=tmp_path, example=table[:50], classes=["land", "water"], **SAID)
    found = modelstac.load(item.id, catalog=tmp_path).predict(table[["B04", "B08", "B03", "B02"]])
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(table), atol=1e-5)
    assert chosen.transformers_[0][2] == ["B08", "B02"]


def test_several_labels_at_once_are_refused_in_a_line(tmp_path: Path) -> None:
    model = RandomForestClassifier(2).fit(X, np.stack([Y, 1 - Y], 1))
    with pytest.raises(SpecError, match="gives 2 labels of each row: fit and publish a model for each"):
        modelstac.publish(model, catalog=tmp_path, example=X[:5], bands=BANDS, **SAID)


def test_columns_of_a_table_are_found_by_the_names_of_bands(tmp_path: Path) -> None:
    model = fitted("scikit-learn")
    item = modelstac.publish(model, catalog=tmp_path, example=X[:50], bands=BANDS, classes=["land", "water"], **SAID)
    found, expected = modelstac.load(item.id, catalog=tmp_path), model.predict_proba(X)
    table = pd.DataFrame(X, columns=BANDS)
    for given in (
        table,
        table[[*reversed(BANDS)]],
        table.assign(label=1)[["label", *reversed(BANDS)]],
        pd.DataFrame(X),
    ):
        np.testing.assert_allclose(found.predict(given)["probabilities"], expected, atol=1e-5)
    with pytest.raises(DataError, match="found the columns B02, B03, B04, B8A: B08 missing"):
        found.predict(table.rename(columns={"B08": "B8A"}))
    with pytest.raises(DataError, match="name 'B02' twice"):
        found.predict(pd.concat([table, table[["B02"]]], axis=1))
