"""Runs what the documentation shows, page after page in an empty folder, and prints what became of each as JSON.

In one process, as the imports take longer than most of the steps. The tutorial comes first: the others use its catalog.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(sys.argv[1])


def commands(page: str) -> None:
    """Run the commands of a page in order; ``export`` sets variables."""
    for line in re.findall(r"^(?:\$ |    )((?:modelstac|export) .+)$", (DOCS / page).read_text("utf-8"), re.M):
        if "://" not in line:  # of another machine
            run(line)


def run(line: str) -> None:
    """Run one command."""
    from modelstac.cli import main

    name, *words = shlex.split(line, comments=True)
    if name == "export":
        os.environ.update(word.split("=", 1) for word in words)
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words, prog_name="modelstac")
        except SystemExit as end:
            code = end.code
    assert not code, f"{line}: {said.getvalue()[-500:]}"


def blocks(page: str) -> dict[str, Any]:
    """Run the Python of a page as one program, and return its variables."""
    source = "\n".join(re.findall(r"^```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S | re.M))
    variables: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, page, "exec"), variables)
    return variables


def tutorial() -> None:
    commands("tutorial.md")
    for made in ("forecast.nc", "forecast.png", "report.html"):
        assert Path(made).is_file(), made
    assert "convlstm-knmi-1.0.0-onnx-from-torch" in blocks("tutorial.md")["model"].card()


def readme() -> None:
    shutil.copytree("catalog", ".demo/catalog")
    found = blocks("../README.md")
    assert found["forecast"].shape == (1, 18, 1, 64, 64)
    assert 0 < found["forecast"].max() <= 1


def predict() -> None:
    import numpy as np
    import xarray

    from modelstac.training.data import Preparation, read_frames

    frames = Preparation(coarsen=4).apply(read_frames("frames"))["rainfall_rate"]
    frames.to_netcdf("radar.nc")
    values = np.zeros((8, 18, 16, 16), "float32")
    times = {"time": frames["time"].values[:18]}
    archive = xarray.DataArray(values, times, dims=("batch", "time", "y", "x"), name="rainfall_rate")
    archive.to_dataset().to_zarr("archive.zarr")
    forecast = blocks("predict.md")["forecast"]
    assert forecast.dims == ("time", "y", "x")
    assert (forecast["time"].values > frames["time"].values.max()).all()
    assert xarray.open_zarr("forecasts.zarr").sizes["batch"] == 8


def resolve() -> None:
    assert blocks("resolve.md")["onnx"].item.id == "convlstm-knmi-1.0.0-onnx-from-torch"


def catalogs() -> None:
    run("modelstac alias convlstm-knmi champion convlstm-knmi-1.0.0-torch")  # whence the page moves it
    commands("catalogs.md")
    assert Path("models.sqlite").is_file()


def interop() -> None:
    """What the jobs published breaks no rule of the schema."""
    import jsonschema

    found = blocks("reference/interop.md")
    items = list(found["modelstac"].open("catalog").items())
    assert len(items) == 3
    for item in items:
        jsonschema.validate(item.to_dict(transform_hrefs=False), found["schema"])


if __name__ == "__main__":
    steps: tuple[Callable[[], None], ...] = (tutorial, readme, predict, resolve, interop, catalogs)
    outcome = {}
    for step in steps:
        try:
            step()
            outcome[step.__name__] = ""
        except Exception:  # noqa: BLE001 - the test shows whatever it is
            outcome[step.__name__] = traceback.format_exc()
    print(json.dumps(outcome))
