"""Models of rows that scikit-learn, LightGBM, XGBoost and CatBoost learned, written as ONNX by their tools."""

from __future__ import annotations

import numpy as np

from benchmarks.corpus.entries import Family, table

model = Family("tools")
FEATURES = 6


def data(seed: int):
    """Give rows that there is something to learn from: features, classes and a value."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (200, FEATURES)).astype(np.float32)
    value = (x[:, 0] - x[:, 1] + 0.3 * x[:, 2] * x[:, 3] + 0.05 * rng.normal(size=200)).astype(np.float32)
    return x, np.digitize(value, [-0.2, 0.3]), value


def by_skl2onnx(name: str, make, *, classes: bool = False, unsupervised: bool = False, **options):
    """Register what skl2onnx makes of a fitted estimator."""

    def build(seed):
        from skl2onnx import to_onnx

        x, labels, value = data(seed)
        fitted = make().fit(x) if unsupervised else make().fit(x, labels if classes else value)
        more = {"options": {id(fitted): {"zipmap": False}}} if classes else {}
        return to_onnx(fitted, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}, **more, **options)

    model(f"skl2onnx, {name}", table(FEATURES, name="X"))(build)


def of(module: str, kind: str, **options):
    """Give what makes an estimator of scikit-learn."""

    def make():
        import importlib

        return getattr(importlib.import_module(f"sklearn.{module}"), kind)(**options)

    return make


def piped(*steps):
    def make():
        from sklearn.pipeline import make_pipeline

        return make_pipeline(*(step() for step in steps))

    return make


FOREST = {"n_estimators": 8, "max_depth": 5, "random_state": 0}
by_skl2onnx("random forest", of("ensemble", "RandomForestClassifier", **FOREST), classes=True)
by_skl2onnx("random forest, regression", of("ensemble", "RandomForestRegressor", **FOREST))
by_skl2onnx("extra trees", of("ensemble", "ExtraTreesClassifier", **FOREST), classes=True)
by_skl2onnx("gradient boosting", of("ensemble", "GradientBoostingClassifier", n_estimators=6), classes=True)
by_skl2onnx("gradient boosting, regression", of("ensemble", "GradientBoostingRegressor", n_estimators=6))
by_skl2onnx("decision tree", of("tree", "DecisionTreeClassifier", max_depth=5), classes=True)
by_skl2onnx("logistic regression", of("linear_model", "LogisticRegression"), classes=True)
by_skl2onnx("ridge regression", of("linear_model", "Ridge"))
by_skl2onnx("support vectors", of("svm", "SVC", probability=True, random_state=0), classes=True)
by_skl2onnx("support vectors, regression", of("svm", "SVR"))
by_skl2onnx("nearest neighbours", of("neighbors", "KNeighborsRegressor"))
by_skl2onnx("naive Bayes", of("naive_bayes", "GaussianNB"), classes=True)
by_skl2onnx("linear discriminant analysis", of("discriminant_analysis", "LinearDiscriminantAnalysis"), classes=True)
by_skl2onnx("perceptron", of("neural_network", "MLPRegressor", hidden_layer_sizes=(8,), max_iter=50, random_state=0))
by_skl2onnx("Gaussian process", of("gaussian_process", "GaussianProcessRegressor"))
by_skl2onnx("principal components", of("decomposition", "PCA", n_components=3), unsupervised=True)
by_skl2onnx("k-means", of("cluster", "KMeans", n_clusters=4, n_init=1, random_state=0), unsupervised=True)
by_skl2onnx("isolation forest", of("ensemble", "IsolationForest", n_estimators=6, random_state=0), unsupervised=True)
by_skl2onnx(
    "scaled, filled and perceptron",
    piped(of("impute", "SimpleImputer"), of("preprocessing", "StandardScaler"), of("linear_model", "Ridge")),
)


def boosted(name: str, package: str, kind: str, classes: bool, **options):
    """Register what onnxmltools makes of boosted trees."""

    def build(seed):
        import importlib

        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        x, labels, value = data(seed)
        fitted = getattr(importlib.import_module(package), kind)(n_estimators=6, max_depth=4, **options)
        fitted.fit(x, labels if classes else value)
        convert = getattr(onnxmltools, f"convert_{package}")
        more = {"zipmap": False} if classes and package == "lightgbm" else {}
        return convert(fitted, initial_types=[("X", FloatTensorType([None, FEATURES]))], target_opset=15, **more)

    model(name, table(FEATURES, name="X"))(build)


boosted("LightGBM", "lightgbm", "LGBMRegressor", classes=False, verbose=-1)
boosted("LightGBM, classes", "lightgbm", "LGBMClassifier", classes=True, verbose=-1)
boosted("XGBoost", "xgboost", "XGBRegressor", classes=False)
boosted("XGBoost, classes", "xgboost", "XGBClassifier", classes=True)


@model("CatBoost", table(FEATURES, name="features"))
def catboost(seed):
    import tempfile
    from pathlib import Path

    import catboost
    import onnx

    x, _, value = data(seed)
    fitted = catboost.CatBoostRegressor(iterations=6, depth=3, verbose=False, allow_writing_files=False).fit(x, value)
    with tempfile.TemporaryDirectory() as folder:
        fitted.save_model(str(Path(folder) / "m.onnx"), format="onnx")
        return onnx.load(Path(folder) / "m.onnx")


def by_hummingbird(fitted, x):
    """Give the tensor operations that Hummingbird makes of an estimator, as PyTorch's older exporter writes them."""
    import io

    import onnx
    import torch
    from hummingbird.ml import convert

    out, opened = io.BytesIO(), {"X": {0: "batch"}}
    module = convert(fitted, "torch", x).model
    torch.onnx.export(module, (torch.from_numpy(x[:2]),), out, dynamo=False, input_names=["X"], dynamic_axes=opened)
    return onnx.load_from_string(out.getvalue())


@model("Hummingbird, random forest", table(FEATURES, name="X"))
def hummingbird(seed):
    from sklearn.ensemble import RandomForestRegressor

    x, _, value = data(seed)
    return by_hummingbird(RandomForestRegressor(**FOREST).fit(x, value), x)


@model("Hummingbird, logistic regression", table(FEATURES, name="X"))
def hummingbird_linear(seed):
    from sklearn.linear_model import LogisticRegression

    x, labels, _ = data(seed)
    return by_hummingbird(LogisticRegression().fit(x, labels), x)
