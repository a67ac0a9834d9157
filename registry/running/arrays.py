"""Tensors of any framework as NumPy arrays, without importing a framework that is not there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.later import library_of

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
    try:
        if (torch := library_of(values, "torch")) and isinstance(values, torch.Tensor):
            values = values.detach().cpu()
            # NumPy has no bfloat16.
            return (values.float() if values.dtype is torch.bfloat16 else values).resolve_conj().resolve_neg().numpy()
        if (tf := library_of(values, "tensorflow")) and isinstance(values, tf.Tensor | tf.Variable):
            return (tf.cast(values, "float32") if values.dtype == "bfloat16" else values).numpy()
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
    xarray = library_of(values, "xarray")
    return xarray is not None and isinstance(values, xarray.DataArray | xarray.Dataset)


def as_named(values: Any, bands: Sequence[str], *, of: str) -> Any:
    """Return what has names as it is read by them: a table in the order of the bands, a variable of xarray.

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
    if (xarray := library_of(values, "xarray")) and isinstance(values, xarray.Variable):
        return xarray.DataArray(values)
    if (table := table_of(values)) is None:
        return values
    found, take = table
    missing = [band for band in bands if band not in found]
    if not bands or (missing and all(column.isdigit() for column in found)):
        return take(list(range(len(found))))
    if missing:
        raise DataError(
            f"input {of!r} needs the bands {', '.join(bands)}; found the columns {', '.join(found)}: "
            f"{', '.join(missing)} missing: give them, or the values alone, .to_numpy()"
        )
    if twice := [band for band in bands if found.count(band) > 1]:
        raise DataError(f"input {of!r}: the columns name {twice[0]!r} twice: select one of them")
    return take([found.index(band) for band in bands])


def table_of(values: Any) -> tuple[list[str], Callable[[list[int]], Any]] | None:
    """Read a table of pandas, polars or Arrow, or an array with named fields.

    Returns
    -------
    names, take
        Names of its columns, and what gives some of them as an array (row, column). None of anything else.
    """
    if (pandas := library_of(values, "pandas")) and isinstance(values, pandas.DataFrame):
        return [str(column) for column in values.columns], lambda places: _of_pandas(values.iloc[:, places])
    if (polars := library_of(values, "polars")) and isinstance(values, polars.DataFrame):
        return list(values.columns), lambda places: values[:, places].to_numpy()
    if (arrow := library_of(values, "pyarrow")) and isinstance(values, arrow.Table):
        return list(values.column_names), lambda places: _beside([values.column(n).to_numpy() for n in places])
    if names := getattr(getattr(values, "dtype", None), "names", None):
        return list(names), lambda places: _beside([values[names[n]] for n in places])
    return None


def _of_pandas(frame: Any) -> Any:
    """Give columns as an array, those of pandas' own types and of Arrow's too: what is missing in them is NaN."""
    import numpy as np

    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in frame.dtypes]
    own = any(kind is not dtype for kind, dtype in zip(kinds, frame.dtypes, strict=True))
    if not own or not all(isinstance(kind, np.dtype) and kind.kind in "fiub" for kind in kinds):
        return frame
    wide = np.result_type(*kinds, *([np.float32] if frame.isna().to_numpy().any() else []))
    return frame.to_numpy(dtype=wide, na_value=np.nan) if wide.kind == "f" else frame.to_numpy(dtype=wide)


def _beside(columns: Sequence[Any]) -> Any:
    import numpy as np

    return np.stack([np.asarray(column) for column in columns], axis=-1) if columns else np.empty((0, 0))
