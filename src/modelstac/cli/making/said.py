"""Options of ``modelstac publish`` that say what a model is, by the names of the call in Python and of a YAML file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

Option = Callable[[Callable[..., None]], Callable[..., None]]
FILES = (".yaml", ".yml", ".json")
_NAMED = re.compile(r"(?P<name>[^\W\d][\w.:/-]*)=(?P<text>.+)", re.DOTALL)


class Named(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """Words with commas between them, of the only input or output, or of one that is named: ``s1=batch,height``."""

    name = "named words"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - the names are click's
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str | None, tuple[str, ...]]:
        """Split name and words."""
        if isinstance(value, tuple):
            return value
        name, equals, words = value.rpartition("=")
        return (name.strip() if equals else None), tuple(word.strip() for word in words.split(","))


def by_name(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[str | None, tuple[str, ...]], ...]
) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    """Give the words of the only one, or those of each by its name; what is said again is added."""
    names = [name for name, _ in values]
    if all(name is None for name in names):
        return tuple(word for _, words in values for word in words)
    if None in names:
        raise click.BadParameter(f"name each: {ctx.command_path} {param.opts[0]} NAME=…", ctx, param)
    found: dict[str, tuple[str, ...]] = {}
    for name, words in values:
        found[str(name)] = (*found.get(str(name), ()), *words)
    return found


def ranges(ctx: click.Context, param: click.Parameter, values: tuple[tuple[str | None, tuple[str, ...]], ...]) -> Any:
    """Give the range of the only input, or of each by its name; several pairs are those of its bands."""
    found: dict[str | None, list[list[float]]] = {}
    for name, words in values:
        try:
            low, high = map(float, words)
        except ValueError as error:
            text = f"write LOWEST,HIGHEST as two numbers, not {','.join(words)!r}"
            raise click.BadParameter(text, ctx, param) from error
        found.setdefault(name, []).append([low, high])
    if None in found and len(found) > 1:
        raise click.BadParameter(f"name each: {ctx.command_path} {param.opts[0]} NAME=…", ctx, param)
    pairs = {name: given[0] if len(given) == 1 else given for name, given in found.items()}
    return pairs.get(None, ()) if None in pairs or not pairs else {str(name): given for name, given in pairs.items()}


def examples(ctx: click.Context, param: click.Parameter, values: tuple[tuple[str | None, tuple[str, ...]], ...]) -> Any:
    """Give the path of the example of the only input, or of each by its name."""
    found = {name: Path(",".join(words)).absolute() for name, words in values}
    if len(found) < len(values) or (None in found and len(found) > 1):
        raise click.BadParameter(f"give one of each input: {ctx.command_path} {param.opts[0]} NAME=FILE", ctx, param)
    return found.get(None, found or None)


class Box(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A bounding box in degrees."""

    name = "box"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Read WEST,SOUTH,EAST,NORTH as GeoJSON; west beyond east crosses the antimeridian."""
        from modelstac.catalog.items.geometry import box_geometry, check_bbox

        try:
            west, south, east, north = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no box: write WEST,SOUTH,EAST,NORTH in degrees", param, ctx)
        try:
            check_bbox((west, south, east, north))
        except ValueError as error:
            self.fail(f"{error}, of which longitudes go from -180 to 180", param, ctx)
        return box_geometry((west, south, east, north))


class Period(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A time, or two with a slash between them."""

    name = "period"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, datetime]:
        """Read START/END in ISO 8601; a day, week, month or year is all of it."""
        from modelstac.catalog.times import first_and_last

        first, slash, last = value.partition("/")
        try:
            return first_and_last(first)[0], first_and_last(last if slash else first)[1]
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write START/END, such as 2020-01-01/2021-12-31T12:00Z", param, ctx)


