"""Tensors of any framework as NumPy arrays, without importing a framework that is not there already."""

from __future__ import annotations

import sys
from typing import Any

from modelstac.catalog.errors import DataError


def as_array(values: Any) -> Any:
    """Return tensors of PyTorch and TensorFlow as arrays, and anything else as it is.

    A tensor of a framework can only be here if that framework is imported, so nothing is imported for it. Memory is
    shared where the framework allows it.

    Raises
    ------
    DataError
        If a tensor has no values yet, or is sparse.
    """
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    try:
        if torch is not None and isinstance(values, torch.Tensor):
            values = values.detach().cpu()
            # NumPy has no bfloat16.
            return (values.float() if values.dtype is torch.bfloat16 else values).resolve_conj().resolve_neg().numpy()
        if tensorflow is not None and isinstance(values, tensorflow.Tensor | tensorflow.Variable):
            return (tensorflow.cast(values, "float32") if values.dtype == "bfloat16" else values).numpy()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        kind = f"{type(values).__module__.partition('.')[0]}.{type(values).__name__}"
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"the {kind} cannot be read as an array ({reason}): give a dense one with values") from error
    return values


def is_labelled(values: object) -> bool:
    """Tell whether it is an array or dataset of xarray, which is not imported for that."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(values, xarray.DataArray | xarray.Dataset)
