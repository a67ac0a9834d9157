"""The closed vocabulary of pre- and postprocessing of bioimage.io: computed, and written in MLM's words.

What is the same for every image becomes scaling, or arithmetic of ``x``. What depends on the image itself (its own
mean, its percentiles, a softmax) has no word in MLM: it is named in the item under the format ``bioimageio``, and is
computed here once, for the test of the package.

Source: https://github.com/bioimage-io/spec-bioimage-io (0.4: ``preprocessing``; 0.5: ``id`` and ``kwargs``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, SpecError

Array = np.ndarray[Any, Any]
FORMAT = "bioimageio"
_NOTHING = 1e-6
"""What is added to a deviation, so that nothing is divided by zero."""


class Step:
    """One step.

    Parameters
    ----------
    document
        As it stands in the package.
    axes
        Names of the tensor's axes there.
    where
        Whose it is, for messages.

    Raises
    ------
    SpecError
        If it is none of the vocabulary.
    """

    def __init__(self, document: Mapping[str, Any], axes: Sequence[str], where: str) -> None:
        self.id = str(document.get("id") or document.get("name"))
        found = document.get("kwargs") or {}
        self.given: dict[str, Any] = dict(found) if isinstance(found, Mapping) else {}
        self.axes = tuple(axes)
        if self.id not in _COMPUTED:
            known = ", ".join(_COMPUTED)
            raise SpecError(f"{where} is processed by {self.id!r}, which is not known here: known are {known}")
        self.where = where

    def compute(self, x: Array, others: Mapping[str, Array]) -> Array:
        """Compute it, of one tensor; ``others`` are those that it may refer to."""
        try:
            return _COMPUTED[self.id](self, x, others)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidItemError(
                f"{self.where}: {self.id} cannot be computed ({error}): ask its publisher"
            ) from error

    def scaling(self, bands: int) -> list[dict[str, Any]] | None:
        """Return it as MLM's scaling, one step for each band, or one for all; None where it depends on the image."""
        if (lines := self._lines(bands)) is not None:
            return [{"type": "z-score", "mean": mean, "stddev": deviation} for mean, deviation in lines]
        if self.id == "clip" and not self._percentiles():
            return [{"type": "clip", "minimum": float(self.given["min"]), "maximum": float(self.given["max"])}]
        text = self.expression()
        return None if text is None else [{"type": "processing", "format": "numpy", "expression": text}]

    def expression(self) -> str | None:
        """Return it as arithmetic of ``x``; None where it depends on the image, or on the band."""
        given = self.given
        if self.id == "sigmoid":
            return "1 / (1 + exp(-x))"
        if self.id == "binarize" and isinstance(given.get("threshold"), int | float):
            return f"where(x > {float(given['threshold'])!r}, 1.0, 0.0)"
        if self.id == "clip" and not self._percentiles():
            return f"clip(x, {float(given['min'])!r}, {float(given['max'])!r})"
        if (lines := self._lines(1)) is not None and len(lines) == 1:
            mean, deviation = lines[0]
            return f"(x - {mean!r}) / {deviation!r}"
        return None

    @property
    def is_nothing(self) -> bool:
        """Whether it only names the type of what the model reads anyway."""
        return self.id == "ensure_dtype"

    def written(self) -> dict[str, Any]:
        """Return it as a processing expression of an item."""
        text = self.expression()
        if text is not None:
            return {"format": "numpy", "expression": text}
        return {"format": FORMAT, "expression": {"id": self.id, "kwargs": self.given}}

    def _percentiles(self) -> bool:
        return any(name.endswith("_percentile") for name in self.given)

    def _lines(self, bands: int) -> list[tuple[float, float]] | None:
        """Return mean and deviation of (x - mean) / deviation, for each band or for all."""
        given = self.given
        if self.id == "fixed_zero_mean_unit_variance" or (
            self.id == "zero_mean_unit_variance" and given.get("mode") == "fixed"
        ):
            means, deviations = np.broadcast_arrays(np.atleast_1d(given["mean"]), np.atleast_1d(given["std"]))
        elif self.id == "scale_linear":
            gains, offsets = np.broadcast_arrays(
                np.atleast_1d(given.get("gain", 1.0)), np.atleast_1d(given.get("offset", 0.0))
            )
            if not np.all(gains):
                return None
            means, deviations = -offsets / gains, 1 / gains
        else:
            return None
        found = [(float(mean), float(deviation)) for mean, deviation in zip(means, deviations, strict=True)]
        return found if len(found) in {1, bands} else None


