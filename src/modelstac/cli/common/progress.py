"""Messages of the library drawn on stderr: bars when a person watches, notes always."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from modelstac.catalog.messages import Advanced, Finished, Message, Note, Report, Started
from modelstac.catalog.terminal import harmless
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def progress() -> Iterator[Report]:
    """Give the listener to pass to a long function as ``report``."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield _only_notes
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # Not as markup, in which an id such as "[link=…]" would be a link.
    text, note = (TextColumn(told, markup=False) for told in ("{task.description}", "{task.fields[note]}"))
    parts = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), note)
    with Progress(*parts, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def _only_notes(message: Message) -> None:
    if isinstance(message, Note):
        say(f"note: {message.text}", err=True)


class _Bars:
    """Draw one bar a task."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, message: Message) -> None:
        match message:
            case Started(task, total):
                self._tasks[task] = self._bars.add_task(harmless(task), total=total, note="")
            case Advanced(task, steps, note):
                if task in self._tasks:
                    self._bars.update(self._tasks[task], advance=steps, note=harmless(note))
            case Finished(task):
                if task in self._tasks:
                    self._bars.remove_task(self._tasks.pop(task))
            case Note(text):
                self._bars.console.print(f"note: {harmless(text)}", markup=False, highlight=False)
