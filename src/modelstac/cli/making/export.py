"""``modelstac export``: a published model in another format, proved equal to its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json, trust_option
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import quiet_frameworks
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("item_id", metavar="ID", required=False)
@click.option("--to", "target", default="onnx", show_default=True, metavar="FORMAT", help="Format to convert to.")
@click.option("--via", metavar="FORMAT", help="Format that the route must pass; by default the cheapest that works.")
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    metavar="NAME",
    help="Of the numbers: fp32, and for ONNX fp16 or int8 (dynamic quantisation), each an item of its own.",
)
@click.option(
    "--unroll",
    type=click.IntRange(min=1),
    metavar="FRAMES",
    help="For ONNX: fix the number of frames and write each time step out, instead of a loop over any number.",
)
@click.option(
    "--fixed",
    is_flag=False,
    flag_value="",
    metavar="[AXIS=LENGTH,…]",
    help="Allow axes to be closed that the source leaves open: any, or these, at these lengths.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of radar frames: compare and score the two on windows of them, too.",
)
@click.option(
    "--tolerance",
    type=float,
    metavar="MAX",
    help="Allow this absolute difference (and ten times it relative) instead of what the precision does; recorded.",
)
@click.option("--lock", is_flag=True, help="Publish all packages that run it with their hashes, as uv finds them now.")
@click.option("--seed", default=0, show_default=True, help="Of the random cases on which the two are compared.")
@click.option("--routes", "show_routes", is_flag=True, help="Print all conversions, and which work here.")
@click.option("--matrix", "all_of_them", is_flag=True, help="Convert every model of the catalog to every format.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for conversions.html and conversions.md of --matrix; by default the current one.",
)
@trust_option
@catalog_option
@json_option("the published item, the routes or the matrix")
def export(
    *,
    item_id: str | None,
    target: str,
    via: str | None,
    precision: str,
    unroll: int | None,
    fixed: str | None,
    data: Path | None,
    tolerance: float | None,
    lock: bool,
    seed: int,
    show_routes: bool,
    all_of_them: bool,
    out: Path,
    trust: tuple[str, ...],
    catalog: str | None,
    as_json: bool,
) -> None:
    """Convert the model ID, compare the result with it, and publish it if the two agree.

    ID may also be MODEL@ALIAS, MODEL, or MODEL with a range of versions.
    The new item is called like its source, with the variant FORMAT-from-VARIANT. A conversion out of tolerance is not
    published; one that was made before is not made again.
    """
    if show_routes:
        _print_routes(as_json)
        return
    if all_of_them:
        _convert_all(catalog, out, as_json)
        return
    if item_id is None:
        raise click.UsageError("name the model to convert by its item ID, or ask for --routes")
    quiet_frameworks()
    from modelstac.exporters.jobs import ExportJob, export
    from modelstac.registry.choosing.references import by_name
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    with progress() as report:
        opened = existing_catalog(catalog)
        source = by_name(item_id, opened).items[0].id
        job = ExportJob(
            source=source,
            target=target,
            via=via,
            precision=precision,
            seed=seed,
            data=None if data is None else str(data),
            tolerance=tolerance,
            options=_options(unroll, fixed),
        )
        item = export(job, opened, policy=DEFAULT_POLICY.trusting(*trust), lock=lock, report=report)
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
        return
    from modelstac.catalog.items.evidence import told_cases, told_parity

    parity = item.properties["interop:parity"]
    say(f"published {item.id}: {told_parity(parity)} from {source} in {told_cases(parity)}")
    for line in _several(parity):
        say(f"  {line}")
    if "rmse_change" in parity:
        skill = f", CSI by at most {parity['csi_change']:.1e}" if "csi_change" in parity else ""
        say(f"on real windows the RMSE changes by {parity['rmse_change']:+.1e} mm/h{skill}")


def _options(unroll: int | None, fixed: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if unroll is None else {"unroll": unroll}
    if fixed is None:
        return found
    lengths: dict[str, int] = {}
    for part in filter(None, fixed.split(",")):
        axis, _, length = part.rpartition("=")
        if not axis.strip() or not length.strip().isdecimal():
            raise click.UsageError(f"--fixed maps axes to lengths, such as time=6,batch=2, not {part!r}")
        lengths[axis.strip()] = int(length)
    return found | {"fixed": lengths or True}


def _several(parity: dict[str, Any]) -> Iterator[str]:
    """Give a line for each output, where there are several."""
    for name, output in (parity.get("outputs") or {}).items():
        if not output["values"]:
            yield f"{name}: empty in every case"
        elif (ppm := output.get("differing_ppm")) is not None:
            yield f"{name}: {ppm:.0f} of a million values differ"
        else:
            yield f"{name}: at most {output['max_absolute_difference']:.1e} apart"


def _print_routes(as_json: bool) -> None:
    from modelstac.exporters.routes import table

    edges = table()
    if as_json:
        print_json(edges)
        return
    for edge in edges:
        kind = f"{edge['architecture']} only" if edge["architecture"] else "any architecture"
        state = f"not here: {edge['unavailable']}" if edge["unavailable"] else edge["method"]
        cost = "–" if edge["cost"] is None else f"{edge['cost']:g}"
        say(f"{edge['source']:>16} -> {edge['target']:16} {cost}  {kind:17} {state}")


def _convert_all(href: str | None, out: Path, as_json: bool) -> None:
    quiet_frameworks()
    from dataclasses import asdict

    from modelstac.catalog.backends.storage import explained
    from modelstac.catalog.errors import ConversionError
    from modelstac.cli.common.files import write_atomically
    from modelstac.exporters.matrix import HEADS, as_texts, matrix
    from modelstac.report import Table, write_html

    catalog = existing_catalog(href)
    with progress() as report:
        rows = matrix(catalog, report=report)
    caption = (
        "Time of the conversion without the comparison; largest absolute difference over all cases; latency of one "
        "prediction, batch 1, on the grid that the model was made for, median of five."
    )
    table = Table("Conversions", caption, HEADS, list(as_texts(rows)))
    with explained(f"write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
        write_html(
            out / "conversions.html",
            title="Every model in every format",
            summary=f"{catalog.href}: {len(rows)} rows.",
            tables=[table],
            pictures=[],
        )
    text = f"# Every model in every format\n\n{caption}\n\n{table.to_markdown()}\n"
    write_atomically(out / "conversions.md", text.encode())
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        say(table.to_text())
        say(f"\nwritten to {out / 'conversions.html'} and {out / 'conversions.md'}")
    if failed := sum(row.error is not None for row in rows):
        raise ConversionError(f"{failed} of {len(rows)} conversions failed: see the table")
