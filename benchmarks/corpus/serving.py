"""The child's side of a worker process: one JSON object a line in, one out.

Imports nothing but the standard library, as it runs in environments of other tools, too.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer until there are no more requests; what libraries print goes to the log."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - a foreign library may raise anything, and that is a result
            found = {"error": said(error)}
        out.write(json.dumps(found) + "\n")
        out.flush()


def said(error: BaseException) -> str:
    """Give an error as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:600]
