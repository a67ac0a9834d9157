"""One job as a program: ``python -m modelstac.job JOB.json``.

It does what the file says unless that is done already, prints the result as one line of JSON, and ends as the command
line does: 0 done, 1 failed, 2 something to put right. Any orchestrator can run it: jobs that need others find their
results in the common folder. Files of jobs are written by ``modelstac pipeline SPEC --write-jobs FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from modelstac.catalog.ahead import seldom_collected
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.messages import Message, Note
from modelstac.catalog.terminal import harmless

WITH_PARENT = "--until-stdin-ends"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelstac.job", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("job", type=Path, help="the job, as JSON")
    parser.add_argument(WITH_PARENT, action="store_true", help="end when whoever started it ends")
    options = parser.parse_args(arguments)
    # Frameworks print. So what they print goes to stderr, and the result to where stdout was.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        if options.until_stdin_ends:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        answer, code = _answer(options.job)
        answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return code


def _answer(path: Path) -> tuple[dict[str, Any], int]:
    try:
        from modelstac.cli.common.options import read_text
        from modelstac.cli.common.quiet import quiet_frameworks
        from modelstac.jobs.job import Job
        from modelstac.jobs.perform import perform

        quiet_frameworks()
        job = Job.from_json(read_text(path, "job"), where=str(path))
        return {"result": perform(job, report=_say)}, 0
    except ModelStacError as error:
        code = error.exit_code
        name, message = type(error).__name__, " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - the last guard: the log holds the traceback, the answer one line
        traceback.print_exc()
        code = 1
        name, message = type(error).__name__, " ".join(f"{type(error).__name__}: {error}".split())
    print(harmless(f"error: {message}"), file=sys.stderr)
    return {"error": name, "message": message}, code


def _say(message: Message) -> None:
    if isinstance(message, Note):
        print(harmless(f"note: {message.text}"), file=sys.stderr, flush=True)


def _end_with_stdin() -> None:
    """End, with all processes of our own, when the pipe from our parent closes: it died, or wants us to."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    seldom_collected()
    from modelstac.registry.isolated.answers import leave

    leave(main())
