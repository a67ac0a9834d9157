"""``modelstac serve``: the API server, and models that it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import trust_option
from modelstac.cli.common.quiet import quiet_frameworks
from modelstac.cli.keeping.settings import DATABASE, settings_of

if TYPE_CHECKING:
    from modelstac.catalog.server.settings import ServerSettings


@click.command()
@click.option(
    "--catalog", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="Embedded catalog; made when new."
)
@click.option("--database", metavar=DATABASE, help="Serve a pgstac database instead.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, metavar="N", help="Port to listen on (8080; 0 takes a free one).")
@click.option("--keys", type=click.Path(path_type=Path), metavar="FILE", help="File of the write keys.")
@click.option("--artifacts", metavar="FOLDER|URL", help="Where uploaded artifacts go.")
@click.option(
    "--browser",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A built STAC Browser to show (.browser/dist, if there).",
)
@click.option(
    "--predict",
    "models",
    multiple=True,
    metavar="ID",
    help="Run this model, or what MODEL@ALIAS points to, by the Open Inference Protocol at /v2; repeatable.",
)
@trust_option
def serve(models: tuple[str, ...], trust: tuple[str, ...], **given: Any) -> None:
    """Serve a catalog as a STAC API; reads are open, writes need a key of 'modelstac keys'.

    Every option can also be set by the environment, as MODELSTAC_CATALOG, MODELSTAC_DATABASE, MODELSTAC_PORT and so on.
    """
    settings = settings_of(**given)

    from modelstac.catalog.server.serve import serve as run

    run(settings, _inference(models, settings, trust))


def _inference(models: tuple[str, ...], settings: ServerSettings, trust: tuple[str, ...]) -> Any:
    """Return what makes the service beside the STAC API; None without models."""
    if not models:
        if trust:
            raise click.UsageError(f"--trust {trust[0]} is for the models of --predict: name one")
        return None
    quiet_frameworks()
    from modelstac.catalog.errors import MissingPackageError

    try:
        from modelstac.registry.serving.serve import inference
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "inference", "serving models") from error
    return inference(models, settings, trust=trust)
