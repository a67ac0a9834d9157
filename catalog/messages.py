"""Progress as messages: the library says what it does, whoever listens draws it.

A function that may take long has ``report: Report = ignore`` as a keyword argument; the command line passes one that
draws progress bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A task began; ``total`` is the number of steps, or None when nobody knows."""

    task: str
    total: int | None = None


@dataclass(frozen=True)
class Advanced:
    """A task went on by ``steps``; ``note`` is a short text beside the bar, such as the current loss."""

    task: str
    steps: int = 1
    note: str = ""


@dataclass(frozen=True)
class Finished:
    """A task ended."""

    task: str


@dataclass(frozen=True)
class Note:
    """One line that a person should read, such as a version difference."""

    text: str


@dataclass(frozen=True)
class Measured:
    """Numbers of a task at a step counted from 1, such as the loss: for logs, not for people who watch."""

    task: str
    step: int
    values: Mapping[str, float]


Message = Started | Advanced | Finished | Note | Measured
Report = Callable[[Message], None]


def ignore(message: Message) -> None:
    """Listen to nothing."""
