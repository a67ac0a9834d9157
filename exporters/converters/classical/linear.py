"""Linear models, support vectors, and what prepares data for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.exporters.converters.classical.scores import classified, transformed
from modelstac.exporters.converters.classical.writing import Writing

_MOST_LABELS = 256


def linear_regressor(writing: Writing) -> None:
    """Write ``x @ coefficients + intercepts``."""
    targets = writing.value("targets", 1)
    writing.end([transformed(writing, _product(writing, targets))])


def linear_classifier(writing: Writing) -> None:
    """Write the same with labels."""
    labels = [name for name in ("classlabels_ints", "classlabels_int64s") if name in writing.attributes]
    count = len(writing.value(labels[0])) if labels else 0
    intercepts = len(writing.value("intercepts"))
    classified(writing, _product(writing, intercepts or count), intercepts or count)


def _product(writing: Writing, columns: int) -> str:
    coefficients = writing.array("coefficients", np.float32).reshape(columns, -1).T
    found = writing.add("MatMul", writing.floats(), writing.constant(coefficients))
    intercepts = writing.array("intercepts", np.float32)
    return writing.add("Add", found, writing.constant(intercepts)) if intercepts.size else found


def support_vectors_regressor(writing: Writing) -> None:
    """Write the sum of kernels between an input and each support vector."""
    if writing.value("one_class", 0) or writing.value("post_transform", "NONE") != "NONE":
        raise writing.refuse("one class")
    vectors = writing.value("n_supports", 0)
    x, weights = writing.floats(), writing.array("coefficients", np.float32)
    if not vectors:
        product = writing.add("MatMul", x, writing.constant(weights[:, None]))
    else:
        support = writing.array("support_vectors", np.float32).reshape(vectors, -1)
        product = writing.add("MatMul", _kernel(writing, x, support), writing.constant(weights[:, None]))
    writing.end([writing.add("Add", product, writing.constant(writing.array("rho", np.float32)[:1]))])


def _kernel(writing: Writing, x: str, support: NDArray[Any]) -> str:
    kind = writing.value("kernel_type", "LINEAR")
    gamma, shift, degree = [*writing.value("kernel_params"), 0.0, 0.0, 0.0][:3]
    if kind == "RBF":
        wide = writing.add("Reshape", x, writing.constant([-1, 1, support.shape[1]], np.int64))
        apart = writing.add("Sub", wide, writing.constant(support[None]))
        squares = writing.add("Mul", apart, apart)
        ones = writing.constant(np.ones((support.shape[1], 1)))
        total = writing.add("MatMul", squares, ones)
        flat = writing.add("Reshape", total, writing.constant([-1, len(support)], np.int64))
        return writing.add("Exp", writing.add("Mul", flat, writing.constant(-gamma)))
    product = writing.add("MatMul", x, writing.constant(support.T))
    if kind == "LINEAR":
        return product
    scaled = writing.add("Add", writing.add("Mul", product, writing.constant(gamma)), writing.constant(shift))
    if kind == "POLY":
        return writing.add("Pow", scaled, writing.constant(degree))
    if kind == "SIGMOID":
        return writing.add("Tanh", scaled)
    raise writing.refuse(f"the kernel {kind}")


def scaler(writing: Writing) -> None:
    """Write ``(x - offset) * scale``."""
    offset, scale = writing.array("offset", np.float32), writing.array("scale", np.float32)
    writing.end([writing.add("Mul", writing.add("Sub", writing.floats(), writing.constant(offset)),
                             writing.constant(scale))])  # fmt: skip


def imputer(writing: Writing) -> None:
    """Put a number in the place of another one, or of none."""
    if "imputed_value_floats" not in writing.attributes:
        raise writing.refuse("whole numbers")
    x, wanted = writing.floats(), float(writing.value("replaced_value_float", 0.0))
    missing = writing.add("IsNaN", x) if np.isnan(wanted) else writing.add("Equal", x, writing.constant(wanted))
    writing.end([writing.add("Where", missing, writing.constant(writing.array("imputed_value_floats", np.float32)), x)])


def normalizer(writing: Writing) -> None:
    """Divide each row by its length; one of zeros stays."""
    kind, x = writing.value("norm", "MAX"), writing.floats()
    if kind not in {"L1", "L2"}:
        raise writing.refuse(f"the norm {kind}")
    length = writing.reduced(f"Reduce{kind}", x)
    nothing = writing.add("Equal", length, writing.constant(0.0))
    writing.end([writing.add("Div", x, writing.add("Where", nothing, writing.constant(1.0), length))])


def label_encoder(writing: Writing) -> None:
    """Put one number in the place of another, of few."""
    kinds = {"floats": np.float32, "int64s": np.int64}
    sides = []
    for side in ("keys", "values"):
        kind = next((kind for kind in kinds if f"{side}_{kind}" in writing.attributes), None)
        if kind is None:
            raise writing.refuse("texts")
        sides.append((writing.value(f"{side}_{kind}"), kinds[kind]))
    (keys, key_kind), (values, value_kind) = sides
    default = ("default_int64", -1) if value_kind is np.int64 else ("default_float", -0.0)
    found = writing.constant(writing.value(*default), value_kind)
    if len(keys) > _MOST_LABELS:
        raise writing.refuse(f"{len(keys)} labels")
    for key, value in zip(reversed(keys), reversed(values), strict=True):  # the first of equal ones counts
        same = writing.add("Equal", writing.node.input[0], writing.constant(key, key_kind))
        found = writing.add("Where", same, writing.constant(value, value_kind), found)
    writing.end([found])


def feature_extractor(writing: Writing) -> None:
    """Take columns by their number."""
    columns = writing.add("Reshape", writing.node.input[1], writing.constant([-1], np.int64))
    writing.end([writing.add("Gather", writing.node.input[0], columns, axis=-1)])


def binarizer(writing: Writing) -> None:
    """Give 1 above a threshold, else 0."""
    above = writing.add("Greater", writing.floats(), writing.constant(float(writing.value("threshold", 0.0))))
    writing.end([writing.add("Cast", above, to=1)])
