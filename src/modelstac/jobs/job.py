"""A job, and its key."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError

NAME = re.compile(r"[A-Za-z0-9][\w.\-]{0,199}", re.ASCII)


@dataclass(frozen=True)
class Job:
    """Something to be done once.

    Parameters
    ----------
    name
        For people; unique among the jobs of a run.
    kind
        What does it: see :mod:`modelstac.jobs.kinds`.
    parameters
        JSON values: all that the result depends on, beside the jobs needed.
    work
        Folder that all machines see under this path; every job has one of its own in it.
    needs
        Name and key of the jobs whose results it uses. A key depends on those before it: there can be no cycle.
    resources
        What a worker must have to spare, such as ``{"GPU": 1}``; the result does not depend on them.
    environment
        Variables for its process; the result does not depend on them.
    timeout
        Seconds after which an attempt is given up; None waits for ever.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    name: str
    kind: str
    parameters: Mapping[str, Any]
    work: str
    needs: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise SpecError(f"job name {self.name!r}: at most 200 letters, digits, '_', '.' and '-'")
        for name in ("kind", "work"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise SpecError(f"{name} of the job {self.name!r} is a text, not {getattr(self, name)!r}")
        for name, kinds in (
            ("parameters", object),
            ("needs", str),
            ("resources", (int, float)),
            ("environment", str),
        ):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(isinstance(one, kinds) for one in value.values()):
                raise SpecError(f"{name} of the job {self.name!r} make no sense: {value!r}")
        if self.timeout is not None and not (
            isinstance(self.timeout, int | float) and 0 < self.timeout < math.inf and self.timeout is not True
        ):
            raise SpecError(f"timeout of the job {self.name!r} is a number of seconds above 0, not {self.timeout!r}")

    @property
    def key(self) -> str:
        """SHA-256 of kind, parameters and the keys of what it needs."""
        content = {"kind": self.kind, "parameters": self.parameters, "needs": sorted(self.needs.values())}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Its own folder."""
        return self.folder_of(self.name, self.key)

    def folder_of(self, name: str, key: str) -> Path:
        """Give the folder of a job that this one needs."""
        return Path(self.work) / "jobs" / f"{name}-{key[:16]}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str, *, where: str = "the job") -> Job:
        """Read a job from JSON.

        Raises
        ------
        SpecError
            When it is no job.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise SpecError(f"{where} is no JSON: {error}") from error
        known = {entry.name for entry in fields(cls)}
        if not isinstance(found, dict):
            raise SpecError(f"{where} is no JSON object, but {type(found).__name__}")
        if unknown := sorted(set(found) - known):
            raise SpecError(f"{where} has an unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}")
        if missing := [name for name in ("name", "kind", "parameters", "work") if name not in found]:
            raise SpecError(f"{where} needs the field {missing[0]!r}")
        return cls(**found)


def check(jobs: Sequence[Job]) -> None:
    """Refuse jobs that are there twice, and needs that no job before fulfils.

    Raises
    ------
    SpecError
        With the job.
    """
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    for job in jobs:
        if job.name in names:
            raise SpecError(f"two jobs are called {job.name!r}")
        if job.key in keys:
            raise SpecError(f"the jobs {keys[job.key]!r} and {job.name!r} are the same")
        if lacking := [need for need, key in job.needs.items() if names.get(need) != key]:
            raise SpecError(f"the job {job.name!r} needs {lacking[0]!r}, which is not among the jobs before it")
        names[job.name] = job.key
        keys[job.key] = job.name
