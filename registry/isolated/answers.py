"""The side of a worker process: lines of JSON in, lines of JSON out, which ``processes.py`` asks for.

Frameworks print. So what they print goes to stderr, and the answers to where stdout was. Imports no more than errors
and messages, since a worker may run where little else is installed.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.messages import Message, Note


class Answers:
    """Where a worker writes: to make before anything prints."""

    def __init__(self) -> None:
        self._stream: IO[str] = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def heard(self, message: Message) -> None:
        """Pass notes on."""
        if isinstance(message, Note):
            self._write(note=message.text)

    def serve(self, verbs: Mapping[str, Callable[..., Any]]) -> NoReturn:
        """Answer until there are no more requests, and end; an error is raised again where the answer is read."""
        for line in sys.stdin:
            request = json.loads(line)
            verb = verbs[request.pop("verb")]
            try:
                self._write(result=verb(**request))
            except ModelStacError as error:
                self._write(error=type(error).__name__, message=str(error))
            except Exception as error:  # noqa: BLE001 - it is raised again where the answer is read
                self._write(error=type(error).__name__, message=" ".join(str(error).split()))
        leave()

    def _write(self, **content: Any) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()


def leave(code: int = 0) -> NoReturn:
    """End this process without taking its frameworks apart, which takes two seconds; what waits for the end runs."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
