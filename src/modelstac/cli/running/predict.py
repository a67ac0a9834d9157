"""``modelstac predict``: run a model by its item id, on arrays, on radar frames, or on a scene."""

from __future__ import annotations

import io
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import catalog_option, json_option, named_item, print_json, trust_option
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say
from modelstac.cli.running.scene import is_scene, scene_options
from modelstac.cli.running.tensors import ARRAY, ARRAYS, NETCDF, TABLES

if TYPE_CHECKING:
    import numpy as np

    from modelstac.catalog.messages import Report
    from modelstac.cli.running.nowcast import Nowcast

OUTPUTS, PLOTS = (NETCDF, ARRAYS, ARRAY), (".gif", ".png")


@click.command()
@click.argument("what", metavar="ID")
@click.argument("given", metavar="[INPUT]...", nargs=-1, type=click.Path())
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="The array of an input (.npy), a table of its bands (.csv, .parquet), arrays of several by name (.npz), or "
    "variables with labels (.nc); repeatable.",
)
@click.option(
    "--output",
    "--out",
    "-o",
    "target",
    metavar="FILE",
    help=".npz: each output by name, forecasts with times (by default forecast.npz); .npy: one output alone; .nc: "
    "NetCDF for xarray and QGIS. Of a scene: .tif, .zarr or .nc; .parquet: its polygons alone.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the frames: .gif moves, .png shows six of them.",
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M"]),
    help="Forecast from the frames up to this time (UTC); the plot shows what was measured later beside the forecast.",
)
@click.option("--rehash", is_flag=True, help="Hash the model file even if it was verified before.")
@click.option(
    "--isolated/--here",
    default=None,
    help="Run in an environment of its own, made by uv, or only in this one; by default as MODELSTAC_ISOLATED says.",
)
@click.option(
    "--memory-limit",
    metavar="BYTES",
    help="What the model may take, such as 4GB: it runs in a process of its own, which is held to it (Linux).",
)
@scene_options
@trust_option
@catalog_option
@json_option("a summary")
def predict(
    *,
    what: str,
    given: tuple[str, ...],
    inputs: tuple[str, ...],
    target: str | None,
    plot: Path | None,
    at: datetime | None,
    rehash: bool,
    isolated: bool | None,
    memory_limit: str | None,
    trust: tuple[str, ...],
    catalog: str | None,
    as_json: bool,
    **scene: Any,
) -> None:
    """Run the model ID: an item's id, MODEL@ALIAS, MODEL, MODEL with a range of versions, or an item's URL or path.

    INPUT is an array in the layout that the item declares (.npy), a table whose columns are called as its bands (.csv,
    .parquet), or a folder of radar frames or the files themselves:
    these are prepared as the item records, and the forecast from the latest of them (or those up to --at) is in mm/h.
    A model of several inputs takes each by its name: --input s1=a.npy --input s2=b.npy.

    Or a scene, which becomes a map with its place: a GeoTIFF or VRT, band files, a STAC item, NetCDF or Zarr, or what
    --from finds. It runs in tiles; broken off and started again it goes on.
    """
    loading: dict[str, Any] = {"rehash": rehash, "isolated": isolated, "memory_limit": memory_limit, "trust": trust}
    if is_scene(given, inputs, target, scene):
        _refuse_options_of_forecasts(plot, at)
        _print(_predicted_scene((what, given, inputs, target), scene, catalog, loading), as_json)
        return
    _refuse_options_of_scenes(scene)
    sources, output = tuple(map(Path, given)), Path(target or "forecast.npz")
    if output.is_dir():
        raise click.UsageError(f"--output {output} is a folder: name a file", click.get_current_context())
    _check_suffix(output, OUTPUTS, " (of a scene: .tif or .zarr)")
    if plot is not None:
        _check_suffix(plot, PLOTS)
    lean_frameworks()
    named_item(what, catalog)  # what is not there is found before anything is read
    arrays = _read(sources, inputs)  # before the framework: a wrong file is found at once
    if arrays is not None:
        # Of arrays by name somebody may want NetCDF; one that stands for frames is taken for a mistake.
        _require_frames_for(None if inputs else output, plot, at)
    summary: dict[str, Any]
    with progress() as report:
        from modelstac.registry import load

        began = time.perf_counter()
        with load(what, catalog=catalog, report=report, **loading) as model:
            loaded = time.perf_counter() - began
            if arrays is not None:
                from modelstac.cli.running.tensors import check_output, write_outputs

                check_output(output, model.signature)
                found = write_outputs(model.predict(arrays), output, model.signature)
                summary = found if len(model.signature.outputs) == 1 else {"outputs": found}
            else:
                from modelstac.cli.running.nowcast import nowcast

                forecast = nowcast(model, _one_or_all(sources), at=at, report=report)
                summary = _write_nowcast(forecast, output)
                if plot is not None:
                    _draw(forecast, plot, report)
                    summary["plot"] = str(plot)
    _print({"item": model.item.id, "output": str(output), **summary, "load_seconds": round(loaded, 3)}, as_json)


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        for line in _lines(name, value) if name != "notes" else ():  # they were printed when they were found
            say(line)


