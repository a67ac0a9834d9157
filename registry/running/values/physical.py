"""Physical values in and out: scaled as the item says, run, and made physical again; missing ones make no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.running.values.scaling import looks_scaled, processed, scale, unmet
from modelstac.registry.running.values.steps import computed

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Arrays = Mapping[str, np.ndarray[Any, Any]]


def runner(
    model: Runnable,
    physical: Iterable[str],
    *,
    sure: Iterable[str] = (),
    missing: Mapping[str, str] | None = None,
    scaled: bool | None = None,
) -> Callable[[Arrays], dict[str, np.ndarray[Any, Any]]]:
    """Return what scales physical values, runs the model and gives physical values where the item says how.

    Parameters
    ----------
    model
        The model.
    physical
        Inputs whose values are physical; others are what the model reads.
    sure
        Those of them of which the caller, or a unit, says that they are.
    missing
        By input, what its data call missing, for messages.
    scaled
        True where the caller wants numbers of the model out, too.

    Raises
    ------
    InvalidItemError
        If the item wants something done to the values that cannot be computed here.
    """
    owner = f"item {model.item.id!r}"
    physical, sure, codes = frozenset(physical), frozenset(sure), dict(missing or {})
    layouts = {layout.name: layout for layout in model.signature.inputs}
    befores = {source.name: _plain(source.pre_processing_function) for source in model.description.inputs}
    # What is not run here was named when the model was loaded, and leaves its output as the model gives it.
    steps = {output.name: computed(output.post_processing_function)[0] for output in model.description.outputs}
    post = {name: found for name, found in steps.items() if found and not scaled}
    for name in layouts:
        if name in physical:
            _check_computable(model, name)

    def read(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        layout, values = layouts[name], _unmasked(values)
        if layout.gaps and values.dtype.kind == "f" and (gone := np.isnan(values)).any():
            # Scaling sees numbers only: arithmetic such as ``where(x > 0, x, 0)`` would make some of NaN.
            found = read(name, np.where(gone, values.dtype.type(0), values))
            return np.where(gone, found.dtype.type(np.nan), found)
        _check_missing(values, name, codes.get(name, ""))
        if name not in physical:
            return values
        if name not in sure and (reason := looks_scaled(values, layout.scaling)) is not None:
            raise DataError(
                f"input {name!r}: {reason}: give the numbers that it scales; or say scaled=True if they are scaled "
                "already, scaled=False if these are they"
            )
        of = f"{owner}, input {name!r}"
        if befores[name] and not layout.scaling:
            values = processed(_floating(values), befores[name], of=of)
        return _fitted(scale(values, layout.scaling, layout.dim_order, of=of), layout)

    def run(values: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        given = {name: read(name, array) for name, array in values.items()}
        return {
            name: processed(_floating(array), post[name], of=f"{owner}, output {name!r}") if name in post else array
            for name, array in model.run(given).items()
        }

    return run


def _check_computable(model: Runnable, name: str) -> None:
    """Refuse physical values where the item wants of them what is not computed here."""
    entries = model.item.properties.get("mlm:input")
    entries = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    named = entries if len(entries) == 1 else [entry for entry in entries if entry.get("name") == name]
    for entry in named:
        blocking, _ = unmet(entry)
        if blocking:
            raise InvalidItemError(
                f"item {model.item.id!r}, input {name!r} wants {blocking[0]}; do it yourself, "
                "and say so with scaled=True"
            )


def _unmasked(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Write NaN where a mask says that there is nothing; blocks of Dask may have one."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    hidden = np.asarray(values.mask)
    return np.where(hidden, np.nan, _floating(values.data)) if hidden.any() else np.asarray(values.data)


def _check_missing(values: np.ndarray[Any, Any], name: str, codes: str) -> None:
    """Refuse missing values: arithmetic such as ``where(x > 0, x, 0)`` would make numbers of them."""
    if values.dtype.kind != "f" or not (count := int(np.count_nonzero(np.isnan(values)))):
        return
    said = f" (the data say {codes})" if codes else ""
    old = "; if that range is of the numbers as they were stored, drop it (.drop_attrs())" if "valid_" in codes else ""
    raise DataError(
        f"input {name!r}: {count} of {values.size} values are missing, NaN{said}: cut them off, or fill them as it was "
        f"trained, such as .where(valid, 0) or .fillna(0){old}"
    )


def _fitted(values: np.ndarray[Any, Any], layout: TensorSignature) -> np.ndarray[Any, Any]:
    """Take whole numbers for fractions, and fractions that are whole for whole numbers, where nothing is lost."""
    wanted = np.dtype(layout.dtype) if layout.dtype != "other" else values.dtype
    if wanted.kind == "f" and values.dtype.kind in "iub":
        return values.astype(wanted)
    if wanted.kind in "iu" and values.dtype.kind == "f":
        limits = np.iinfo(wanted)
        whole = np.isfinite(values) & (values == np.rint(values)) & (values >= limits.min) & (values <= limits.max)
        if not whole.all():
            odd = values[~whole].flat[0]
            raise DataError(f"input {layout.name!r} is {layout}; found {odd:g}, which does not fit: round the values")
        return values.astype(wanted)
    return values


def _floating(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give fractions to compute with: half precision ends at 65,504 and has three digits."""
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)


def _plain(functions: Any) -> Any:
    """Give typed processing expressions as the JSON that they came from."""
    if isinstance(functions, list | tuple):
        return [_plain(function) for function in functions]
    return functions.model_dump() if hasattr(functions, "model_dump") else functions
