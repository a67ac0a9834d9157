"""From raw scores to what a classifier or regressor gives, as ONNX Runtime does it (``core/providers/cpu/ml``)."""

from __future__ import annotations

import numpy as np

from modelstac.exporters.converters.classical.writing import Writing


def transformed(writing: Writing, scores: str) -> str:
    """Apply ``post_transform`` to scores of (batch, class)."""
    kind = writing.value("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind == "SOFTMAX":
        return writing.add("Softmax", scores, axis=1)
    if kind == "LOGISTIC":
        return writing.add("Sigmoid", scores)
    raise writing.refuse(f"post_transform {kind}")


def classified(writing: Writing, scores: str, count: int, *, positive: bool = False) -> None:
    """Give labels and scores of (batch, class).

    Parameters
    ----------
    writing
        Of a classifier; it has whole numbers as labels.
    scores
        Raw ones; of two classes there may be one column only.
    count
        Of columns.
    positive
        Whether the one column is a probability, and not a number whose sign decides.
    """
    labels = writing.array("classlabels_int64s" if "classlabels_int64s" in writing.attributes else "classlabels_ints",
                           np.int64)  # fmt: skip
    if not labels.size:
        raise writing.refuse("texts as labels")
    if count == 1 and labels.size == 2:
        second = writing.add("Greater", scores, writing.constant(0.5 if positive else 0.0))
        chosen = writing.add("Cast", second, to=7)
        chosen = writing.add("Reshape", chosen, writing.constant([-1], np.int64))
        made = _two(writing, scores, positive=positive)
    else:
        chosen = writing.add("ArgMax", scores, axis=1, keepdims=0)
        made = transformed(writing, scores)
    writing.end([writing.add("Gather", writing.constant(labels, np.int64), chosen, axis=0), made])


def _two(writing: Writing, scores: str, *, positive: bool) -> str:
    kind = writing.value("post_transform", "NONE")
    if kind == "LOGISTIC":
        first, scores = writing.add("Sigmoid", writing.add("Neg", scores)), writing.add("Sigmoid", scores)
    elif kind != "NONE":
        raise writing.refuse(f"post_transform {kind} of two classes")
    else:
        first = writing.add("Sub", writing.constant(1.0), scores) if positive else writing.add("Neg", scores)
    return writing.add("Concat", first, scores, axis=1)
