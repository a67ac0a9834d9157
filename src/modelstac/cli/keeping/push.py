"""``modelstac push``: an item of ours into another registry."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("item_id", metavar="ITEM")
@click.argument("target", metavar="TARGET")
@click.option("--tracking-uri", metavar="URL", help="The MLflow server.  [default: MLFLOW_TRACKING_URI]")
@click.option("--private", is_flag=True, help="A repository that is made is seen by its owner alone.")
@catalog_option
@json_option("what it is called there")
def push(
    *, item_id: str, target: str, tracking_uri: str | None, private: bool, catalog: str | None, as_json: bool
) -> None:
    """Put ITEM into another registry: TARGET is mlflow:NAME, or hf://ORG/REPO on the Hugging Face Hub.

    Its file is verified first. With it go the item, and what the registry shows of it: a model card, or parameters,
    scores, tags and signature. What was pushed before is not pushed again.
    """
    from modelstac.registry.exchange.pushing import push as put

    with progress() as report:
        found = put(item_id, target, catalog=catalog, tracking_uri=tracking_uri, private=private, report=report)
    if as_json:
        print_json({"item": item_id, "pushed": found})
    else:
        say(f"pushed {item_id} to {found}")
