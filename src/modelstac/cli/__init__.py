"""The command line: one small module a command.

A command's module is imported when it is called, and imports what it needs inside its function: ``modelstac --help``
loads neither a framework nor the catalog's own dependencies, nor any command.

Order, each importing only from those before it: common · making, finding, running, keeping.
"""

from __future__ import annotations

import click

from modelstac.cli.common.errors import Guarded
from modelstac.cli.common.later import Commands

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


main.commands = Commands(
    {
        "data": ("making.data", "Fetch, generate and prepare radar frames; generate scenes"),
        "train": ("making.train", "Train a model on radar frames, or by a function of yours"),
        "export": ("making.export", "Convert a model, prove that the result equals it, publish it"),
        "pipeline": ("making.pipeline", "Run a grid of trainings, exports and maps from a YAML file"),
        "publish": ("making.publish", "Publish a model file, or an item"),
        "search": ("finding.search", "Find models by framework, version, place, time and more"),
        "show": ("finding.show", "Show what a model is, takes and gives, and where it is from"),
        "resolve": ("finding.resolve", "Choose the file of a model that runs best on this machine"),
        "predict": ("running.predict", "Run a model on arrays, a scene or radar frames"),
        "probe": ("running.probe", "Find which sizes a model takes, and how far a pixel looks"),
        "test": ("running.test", "Replay the example that was published with a model"),
        "check": ("keeping.check", "Name the faults of an item, and repair it"),
        "evaluate": ("running.evaluate", "Score a model, or maps, against labels"),
        "diff": ("finding.diff", "Compare two models: items, weights and layers"),
        "matrix": ("making.matrix", "Load every model in every version of its framework"),
        "alias": ("keeping.alias", "List the aliases of a model, or point one to an item"),
        "deprecate": ("keeping.deprecate", "Mark an item as deprecated"),
        "audit": ("keeping.audit", "Show who published, promoted, deprecated, deleted what"),
        "sync": ("keeping.sync", "Copy a catalog, with files and aliases, to another"),
        "index": ("finding.index", "Put a search index beside a catalog"),
        "adopt": ("keeping.adopt", "Publish somebody else's item here"),
        "push": ("keeping.push", "Put an item into MLflow, or on the Hugging Face Hub"),
        "report": ("finding.report", "Write a catalog as one HTML page"),
        "pages": ("finding.pages", "Write a page for each model as HTML"),
        "sign": ("keeping.sign", "Sign an item and its files"),
        "verify": ("keeping.sign", "Check who signed an item, and that it is unchanged"),
        "lock": ("running.lock", "Pin the files of items that state no checksum"),
        "cache": ("keeping.cache", "Look after files that were fetched"),
        "env": ("running.env", "Look after the environments of isolated models"),
        "demo": ("making.demo", "See it all: train, export, publish, search, load, check"),
        "serve": ("keeping.serve", "Serve a catalog as a STAC API"),
        "keys": ("keeping.keys", "Make and revoke keys that may write to a server"),
        "webhooks": ("keeping.webhooks", "Tell other services of what is published"),
        "database": ("keeping.database", "Look after a pgstac database"),
        "gc": ("keeping.database", "Remove uploaded files that no item names"),
    }
)

__all__ = ["main"]
