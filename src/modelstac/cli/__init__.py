"""The command line: one small module a command.

Each command imports what it needs inside its function, so that ``modelstac --help`` loads neither a framework nor the
catalog's own dependencies.

Order, each importing only from those before it: common · making, finding, running, keeping.
"""

from __future__ import annotations

import click

from modelstac.cli.common.errors import Guarded
from modelstac.cli.finding.diff import diff
from modelstac.cli.finding.index import index
from modelstac.cli.finding.report import report
from modelstac.cli.finding.resolve import resolve
from modelstac.cli.finding.search import search
from modelstac.cli.finding.show import show
from modelstac.cli.keeping.adopt import adopt
from modelstac.cli.keeping.alias import alias
from modelstac.cli.keeping.cache import cache
from modelstac.cli.keeping.deprecate import deprecate
from modelstac.cli.keeping.serve import database, gc, keys, serve
from modelstac.cli.keeping.sign import sign, verify
from modelstac.cli.keeping.sync import sync
from modelstac.cli.making.data import data
from modelstac.cli.making.demo import demo
from modelstac.cli.making.export import export
from modelstac.cli.making.matrix import matrix
from modelstac.cli.making.pipeline import pipeline
from modelstac.cli.making.publish import publish
from modelstac.cli.making.train import train
from modelstac.cli.running.env import env
from modelstac.cli.running.lock import lock
from modelstac.cli.running.predict import predict
from modelstac.cli.running.probe import probe
from modelstac.cli.running.test import test

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
for command in (*MAKE, *FIND, predict, probe, *COMPARE, *KEEP, *TRUST, demo, *SERVER):
    main.add_command(command)

__all__ = ["main"]
