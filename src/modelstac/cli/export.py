"""``modelstac export``: a published model in another format, proved equal to its source."""

from __future__ import annotations

import click

from modelstac.cli.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.progress import progress
from modelstac.cli.quiet import quiet_frameworks


@click.command()
@click.argument("item_id", metavar="ID", required=False)
@click.option("--to", "target", default="onnx", show_default=True, metavar="FORMAT", help="Format to convert to.")
@click.option("--via", metavar="FORMAT", help="Format that the route must pass; by default the cheapest is taken.")
@click.option("--seed", default=0, show_default=True, help="Of the random cases on which the two are compared.")
@click.option("--routes", "show_routes", is_flag=True, help="Print all conversions, and which work here.")
@catalog_option
@json_option("the published item, or the routes,")
def export(
    *,
    item_id: str | None,
    target: str,
    via: str | None,
    seed: int,
    show_routes: bool,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Convert the model ID, compare the result with it, and publish it if the two agree.

    The new item is called like its source, with the variant FORMAT-from-VARIANT. A conversion out of tolerance is not
    published; one that was made before is not made again.
    """
    if show_routes:
        _print_routes(as_json)
        return
    if item_id is None:
        raise click.UsageError("name the model to convert by its item ID, or ask for --routes")
    quiet_frameworks()
    from modelstac.exporters.jobs import ExportJob, export

    with progress() as report:
        job = ExportJob(source=item_id, target=target, via=via, seed=seed)
        item = export(job, existing_catalog(catalog), report=report)
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
        return
    parity = item.properties["interop:parity"]
    apart = f"at most {parity['max_absolute_difference']:.1e} from {item_id} in {parity['cases']} cases"
    click.echo(f"published {item.id}: {apart}")


def _print_routes(as_json: bool) -> None:
    from modelstac.exporters.routes import table

    edges = table()
    if as_json:
        print_json(edges)
        return
    for edge in edges:
        kind = f"{edge['architecture']} only" if edge["architecture"] else "any architecture"
        state = f"not here: {edge['unavailable']}" if edge["unavailable"] else edge["method"]
        click.echo(f"{edge['source']:>16} -> {edge['target']:16} {edge['cost']:g}  {kind:17} {state}")
