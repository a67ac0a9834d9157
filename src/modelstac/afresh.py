"""Our own commands in processes of their own, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from modelstac.catalog.errors import ModelStacError


def afresh(*words: str, error: type[ModelStacError], at_the_end: bool = False) -> Any:
    """Run a command in a fresh process and return the JSON that it prints; its notes go to our stderr.

    Parameters
    ----------
    words
        What follows ``modelstac``.
    error
        What is raised if it fails.
    at_the_end
        Whether its notes come when it ends, and without progress: for several at a time.
    """
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "modelstac", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if at_the_end else None,
        text=True,
        check=False,
    )
    if at_the_end:
        sys.stderr.write(done.stderr)
    if done.returncode:
        raise error(f"modelstac {words[0]} failed with exit code {done.returncode}: see the line above")
    return json.loads(done.stdout)
