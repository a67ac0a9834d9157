"""The proof that two models compute the same function: run both on the same cases and measure how far they are apart.

Nothing here knows a framework: two objects with ``signature`` and ``run`` are compared, as
:func:`modelstac.registry.loading.load` gives them, each with the layouts that it declares.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.exporters.proof.batches import Beside
from modelstac.exporters.proof.cases import STREWN, Case, make_cases
from modelstac.exporters.proof.counterparts import Counterparts, require_declared
from modelstac.exporters.proof.judging import Measured
from modelstac.exporters.proof.measuring import Difference, badness, measure
from modelstac.exporters.proof.report import ParityReport
from modelstac.exporters.proof.tolerances import TOLERANCES, Tolerance
from modelstac.registry.running.differences import largest

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Arrays, Runnable
    from modelstac.training.scoring.metrics import Scores

Array = NDArray[Any]
SLOWER, PATIENCE = 10.0, 1.0
"""A model that is so many times slower on larger whole numbers, and so many seconds, takes so many steps."""
EXACT = 1 << 16
"""Below it whole numbers are not moved: what a network makes of them it makes of exact numbers."""


def compare(
    source: Runnable,
    target: Runnable,
    *,
    cases: Sequence[Case] | None = None,
    tolerance: Tolerance = TOLERANCES["fp32"],
    settled: Callable[[Difference], bool] = lambda _: False,
    report: Report = ignore,
) -> ParityReport:
    """Compare two models on the same inputs, each output with the one of its name.

    What is out of tolerance fails, but for three kinds of cases, which are measured and say why they are not judged:

    - Where the source itself moves as far (a tenth at least) when its inputs are moved by rounding, or gives another
      answer to the same input: some recurrent networks are chaotic, and a constant field through a normalisation is
      rounding errors divided by next to nothing.
    - Beyond what the model is fed: not at all where its range is stated, and none in reduced precision. Where nothing
      is known, numbers that are merely large fail only by :data:`GROSS` times the tolerance, or where one of the two
      has a number and the other none. Sizes far away are judged in full precision.
    - Of NaN in the input, where the source was not made for gaps, see :func:`made_for_gaps`.

    Parameters
    ----------
    source
        The model to be equal to.
    target
        The model in question; it may declare another order of the same dimensions, and of its inputs and outputs.
    cases
        What to run them on, in the layout of the source; by default those of :func:`make_cases`.
    tolerance
        What they may differ by.
    settled
        Tells of a difference that nothing after it counts: no more cases are run, and outputs that none judged are left
        out.

    Raises
    ------
    ConversionError
        When the two have other names or cannot take the same inputs, or give outputs of different shapes, or no case
        can be judged.
    DataError
        When there is no case, or neither gives a value in any.
    """
    sides = Counterparts.of(source.signature, target.signature)
    cases = make_cases(source.signature, target.signature) if cases is None else cases
    if all(case.beyond and not tolerance.beyond for case in cases):
        raise DataError("a comparison of two models needs at least one case")
    report(Started("parity", len(cases)))
    measured = {ours.name: Measured(pair, source.signature.inputs) for pair in sides.outputs for ours in pair[:1]}
    scores: tuple[Scores, Scores] | None = None
    batch, taken = Beside(sides.outputs), Taken()
    for case in cases:
        start = time.perf_counter()
        ran = _run_both(source, target, sides, case) if taken.steadily(case.after) else None
        if ran is None:
            report(Advanced("parity", note=f"{case.name}: not taken, and nobody says that it is fed these"))
            continue
        expected, actual = ran
        taken.add(case, expected, time.perf_counter() - start)
        batch.add(case, expected, actual)
        own = functools.cache(functools.partial(answers_of_itself, source, case))
        unmade = case.gaps and not made_for_gaps(source, case, expected)
        found = [
            measured[name].add(case, expected[name], actual[name], tolerance, own, unmade=unmade)
            for name in (o.name for o, _ in sides.outputs)
        ]
        if case.score is not None:
            name = sides.outputs[0][0].name
            both = case.score(expected[name]), case.score(actual[name])
            scores = both if scores is None else (scores[0] + both[0], scores[1] + both[1])
        worst = max(found, key=badness)
        report(Advanced("parity", note=worst.note or f"{case.name}: {worst.max_absolute:.1e}"))
        for one in found:
            if one.note and not one.judged and not one.passed and not unmade:
                report(Note(one.note))
        if any(map(settled, found)):
            break
    else:
        _require_judged(measured.values())
    report(Finished("parity"))
    outputs = tuple(one.report(tolerance) for one in measured.values() if any(case.judged for case in one.cases))
    if not any(output.total.values for output in outputs) and all(output.total.passed for output in outputs):
        raise DataError(f"in the case {cases[0].name!r} the models give no values: nothing can be compared")
    for output in outputs:
        if not output.total.values and output.total.passed:
            report(Note(f"the output {output.name!r} was empty in every case, in both: no value of it was compared"))
    moved = batch.moved()
    if moved is not None:
        report(Note(f"the result of a sample moves by {moved:.1e} with the others of its batch, unlike the source's"))
    return ParityReport(outputs, tolerance, scores, moved)


@dataclass
class Taken:
    """Which cases were run, in how many seconds, and of which shapes the outputs were."""

    shapes: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, case: Case, found: Arrays, seconds: float) -> None:
        """Keep what a case took and gave."""
        self.shapes[case.name], self.seconds[case.name] = [array.shape for array in found.values()], seconds

    def steadily(self, name: str) -> bool:
        """Tell whether a case was run, if any is named, and gave no more than that of zeros and ones, in no longer."""
        if not name:
            return True
        if name not in self.shapes or self.shapes[name] != self.shapes.get(STREWN):
            return False
        return self.seconds[name] <= PATIENCE + SLOWER * self.seconds[STREWN]


def answer(model: Runnable, case: Case) -> dict[str, Array]:
    """Give what a model makes of a case: the only place where the models of a proof are run."""
    run: Any = model.run  # what loading gives takes gaps, too; only such models are asked about them
    found = run(case.inputs, finite=False) if case.gaps else run(case.inputs)
    return {name: np.asarray(array) for name, array in found.items()}


def made_for_gaps(source: Runnable, case: Case, expected: Arrays) -> bool:
    """Tell whether a model knows NaN in its input: it gives numbers, and the item says so or it takes them as zeros.

    Numbers alone do not tell: TensorFlow's activations and poolings make a number of NaN, and other runtimes NaN. So it
    has to be the answer to zeros, and of no other numbers.
    """
    if not all(np.isfinite(array).all() for array in expected.values() if array.dtype.kind == "f"):
        return False
    if not case.beyond:
        return True

    def is_as(value: float) -> bool:
        filled = answer(source, _filled(case, value))
        return all(
            filled[name].shape == array.shape and measure(case.name, filled[name], array, TOLERANCES["fp32"]).passed
            for name, array in expected.items()
        )

    return is_as(0.0) and not is_as(-1.0)


def _filled(case: Case, value: float) -> Case:
    inputs = {
        name: np.where(np.isnan(array), value, array).astype(array.dtype) if array.dtype.kind == "f" else array
        for name, array in case.inputs.items()
    }
    return dataclasses.replace(case, inputs=inputs, gaps=False)


def answers_of_itself(source: Runnable, case: Case) -> tuple[dict[str, Array], dict[str, Array]]:
    """Give what the source makes of a case once more, and of it with each number moved by one rounding.

    An input of zeros alone is moved by a rounding of 1: that is what follows from it inside, after a bias. Large whole
    numbers of which nothing is known are moved as a floating point number would be that a network makes of them.
    """
    rng, moved = np.random.default_rng(0), dict(case.inputs)
    for name, array in moved.items():
        if array.dtype.kind == "f":
            size = np.abs(array) if largest(array) else np.ones_like(array)
            step = np.finfo(array.dtype).eps * size * rng.choice([-1.0, 1.0], array.shape)
            moved[name] = (array + step).astype(array.dtype)
        elif case.after and array.dtype.kind in "iu":
            moved[name] = _moved_whole(array)
    return answer(source, case), answer(source, dataclasses.replace(case, inputs=moved))


def _moved_whole(array: Array) -> Array:
    """Move large whole numbers by one, or as far as float32 rounds them, towards zero; smaller ones stay."""
    step = np.abs(array.astype(np.float64)) * float(np.finfo(np.float32).eps)
    step = np.where(np.abs(array.astype(np.float64)) < EXACT, 0, np.maximum(1, step))
    moved: Array = array - (np.sign(array) * step.astype(array.dtype)).astype(array.dtype)
    return moved


def _run_both(
    source: Runnable, target: Runnable, sides: Counterparts, case: Case
) -> tuple[dict[str, Array], dict[str, Array]] | None:
    # Indices beyond a table, of which nothing is promised.
    outside = bool(case.beyond) and (case.stated or bool(case.after))
    try:
        expected = answer(source, case)
    except DataError:
        if case.gaps or outside:  # it refuses them itself
            return None
        raise
    for ours, _ in sides.outputs:
        if expected[ours.name].ndim != len(ours.dim_order):
            require_declared(ours, expected[ours.name])
    try:
        given = dataclasses.replace(case, inputs=sides.to_target(case.inputs))
        return expected, sides.to_source(answer(target, given))
    except (DataError, ConversionError) as error:
        if outside and not case.after:
            return None
        raise ConversionError(f"in the case {case.name!r} the conversion fails: {error}") from error


def _require_judged(measured: Iterable[Measured]) -> None:
    """Refuse a proof in which an output was judged in no case, or in none that shows anything."""
    for one in measured:
        judged = [case for case in one.cases if case.judged]
        shows = [case for case in one.cases if case.values or not case.passed]
        if not judged or (shows and not any(case.judged for case in shows)):
            why = next((case.note for case in one.cases if case.note), "there is none")
            raise ConversionError(f"no case proves anything of {one.pair[0].name!r}: {why}")