class Words(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """Words with commas between them, or the path of a YAML or JSON file."""

    name = "words"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - the names are click's
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Any:
        """Give a path, or words."""
        if not isinstance(value, str):
            return value
        path = file_of(value)
        return path if path is not None else [word.strip() for word in value.split(",")]


class Value(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions of click only
    """A value as YAML writes it, of the only input or of one that is named: ``s1={type: scale, value: 255}``."""

    name = "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str | None, Any]:
        """Split the name, and read the value, or give the path of its file."""
        import yaml

        from modelstac.catalog.written import read_file

        if isinstance(value, tuple):
            return value
        match = _NAMED.fullmatch(value)
        name, text = (match["name"], match["text"]) if match else (None, value)
        if (path := file_of(text)) is not None:
            return name, path if name is None else read_file(path).values
        try:
            return name, yaml.safe_load(text)
        except yaml.YAMLError:
            self.fail(f"{text!r} is no value as YAML writes one, such as {{type: scale, value: 10000}}", param, ctx)


def file_of(text: str) -> Path | None:
    """Give the path of a YAML or JSON file, None for other texts."""
    return Path(text).absolute() if text.casefold().endswith(FILES) and "\n" not in text else None


def values(ctx: click.Context, param: click.Parameter, found: tuple[tuple[str | None, Any], ...]) -> Any:
    """Give the value of the only one, or those by name."""
    given = dict(found)
    if len(given) < len(found) or (None in given and len(given) > 1):
        raise click.BadParameter(f"name each once: {ctx.command_path} {param.opts[0]} NAME=…", ctx, param)
    return given.get(None) if None in given else ({str(name): value for name, value in given.items()} or None)


def pairs(ctx: click.Context, param: click.Parameter, found: tuple[tuple[str | None, Any], ...]) -> Any:
    """Give values by name, with those of files."""
    made: dict[str, Any] = {}
    for name, value in found:
        if name is not None:
            made[name] = value
        elif isinstance(value, Path):
            made |= _of_file(str(param.name), value)
        elif isinstance(value, dict):
            made |= value
        else:
            raise click.BadParameter(f"write NAME=NUMBER, or a file (.json, .yaml), not {value!r}", ctx, param)
    return made or None


def _of_file(name: str, path: Path) -> Any:
    """Read names and values from a file, which is named with the line of what makes no sense."""
    from modelstac.registry.publishing.beside import read_scores
    from modelstac.registry.publishing.values import read_hyperparameters

    return {"metrics": read_scores, "hyperparameters": read_hyperparameters}[name](path, Path())


def named(flag: str, name: str, metavar: str, text: str) -> Option:
    """Make an option that is given once, or once for each input or output."""
    return click.option(flag, name, metavar=metavar, type=Named(), multiple=True, callback=by_name, help=text)


def valued(flag: str, metavar: str, text: str, read: Any = values) -> Option:
    """Make an option of values as YAML writes them."""
    return click.option(flag, metavar=metavar, type=Value(), multiple=True, callback=read, help=text)


def filed(flag: str, text: str) -> Option:
    """Make an option of a file."""
    kind = click.Path(path_type=Path, resolve_path=True)
    return click.option(flag, metavar="FILE", type=kind, help=text)


OPTIONS: tuple[Option, ...] = (
    click.option("--name", metavar="NAME", help="Name of the model."),
    click.option("--version", metavar="VERSION", help="Version of the model, such as 1.0.0."),
    named("--task", "task", "TASK", "What it is for, in MLM's terms; repeatable, and by output: NAME=TASK."),
    click.option("--architecture", metavar="TEXT", help="Kind of network, such as U-Net."),
    click.option("--license", metavar="SPDX", help="Licence, such as CC-BY-4.0."),
    click.option("--bbox", metavar="W,S,E,N", type=Box(), help="Place of the training data, degrees."),
    click.option(
        "--geometry",
        metavar="GEOJSON",
        type=click.Path(path_type=Path, resolve_path=True),
        help="The same as a GeoJSON geometry.",
    ),
    click.option("--datetime", metavar="START/END", type=Period(), help="Time of the training data, ISO 8601."),
    named(
        "--input-dims", "input_dims", "[NAME=]A,B,…", "What the axes of the input are, in their order; of each by name."
    ),
    named("--output-dims", "output_dims", "[NAME=]A,B,…", "What the axes of the output are."),
    named("--bands", "bands", "[NAME=]A,B,…", "Names along an input axis called bands, band, channel, channels or c."),
    named("--output-bands", "output_bands", "[NAME=]A,B,…", "The same of an output."),
    click.option(
        "--range",
        metavar="[NAME=]LOW,HIGH",
        type=Named(),
        multiple=True,
        callback=ranges,
        help="What an input is fed, after scaling; repeatable for each band. Conversions are judged on it.",
    ),
    click.option(
        "--example",
        metavar="[NAME=]FILE",
        type=Named(),
        multiple=True,
        callback=examples,
        help="Array (.npy) that an input is fed: published with its output; conversions are judged on it.",
    ),
    click.option("--variant", metavar="NAME", help="Last part of the item id.  [default: the format]"),
    click.option("--title", metavar="TEXT", help="Title.  [default: the name]"),
    click.option("--description", metavar="TEXT", help="What the model is, in Markdown."),
    click.option("--keyword", "keywords", metavar="WORD", multiple=True, help="Word to find it by; repeatable."),
    click.option("--backend", type=click.Choice(["tensorflow", "torch", "jax"]), help="What Keras ran on in training."),
    click.option("--backend-version", metavar="VERSION", help="Its version; a .keras file records neither."),
    click.option("--pretrained/--from-scratch", default=None, help="Whether training began from other weights."),
    click.option("--pretrained-source", metavar="TEXT", help="Whose weights those were."),
    click.option("--derived-from", metavar="ID", multiple=True, help="Item id or URL of data or a model."),
    click.option(
        "--example-scaled", is_flag=True, default=None, help="The example is scaled already, as the model reads it."
    ),
    click.option(
        "--gaps/--no-gaps", default=None, help="NaN in the example: what the model is fed for what is missing."
    ),
    click.option(
        "--classes", metavar="FILE|A,B,…", type=Words(), help="Classes: a YAML file (name, value, color), or names."
    ),
    valued(
        "--scaling",
        "[NAME=]YAML",
        "From physical values to the model's: 10000, '{type: z-score, …}', one a band, a file.",
    ),
    valued("--units", "UNIT", "Unit of the bands: one, or '{B02: \"1\"}'."),
    valued("--resize", "[NAME=]TYPE", "How images are brought to its size: MLM's resize_type, such as pad."),
    valued("--metrics", "NAME=NUMBER", "Score on held-out data, or a file of them; repeatable.", pairs),
    click.option("--main-metric", metavar="NAME", help="The score that matters most, which pages show first."),
    filed("--metrics-table", "Table of the scores (.csv)."),
    filed("--metrics-picture", "Picture of the scores (.png)."),
    filed("--thumbnail", "Small picture of what it gives (.png)."),
    valued("--hyperparameters", "NAME=VALUE", "Of the training, or a file of them; repeatable.", pairs),
    click.option("--entrypoint", metavar="P.M:F", help="Function that builds the architecture, for weights."),
    filed("--requirements", "Packages that it was trained with."),
    filed("--code", "The script that made it: published is its commit."),
    click.option("--training-data", metavar="ID", multiple=True, help="Item id, URL or file; repeatable."),
    click.option("--author", metavar="NAME", multiple=True, help="Who made it, 'Name <address>'; repeatable."),
    click.option("--citation", metavar="TEXT", help="How to cite it."),
    click.option("--doi", metavar="DOI", help="DOI of its publication."),
    filed("--card", "Model card in Markdown."),
    click.option("--region", metavar="TEXT", help="Name of the place of the training data."),
    click.option("--season", metavar="MONTHS", help="Months that it was trained on, such as Jun-Aug."),
)


def said_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add all options that say something of a model."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def by_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Give options by the names of :class:`modelstac.registry.publishing.saying.Said`.

    Raises
    ------
    click.UsageError
        If two of them say the same.
    """
    if "bbox" in given and "geometry" in given:
        raise click.UsageError("give --bbox or --geometry, not both")
    if ("backend" in given) != ("backend_version" in given):
        raise click.UsageError("give --backend and --backend-version, or neither")
    if "bbox" in given:
        given["geometry"] = given.pop("bbox")
    return given
