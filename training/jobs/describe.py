"""From a training job's results to the typed description of its item, with the files beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import TrainingError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.mlm import (
    InputStructure,
    ModelInput,
    ModelOutput,
    Processing,
    ResultStructure,
)
from modelstac.registry.running.examples import write_example
from modelstac.registry.running.labelled import LEAD_TIME
from modelstac.training.architecture import Spec, architecture_of
from modelstac.training.data.preparation import LIGHT_RAIN, Preparation
from modelstac.training.data.readers.zr import MARSHALL_PALMER
from modelstac.training.scoring.metrics import comparison
from modelstac.training.variants.variant import Trained, Variant, find_variant

if TYPE_CHECKING:
    from modelstac.training.data import Windows
    from modelstac.training.jobs.job import TrainJob
    from modelstac.training.scoring.held_out import Evaluation

VARIABLE = "rainfall_rate"
FRAMES, FORECAST = "frames", "forecast"
"""Names of input and output."""
RANGE = (0.0, 1.0)
"""Values of input and output, as every item declares them."""
ROUNDING = 1e-6
EXAMPLE = 32
"""Side in pixels of the example that is published with a model that takes any size."""
KEYWORDS = ("nowcasting", "precipitation", "radar")


@dataclass(frozen=True, eq=False)
class Data:
    """What an item says of its training data.

    Parameters
    ----------
    frames
        All prepared frames.
    windows
        Those for training.
    polygon, bbox
        Outline in degrees.
    digest
        SHA-256 of the prepared frames.
    record
        Products and, where there are several, events.
    """

    frames: xr.Dataset
    windows: Windows
    polygon: dict[str, Any]
    bbox: tuple[float, ...]
    digest: str
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> tuple[datetime, datetime]:
        """Begin of the first and end of the last measured period that training saw, UTC."""
        time = self.windows.time.astype("datetime64[s]")
        first, last = time.min() - np.timedelta64(self.windows.step_minutes, "m"), time.max()
        return first.item().replace(tzinfo=UTC), last.item().replace(tzinfo=UTC)


def describe(
    job: TrainJob,
    *,
    digest: str,
    spec: Spec,
    data: Data,
    trained: Trained,
    scores: Evaluation,
    versions: dict[str, Any],
    folder: Path,
) -> ModelDescription:
    """Write model, history, metrics and thumbnail into ``folder`` and describe them.

    Parameters
    ----------
    job, digest
        The job, and what identifies its result.
    spec
        The architecture as it was built, with the grid of the data.
    data, trained, scores, versions
        What it was trained on, what came out, how good it is, and which framework it was.
    folder
        An empty folder; it must live until the item is published.
    """
    variant, architecture = find_variant(job.variant), architecture_of(spec)
    artifact = folder / f"model{FORMATS[variant.format].suffix}"
    trained.save(artifact)
    start, end = data.times
    attrs = data.frames.attrs
    recipe = {"architecture": spec.to_dict(), "fit": job.fit.to_dict(), "preparation": job.preparation.to_dict()}
    record = {
        **(data.record or {"product": str(attrs["product"])}),
        "windows": len(data.windows),
        "sha256": data.digest,
    }
    preset = {} if job.preset is None else {"preset": job.preset}
    return ModelDescription(
        name=job.name,
        version=job.version,
        variant=job.variant,
        title=f"{architecture.name} rain nowcast, {variant.title}",
        description=_text(variant, spec, data, scores),
        model_title=f"{architecture.name} rain nowcast",
        license=job.license,
        keywords=(*KEYWORDS, architecture.name),
        geometry=data.polygon,
        bbox=data.bbox,
        start=start,
        end=end,
        format=variant.format,
        **versions,
        architecture=architecture.name,
        tasks=("regression",),
        inputs=(_input(variant, spec, job, data.windows.step_minutes),),
        outputs=(_output(variant, spec, job.preparation, data.windows.step_minutes),),
        hyperparameters={**recipe, **preset, "data": record, "computed": trained.computed},
        parameters=spec.parameters,
        memory_size=4 * spec.parameters,
        entrypoint=architecture.entrypoint if variant.format == "torch" else None,
        cube_dimensions=_dimensions(data),
        cube_variables={VARIABLE: _variable(data.frames)},
        sources=_sources(job.data_href, str(attrs["credit"])),
        scores=scores.summary(),
        job=digest,
        artifact=artifact,
        assets=_assets(trained, scores, data.windows.step_minutes, folder)
        | write_example(folder, *_example(variant, job.preparation, data.windows, trained)),
    )


def require_declared_range(scores: Evaluation, item_id: str) -> None:
    """Refuse a model that leaves the range that its item would declare.

    Raises
    ------
    TrainingError
        When it did so on its own test windows, by more than rounding.
    """
    lowest, highest = scores.values
    if not (lowest >= RANGE[0] - ROUNDING and highest <= RANGE[1] + ROUNDING):
        raise TrainingError(
            f"{item_id} gives values from {lowest:g} to {highest:g} on its test windows, and its item would declare"
            f" {RANGE[0]:g} to {RANGE[1]:g}: nothing was published; let its last layer cut or squash them (a clip, a"
            " sigmoid)"
        )


def _text(variant: Variant, spec: Spec, data: Data, scores: Evaluation) -> str:
    past, ahead = (frames * data.windows.step_minutes for frames in (spec.frames_in, spec.frames_out))
    means = scores.summary()
    attrs = data.frames.attrs
    return (
        f"Forecasts rain over the next {ahead} minutes from radar frames of the last {past}:"
        f" {spec.summary}, trained in {variant.title} on {_windows(len(data.windows))} of"
        f" {spec.frames_in + spec.frames_out} frames. On {_windows(scores.windows)} held out later its root mean square"
        f" error is {means.get('rmse_mm_h', np.nan):.4g} mm/h (mean over lead times), that of persistence"
        f" {means.get('persistence_rmse_mm_h', np.nan):.4g} mm/h.\n\n"
        f"Data: {attrs['product']}, {attrs['credit']}, {attrs['licence']}."
    )


def _windows(count: int) -> str:
    return f"{count} window{'' if count == 1 else 's'}"


def _layout(variant: Variant, spec: Spec, frames: int) -> dict[str, Any]:
    sizes = {"batch": -1, "time": -1, "variables": 1, "height": -1, "width": -1}
    if variant.fixed_shape or not architecture_of(spec).any_frames:
        sizes["time"] = frames
    if variant.fixed_shape:
        sizes |= {"height": spec.height, "width": spec.width}
    shape = tuple(sizes[name] for name in variant.dim_order)
    return {"shape": shape, "dim_order": variant.dim_order, "data_type": "float32"}


def _input(variant: Variant, spec: Spec, job: TrainJob, step: int) -> ModelInput:
    order = "the newest first" if job.preparation.newest_first else "the latest last"
    return ModelInput(
        name=FRAMES,
        variables=(VARIABLE,),
        description=(
            f"Rain rates in mm/h of {spec.frames_in} frames, one every {step} minutes, {order}, 0 where nothing was"
            " measured; scaled to 0..1 as value_scaling says."
        ),
        input=InputStructure(**_layout(variant, spec, spec.frames_in)),
        value_scaling=(_scaling(job.preparation),),
    )


def _sources(href: str | None, title: str) -> tuple[Source, ...]:
    """Name the data: by a URL, or by the id of a dataset in the same catalog."""
    if not href:
        return ()
    return (Source(href=href, title=title) if "://" in href else Source(item_id=href, title=title),)


def _scaling(preparation: Preparation) -> Processing:
    """Write as arithmetic what `Preparation.to_model` computes."""
    scale = f"{preparation.scale:.9g}"
    if preparation.transform == "log":
        light = f"{float(LIGHT_RAIN):g}"
        expression = f"log1p(clip(x, 0, {scale}) / {light}) / log1p({scale} / {light})"
    elif preparation.transform == "reflectivity":
        relation = f"20 * log10({MARSHALL_PALMER.a:g} * x ** {MARSHALL_PALMER.b:g})"
        expression = f"clip(({relation} + 64) / 255, 0, 1)"
    else:
        expression = f"clip(x, 0, {scale}) / {scale}"
    return Processing(format="numpy", expression=expression)


def _unscaling(preparation: Preparation) -> Processing:
    """Write as arithmetic what `Preparation.to_rate` computes."""
    scale = f"{preparation.scale:.9g}"
    if preparation.transform == "log":
        light = f"{float(LIGHT_RAIN):g}"
        expression = f"expm1(x * log1p({scale} / {light})) * {light}"
    elif preparation.transform == "reflectivity":
        rate = f"(10 ** ((x * 255 - 64) / 20) / {MARSHALL_PALMER.a:g}) ** (1 / {MARSHALL_PALMER.b:g})"
        expression = f"where(x > 0, {rate}, 0)"
    else:
        expression = f"x * {scale}"
    return Processing(format="numpy", expression=expression)


def _output(variant: Variant, spec: Spec, preparation: Preparation, step: int) -> ModelOutput:
    lead_time: dict[str, Any] = {LEAD_TIME: f"PT{step}M"}
    return ModelOutput(
        name=FORECAST,
        variables=(VARIABLE,),
        description=(
            f"Rain rates of the {spec.frames_out} frames that follow, one every {step} minutes, from {RANGE[0]:g} to"
            f" {RANGE[1]:g}: post_processing_function makes them mm/h."
        ),
        tasks=("regression",),
        result=ResultStructure(**_layout(variant, spec, spec.frames_out)),
        post_processing_function=_unscaling(preparation).to_json(),
        **lead_time,
    )


def _dimensions(data: Data) -> dict[str, dict[str, Any]]:
    start, end = data.times
    wkt = data.frames["crs"].attrs["crs_wkt"]
    geographic = "degrees" in str(data.frames["x"].attrs.get("units"))
    unit = (
        f"{'Degrees' if geographic else 'Projected coordinate'} of the pixel centres{' in metres' * (not geographic)}."
    )
    spatial = {}
    for axis in ("x", "y"):
        values = data.frames[axis].values
        extent = [float(values.min()), float(values.max())]
        step = abs(float(values[1] - values[0]))
        spatial[axis] = {
            "type": "spatial",
            "axis": axis,
            "extent": extent,
            "step": step,
            "reference_system": wkt,
            "description": unit,
        }
    period = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, end)]
    return {"time": {"type": "temporal", "extent": period, "step": f"PT{data.windows.step_minutes}M"}, **spatial}


def _variable(frames: xr.Dataset) -> dict[str, Any]:
    attrs = frames[VARIABLE].attrs
    moment = "point" in attrs.get("cell_methods", "")
    rate = "Rain rate" if moment else f"Mean rain rate over {frames.attrs['step_minutes']} minutes"
    text = f"{rate} (CF standard name {attrs['standard_name']})."
    return {"dimensions": ["time", "y", "x"], "type": "data", "unit": attrs["units"], "description": text}


def _example(
    variant: Variant, preparation: Preparation, windows: Windows, trained: Trained
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Forecast the part of a training window where it rains most, or all of it where the file fixes its size."""
    rate = windows.inputs(len(windows) - 1)
    if not variant.fixed_shape:
        wettest = np.unravel_index(np.argmax(np.nan_to_num(rate[-1])), rate[-1].shape)
        starts = [
            max(0, min(int(at) - EXAMPLE // 2, n - EXAMPLE)) for at, n in zip(wettest, rate[-1].shape, strict=True)
        ]
        rate = rate[:, starts[0] : starts[0] + EXAMPLE, starts[1] : starts[1] + EXAMPLE]
    inputs = preparation.inputs_to_model(rate)[None]
    axis = variant.dim_order.index("variables")
    outputs = trained.forecast(np.ascontiguousarray(inputs))
    return {FRAMES: np.expand_dims(inputs, axis)}, {FORECAST: np.expand_dims(outputs, axis)}


def _assets(trained: Trained, scores: Evaluation, step: int, folder: Path) -> dict[str, ExtraAsset]:
    table = comparison(scores.forecasts)
    metrics = json.dumps(scores.to_dict() | {"table": table.splitlines()}, indent=2) + "\n"
    observed, forecast = scores.example
    from modelstac.training.scoring.plots import compare_png, draw_skill  # matplotlib is slow to import

    thumbnail = compare_png({"observed": observed, "forecast": forecast}, step_minutes=step)
    files = (
        ("history", "history.csv", trained.history.to_csv(), "text/csv", "metadata", "Loss of each epoch"),
        (
            "history-json",
            "history.json",
            trained.history.to_json(),
            "application/json",
            "metadata",
            "Loss of each epoch",
        ),
        ("metrics", "metrics.json", metrics, "application/json", "metadata", "Scores against persistence"),
        ("thumbnail", "thumbnail.png", thumbnail, "image/png", "thumbnail", "Observed above forecast rain"),
    )
    assets = {}
    for key, name, content, media_type, role, title in files:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        assets[key] = ExtraAsset(path=path, media_type=media_type, roles=(role,), title=title)
    skill = folder / "skill.png"
    bands = scores.bands()
    draw_skill(scores.forecasts, skill, bands=bands)
    title = f"Skill by lead time{', with 95 % intervals' if bands else ''}"
    assets["skill"] = ExtraAsset(path=skill, media_type="image/png", roles=("overview",), title=title)
    return assets
