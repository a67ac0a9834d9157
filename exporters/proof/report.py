"""What a comparison of two models found: output by output, case by case, and the worst of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.items.provenance import OutputParity, Parity
from modelstac.exporters.proof.measuring import Difference, badness
from modelstac.exporters.proof.tolerances import Tolerance

if TYPE_CHECKING:
    from modelstac.training.scoring.metrics import Scores


@dataclass(frozen=True)
class OutputReport:
    """What a comparison found of one output: case by case, and over all cases that are judged."""

    name: str
    cases: tuple[Difference, ...]
    total: Difference

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {"total": self.total.to_dict(), "cases": [case.to_dict() for case in self.cases]}

    def summary(self) -> OutputParity:
        """Give what the item says of this output."""
        return OutputParity(
            max_absolute_difference=self.total.max_absolute,
            max_relative_difference=self.total.max_relative,
            root_mean_square_difference=self.total.rmse,
            percentile_99_difference=self.total.p99,
            cosine=self.total.cosine,
            differing_ppm=self.total.differing_ppm,
            values=self.total.values,
            passed=self.total.passed,
        )


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found.

    Parameters
    ----------
    outputs
        Output by output, in the order of the source.
    tolerance
        What was allowed.
    scores
        Of source and conversion on real data, where there were any.
    batch_difference
        How far the result of a sample moves with the others of its batch; None where it does not, or no farther than
        that of the source.
    judged_on
        Which values the judged cases have, in words.
    """

    outputs: tuple[OutputReport, ...]
    tolerance: Tolerance
    scores: tuple[Scores, Scores] | None = None
    batch_difference: float | None = None
    judged_on: str | None = None

    @property
    def judged(self) -> int:
        """How many cases were judged, for one output at least."""
        return sum(any(one.judged for one in row) for row in self._rows)

    @property
    def beyond(self) -> float | None:
        """The largest difference of cases that are not judged; None where there is none, or one is infinite."""
        found = [one.max_absolute for output in self.outputs for one in output.cases if not one.judged]
        return max(found) if found and max(found) < math.inf else None

    @property
    def _rows(self) -> list[tuple[Difference, ...]]:
        return list(zip(*(output.cases for output in self.outputs), strict=True))

    @property
    def cases(self) -> tuple[Difference, ...]:
        """Case by case the output that is farthest from what is allowed."""
        return tuple(max(row, key=badness) for row in self._rows)

    @property
    def total(self) -> Difference:
        """The worst of each measure over all outputs and all cases that are judged."""
        totals = [output.total for output in self.outputs]
        most = {
            name: max(getattr(total, name) for total in totals)
            for name in ("max_absolute", "max_relative", "rmse", "p99", "used")
        }
        differing = [total.differing_ppm for total in totals if total.differing_ppm is not None]
        return dataclasses.replace(
            max(totals, key=badness),
            **most,
            allowance=max(totals, key=lambda total: total.max_absolute).allowance,
            values=sum(total.values for total in totals),
            cosine=min(total.cosine for total in totals),
            differing_ppm=max(differing, default=None),
            passed=self.passed,
        )

    @property
    def passed(self) -> bool:
        """Whether the tolerance held for every output in every case that is judged."""
        return all(case.passed for output in self.outputs for case in output.cases if case.judged)

    @property
    def worst(self) -> Difference:
        """Of the output that is farthest from what is allowed, the judged case with the largest difference."""
        output = max(self.outputs, key=lambda output: badness(output.total))
        return max((case for case in output.cases if case.judged), key=lambda case: (not case.passed, case.amount))

    @property
    def task(self) -> dict[str, dict[str, float]] | None:
        """Means over lead times of RMSE, MAE (mm/h) and CSI of both, and what the conversion changes."""
        if self.scores is None:
            return None
        source, converted = (
            {name: value for name, value in one.summary().items() if name.split("_")[0] in {"rmse", "mae", "csi"}}
            for one in self.scores
        )
        change = {name: converted[name] - value for name, value in source.items() if name in converted}
        return {"source": source, "converted": converted, "change": change}

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON types: the content of ``parity.json``."""
        several = {"outputs": {output.name: output.to_dict() for output in self.outputs}}
        return (
            {
                "passed": self.passed,
                "tolerance": dataclasses.asdict(self.tolerance),
                "judged": self.judged,
                "judged_on": self.judged_on,
                "batch_difference": self.batch_difference,
                "total": self.total.to_dict(),
                "cases": [case.to_dict() for case in self.cases],
            }
            | (several if len(self.outputs) > 1 else {})
            | ({} if self.task is None else {"task": self.task})
        )

    def summary(self, source: str, names: Mapping[str, str] = MappingProxyType({})) -> Parity:
        """Give what the item says: ``interop:parity``.

        Parameters
        ----------
        source
            Item id of the model that was converted.
        names
            What outputs are called in the item, where that is not as in the source.
        """
        change = {} if self.task is None else self.task["change"]
        skill = [abs(value) for name, value in change.items() if name.startswith("csi")]
        total = self.total
        return Parity(
            source=source,
            max_absolute_difference=total.max_absolute,
            max_relative_difference=total.max_relative,
            root_mean_square_difference=total.rmse,
            cases=len(self.cases),
            judged_cases=self.judged,
            judged_on=self.judged_on,
            unjudged_difference=self.beyond,
            batch_difference=self.batch_difference,
            allowed_difference=total.allowance,
            tolerance_by=self.tolerance.by,
            absolute_tolerance=self.tolerance.absolute,
            relative_tolerance=self.tolerance.relative,
            passed=self.passed,
            percentile_99_difference=total.p99,
            cosine=total.cosine,
            differing_ppm=total.differing_ppm,
            differing_ppm_tolerance=None if total.differing_ppm is None else self.tolerance.differing_ppm,
            rmse_change=change.get("rmse"),
            csi_change=max(skill, default=None),
            outputs={names.get(output.name, output.name): output.summary() for output in self.outputs}
            if len(self.outputs) > 1
            else None,
        )
