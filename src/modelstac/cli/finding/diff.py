"""``modelstac diff``: in what two models differ, and where a difference begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.exporters.diff import Comparison, FieldDifference, LayerDifference, WeightDifference

MOST_WEIGHTS = 12
LONGEST = 60


@click.command()
@click.argument("first", metavar="ID1")
@click.argument("second", metavar="ID2")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="SHARE",
    help="Largest difference as a share of the largest value of a layer.  [default: 1e-4]",
)
@catalog_option
@json_option("all differences")
def diff(first: str, second: str, tolerance: float | None, catalog: str | None, as_json: bool) -> int:
    """Compare two models: items, weights, and each layer on the same input; say where a difference begins.

    Layers are compared where both runtimes show them and they have names in common; else the output alone, and why is
    said. ID1 and ID2 may also be MODEL@ALIAS, MODEL, or MODEL with a range of versions. The exit code is 1 when the
    two compute something else, or cannot be fed the same.
    """
    lean_frameworks()
    from modelstac.exporters.diff import TOLERANCE, diff
    from modelstac.exporters.workers import Workers
    from modelstac.registry.choosing.references import by_name

    opened = existing_catalog(catalog)
    one, other = (by_name(what, opened).items[0] for what in (first, second))
    with progress() as report, Workers() as workers:
        found = diff(one, other, workers, tolerance=TOLERANCE if tolerance is None else tolerance, report=report)
    if as_json:
        print_json(found.to_dict())
    else:
        say("\n\n".join(_parts(found, one.id, other.id)))
    return 0 if found.passed else 1


def _parts(found: Comparison, first: str, second: str) -> Iterator[str]:
    """Give the three parts of the answer; a field that one item lacks is counted, and shown by ``--json``."""
    both = [row for row in found.fields if None not in {row.first, row.second}]
    said = [columns(("ITEM", first, second), [*map(_field, both)])] if both else []
    if alone := len(found.fields) - len(both):
        said.append(f"item: {alone} more fields are in one only, see --json")
    if said:
        yield "\n".join(said)
    apart = sorted((row for row in found.weights if row.largest != 0), key=_share, reverse=True)
    said = []
    if apart:
        said.append(columns(("WEIGHT", "SHAPE", "LARGEST DIFFERENCE", "SHARE"), [*map(_weight, apart[:MOST_WEIGHTS])]))
    if found.weights:
        more = f"; {len(apart) - MOST_WEIGHTS} more differ, see --json" if len(apart) > MOST_WEIGHTS else ""
        said.append(f"weights: {len(found.weights) - len(apart)} of {len(found.weights)} tensors are equal{more}")
    said += [f"weights: {found.weights_note}"] if found.weights_note else []
    yield "\n".join(said)
    said = []
    if found.layers:
        said.append(columns(("AFTER", "SHAPE", "LARGEST DIFFERENCE", "SHARE", "VERDICT"), [*map(_layer, found.layers)]))
    yield "\n".join([*said, *([found.layers_note] if found.layers_note else []), _verdict(found)])


def _field(row: FieldDifference) -> tuple[str, ...]:
    return row.field, *("–" if text is None else _short(text) for text in (row.first, row.second))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _share(row: WeightDifference) -> float:
    return float("inf") if row.relative is None else row.relative


def _weight(row: WeightDifference) -> tuple[str, ...]:
    return row.name, *_numbers(row)


def _layer(row: LayerDifference) -> tuple[str, ...]:
    return row.layer, *_numbers(row), "equal" if row.passed else "differs"


def _numbers(row: WeightDifference | LayerDifference) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape))
    if row.largest is None or row.relative is None:
        return shape, "another shape", ""
    return shape, f"{row.largest:.1e}", f"{row.relative:.1e}"


def _verdict(found: Comparison) -> str:
    begins = found.begins
    if not found.layers:
        return "they are not the same"
    if begins is None:
        apart = any(not row.passed for row in found.layers)
        return "they agree, though not after every layer: one may be folded into another" if apart else "they agree"
    frame = f", from frame {begins.first_frame} on" if begins.first_frame is not None else ""
    return f"the difference begins at {begins.layer}{frame}"
