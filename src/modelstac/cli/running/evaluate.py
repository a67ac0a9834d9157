"""``modelstac evaluate``: how good the maps of a model are, against labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import catalog_option, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import quiet_frameworks
from modelstac.cli.common.terminal import say
from modelstac.cli.running.scene import reading_of, reading_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelstac.registry.scenes.evaluating.evaluation import Evaluation


class Translation(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A value of labels and what it stands for."""

    name = "translation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read LABEL=CLASS, two whole numbers."""
        old, _, new = value.partition("=")
        try:
            return int(old), int(new)
        except ValueError:
            self.fail(f"write LABEL=CLASS as two whole numbers, such as 255=0, not {value!r}", param, ctx)


@click.command()
@click.argument("words", metavar="[MODEL] SCENES [LABELS]", nargs=-1, required=True)
@click.option("--maps", "are_maps", is_flag=True, help="SCENES are maps already: no model is run.")
@click.option("--kind", type=click.Choice(["classes", "numbers"]), help="What maps show.  [default: by their type]")
@click.option("--ignore", metavar="VALUE", type=float, multiple=True, help="Value of labels that counts as none.")
@click.option(
    "--translate", metavar="LABEL=CLASS", type=Translation(), multiple=True, help="What a value of labels stands for."
)
@click.option("--resample", type=click.Choice(["nearest"]), help="Bring labels of another grid onto that of the map.")
@click.option("--band", type=click.IntRange(1), help="Band of the map, where it has several.")
@click.option("--output-name", metavar="NAME", help="Output of the model, where it has several.")
@click.option("--post", metavar="STEPS", help="As of modelstac predict: argmax, sigmoid,threshold:0.5, none, …")
@reading_options
@click.option("--keep", metavar="FOLDER", type=click.Path(path_type=Path), help="Keep the maps, in this folder.")
@click.option(
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write metrics.json, .csv and .png, and scores.json.",
)
@catalog_option
@json_option("the evaluation")
def evaluate(
    *,
    words: tuple[str, ...],
    are_maps: bool,
    output: Path | None,
    catalog: str | None,
    as_json: bool,
    ignore: tuple[float, ...],
    translate: tuple[tuple[int, int], ...],
    resample: str | None,
    band: int | None,
    **how: Any,
) -> None:
    """Make a map of each of SCENES with MODEL and compare it with LABELS: confusion matrix, IoU, F1, or RMSE and bias.

    SCENES and LABELS are a scene and its raster, or two folders with the same names; or SCENES alone is a list: CSV
    with the columns scene and labels. Scores are of all pixels together, with bootstrap intervals over scenes, or over
    blocks where there are few. An item that is published with scores.json has them in interop:scores.
    """
    from modelstac.registry.scenes.evaluating.evaluation import evaluate_maps
    from modelstac.registry.scenes.evaluating.grids import Rules
    from modelstac.registry.scenes.evaluating.models import evaluate as run
    from modelstac.registry.scenes.evaluating.pairing import pair
    from modelstac.registry.scenes.evaluating.writing import check_folder, write_evaluation

    model, *paths = ("", *words) if are_maps else words
    if not 1 <= len(paths) <= 2:
        text = "MAPS and LABELS, or a list of both" if are_maps else "MODEL, SCENES and LABELS, or MODEL and a list"
        raise click.UsageError(f"give {text}")
    reading = reading_of(how)
    made = reading | {name: how[name] for name in ("post", "keep", "output_name") if how[name] is not None}
    if are_maps and made:
        odd = ", ".join(f"--{name.replace('_', '-')}" for name in made)
        raise click.UsageError(f"--maps runs no model, and {odd} would say how: leave one of both out")
    rules = Rules(ignore, dict(translate), resample is not None, band)
    pairs = pair(*paths)
    for folder in (output, how["keep"]):
        if folder is not None:
            check_folder(folder)
    quiet_frameworks()
    with progress() as report:
        if are_maps:
            found = evaluate_maps(pairs, kind=how["kind"], rules=rules, report=report)
        else:
            options = {"kind": how["kind"], "output": how["output_name"], "maps": how["keep"]}
            options["predicting"] = {"post": how["post"], "fill": how["fill"], "reading": reading}
            found = run(model, pairs, catalog=catalog, rules=rules, report=report, **options)
    written = [] if output is None else write_evaluation(found, output)
    if as_json:
        print_json(found.to_dict())
        return
    for line in _told(found):
        say(line)
    for path in written:
        say(f"wrote {path}")


def _told(found: Evaluation) -> Iterable[str]:
    count = len(found.scenes)
    yield f"{found.pixels:,} pixels of {'one scene' if count == 1 else f'{count} scenes'}"
    for name, value in found.scores.items():
        unit = f" {found.unit}" if found.unit and name != "r2" else ""
        yield f"  {name:18}{value:.4f}{unit}{_pair(found, name)}"
    if found.by_class is not None:
        width = max(len(one.name) for one in found.classes)
        yield f"  {'':{width}}    IoU     F1  recall  precision"
        for k, one in enumerate(found.classes):
            iou, f1, recall, precision = (_number(found.by_class[n][k]) for n in ("iou", "f1", "recall", "precision"))
            yield f"  {one.name:{width}}  {iou:>5}  {f1:>5}   {recall:>5}      {precision:>5}"
    yield from found.notes
    yield found.interval.told()


def _pair(found: Evaluation, name: str) -> str:
    low, high = (found.interval.of.get(name) or [(float("nan"), float("nan"))])[0]
    return f"  [{low:.4f}, {high:.4f}]" if low == low else ""  # noqa: PLR0124 - NaN


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"  # noqa: PLR0124 - NaN
