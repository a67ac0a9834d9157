"""ONNX: a ``ModelProto``, saved as it is, with its weights in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.publishing.objects.saved import Arrays, Saved

BANDS_FIRST = True


def input_names(model: Any, given: Collection[str] = ()) -> Sequence[str] | None:  # noqa: ARG001 - the file tells
    """Leave it to the file."""
    return None


def save(model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:  # noqa: ARG001
    """Save a model that has all its weights.

    Raises
    ------
    InvalidItemError
        If it is no model by ONNX' own check.
    """
    path = folder / "model.onnx"
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InvalidItemError("the ONNX model has weights in other files: load them with onnx.load(path) first")
    try:
        onnx.checker.check_model(model)
        onnx.save(model, path)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidItemError(f"the ONNX model is none by ONNX' own check: {reason}: export it anew") from error
    return Saved(path)
