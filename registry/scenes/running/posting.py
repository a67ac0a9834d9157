"""From what a model gives to what a map holds: a closed vocabulary that is computed, and never run as code.

======================  ===============================================================================================
``argmax``              the class of the highest score
``softmax``             scores to shares over the classes
``sigmoid``             scores to shares, each by itself
``clip:LOW:HIGH``       values within bounds
``threshold:VALUE``     1 where a score is at least that, 0 elsewhere
``scale:FACTOR[:PLUS]`` times a factor, plus a number
``stretch:LOW:HIGH``    percentiles of the whole scene to 0 and 255
``numpy:EXPRESSION``    arithmetic of ``x``, as the item writes it
``none``                nothing, whatever the item says
======================  ===============================================================================================
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, SpecError
from modelstac.registry.running.values.expressions import LONGEST, evaluate, shortened

if TYPE_CHECKING:
    Values = np.ndarray[Any, Any]

NUMBERS = MappingProxyType(
    {"argmax": (0, 0), "softmax": (0, 0), "sigmoid": (0, 0), "clip": (2, 2), "threshold": (1, 1), "scale": (1, 2)}
    | {"stretch": (2, 2), "none": (0, 0)}
)
"""Least and most numbers of each step."""
LABELLING = frozenset({"argmax", "threshold"})
"""Steps after which values are labels."""
_OF_SCORES = frozenset({"argmax", "softmax", "sigmoid", "stretch"})
_AT_ONCE = 1 << 16
"""Pixels that are compared at once: what stays in the processor's cache."""
_CALLED = re.compile(r"(?:\w+\.)*(argmax|softmax|sigmoid|expit|clip|clamp)", re.IGNORECASE)
_SAME = MappingProxyType({"expit": "sigmoid", "clamp": "clip"})
_ARRAY = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_OF = frozenset({"x", "a", "input", "tensor", "logits"})
_ALONG = frozenset({"axis", "dim", "keepdim", "keepdims", "dtype"})
_BOUNDS = MappingProxyType({"min": 0, "a_min": 0, "max": 1, "a_max": 1})
"""Arguments of these calls: the array, what changes no number here, and which bound."""


@dataclass(frozen=True)
class Step:
    """One step: its name, and its numbers or its expression."""

    name: str
    numbers: tuple[float, ...] = ()
    expression: str = ""

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{n:g}" for n in self.numbers), *([self.expression] * bool(self.expression))])


def read_steps(text: str | Sequence[str]) -> tuple[Step, ...]:
    """Read steps as a person writes them: ``sigmoid,threshold:0.5``.

    Raises
    ------
    SpecError
        If one is not known, lacks numbers, or makes no sense of labels.
    """
    given = [text] if isinstance(text, str) else text
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise SpecError(f"what comes after a model is words, such as 'sigmoid,threshold:0.5', not {text!r:.80}")
    parts = [part for one in given for part in one.split(",")]
    steps = tuple(_step(part.strip()) for part in parts if part.strip())
    for before, step in itertools.pairwise(steps):
        if before.name == "argmax" and step.name in _OF_SCORES:
            raise SpecError(f"{step.name!r} is of scores, and 'argmax' gives labels: put it first, or leave it")
    return () if any(step.name == "none" for step in steps) else steps


def _step(text: str) -> Step:
    name, *given = text.split(":")
    if name not in NUMBERS:
        raise SpecError(f"no step {name!r} after a model is known: use {', '.join(NUMBERS)}")
    least, most = NUMBERS[name]
    try:
        numbers = tuple(float(number) for number in given)
    except ValueError as error:
        raise SpecError(f"{text!r} after a model has numbers between colons, such as clip:0:1") from error
    if not least <= len(numbers) <= most or not np.isfinite(numbers).all():
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise SpecError(f"{name!r} after a model takes {wanted} numbers, such as {_example(name)}; found {text!r}")
    if name in ("clip", "stretch") and numbers[0] >= numbers[1]:
        raise SpecError(f"{text!r} after a model has the lower number first, such as {_example(name)}")
    if name == "stretch" and not (numbers[0] >= 0 and numbers[1] <= 100):
        raise SpecError(f"{text!r} after a model takes percentiles from 0 to 100, such as {_example(name)}")
    return Step(name, numbers)


def _example(name: str) -> str:
    shown = {"clip": "clip:0:1", "threshold": "threshold:0.5", "scale": "scale:10000", "stretch": "stretch:2:98"}
    return shown.get(name, name)


def steps_of_item(function: Any, *, of: str) -> tuple[tuple[Step, ...], list[str]]:
    """Read ``post_processing_function`` of an output: what can be computed of it, and what not.

    Returns
    -------
    steps, left
        Steps, and what is left undone in half a line each.

    Raises
    ------
    InvalidItemError
        If arithmetic of it is none.
    """
    steps: list[Step] = []
    left: list[str] = []
    values = function if isinstance(function, list | tuple) else [] if function is None else [function]
    for value in values:
        plain = value.model_dump() if hasattr(value, "model_dump") else value
        plain = plain if isinstance(plain, Mapping) else {"expression": plain}
        form, text = str(plain.get("format", "")).casefold(), plain.get("expression")
        if left:  # what comes after would be computed of other numbers than it is meant for
            left.append(shortened(plain))
        elif form == "numpy" and isinstance(text, str) and not _spelled(text):
            evaluate(text, np.zeros(1, np.float32), of=of)
            steps.append(Step("numpy", (), text))
        elif isinstance(text, str) and (found := _spelled(text)) is not None:
            steps.append(found)
        else:
            left.append(shortened(plain))
    return tuple(steps), left


