"""Pipelines of scikit-learn, trees of XGBoost and LightGBM: translated into ONNX by their public converters.

The translation is held against the model itself before anything is published: on the example and on other values.
"""

from __future__ import annotations

import importlib
import itertools
import json
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.errors import MissingPackageError, SpecError
from modelstac.catalog.later import imported, libraries
from modelstac.registry.facts.onnx_graph import CLASSICAL
from modelstac.registry.publishing.objects.saved import Arrays, Saved

BANDS_FIRST = False
OPSET, TREES = 18, 3  # of ONNX, and of ai.onnx.ml
INPUT = "input"
_ZERO = float(np.float32(1e-35))  # kZeroThreshold of LightGBM
_BESIDE = ("predict_proba", "decision_function", "transform")
"""By what a model gives what its file has beside a label; of outliers, how far out they are, of clusters, distances."""


def input_names(model: Any, given: Collection[str] = ()) -> Sequence[str] | None:  # noqa: ARG001
    """Name the one input: a table of numbers."""
    return [INPUT]


def save(model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:
    """Translate a fitted model.

    Raises
    ------
    SpecError
        If it was not fitted, or the converter does not know it.
    MissingPackageError
        If the converter is not installed.
    """
    from modelstac.registry.publishing.objects.onnx import number_texts

    name = _architecture(model)
    _check_fitted(model, name)
    columns = _columns(model, example.get(INPUT))
    labels = getattr(model, "classes_", None)
    if isinstance(labels, list) and len(labels) > 1 and all(hasattr(one, "shape") for one in labels):
        raise SpecError(f"{name} gives {len(labels)} labels of each row: fit and publish a model for each")
    made = _converted(model, columns, name)
    if labels is not None and not hasattr(model, "predict_proba"):
        del made.graph.output[1:]  # scores of its own, which it does not give itself
    classifies = labels is not None or len(made.graph.output) == 2
    if labels is not None and np.asarray(labels).dtype.kind not in "iufb":
        number_texts(made, {output.name: labels for output in made.graph.output})
    run = _runner(model, classifies=classifies)
    ranks = _settle(made, _tried(run, example.get(INPUT), columns))
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    outputs = [output.name for output in made.graph.output]
    bands = _band_names(model)
    axis = "bands" if said.get("bands") or bands else "channel"
    known: dict[str, Any] = {
        "architecture": name,
        "task": ("classification",) if classifies else ("regression",),
        "input_dims": ("batch", axis),
        "output_dims": {
            name: ("batch", "class" if classifies else "channel")[:rank]
            for name, rank in zip(outputs, ranks, strict=True)
        },
    }
    if bands and len(bands) == columns:
        known["bands"] = bands
    pairs = None
    if classifies and labels is not None:
        pairs = _as_classes(np.asarray(labels))
        if not said.get("classes"):
            known["classes"] = [{"value": value, "name": name} for value, name in pairs]
    boosted = _root(_last(model)) in {"xgboost", "lightgbm"}
    return Saved(path, known, run, labels=pairs, table=True, missing=boosted)


def _as_classes(labels: np.ndarray[Any, Any]) -> list[tuple[int, str]]:
    """Return the values that the file gives for labels, and their names: whole numbers also where they are floats."""
    if labels.dtype.kind in "iu" or (labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels))):
        return [(int(label), str(int(label))) for label in labels]
    return list(enumerate(map(str, labels)))


def _architecture(model: Any) -> str:
    last = _last(model)
    name = type(last).__name__
    if name != "Booster":
        return name
    return "LightGBM" if type(last).__module__.startswith("lightgbm") else "XGBoost"


def _check_fitted(model: Any, name: str) -> None:
    if not hasattr(model, "get_params"):  # no model of scikit-learn's kind
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise SpecError(f"{name} was not fitted: fit it, then publish it") from error


def _columns(model: Any, example: np.ndarray[Any, Any] | None) -> int:
    for attribute in ("n_features_in_", "n_features_", "num_features"):
        found = getattr(model, attribute, None)
        found = found() if callable(found) else found
        if isinstance(found, int | np.integer) and found > 0:
            return int(found)
    if callable(getattr(model, "num_feature", None)):
        return int(model.num_feature())
    if example is not None:
        return int(example.shape[-1])
    raise SpecError(f"{type(model).__name__} does not say how many columns it takes: fit it, or give example=")


