"""Ensembles of decision trees: all trees are walked at once, a step for each level, by gathering from tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.exporters.converters.classical.scores import classified, transformed
from modelstac.exporters.converters.classical.writing import Writing

Array = NDArray[Any]
_DEEPEST = 64
_COMPARED = {"BRANCH_LEQ": ("Less", "Equal"), "BRANCH_LT": ("Less",)}
"""Those that libraries write; of others, ONNX Runtime sends what is no number elsewhere than the standard says."""


@dataclass(frozen=True)
class _Forest:
    """The nodes of all trees in one row: a leaf leads to itself."""

    roots: Array
    feature: Array
    threshold: Array
    if_true: Array
    if_false: Array
    missing_is_true: Array
    mode: str
    depth: int
    places: dict[tuple[int, int], int]


def regressor(writing: Writing) -> None:
    """Write a ``TreeEnsembleRegressor``."""
    count, forest = writing.value("n_targets", 1), _forest(writing)
    total = _summed(writing, forest, _weights(writing, forest, "target", count), count)
    kind = writing.value("aggregate_function", "SUM")
    if kind == "AVERAGE":
        total = writing.add("Div", total, writing.constant(len(forest.roots)))
    elif kind != "SUM":
        raise writing.refuse(f"aggregate_function {kind}")
    writing.end([transformed(writing, _based(writing, total))])


def classifier(writing: Writing) -> None:
    """Write a ``TreeEnsembleClassifier``; of two classes, its weights may be of one only."""
    forest, classes = _forest(writing), writing.array("class_ids", np.int64)
    count = len(writing.value("classlabels_int64s"))
    weights = _weights(writing, forest, "class", count)
    one = count == 2 and len(set(classes.tolist())) == 1
    if one and classes[0] == 1:
        raise writing.refuse("weights of the second class alone")
    if one:
        weights = weights[:, :1]
    if one and len(writing.value("base_values")) > 1:
        raise writing.refuse("two base values of one class")
    total = _based(writing, _summed(writing, forest, weights, weights.shape[1]))
    positive = bool((writing.array("class_weights", np.float32) >= 0).all())
    classified(writing, total, weights.shape[1], positive=one and positive)


def _forest(writing: Writing) -> _Forest:
    if any(name.endswith("_as_tensor") for name in writing.attributes):
        raise writing.refuse("double precision")
    trees, numbers = (writing.array(f"nodes_{name}", np.int64) for name in ("treeids", "nodeids"))
    modes = [mode.decode() for mode in writing.value("nodes_modes")]
    places = {key: place for place, key in enumerate(zip(trees.tolist(), numbers.tolist(), strict=True))}
    itself = np.arange(len(trees))
    leaf = np.asarray([mode == "LEAF" for mode in modes])
    kinds = {mode for mode in modes if mode != "LEAF"} or {"BRANCH_LEQ"}
    if len(kinds) > 1 or not kinds <= _COMPARED.keys():
        raise writing.refuse(f"branches of {', '.join(sorted(kinds))}")
    ways = []
    for name in ("nodes_truenodeids", "nodes_falsenodeids"):
        wanted = writing.array(name, np.int64)
        found = [places.get((tree, number), 0) for tree, number in zip(trees.tolist(), wanted.tolist(), strict=True)]
        ways.append(np.where(leaf, itself, found))
    tracks = writing.array("nodes_missing_value_tracks_true", np.int64)
    followed = set(ways[0][~leaf].tolist()) | set(ways[1][~leaf].tolist())
    roots = np.asarray([place for place in itself.tolist() if place not in followed])
    return _Forest(
        roots,
        np.where(leaf, 0, writing.array("nodes_featureids", np.int64)),
        np.where(leaf, 0, writing.array("nodes_values", np.float32)).astype(np.float32),
        ways[0],
        ways[1],
        tracks.astype(bool) if tracks.size else np.zeros(len(trees), bool),
        kinds.pop(),
        _depth(writing, roots, leaf, ways),
        places,
    )


def _depth(writing: Writing, roots: Array, leaf: Array, ways: list[Array]) -> int:
    level, depth = set(roots.tolist()), 0
    while not all(leaf[place] for place in level):
        level = {int(way[place]) for place in level if not leaf[place] for way in ways}
        depth += 1
        if depth > _DEEPEST:
            raise writing.refuse(f"trees deeper than {_DEEPEST}")
    return depth


def _weights(writing: Writing, forest: _Forest, kind: str, count: int) -> Array:
    """Give what each node adds to each target: nothing where it is no leaf."""
    found = np.zeros((len(forest.feature), count), np.float64)
    columns = (writing.array(f"{kind}_{name}", np.int64) for name in ("treeids", "nodeids", "ids"))
    for tree, number, target, weight in zip(*columns, writing.value(f"{kind}_weights"), strict=True):
        found[forest.places[int(tree), int(number)], target] += weight
    return found.astype(np.float32)


def _summed(writing: Writing, forest: _Forest, weights: Array, count: int) -> str:
    """Walk down all trees, and add up what their leaves hold: (batch, target)."""
    x, trees = writing.floats(), len(forest.roots)
    batch = writing.add("Gather", writing.add("Shape", x), writing.constant([0], np.int64), axis=0)
    shape = writing.add("Concat", batch, writing.constant([trees], np.int64), axis=0)
    place = writing.add("Expand", writing.constant(forest.roots[None], np.int64), shape)
    tables = {
        "feature": writing.constant(forest.feature, np.int64),
        "threshold": writing.constant(forest.threshold),
        "true": writing.constant(forest.if_true, np.int64),
        "false": writing.constant(forest.if_false, np.int64),
    }
    missing = writing.constant(forest.missing_is_true, bool) if forest.missing_is_true.any() else None
    for _ in range(forest.depth):
        at = {name: writing.add("Gather", table, place, axis=0) for name, table in tables.items()}
        value = writing.add("GatherElements", x, at["feature"], axis=1)
        compared = [writing.add(name, value, at["threshold"]) for name in _COMPARED[forest.mode]]
        holds = writing.add("Or", *compared) if len(compared) > 1 else compared[0]
        if missing is not None:
            none = writing.add("And", writing.add("IsNaN", value), writing.add("Gather", missing, place, axis=0))
            holds = writing.add("Or", holds, none)
        place = writing.add("Where", holds, at["true"], at["false"])
    leaves = writing.add("Gather", writing.constant(weights), place, axis=0)
    total = writing.add("MatMul", writing.constant(np.ones((1, trees))), leaves)
    return writing.add("Reshape", total, writing.constant([-1, count], np.int64))


def _based(writing: Writing, total: str) -> str:
    base = writing.array("base_values", np.float32)
    return writing.add("Add", total, writing.constant(base)) if base.size else total
