"""``modelstac export``: a published model in another format, proved equal to its source."""

from __future__ import annotations

import click

from modelstac.cli.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.progress import progress
from modelstac.cli.quiet import quiet_frameworks


@click.command()
@click.argument("item_id", metavar="ID")
@click.option("--to", "target", default="onnx", show_default=True, metavar="FORMAT", help="Format to convert to.")
@click.option("--seed", default=0, show_default=True, help="Of the random cases on which the two are compared.")
@catalog_option
@json_option("the published item")
def export(item_id: str, target: str, seed: int, catalog: str | None, as_json: bool) -> None:
    """Convert the model ID, compare the result with it, and publish it if the two agree.

    The new item is called like its source, with the variant FORMAT-from-VARIANT. A conversion out of tolerance is not
    published; one that was made before is not made again.
    """
    quiet_frameworks()
    from modelstac.exporters.jobs import ExportJob, export

    with progress() as report:
        item = export(ExportJob(source=item_id, target=target, seed=seed), existing_catalog(catalog), report=report)
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
        return
    parity = item.properties["interop:parity"]
    apart = f"at most {parity['max_absolute_difference']:.1e} from {item_id} in {parity['cases']} cases"
    click.echo(f"published {item.id}: {apart}")
