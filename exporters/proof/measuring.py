"""How far one output of two models is apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.exporters.proof.tolerances import Tolerance
from modelstac.registry.running.differences import (
    are_labels,
    count_differing,
    differences,
    few_enough,
    in_ppm,
    largest,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """How far apart an output of two models is.

    Parameters
    ----------
    case
        Name of the case, ``total`` for all of them.
    output
        Name of the output in the source.
    shapes
        Shape of each input in the layout of the source; empty for the total.
    values
        How many values were compared: those that are a number in one of the two at least.
    max_absolute, max_relative, rmse, p99
        Largest difference, the same as a share of the source's largest value, root of the mean square, and 99th
        percentile; infinite when one model gives a number where the other gives none.
    cosine
        Cosine of the angle between the outputs as vectors, of values that are finite in both; 1 when both are zero.
    differing_ppm
        Of labels: how many are not the same, in parts per million; None of other numbers.
    allowance
        What the largest difference may be.
    missing
        How many values are a number in one and none in the other (NaN, infinite), or infinite with another sign.
    used
        The difference as a share of what is allowed: at most 1 where the tolerance holds.
    passed
        Whether the tolerance holds.
    judged
        Whether it must.
    by_lead_time
        Largest difference at each lead time, where the output has a dimension ``time``.
    note
        Where nothing could be compared, or it is not judged: why.
    """

    case: str
    output: str
    shapes: Mapping[str, tuple[int, ...]]
    values: int
    max_absolute: float
    max_relative: float
    rmse: float
    p99: float
    cosine: float
    used: float
    passed: bool
    differing_ppm: float | None = None
    judged: bool = True
    by_lead_time: tuple[float, ...] = ()
    note: str = ""
    missing: int = 0
    allowance: float = 0.0

    def told(self) -> str:
        """Say it in words: ``2.3e-05 apart``."""
        if self.differing_ppm is not None:
            return f"{self.differing_ppm:.0f} of a million values another"
        if self.missing:
            return f"{self.missing} of {self.values} values NaN or infinite in one alone"
        return f"{self.max_absolute:.1e} apart"

    def allowed(self, tolerance: Tolerance) -> str:
        """Say what is allowed."""
        return (
            f"allowed {tolerance.differing_ppm:g}"
            if self.differing_ppm is not None
            else f"allowed {self.allowance:.1e}"
        )

    @property
    def amount(self) -> float:
        """What cases of one output are ordered by: the share of labels that differ, or the largest difference."""
        return self.max_absolute if self.differing_ppm is None else self.differing_ppm

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; what is not finite becomes None. ``shape`` is that of the first input."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        plain = (
            *("case", "values", "max_absolute", "max_relative", "rmse", "p99", "cosine", "allowance"),
            *("passed", "judged"),
        )
        found: dict[str, Any] = {name: _finite(getattr(self, name)) for name in plain}
        found |= {"shape": next(iter(shapes.values()), []), "by_lead_time": [_finite(v) for v in self.by_lead_time]}
        found |= {"shapes": shapes} if len(shapes) > 1 else {}
        found |= {} if self.differing_ppm is None else {"differing_ppm": self.differing_ppm}
        found |= {"missing": self.missing} if self.missing else {}
        return found | ({"note": self.note} if self.note else {})


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def badness(difference: Difference) -> tuple[bool, float]:
    """Give what differences are ordered by: those that fail are worse, then those that use more of what is allowed."""
    return not difference.passed, difference.used


def measure(
    case: str,
    expected: Array,
    actual: Array,
    tolerance: Tolerance,
    *,
    output: str = "",
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> Difference:
    """Measure how far two arrays of one shape are apart, in double precision; empty ones are not apart.

    Parameters
    ----------
    case, output, shapes
        What the difference is called.
    expected, actual
        What source and conversion give. Where one is of whole numbers or truth values, both are labels.
    tolerance
        What they may differ by.
    """
    e, a = (np.asarray(side).ravel() for side in (expected, actual))
    apart = differences(e, a)
    most = float(apart.max(initial=0.0))
    # Below the absolute tolerance nothing is told apart, not even from nothing.
    scale = max(largest(e), tolerance.absolute)
    relative = _share(most, scale)
    used = max(_share(most, tolerance.absolute * max(1.0, scale)), _share(relative, tolerance.relative))
    found = Difference(
        case=case,
        output=output,
        shapes={name: tuple(shape) for name, shape in shapes.items()},
        values=int(np.count_nonzero(~(_is_nan(e) & _is_nan(a)))),
        missing=int(np.count_nonzero(np.isinf(apart))),
        max_absolute=most,
        max_relative=relative,
        rmse=_root_mean_square(apart),
        p99=float(np.quantile(apart, 0.99, method="higher")) if e.size else 0.0,
        cosine=_cosine(np.asarray(e, np.float64), np.asarray(a, np.float64)),
        used=used,
        allowance=min(tolerance.absolute * max(1.0, scale), tolerance.relative * scale),
        passed=most <= tolerance.absolute * max(1.0, scale) and relative <= tolerance.relative,
    )
    if not are_labels(e, a):
        return found
    differing = count_differing(e, a)
    return dataclasses.replace(
        found,
        differing_ppm=in_ppm(differing, e.size),
        used=_share(in_ppm(differing, e.size), tolerance.differing_ppm),
        passed=few_enough(differing, e.size, tolerance.differing_ppm),
    )


def _share(found: float, whole: float) -> float:
    return found / whole if whole else math.inf if found else 0.0


def _is_nan(values: Array) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _root_mean_square(apart: NDArray[np.float64]) -> float:
    """Scaled, so that no square overflows."""
    most = float(apart.max(initial=0.0))
    return most * math.sqrt(float(np.mean((apart / most) ** 2))) if 0 < most < math.inf else most


def _cosine(e: NDArray[np.float64], a: NDArray[np.float64]) -> float:
    both = np.isfinite(e) & np.isfinite(a)
    e, a = (side[both] / (largest(side[both]) or 1.0) for side in (e, a))
    lengths = float(np.linalg.norm(e) * np.linalg.norm(a))
    if lengths:
        return float(e @ a) / lengths
    return 1.0 if not e.any() and not a.any() else 0.0