def _predicted_scene(
    asked: tuple[str, tuple[str, ...], tuple[str, ...], str | None],
    said: dict[str, Any],
    catalog: str | None,
    loading: dict[str, Any],
) -> dict[str, Any]:
    """Run a scene."""
    from modelstac.cli.running.scene import predict_scene

    lean_frameworks()
    named_item(asked[0], catalog)
    with progress() as report:
        return predict_scene(*asked, said, catalog=catalog, loading=loading, report=report)


def _refuse_options_of_scenes(said: dict[str, Any]) -> None:
    """Refuse options that would have no effect."""
    from modelstac.catalog.errors import DataError

    if odd := next((name for name, value in said.items() if value not in (None, False)), None):
        shown = {"api": "from", "when": "datetime"}.get(odd, odd.replace("_", "-"))
        raise DataError(
            f"--{shown} is for scenes, and neither input nor output is one: name a raster, or --output map.tif"
        )


def _refuse_options_of_forecasts(plot: Path | None, at: datetime | None) -> None:
    from modelstac.catalog.errors import DataError

    if plot is not None:
        raise DataError(f"--plot {plot} draws forecasts of radar frames: of a scene, --preview draws the map")
    if at is not None:
        raise DataError("--at is for forecasts of radar frames: of a scene, --datetime says when")


def _lines(name: str, value: Any) -> list[str]:
    """Write a number of the summary, or those of each output, as lines for people."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):  # files
        return [f"{name.ljust(13)} {one}" for one in value]
    if name != "outputs":
        return [f"{name.replace('_mm_h', ' mm/h').replace('_', ' ').ljust(13)} {value}"]
    return [f"{output.ljust(13)} {', '.join(f'{k} {v}' for k, v in found.items())}" for output, found in value.items()]


def _check_suffix(path: Path, known: tuple[str, ...], more: str = "") -> None:
    from modelstac.catalog.errors import DataError

    if path.suffix not in known:
        raise DataError(f"cannot write {path}: name a file that ends in {' or '.join(known)}{more}")


def _require_frames_for(output: Path | None, plot: Path | None, at: datetime | None) -> None:
    from modelstac.catalog.errors import DataError

    asked = [str(output)] * (output is not None and output.suffix == NETCDF) + [f"--plot {plot}"] * (plot is not None)
    asked += ["--at"] * (at is not None)
    if asked:
        raise DataError(f"{asked[0]} needs times and places, which an array lacks: give radar frames")


def _one_or_all(sources: tuple[Path, ...]) -> Path | tuple[Path, ...]:
    return sources[0] if len(sources) == 1 else sources


def _read(sources: tuple[Path, ...], inputs: tuple[str, ...]) -> Any:
    """Read what the options name, or the one array among the arguments; None when these are radar frames."""
    from modelstac.catalog.errors import DataError

    if bool(sources) == bool(inputs):
        both = f"both {sources[0]} and --input {inputs[0]} are given" if sources else "no input is given"
        raise DataError(f"{both}: give radar frames or one array, or --input NAME=FILE for each input")
    if inputs:
        from modelstac.cli.running.tensors import read_inputs

        return read_inputs(inputs)
    if sources[0].suffix.lower() not in (ARRAY, *TABLES):
        return None
    if len(sources) > 1:
        raise DataError(
            f"{len(sources)} inputs were given beside {sources[0]}: give one array, or --input NAME=FILE each"
        )
    from modelstac.cli.running.tensors import read

    return read(sources[0])


def _write_nowcast(forecast: Nowcast, output: Path) -> dict[str, Any]:
    import numpy as np

    if output.suffix == NETCDF:
        from modelstac.cli.common.files import replacing
        from modelstac.training.data.cf import write_netcdf

        with replacing(output) as temporary:
            write_netcdf(forecast.dataset(), temporary)
    else:
        _save(output, forecast.rate, forecast.arrays())
    rate = forecast.rate[:, np.isfinite(forecast.rate[0])]
    return {
        "from": f"{len(forecast.source_files)} frames up to {forecast.source_files[-1]}",
        "frames": len(forecast.time),
        "first": f"{np.datetime_as_string(forecast.time[0], 'm')}Z",
        "last": f"{np.datetime_as_string(forecast.time[-1], 'm')}Z",
        "mean_mm_h": round(float(rate.mean()), 4),
        "max_mm_h": round(float(rate.max()), 4),
    }


def _draw(forecast: Nowcast, plot: Path, report: Report) -> None:
    from modelstac.cli.common.files import replacing
    from modelstac.training.scoring.plots import animate, draw_sheet

    film = forecast.film()
    with replacing(plot) as temporary:
        if plot.suffix == ".gif":
            animate(film, temporary, report=report)
        else:
            # The last frame that was measured, then the forecast.
            draw_sheet(film.since(len(forecast.past) - 1), temporary)


def _save(output: Path, alone: np.ndarray[Any, Any], named: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write the output in one step: an interrupted run leaves the file that was there before, or none."""
    import numpy as np

    from modelstac.cli.common.files import write_atomically

    buffer = io.BytesIO()
    if output.suffix == ARRAY:
        np.save(buffer, alone, allow_pickle=False)
    else:
        np.savez_compressed(buffer, **named)
    write_atomically(output, buffer.getvalue())
