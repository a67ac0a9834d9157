"""Whether a model is a function: one input gives one output, how often and after whatever it is run.

What is published gets a proof, an example and users who expect the numbers of its publisher. A program exported with
dropout at work, or one that counts its calls, has none that could be expected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.describing.impure import ADVICE, listed, possible
from modelstac.registry.inspecting.precision import precision_of
from modelstac.registry.probing.starting import starts
from modelstac.registry.probing.trial import SEED, values
from modelstac.registry.running.differences import are_labels, count_differing, differences, few_enough, largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays, Signature

ROUNDING = 1e-5
"""What runs of one input may be apart, as a share of the largest value: threads add up in another order."""
TRANSLATED = 1e-4
"""The same of a quick way and the model itself, whose operators may be others."""
CHAOTIC = 10.0
"""How many times as far as the model from itself, its input moved by rounding, a quick way may be from it."""
FLIPPED_PPM = 100.0
COARSE = MappingProxyType({"fp16": (1e-2, 10_000.0), "bf16": (8e-2, 80_000.0), "int8": (1e-1, 100_000.0)})
"""Of files that compute in less, instead: a share of the largest value, and how many of a million labels."""
_EPSILONS = MappingProxyType({"fp16": 2.0**-10, "bf16": 2.0**-7, "int8": 2.0**-8})
TRIED = 40
"""Shapes on which it is tried to run at most, where nobody knows what it takes."""

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]


def require_function(
    model: Model, again: Callable[[], Model], artifact: Artifact, form: str, signature: Signature
) -> str | None:
    """Run a model several times, and the same file opened anew: each input must give one output.

    Parameters
    ----------
    model
        The file, opened; it may have run before. It is closed before the file is opened anew, as models are large.
    again
        Opens it once more.
    artifact, form
        The file and its format, to name what is to blame.
    signature
        What it takes, with the lengths that are known.

    Returns
    -------
    str or None
        Why it was not compared; None if it was.

    Raises
    ------
    InvalidItemError
        If one input gives two outputs, or the quick way to run it others than its framework; names both and the
        largest difference.
    """
    found: _Apart | None = None
    precision = precision_of(artifact.data, FORMATS[form].artifact_type)
    tried = _shapes(signature)

    def given() -> Model:
        return model

    for opened in (given, again):  # on maps that became empty some operators give what lies in memory
        with opened() as one:
            runs = _runs(one, signature, tried)
        if isinstance(runs, str):
            if found is not None:
                break
            return runs
        with again() as other:
            found = _apart(other, *runs, ways=one.ways, precision=precision)
        if found is None:
            return None
    assert found is not None
    raise InvalidItemError(f"{artifact.path} {found}{found.blamed(possible(artifact, form))}")


@dataclass(frozen=True)
class _Apart:
    """Two outputs that should be one."""

    what: str
    output: str
    most: str
    impure: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.output!r} is {self.most} apart"

    def blamed(self, causes: Sequence[str]) -> str:
        if not self.impure:
            return "; export it anew, or by another version, until both agree"
        named = listed(causes) if causes else "none of its operators is known to draw random numbers or keep a state"
        return f"; {named}: {ADVICE}"


def _runs(
    model: Model, signature: Signature, tried: Iterator[dict[str, tuple[int, ...]]]
) -> tuple[Arrays, Arrays, Sequence[Outputs]] | str:
    """Run a model on the next shapes that it takes: two inputs, and what it gave of each in turn.

    Or say why it ran on none.
    """
    reason = "it ran on no shape that was tried"
    for shapes in tried:
        first, second, zeros = (_inputs(signature, shapes, kind) for kind in ("uniform", "normal", "zeros"))
        try:
            once = model.run(first)
        except DataError as error:
            reason = str(error)
            continue
        twice = model.run(first)
        try:
            other = model.run(second)
        except DataError:  # whole numbers that are places in a short list
            second, other = zeros, model.run(zeros)
        return first, second, [once, twice, other, model.run(first)]
    return reason


def _apart(
    other: Model,
    first: Arrays,
    second: Arrays,
    ours: Sequence[Outputs],
    *,
    ways: tuple[str, str] | None,
    precision: str,
) -> _Apart | None:
    """Run a model in the other order than the one that gave ``ours``, and say what is not the same."""
    again = [other.run_exactly(arrays) for arrays in (second, first)]
    for what, later in (
        ("gives other numbers for the same input each time", ours[1]),
        ("gives other numbers for an input after another one ran", ours[3]),
    ):
        if found := _differing(ours[0], later, ROUNDING):
            return _Apart(what, *found)
    for arrays, one, two in ((first, ours[0], again[1]), (second, ours[2], again[0])):
        share, flipped = COARSE.get(precision, (TRANSLATED, FLIPPED_PPM)) if ways else (ROUNDING, FLIPPED_PPM)
        if found := _differing(two, one, share, flipped):
            if not ways:
                return _Apart("gives other numbers where it runs for the first time", *found)
            if _most(two, one) > CHAOTIC * _most(two, other.run_exactly(_moved(arrays, precision))):
                return _Apart("runs as two models, {} and {}".format(*ways), *found, impure=False)
    return None


def _differing(expected: Outputs, found: Outputs, share: float, flipped: float = FLIPPED_PPM) -> tuple[str, str] | None:
    """Name an output that differs by more than rounding, and by how much."""
    for name, one in expected.items():
        two = found[name]
        if one.shape != two.shape:
            return name, f"{list(one.shape)} and {list(two.shape)}, which are shapes"
        if are_labels(one, two):
            differing = count_differing(one, two)
            if not few_enough(differing, one.size, flipped):
                return name, f"{differing} of {one.size} values"
            continue
        most = float(differences(one, two).max(initial=0.0))
        allowed = max(share, 8 * float(np.finfo(one.dtype).eps)) * largest(one)
        if most > allowed:
            return name, f"{most:.1e}"
    return None


def _most(expected: Outputs, found: Outputs) -> float:
    alike = [(one, found[name]) for name, one in expected.items() if one.shape == found[name].shape]
    return max((float(differences(one, two).max(initial=0.0)) for one, two in alike), default=0.0)


def _moved(arrays: Arrays, precision: str) -> dict[str, Array]:
    """Move inputs by about what rounding moves them, in the precision in which the file computes."""
    rng, moved = np.random.default_rng(SEED), dict(arrays)
    for name, array in moved.items():
        if array.dtype.kind == "f":
            step = max(float(np.finfo(array.dtype).eps), _EPSILONS.get(precision, 0.0)) * (largest(array) or 1.0)
            moved[name] = (array + step * rng.choice([-1.0, 1.0], array.shape)).astype(array.dtype)
    return moved


def _shapes(signature: Signature) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield shapes to run on: about 32 along open axes of a grid, 64, 96, and others."""
    axes = {(tensor.name, dim): size for tensor in signature.inputs for dim, size in tensor.axes.items()}
    open_axes = {axis: size for axis, size in axes.items() if not size.is_fixed}
    for lengths in itertools.islice(starts(list(open_axes), open_axes), TRIED):
        known = {axis: lengths.get(axis, size.at_least) for axis, size in axes.items()}
        yield {tensor.name: tuple(known[tensor.name, dim] for dim in tensor.dim_order) for tensor in signature.inputs}


def _inputs(signature: Signature, shapes: Mapping[str, tuple[int, ...]], kind: str) -> dict[str, Array]:
    rng = np.random.default_rng(SEED)
    return {tensor.name: values(tensor, shapes[tensor.name], kind, rng) for tensor in signature.inputs}
