"""The main job from end to end: ``make demo``, which is ``modelstac demo``.

Radar frames become three trained variants of two networks, a small U-Net and a ConvLSTM after the thesis. Each is
exported to ONNX, everything is published into a catalog, found by framework and version, loaded by its item id in a
fresh process, and checked against its source.
Every step is a command that a person could type, run in a process of its own: one process has one Keras backend.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelstac.afresh import afresh
from modelstac.catalog import Catalog, ModelDescription, open_catalog
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import DataError, DownloadError, ModelStacError, StorageError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import offline_validator
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.report import Picture, Table, write_html
from modelstac.training.data import Preparation, public, read_frames, synthetic
from modelstac.training.scoring.metrics import Scores, persistence, score

VARIANTS = ("keras-tensorflow", "keras-torch", "torch")
NETWORKS = {"small": "unet-knmi", "tiny": "convlstm-knmi"}
"""Presets and the names of what they train."""
VERSION, LEADS, WINDOW = "1.0.0", 18, 36
"""Frames that are forecast, and those at the end that no training sees: the longest window of the two."""
TOLERANCE = 1e-5
"""Largest difference between a conversion and its source, in values of the model (0 to 1)."""

SEARCHES: tuple[dict[str, Any], ...] = (
    {"framework": "Keras", "backend": "tensorflow", "backend_version": ">=2.19"},
    {"framework": "PyTorch", "framework_version": ">=2.7,<3"},
    {"framework": "ONNX"},
)
PICTURED_MINUTES = (5, 30, 60, 90)
_MARK = ".modelstac-demo"

LANES = 2
"""Processes at a time."""

Say = Callable[[str], None]
Given = TypeVar("Given")
Made = TypeVar("Made")


class DemoError(ModelStacError):
    """A step of the demo failed; the message is that of the command."""

    exit_code = 1


@dataclass(frozen=True)
class Run:
    """What a fresh process made of one item.

    Parameters
    ----------
    model
        The item.
    load_seconds
        Time to import the framework, verify and load.
    rate
        The forecast (time, y, x) in mm/h.
    """

    model: ModelDescription
    load_seconds: float
    rate: NDArray[np.float32]


def demo(data: Path | None, out: Path, *, say: Say, report: Report = ignore) -> Path:
    """Run the whole path and return the report that it wrote.

    Parameters
    ----------
    data
        Folder of radar frames; by default the public KNMI frames, or generated ones where there is no network.
    out
        Folder for catalog, forecasts and report; an earlier demo there is replaced.
    say
        Gets lines for the person who watches.
    """
    make_room(out)
    catalog = open_catalog(out / "catalog", create=True)
    frames = data if data is not None else _public_or_generated(out, report)
    files = [str(frames / name) for name in read_frames(frames).attrs["source_files"]]
    how: dict[str, Any] = {"first_test": len(files) - WINDOW, "say": say}
    wanted = [(preset, variant) for preset in NETWORKS for variant in VARIANTS]
    trained = _in_lanes(lambda one: _train(frames, *one, catalog, **how), wanted)
    exported = _in_lanes(lambda item_id: _export(item_id, catalog, say), trained)
    for fields in SEARCHES:
        words = " ".join(f"--{name.replace('_', '-')} '{value}'" for name, value in fields.items())
        say(f"modelstac search {words}: {', '.join(item.id for item in catalog.search(**fields))}")
    (out / "forecasts").mkdir()
    runs = _in_lanes(lambda item_id: _load_modelstac(item_id, files, catalog, out, say), [*trained, *exported])
    say(f"pystac finds {_validate(catalog)} items valid: STAC 1.1, MLM 1.5.2, file, version and datacube extensions")
    path = _report(runs, files, out, say)
    _check(runs)
    return path


def make_room(out: Path) -> None:
    """Empty the folder of an earlier demo, and never another one."""
    with explained(f"write the demo to {out}"):
        if out.is_dir() and any(out.iterdir()) and not (out / _MARK).exists():
            raise StorageError(f"{out} is not empty and holds no earlier demo: name another folder (--out)")
        if out.is_dir():
            shutil.rmtree(out)
        out.mkdir(parents=True)
        (out / _MARK).touch()


def _public_or_generated(out: Path, report: Report) -> Path:
    try:
        return public.fetch(report=report)
    except DownloadError as error:
        report(Note(f"{error}; the demo goes on with generated rain: its scores say nothing about real rain"))
        synthetic.generate(out / "frames")
        return out / "frames"


def _in_lanes(step: Callable[[Given], Made], each: Sequence[Given]) -> list[Made]:
    """Take a step for each, some at a time: while one process imports or learns with one thread, another computes."""
    with ThreadPoolExecutor(LANES) as pool:
        return list(pool.map(step, each))


_modelstac = partial(afresh, error=DemoError, at_the_end=True)


def _train(frames: Path, preset: str, variant: str, catalog: Catalog, *, first_test: int, say: Say) -> str:
    say(f"modelstac train {frames} --variant {variant} --preset {preset} --first-test {first_test}")
    options = ["--variant", variant, "--preset", preset, "--first-test", str(first_test)]
    options += ["--name", NETWORKS[preset], "--version", VERSION]
    item = _modelstac("train", str(frames), *options, "--catalog", catalog.href)
    return str(item["id"])


def _export(item_id: str, catalog: Catalog, say: Say) -> str:
    say(f"modelstac export {item_id} --to onnx")
    return str(_modelstac("export", item_id, "--to", "onnx", "--catalog", catalog.href)["id"])


def _load_modelstac(item_id: str, files: Sequence[str], catalog: Catalog, out: Path, say: Say) -> Run:
    model = read_item(catalog.get(item_id))
    frames = _frames(model)
    path = out / "forecasts" / f"{item_id}.npz"
    say(f"modelstac predict {item_id} ({frames} frames)")
    inputs = files[-LEADS - frames : -LEADS]
    summary = _modelstac("predict", item_id, *inputs, "--output", str(path), "--catalog", catalog.href)
    with np.load(path, allow_pickle=False) as arrays:
        rate = arrays["rainfall_rate"]
    return Run(model, summary["load_seconds"], rate)


def _frames(model: ModelDescription) -> int:
    """Return how many frames a model starts from."""
    architecture = model.hyperparameters["architecture"]
    return int(architecture.get("frames_in") or architecture["frames"])


def _validate(catalog: Catalog) -> int:
    """Let pystac itself judge every item; return how many there are."""
    validator, items = offline_validator(), list(catalog.items())
    for item in items:
        item.validate(validator=validator)
    return len(items)


def _difference(run: Run, source: Run) -> float:
    """Largest difference of two forecasts, in values of the model."""
    preparation = Preparation.from_dict(run.model.hyperparameters["preparation"])
    return float(np.max(np.abs(preparation.to_model(run.rate) - preparation.to_model(source.rate))))


def _source(run: Run, runs: Sequence[Run]) -> Run | None:
    """Return the run of the item that this one was converted from."""
    parity = run.model.parity
    return next((r for r in runs if parity is not None and r.model.id == parity.source), None)


def _check(runs: Sequence[Run]) -> None:
    for run in runs:
        source = _source(run, runs)
        if source is not None and not _difference(run, source) <= TOLERANCE:
            raise DataError(
                f"{run.model.id} and its source differ by {_difference(run, source):.1e} on the test frames,"
                f" more than {TOLERANCE:.0e}: see the report"
            )


def _report(runs: Sequence[Run], files: Sequence[str], out: Path, say: Say) -> Path:
    from modelstac.training.scoring.plots import compare_png  # matplotlib is slow to import

    preparation = Preparation.from_dict(runs[0].model.hyperparameters["preparation"])
    window = preparation.apply(read_frames([Path(name) for name in files[-WINDOW:]]))
    rate, step = window["rainfall_rate"].values, int(window.attrs["step_minutes"])
    past, observed = rate[:-LEADS], rate[-LEADS:]
    mask = np.isfinite(past).all(axis=0) & np.isfinite(observed)
    still = persistence(past, LEADS)
    scores = {r.model.id: score(r.rate, observed, mask, step_minutes=step) for r in runs}
    table = _table(runs, scores, score(still, observed, mask, step_minutes=step))
    say("")
    say(table.to_text())
    last = str(window["time"].values[-LEADS - 1])[:16].replace("T", " ")
    picture = Picture(
        compare_png(
            {"observed": observed, "persistence": still} | _pictured(runs),
            step_minutes=step,
            lead_minutes=PICTURED_MINUTES,
        ),
        f"Rain rate observed after {last} UTC and forecast from the frames before, for lead times of "
        f"{', '.join(map(str, PICTURED_MINUTES))} minutes",
    )
    path = out / "report.html"
    write_html(
        path,
        title="Two networks, three frameworks, twelve files",
        summary=f"{window.attrs['product']}: trained on the earlier frames, tested on a forecast from {last} UTC, which"
        " no variant saw in training. Every row was loaded by its item id in a fresh process.",
        tables=[table],
        pictures=[picture],
        footer=str(window.attrs.get("credit", "")),
    )
    return path


def _pictured(runs: Sequence[Run]) -> dict[str, NDArray[np.float32]]:
    """Return the forecasts to draw by their titles: the first network in every framework, the others in one."""
    trained = [run for run in runs if run.model.parity is None]
    first, *others = dict.fromkeys(run.model.name for run in trained)
    shown = [run for run in trained if run.model.name == first]
    shown += [next(run for run in reversed(trained) if run.model.name == name) for name in others]
    return {f"{run.model.architecture}\n{run.model.variant}": run.rate for run in shown}


def _table(runs: Sequence[Run], scores: dict[str, Scores], baseline: Scores) -> Table:
    rows = [("persistence", "–", "–", *_score_cells(baseline), "–", "–", "–")]
    for run in runs:
        model, source = run.model, _source(run, runs)
        apart = "–" if source is None else f"{_difference(run, source):.1e}"
        verdict = "–" if source is None else ("equal" if _difference(run, source) <= TOLERANCE else "differs")
        framework = f"{model.framework} {model.framework_version}"
        backend = f"{model.backend} {model.backend_version}" if model.backend else "–"
        cells = _score_cells(scores[model.id])
        rows.append((model.id, framework, backend, *cells, f"{run.load_seconds:.2f}", apart, verdict))
    heads = ("item", "framework", "backend", "RMSE", "MAE", "CSI 0.5", "CSI 1", "CSI 2")
    return Table(
        "Variants",
        "Means over lead times of the test forecast: RMSE and MAE in mm/h (lower is better), CSI at 0.5, 1 and 2 mm/h "
        "(higher is better). Load: seconds to import the framework, verify and load the file. "
        "Difference: largest distance between the forecasts of a conversion and of its source, in values of the model.",
        (*heads, "load s", "difference", "to source"),
        rows,
    )


def _score_cells(scores: Scores) -> tuple[str, ...]:
    summary = scores.summary()
    return tuple(f"{summary[name]:.3f}" if name in summary else "–" for name in ("rmse", "mae", *_CSI))


_CSI = ("csi_0.5", "csi_1", "csi_2")