def _band_names(model: Any) -> tuple[str, ...]:
    names = getattr(model, "feature_names_in_", getattr(model, "feature_names", None))
    return () if names is None else tuple(map(str, names))


def _converted(model: Any, columns: int, name: str) -> Any:
    tool = _TOOLS[_root(model)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converters, about versions that are no concern of the model's
            return tool(model, columns)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {
            "skl2onnx",
            "onnxmltools",
            "onnxconverter_common",
        }:
            raise
        raise MissingPackageError.extra(error.name.partition(".")[0], "classical", f"publishing {name}") from error
    except Exception as error:  # the converters raise of any class
        reason = " ".join(str(error).split())[:200]
        raise SpecError(f"{name} cannot be translated into ONNX: {type(error).__name__}: {reason}") from error


def _root(model: Any) -> str:
    """Name the package whose converter knows a model."""
    return next(package for package in libraries(model) if package in _TOOLS)


def _scikit_learn(model: Any, columns: int) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    _register()
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    last = _last(model)
    with _without_names(last), _by_place(model), _voting(last):
        entry = [(INPUT, FloatTensorType([None, columns]))]
        wanted = partial(convert_sklearn, model, initial_types=entry, target_opset={"": OPSET, CLASSICAL: TREES})
        try:
            made = wanted(options=options)
        except NameError:  # of LinearSVC, which gives arrays anyway; in a pipeline it needs an option of its own
            made = wanted(options={id(last): {"raw_scores": True}})
    if _root(last) == "lightgbm":
        _round_down(made, _of_lightgbm(last))
    elif _root(last) == "xgboost":
        _keep_shares(made, last)
    elif type(last).__name__.startswith("HistGradientBoosting"):
        _round_down(made, _of_histograms(last))
        if not hasattr(last, "classes_") and last.loss in {"poisson", "gamma"}:  # fitted on logarithms
            _put_behind(made, made.graph.output[0].name, "Exp")
    elif trees := [one.tree_ for one in getattr(last, "estimators_", [last]) if _knows_gaps(one)]:
        _send_gaps(made, trees)
    return made


def _register() -> None:
    """Tell the converter of scikit-learn about trees of others, where their library is loaded."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    for package, (kinds, module, verb) in _WITHIN.items():
        if (library := imported(package)) is None:
            continue
        convert = getattr(importlib.import_module(f"onnxmltools.convert.{package}.operator_converters.{module}"), verb)
        for kind in kinds:
            side = "classifier" if kind.endswith("Classifier") else "regressor"
            options = {"nocl": [True, False], "zipmap": [True, False, "columns"]} if side == "classifier" else None
            calculate = getattr(shapes, f"calculate_linear_{side}_output_shapes")
            alias = f"{package}{kind}"
            update_registered_converter(getattr(library, kind), alias, calculate, convert, options=options)


def _last(model: Any) -> Any:
    """Give what predicts at the end of a pipeline; a model itself."""
    return _last(model.steps[-1][1]) if getattr(model, "steps", None) else model


def _boosted(verb: str, **more: Any) -> Callable[[Any, int], Any]:
    def convert(model: Any, columns: int) -> Any:
        with _without_names(model) as nameless:
            return translate(nameless, columns)

    def translate(model: Any, columns: int) -> Any:
        tools = importlib.import_module("onnxmltools.convert")
        types = importlib.import_module("onnxmltools.convert.common.data_types")
        entry = (INPUT, types.FloatTensorType([None, columns]))
        made = getattr(tools, verb)(model, initial_types=[entry], target_opset=15, **more)
        if verb == "convert_lightgbm":
            _round_down(made, _of_lightgbm(model))
        else:
            _keep_shares(made, model)
        return made

    return convert


def _round_down(made: Any, thresholds: Iterable[float]) -> None:
    """Write thresholds that are of double precision as the nearest float32 that is no larger.

    A number of float32 is at most the one if and only if it is at most the other; the converters take the nearest.
    """
    exact: dict[np.float32, set[np.float32]] = {}
    for threshold in thresholds:
        nearest = np.float32(threshold)
        down = np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest
        exact.setdefault(nearest, set()).add(down)
    for node in made.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                lower = [exact.get(np.float32(value), set()) for value in attribute.floats]
                pairs = zip(attribute.floats, lower, strict=True)
                attribute.floats[:] = [float(next(iter(d))) if len(d) == 1 else value for value, d in pairs]


def _knows_gaps(one: Any) -> bool:
    """Tell whether it is a tree that knows where NaN goes, as those since scikit-learn 1.3 do."""
    return hasattr(getattr(one, "tree_", None), "missing_go_to_left")


def _send_gaps(made: Any, trees: Sequence[Any]) -> None:
    """Write where each node sends NaN, as trees of scikit-learn say; their converter sends all to the right."""
    helper = importlib.import_module("onnx.helper")
    for node in made.graph.node:
        fields = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_treeids" not in fields or len(fields["nodes_treeids"].ints) != sum(one.node_count for one in trees):
            continue
        places = zip(fields["nodes_treeids"].ints, fields["nodes_nodeids"].ints, strict=True)
        left = [int(trees[tree].missing_go_to_left[number]) for tree, number in places]
        if (old := fields.get("nodes_missing_value_tracks_true")) is not None:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute("nodes_missing_value_tracks_true", left))


def _of_lightgbm(model: Any) -> Iterator[float]:
    """Yield the thresholds of LightGBM, which takes for zero what is no further from it than one of them may be."""
    stack = [tree["tree_structure"] for tree in getattr(model, "booster_", model).dump_model()["tree_info"]]
    while stack:
        node = stack.pop()
        if "split_index" in node:
            stack += [node["left_child"], node["right_child"]]
            if isinstance(node["threshold"], int | float):  # a text of categories
                least = -_ZERO <= node["threshold"] < 0
                yield np.nextafter(node["threshold"], -np.inf) if least else node["threshold"]


def _of_histograms(model: Any) -> Iterator[float]:
    """Yield the thresholds of scikit-learn's boosting of histograms."""
    for tree in itertools.chain.from_iterable(model._predictors):
        split = (tree.nodes["is_leaf"] == 0) & (tree.nodes["is_categorical"] == 0)
        yield from tree.nodes["num_threshold"][split].tolist()


def _keep_shares(made: Any, model: Any) -> None:
    """Have trees of XGBoost that were fitted to shares give them: the converter sums their logits and a first share."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if json.loads(booster.save_config())["learner"]["objective"]["name"] != "reg:logistic":
        return
    for node in made.graph.node:
        for attribute in node.attribute:
            if attribute.name == "base_values":
                attribute.floats[:] = [float(np.log(share / (1 - share))) for share in attribute.floats]
    _put_behind(made, made.graph.output[0].name, "Sigmoid")


@contextmanager
def _without_names(model: Any) -> Iterator[Any]:
    """Have trees of XGBoost without names of columns, which the converter does not know; then as they were."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names = getattr(booster, "feature_names", None)
    if names is None or not type(booster).__module__.startswith("xgboost"):
        yield model
        return
    booster.feature_names = None
    try:
        yield model
    finally:
        booster.feature_names = names


@contextmanager
def _voting(model: Any) -> Iterator[None]:
    """Have a vote as its converter takes it, then as it was: with weights in an array, and as a classifier alone."""
    own = vars(model) if type(model).__name__.startswith("Voting") else {}
    were = {key: own[key] for key in ("flatten_transform", "weights") if own.get(key) is not None}
    own.update({key: np.asarray(value) if key == "weights" else False for key, value in were.items()})
    try:
        yield
    finally:
        own.update(were)


@contextmanager
def _by_place(model: Any) -> Iterator[None]:
    """Have transformers of columns take them by their place in the table, and then as they were."""
    steps = [step for _, step in getattr(model, "steps", [])] or [model]
    chosen = [step for step in steps if hasattr(step, "transformers_") and hasattr(step, "feature_names_in_")]
    were = [step.transformers_ for step in chosen]
    for step, transformers in zip(chosen, were, strict=True):
        places = {str(name): place for place, name in enumerate(step.feature_names_in_)}
        step.transformers_ = [
            (name, made, [places.get(c, c) for c in columns] if isinstance(columns, list) else columns)
            for name, made, columns in transformers
        ]
    try:
        yield
    finally:
        for step, transformers in zip(chosen, were, strict=True):
            step.transformers_ = transformers


_WITHIN = {
    "xgboost": (("XGBClassifier", "XGBRegressor"), "XGBoost", "convert_xgboost"),
    "lightgbm": (("LGBMClassifier", "LGBMRegressor"), "LightGbm", "convert_lightgbm"),
}
"""Trees in a pipeline: their classes, and the module and function that convert them."""
_TOOLS: dict[str, Callable[[Any, int], Any]] = {
    "xgboost": _boosted("convert_xgboost"),
    "lightgbm": _boosted("convert_lightgbm", zipmap=False),
    "sklearn": _scikit_learn,
}


def _tried(run: Callable[[Arrays], Sequence[Any]], example: Any, columns: int) -> Sequence[Any]:
    """Give what the model itself makes of two rows; nothing where it does not take them."""
    rows = np.zeros((2, columns), np.float32) if example is None else np.resize(example, (2, columns))
    try:
        return run({INPUT: rows})
    except Exception:  # noqa: BLE001 - any class: it is held against the file later, which says what it refuses
        return ()


def _settle(made: Any, own: Sequence[Any]) -> list[int]:
    """Give outputs the axes that the model itself gives, and say how many each has.

    Converters write one row or none, as many columns as are read, a column where there is none, or one for several.
    """
    helper = importlib.import_module("onnx.helper")
    for value in made.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    ranks = []
    for number, value in enumerate(made.graph.output):
        shape = value.type.tensor_type.shape
        given = np.shape(own[number]) if number < len(own) else (0,) * len(shape.dim)
        if len(given) == 1 and len(shape.dim) != 1:
            _reshape(made, value.name, [-1], helper)
            del shape.dim[1:]
        if len(given) == len(shape.dim) == 2 and given[1] and shape.dim[1].dim_value != given[1]:
            _reshape(made, value.name, [-1, given[1]], helper)
            shape.dim[1].dim_value = given[1]
        if shape.dim:
            shape.dim[0].Clear()
            shape.dim[0].dim_param = "rows"
        ranks.append(len(given))
    return ranks


def _reshape(made: Any, name: str, lengths: Sequence[int], helper: Any) -> None:
    """Give an output other axes, in the order of its numbers."""
    shape = f"{name}_lengths"
    made.graph.initializer.append(helper.make_tensor(shape, helper.TensorProto.INT64, [len(lengths)], lengths))
    _put_behind(made, name, "Reshape", shape)


def _put_behind(made: Any, name: str, operator: str, *more: str) -> None:
    """Have an output be what an operator makes of it."""
    from modelstac.registry.publishing.objects.onnx import rename

    before = f"{name}_before_{operator.lower()}"
    rename(made, name, before)
    node = importlib.import_module("onnx.helper").make_node(operator, [before, *more], [name])
    made.graph.node.append(node)


def _of_scores(found: np.ndarray[Any, Any]) -> list[Any]:
    """Give labels and probabilities where a booster gives one of them: of two classes the probability of the second."""
    if found.ndim > 1:
        return [found.argmax(-1), found]
    if found.dtype.kind in "iub" or found.max(initial=0) > 1:
        return [found]
    scores = np.stack([1 - found, found], -1)
    return [scores.argmax(-1), scores]


def _runner(model: Any, *, classifies: bool) -> Callable[[Arrays], Sequence[Any]]:
    def run(arrays: Arrays) -> Sequence[Any]:
        table: Any = arrays[INPUT]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the table has no names of columns
            try:
                return given(table)
            except ValueError:  # of clusters that were fitted in double precision: they take that alone
                return given(table.astype(np.float64))

    def given(table: Any) -> Sequence[Any]:
        if type(model).__module__.startswith("xgboost") and type(model).__name__ == "Booster":
            table = importlib.import_module("xgboost").DMatrix(table, feature_names=model.feature_names)
        names, pandas = getattr(model, "feature_names_in_", None), imported("pandas")
        if names is not None and pandas is not None and table.shape[1] == len(names):
            table = pandas.DataFrame(table, columns=names)
        found = np.asarray(model.predict(table))
        if not classifies:
            return [found.reshape(len(found), -1)]
        if found.dtype.kind not in "iufb":
            found = np.searchsorted(np.asarray(model.classes_), found)
        if hasattr(model, "classes_") and not hasattr(model, "predict_proba"):
            return [found]
        verb = next((verb for verb in _BESIDE if hasattr(model, verb)), None)
        return _of_scores(found) if verb is None else [found, np.asarray(getattr(model, verb)(table))]

    return run
