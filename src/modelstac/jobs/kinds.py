"""What jobs do: a kind is a module with the two functions of :class:`Kind`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.catalog.messages import Report

Result = dict[str, Any]
"""JSON values."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class Task:
    """A job as its kind sees it.

    Parameters
    ----------
    parameters
        The job's.
    inputs
        Results of the jobs that it needs, by name.
    folder
        Its own: what it keeps for the next attempt, and files of its result.
    """

    parameters: Mapping[str, Any]
    inputs: Mapping[str, Result]
    folder: Path


class Kind(Protocol):
    """The functions of a kind's module."""

    def find(self, task: Task, recorded: Result | None) -> Result | None:
        """Give the result if it is there already, quickly and without any framework; ``recorded`` is the last one."""

    def run(self, task: Task, *, report: Report) -> Result:
        """Do it. It may have been tried before, and another machine may have done it meanwhile."""


_RADAR = ("prepare", "train", "export", "score")
KINDS: Mapping[str, str] = MappingProxyType(
    {name: f"modelstac.pipeline.{name}" for name in (*_RADAR, "scene", "function", "function_export")}
)
"""The module of each kind; any other one is named by its module: ``my_package.my_kind``."""


def find_kind(name: str) -> Kind:
    """Import a kind.

    Raises
    ------
    NotFoundError
        If there is none of that name.
    SpecError
        If its module is none of a kind.
    """
    if name not in KINDS and not _MODULE.fullmatch(name):
        raise NotFoundError.unknown("kind of job", name, KINDS, where="modelstac, which is no module either")
    module = KINDS.get(name, name)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise NotFoundError(f"no kind of job {name!r}: there is no module {module}") from error
    if not all(callable(getattr(found, verb, None)) for verb in ("find", "run")):
        raise SpecError(f"{module} is no kind of job: it needs the functions find and run")
    return cast("Kind", found)
