"""``python -m modelstac``, and the command ``modelstac``."""

import contextlib
import gc
import os
import signal
import sys
import threading
from typing import Any

from modelstac.catalog.ahead import seldom_collected
from modelstac.cli import main

HEAVY = {"tensorflow", "torch"}
"""What takes a second or two to be taken apart, after all was said."""
TERMINATED = 128 + signal.SIGTERM


def _terminated(*_: Any) -> None:
    """End as Ctrl-C does, so that what is half written goes: schedulers and containers end commands by this signal."""
    raise SystemExit(TERMINATED)


def run() -> None:
    """Run the command line, and end at once where nothing of it still runs."""
    # Pydantic looks for plugins in all that is installed, and a command has none; who sets this to nothing has them.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    signal.signal(signal.SIGTERM, _terminated)
    seldom_collected()
    try:
        main(prog_name="modelstac")
    except SystemExit as end:
        if end.code == TERMINATED:
            print("error: ended by SIGTERM", file=sys.stderr)
        gc.freeze()  # or all that is left would be looked through for cycles, just before it goes
        alone = all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate())
        if HEAVY & sys.modules.keys() and alone and not isinstance(end.code, str):
            from modelstac.registry.isolated.answers import leave

            with contextlib.suppress(OSError):  # the ordinary end says that something could not be written
                sys.stdout.flush()
                leave(end.code or 0)
        raise


if __name__ == "__main__":
    run()
