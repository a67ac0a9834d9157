"""Which commit of which repository made a model."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError

_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_SECONDS = 10.0


def commit_of(script: Path, beside: Iterable[Path] = ()) -> dict[str, Any] | None:
    """Say what made a model; None where the script lies in no repository, or git is not here.

    Parameters
    ----------
    script
        The file that runs.
    beside
        Other files that it has loaded.

    Returns
    -------
    dict or None
        ``commit``; ``path`` of the script in the repository; ``repository``, the address of its remote without user
        and password, where there is one; ``changed``, whether the script, or a file of the repository that it has
        loaded, differs from the commit; left out where git does not answer.
    """
    script = script.resolve()  # which may be a link into another repository
    top = _git(script.parent, "rev-parse", "--show-toplevel")
    commit = _git(script.parent, "rev-parse", "--verify", "HEAD")
    if top is None or commit is None:
        return None
    found: dict[str, Any] = {"commit": commit, "path": script.relative_to(Path(top).resolve()).as_posix()}
    if (remote := _git(script.parent, "remote", "get-url", "origin")) is not None:
        found["repository"] = _LOGIN.sub("", remote)
    loaded = sorted({str(file) for file in beside if file.is_relative_to(Path(top).resolve())} - {str(script)})
    status = _git(script.parent, "status", "--porcelain", "--", str(script), *loaded)
    return found if status is None else found | {"changed": bool(status)}


def _loaded() -> Iterator[Path]:
    """Yield the files of the modules of this process that nobody installed."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and "site-packages" not in name:
            yield Path(name).resolve()


def running_script() -> Path | None:
    """Return the file that this process runs, None in a notebook or a shell."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(name) if isinstance(name, str) and Path(name).is_file() else None


def read_code(said: Any) -> dict[str, Any] | None:
    """Read what is said of the code: True for the script that runs, a path, a commit, or a mapping.

    Raises
    ------
    SpecError
        If it is none of these.
    """
    if said is None or said is False:
        return None
    if said is True:
        script = running_script()
        return None if script is None else commit_of(script, _loaded())
    if isinstance(said, dict) and said.get("commit"):
        return {str(key): value for key, value in said.items()}
    if isinstance(said, str | Path):
        if Path(said).is_file():
            return commit_of(Path(said))
        if re.fullmatch(r"[0-9a-f]{7,64}", str(said), re.ASCII):
            return {"commit": str(said)}
    shown = repr(str(said)) if isinstance(said, Path) else f"{said!r:.60}"
    raise SpecError(f"code {shown} is neither a script that is there, a commit nor a mapping with a commit")


def _git(folder: Path, *arguments: str) -> str | None:
    import subprocess  # not at the top: most files say nothing of a repository

    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
