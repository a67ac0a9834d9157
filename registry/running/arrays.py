"""Tensors of any framework as NumPy arrays, without importing a framework that is not there already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from modelstac.catalog.errors import DataError

_OTHER_FLOATS = ("bfloat16", "float8_")
"""Of ml_dtypes, which NumPy takes for bytes."""


def as_array(values: Any) -> Any:
    """Return tensors of PyTorch and TensorFlow as arrays, floats of 16 bits or fewer as such that NumPy knows.

    Anything else is returned as it is.

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
    name = getattr(getattr(values, "dtype", None), "name", "")
    return values.astype("float32") if isinstance(name, str) and name.startswith(_OTHER_FLOATS) else values


def as_numbers(values: Any, *, of: str) -> Any:
    """Return an array of numbers, with its mask where it has one.

    Raises
    ------
    DataError
        If it is none.
    """
    import numpy as np  # not at the top: it would be a quarter of the time that `import modelstac` takes

    try:
        array = np.asanyarray(as_array(values))
    except ValueError as error:
        raise DataError(f"input {of!r} are lists of unequal lengths: give an array") from error
    if array.dtype.kind not in "fiub":
        raise DataError(f"input {of!r} is an array of {array.dtype}, no numbers: convert it with .astype('float32')")
    return array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)


def is_labelled(values: object) -> bool:
    """Tell whether it is an array or dataset of xarray, which is not imported for that."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(values, xarray.DataArray | xarray.Dataset)


def as_named(values: Any, bands: Sequence[str], *, of: str) -> Any:
    """Return what has names as it is read by them: a table of pandas in the order of the bands, a variable of xarray.

    Anything else is returned as it is, and so is a table whose columns are only numbered.

    Parameters
    ----------
    values
        What is given for an input.
    bands
        Which the input lists.
    of
        Name of the input, for messages.

    Raises
    ------
    DataError
        If a table lacks a band, or has one twice.
    """
    xarray, pandas = sys.modules.get("xarray"), sys.modules.get("pandas")
    if xarray is not None and isinstance(values, xarray.Variable):
        return xarray.DataArray(values)
    if pandas is None or not bands or not isinstance(values, pandas.DataFrame):
        return values
    found = [str(column) for column in values.columns]
    missing = [band for band in bands if band not in found]
    if missing and all(column.isdigit() for column in found):
        return values
    if missing:
        raise DataError(
            f"input {of!r} needs the bands {', '.join(bands)}; found the columns {', '.join(found)}: "
            f"{', '.join(missing)} missing: give them, or the values alone, .to_numpy()"
        )
    if twice := [band for band in bands if found.count(band) > 1]:
        raise DataError(f"input {of!r}: the columns name {twice[0]!r} twice: select one of them")
    return values.iloc[:, [found.index(band) for band in bands]]
