"""A process that dies at every step of a publish: ``crash_process.py CATALOG DESCRIPTION COPIES``.

For n = 1, 2, … it copies the catalog to ``COPIES/n`` and lets a child publish there that kills itself just before its
n-th operation on the files of the catalog (as Python's audit events count them), until a child comes through.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from modelstac.catalog import ModelDescription, open_catalog
from modelstac.catalog.items.writing import write_item


def die_before(step: int, folder: str) -> None:
    """Kill this process just before its operation number ``step`` on what lies in ``folder``."""
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"} and folder in str(arguments[0]):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main() -> None:
    base, copies = Path(sys.argv[1]), Path(sys.argv[3])
    item = write_item(ModelDescription(**json.loads(Path(sys.argv[2]).read_text())))
    # What is imported late is imported now, so that every child starts with the publish itself.
    open_catalog(copies / "0", create=True).publish(item)
    for step in range(1, 1000):
        copy = copies / str(step)
        if base.exists():
            shutil.copytree(base, copy)
        child = os.fork()
        if not child:
            die_before(step, str(copy))
            open_catalog(copy, create=True).publish(item)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status


if __name__ == "__main__":
    main()
