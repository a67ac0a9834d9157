"""``python -m modelstac``, and the command ``modelstac``."""

import contextlib
import gc
import os
import sys
import threading

from modelstac.cli import main

HEAVY = {"tensorflow", "torch"}
"""What takes a second or two to be taken apart, after all was said."""


def run() -> None:
    """Run the command line, and end at once where nothing of it still runs."""
    # Pydantic looks for plugins in all that is installed, and a command has none; who sets this to nothing has them.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    try:
        main(prog_name="modelstac")
    except SystemExit as end:
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