def _over(step: Step) -> tuple[int, ...]:
    """Return the axes that a mean, or a percentile, is taken over; by default all but that of the batch."""
    named = step.given.get("axes")
    if named is None:
        return tuple(i for i, axis in enumerate(step.axes) if axis not in {"b", "batch"})
    names = {"b": "batch", "c": "channel"}
    wanted = {names.get(str(name), str(name)) for name in named}
    return tuple(i for i, axis in enumerate(step.axes) if names.get(axis, axis) in wanted)


def _along(step: Step, value: Any) -> Array:
    """Lay numbers along the axis that a step names, the channels by default."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return array
    name = str(step.given.get("axis") or "channel")
    names = {"c": "channel"}
    axis = next(i for i, found in enumerate(step.axes) if names.get(found, found) == names.get(name, name))
    return array.reshape([-1 if i == axis else 1 for i in range(len(step.axes))])


def _normalised(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    if step.given.get("mode") == "fixed":
        return _fixed(step, x, _)
    over = _over(step)
    mean, deviation = x.mean(over, keepdims=True), x.std(over, keepdims=True)
    return np.asarray((x - mean) / (deviation + float(step.given.get("eps", _NOTHING))))


def _fixed(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    return np.asarray((x - _along(step, step.given["mean"])) / (_along(step, step.given["std"]) + _NOTHING))


def _linear(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    return np.asarray(x * _along(step, step.given.get("gain", 1.0)) + _along(step, step.given.get("offset", 0.0)))


def _between_percentiles(step: Step, x: Array, others: Mapping[str, Array]) -> Array:
    given, over = step.given, _over(step)
    reference = others.get(str(given.get("reference_tensor")), x)
    low, high = (
        np.percentile(reference, float(given.get(name, default)), axis=over, keepdims=True)
        for name, default in (("min_percentile", 0.0), ("max_percentile", 100.0))
    )
    return np.asarray((x - low) / (high - low + float(given.get("eps", _NOTHING))))


def _clipped(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    given, over = step.given, _over(step)
    ends = [
        np.percentile(x, float(given[f"{name}_percentile"]), axis=over, keepdims=True)
        if f"{name}_percentile" in given
        else given.get(name)
        for name in ("min", "max")
    ]
    return np.asarray(np.clip(x, *ends))


def _like(step: Step, x: Array, others: Mapping[str, Array]) -> Array:
    reference, over = others[str(step.given["reference_tensor"])], _over(step)
    eps = float(step.given.get("eps", _NOTHING))
    unit = (x - x.mean(over, keepdims=True)) / (x.std(over, keepdims=True) + eps)
    return np.asarray(unit * (reference.std() + eps) + reference.mean())


def _softmax(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    names = {"c": "channel"}
    name = str(step.given.get("axis") or "channel")
    axis = next(i for i, found in enumerate(step.axes) if names.get(found, found) == names.get(name, name))
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def _sigmoid(_: Step, x: Array, __: Mapping[str, Array]) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _binarized(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    return np.asarray(x > _along(step, step.given["threshold"])).astype(np.float32)


def _typed(step: Step, x: Array, _: Mapping[str, Array]) -> Array:
    return x.astype(str(step.given["dtype"]))


_COMPUTED: dict[str, Callable[[Step, Array, Mapping[str, Array]], Array]] = {
    "binarize": _binarized,
    "clip": _clipped,
    "ensure_dtype": _typed,
    "fixed_zero_mean_unit_variance": _fixed,
    "scale_linear": _linear,
    "scale_mean_variance": _like,
    "scale_range": _between_percentiles,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "zero_mean_unit_variance": _normalised,
}
"""Each by its name in the vocabulary."""
