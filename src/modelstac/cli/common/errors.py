"""How the command line ends: one line on stderr and an exit code, whatever happens.

==== ==========================================================================
0    done
1    failed: training, conversion, or a bug
2    the caller can put it right: arguments, names, files, permissions
130  interrupted (Ctrl-C)
143  ended from outside (SIGTERM)
==== ==========================================================================
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, cast

import click

from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.later import needing
from modelstac.cli.common.later import Commands
from modelstac.cli.common.terminal import say

DEBUG = "MODELSTAC_DEBUG"
BUG = "this is a bug: set MODELSTAC_DEBUG=1, run it again and report what it prints"
USER_ERROR, INTERRUPTED = 2, 130
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Guarded(click.Group):
    """A group whose every ending is an exit code and at most one line on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the name is click's
        """Return the commands in the order in which a model passes through them."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them, where the group knows what to say of each."""
        if not isinstance(self.commands, Commands):
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl(self.commands.said())

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line and leave the process."""
        try:
            with needing("this command"):
                result = super().main(*args, **{**options, "standalone_mode": False})
            code = result if isinstance(result, int) else 0
        except (click.Abort, KeyboardInterrupt):  # click turns the second into the first once it has begun
            code = _end("interrupted", INTERRUPTED)
        except click.exceptions.NoArgsIsHelpError as error:  # a group without a command, as modelstac itself
            say(error.format_message())
            code = 0
        except click.UsageError as error:
            meant = error.ctx.command_path if error.ctx else self._meant(args[0] if args else None)
            code = _end(f"{error.format_message().rstrip('.')} (see '{meant} --help')", USER_ERROR)
        except click.ClickException as error:
            code = _end(error.format_message(), USER_ERROR)
        except ModelStacError as error:
            code = _end(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 - the last guard before a traceback
            if isinstance(error, OSError) and error.errno in _FULL:
                code = _end(f"{error}: free some space and run it again", USER_ERROR)
            else:
                code = _end(f"{type(error).__name__}: {error}; {BUG}", 1)
        sys.exit(code)

    def _meant(self, words: Sequence[str] | None) -> str:
        """Name the command of a line: where an option lacks its value click does not say it."""
        path, command = ["modelstac"], cast("click.Command | None", self)
        for word in sys.argv[1:] if words is None else words:
            command = command.commands.get(word) if isinstance(command, click.Group) else None
            if command is None:
                break
            path.append(word)
        return " ".join(path)


def _end(message: str, code: int) -> int:
    """Say in one line why the command ends, and return its exit code."""
    if os.environ.get(DEBUG, "0") not in {"", "0"}:
        traceback.print_exc()
    say(f"error: {' '.join(message.split())}", err=True)
    return code
