"""``modelstac test``: replay the example that is published with a model."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json, trust_option
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("what", metavar="ID")
@click.option("--rehash", is_flag=True, help="Hash the model file even if it was verified before.")
@click.option("--record", is_flag=True, help="Note in the item that it passed in this environment (interop:verified).")
@trust_option
@catalog_option
@json_option("the result")
def test(*, what: str, rehash: bool, record: bool, trust: tuple[str, ...], catalog: str | None, as_json: bool) -> int:
    """Load the model ID, replay the example published with it, and say how far its output is from the published one."""
    lean_frameworks()
    from modelstac.registry import load
    from modelstac.registry.isolated.verified import model_environment

    with progress() as report, load(what, catalog=catalog, rehash=rehash, trust=trust, report=report) as model:
        result = model.self_test(report=report)
        environment = model_environment(model, result.max_absolute) if record and result.passed else None
    if environment is not None:
        existing_catalog(catalog).add_verified(result.item, [environment])
    if as_json:
        print_json(result.to_dict())
    else:
        say(str(result))
    return 0 if result.passed else 1
