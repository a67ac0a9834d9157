"""The command line: one small module a command.

Each command imports what it needs inside its function, so that ``modelstac --help`` loads neither a framework nor the
catalog's own dependencies.
"""

from __future__ import annotations

import click

from modelstac.cli.adopt import adopt
from modelstac.cli.alias import alias
from modelstac.cli.cache import cache
from modelstac.cli.data import data
from modelstac.cli.demo import demo
from modelstac.cli.deprecate import deprecate
from modelstac.cli.diff import diff
from modelstac.cli.env import env
from modelstac.cli.errors import Guarded
from modelstac.cli.export import export
from modelstac.cli.index import index
from modelstac.cli.lock import lock
from modelstac.cli.matrix import matrix
from modelstac.cli.pipeline import pipeline
from modelstac.cli.predict import predict
from modelstac.cli.publish import publish
from modelstac.cli.report import report
from modelstac.cli.resolve import resolve
from modelstac.cli.search import search
from modelstac.cli.serve import database, gc, keys, serve
from modelstac.cli.show import show
from modelstac.cli.sign import sign, verify
from modelstac.cli.sync import sync
from modelstac.cli.test import test
from modelstac.cli.train import train

EPILOG = "MODELSTAC_CATALOG names the default catalog; MODELSTAC_DEBUG=1 shows the traceback of an error."


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from modelstac import __version__

        click.echo(f"modelstac {__version__}")
        context.exit()


@click.group(
    cls=Guarded,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
@click.pass_context
def main(context: click.Context) -> None:
    """Publish a model once, find it by framework, place and time, and run it by its item id."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


FIND = (search, show, resolve)
SERVER = (serve, keys, database, gc)
TRUST = (sign, verify, lock, cache, env)
KEEP = (alias, deprecate, sync, index, adopt, report)
MAKE = (data, train, export, pipeline, publish)
COMPARE = (test, diff, matrix)
for command in (*MAKE, *FIND, predict, *COMPARE, *KEEP, *TRUST, demo, *SERVER):
    main.add_command(command)

__all__ = ["main"]