def _spelled(text: str) -> Step | None:
    """Read a call by one of a few names, such as ``torch.argmax(x, dim=1)``, without running anything.

    It is one of an array as it is: ``softmax(x / 2.5)`` and ``argmax(-x)`` are other steps.
    """
    try:
        tree = ast.parse(text[: LONGEST + 1].strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    tree = tree.body if isinstance(tree, ast.Lambda) else tree
    call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
    if (found := _CALLED.fullmatch(ast.unparse(call.func))) is None:
        return None
    given = dict(enumerate(call.args[bool(call.args and _is_array(call.args[0])) :]))
    bounds: dict[Any, Any] = {place: _number_of(one) for place, one in given.items()}
    for keyword in call.keywords:
        if (bound := _BOUNDS.get(str(keyword.arg))) is not None:
            bounds[bound] = _number_of(keyword.value)
        elif keyword.arg not in _ALONG and not (keyword.arg in _OF and _is_array(keyword.value)):
            return None
    name = _SAME.get(found[1].lower(), found[1].lower())
    if name == "clip":
        two = [bounds.pop(place, None) for place in (0, 1)]
        return None if bounds or None in two else Step(name, tuple(map(float, two)))
    return Step(name) if all(isinstance(one, int) for one in bounds.values()) else None  # the number of an axis


def _is_array(node: ast.expr) -> bool:
    return _ARRAY.fullmatch(ast.unparse(node)) is not None


def _number_of(node: ast.expr) -> int | float | None:
    with suppress(ValueError, TypeError):
        value = ast.literal_eval(node)
        return value if type(value) in (int, float) else None
    return None


def apply_step(step: Step, values: Values, axis: int) -> Values:
    """Apply a step that needs nothing but these values.

    Parameters
    ----------
    step
        The step.
    values
        What the model gave.
    axis
        Along which the classes lie; after ``argmax`` it has the length 1.

    Raises
    ------
    InvalidItemError
        If arithmetic of an item is none.
    """
    if step.name == "argmax":
        return highest(values, axis)
    if step.name == "threshold":
        return (values >= step.numbers[0]).astype(np.uint8)
    values = values.astype(np.result_type(values.dtype, np.float32), copy=False)  # half precision ends at 65,504
    return _FRACTIONS[step.name](step, values, axis)


def _numpy(step: Step, values: Values, _axis: int) -> Values:
    try:
        return evaluate(step.expression, values, of="what comes after the model")
    except InvalidItemError as error:
        raise InvalidItemError(f"{error}; or leave it out, post='none'") from error


def _softmax(_step: Step, values: Values, axis: int) -> Values:
    made: Values = np.exp(values - values.max(axis, keepdims=True))
    made /= made.sum(axis, keepdims=True)
    return made


def _sigmoid(_step: Step, values: Values, _axis: int) -> Values:
    with np.errstate(over="ignore"):  # of a large negative one, whose share is 0
        made: Values = np.reciprocal(1 + np.exp(-values))
    return made


_FRACTIONS: Mapping[str, Callable[[Step, Values, int], Values]] = MappingProxyType(
    {
        "softmax": _softmax,
        "sigmoid": _sigmoid,
        "numpy": _numpy,
        "clip": lambda step, x, _: np.clip(x, step.numbers[0], step.numbers[1]),
        "scale": lambda step, x, _: x * x.dtype.type(step.numbers[0]) + x.dtype.type((*step.numbers, 0.0)[1]),
    }
)


def highest(values: Values, axis: int) -> Values:
    """Give the index of the highest of each pixel, the first of equal ones: what :func:`numpy.argmax` gives, sooner.

    NumPy's walks along the axis for every pixel. This compares one class after the other, as many pixels at a time as
    the cache holds, and without branches: ten times as fast for a handful of classes. NaN is never the highest.
    """
    moved = np.moveaxis(values, axis, 0)
    flat = moved.reshape(len(moved), -1) if moved.flags.c_contiguous else None
    rows = moved.reshape(len(moved), -1) if flat is None and moved[0].size <= _AT_ONCE else flat
    if rows is not None:
        return np.expand_dims(_highest(rows).reshape(moved.shape[1:]), axis)
    # The classes lie last, or a view: one part after the other is copied, not the whole.
    parts = [np.expand_dims(highest(part, axis), 0) for part in np.array_split(values, 2, _longest(values, axis))]
    return np.concatenate([part[0] for part in parts], _longest(values, axis))


def _longest(values: Values, but: int) -> int:
    lengths = [0 if axis == but % values.ndim else length for axis, length in enumerate(values.shape)]
    return int(np.argmax(lengths))


def _highest(classes: Values) -> Values:
    kind = np.uint8 if len(classes) <= 256 else np.uint16
    found = np.zeros(classes.shape[1], kind)
    for begin in range(0, classes.shape[1], _AT_ONCE):
        part = classes[:, begin : begin + _AT_ONCE]
        best, index = part[0].copy(), found[begin : begin + _AT_ONCE]
        above = np.empty(len(best), bool)
        for number in range(1, len(part)):
            np.greater(part[number], best, out=above)
            np.maximum(index, np.multiply(above, kind(number), dtype=kind), out=index)  # numbers rise
            np.fmax(part[number], best, out=best)
    return found
