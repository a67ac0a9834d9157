"""Tables on which a translated model is held against the model itself: an example seldom has what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ROWS = 200
_SHARE = 0.2
"""How many of the values are replaced."""
_TREES = "TreeEnsemble"
_ZERO = np.zeros(1, np.float32)
_CODE = -9999.0
"""What stands for a missing value in most files of satellites."""


def tables(example: Array | None, columns: int, graph: Path, *, missing: bool) -> dict[str, Array]:
    """Return tables of numbers to try, by what is said of their values.

    Parameters
    ----------
    example
        What the model is fed, (rows, columns); None where nobody gave it.
    columns
        How many there are.
    graph
        The ONNX file; of trees in it, values at each threshold and right beside it are tried.
    missing
        Whether NaN is a missing value.

    Returns
    -------
    dict
        Arrays of float32, (rows, columns).
    """
    chance = np.random.default_rng(0)
    known = chance.random((_ROWS, columns), np.float32) if example is None else example[:_ROWS].astype(np.float32)
    gone = np.asarray(chance.random(known.shape) < _SHARE)
    for column in range(min(columns, len(known))):
        gone[column, column] = True
    found = {
        "the values where some are 0": np.where(gone, 0, known),
        f"the values where some are {_CODE:.0f}": np.where(gone, _CODE, known),
        "the negative values": -known,
        "the values times a hundred": known * 100,
        "values from 0 to 1": chance.random((_ROWS, columns)),
    }
    if missing:
        found["the values where some are missing (NaN)"] = np.where(gone, np.nan, known)
    by_column, categories = _thresholds(graph)
    if by_column:
        least = np.stack([chance.choice(by_column.get(n, _ZERO), _ROWS) for n in range(columns)], axis=1)
        beside = [np.nextafter(least, np.float32(way)) for way in (-np.inf, np.inf)]
        found["values at the thresholds of its trees"] = np.concatenate([least, *beside])
    # Categories are whole numbers: what lies between them each library takes as it likes.
    whole = np.isin(np.arange(columns), categories)
    return {name: np.where(whole, np.rint(table), table).astype(np.float32) for name, table in found.items()}


def _thresholds(graph: Path) -> tuple[Mapping[int, Array], list[int]]:
    """Return the thresholds by column, and the columns of categories."""
    import onnx

    found: dict[int, list[float]] = {}
    categories = set()
    for node in onnx.load(graph, load_external_data=False).graph.node:
        if not node.op_type.startswith(_TREES):
            continue
        fields = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        names = (f"nodes_{name}" for name in ("featureids", "values", "modes"))
        for column, value, mode in zip(*(fields.get(name, ()) for name in names), strict=True):
            if mode != b"LEAF":
                found.setdefault(column, []).append(value)
            if mode == b"BRANCH_EQ":
                categories.add(column)
    return {column: np.asarray(values, np.float32) for column, values in found.items()}, sorted(categories)
