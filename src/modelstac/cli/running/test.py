"""``modelstac test``: replay the example that is published with a model."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, json_option, print_json, trust_option
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import quiet_frameworks


@click.command()
@click.argument("what", metavar="ID")
@click.option("--rehash", is_flag=True, help="Hash the model file even if it was verified before.")
@trust_option
@catalog_option
@json_option("the result")
def test(*, what: str, rehash: bool, trust: tuple[str, ...], catalog: str | None, as_json: bool) -> int:
    """Load the model ID, replay the example published with it, and say how far its output is from the published one."""
    quiet_frameworks()
    from modelstac.registry import load

    with progress() as report, load(what, catalog=catalog, rehash=rehash, trust=trust, report=report) as model:
        result = model.self_test(report=report)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(str(result))
    return 0 if result.passed else 1
