"""Runs what the documentation shows, page after page in an empty folder, and prints what became of each as JSON.

``python docs_process.py DOCS PART``: ``tutorial`` is that of radar frames and the pages that use its catalog,
``scenes`` that of scenes and what follows it, ``guides`` the other how-to guides, with models, a server and files of
the names that they show. In one process, as the imports take longer than most of the steps.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelstac.catalog.ahead import seldom_collected

DOCS = Path(sys.argv[1])
SHOWN = re.compile(r"^(?:\$ |    )((?:[A-Z_]+=\S+ )*(?:modelstac|export|openssl|python -m modelstac\.job) .+)$", re.M)
ELSEWHERE: dict[str, str] = {}
"""What a page calls something, and what it is called here."""
ran: list[str] = []


def commands(page: str, *, leave_out: tuple[str, ...] = ()) -> None:
    """Run the commands of a page in order; ``export`` sets variables."""
    text = (DOCS / page).read_text("utf-8").replace("\\\n", "")
    for line in SHOWN.findall(text):
        words = " ".join(re.split(r"  +#|  +\(", line)[0].split())
        if not any(part in line for part in leave_out):
            run(words)
            ran.append(words)


def run(line: str) -> str:
    """Run one command; give what it printed."""
    from modelstac.cli import main

    for theirs, ours in ELSEWHERE.items():
        line = line.replace(theirs, ours)
    words = shlex.split(line, comments=True)
    variables = [word for word in words if re.match(r"[A-Z_]+=", word)]
    name, *words = [word for word in words if word not in variables]
    if name == "export":
        os.environ.update(word.split("=", 1) for word in variables)
        return ""
    before = os.environ.copy()
    os.environ.update(word.split("=", 1) for word in variables)
    said = io.StringIO()
    code: Any = 0
    try:
        if name == "modelstac":
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                try:
                    main(words, prog_name="modelstac")
                except SystemExit as end:
                    code = end.code
        else:
            program = [sys.executable] if name == "python" else [name]
            done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
            code = done.returncode
            said.write(done.stdout + done.stderr)
    finally:
        for added in [name for name in os.environ if name not in before]:
            del os.environ[added]
        os.environ.update(before)
    assert not code or (words[0] == "diff" and code == 1), f"{line}: {said.getvalue()[-700:]}"
    return said.getvalue()


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
    write_item("convlstm-knmi", "convlstm-knmi-1.0.0-torch")
    commands("../README.md", leave_out=("landcover", "=demo/catalog"))  # the pages on maps run them
    os.environ["MODELSTAC_CATALOG"] = "catalog"
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
    shutil.copytree("catalog", "with-flood")  # other pages count the models of the catalog
    os.environ["MODELSTAC_CATALOG"] = "with-flood"
    flood()
    found = blocks("predict.md")
    forecast = found["forecast"]
    commands("predict.md")
    os.environ["MODELSTAC_CATALOG"] = "catalog"
    assert list(np.load("flood.npz")) == ["mask", "height"]
    tiles, whole = found["tiles"]["mask"], xarray.open_dataset("flood.nc")["mask"]
    np.testing.assert_allclose(tiles.compute().values, whole.values, atol=1e-5)
    assert forecast.dims == ("time", "y", "x")
    assert (forecast["time"].values > frames["time"].values.max()).all()
    assert xarray.open_zarr("forecasts.zarr").sizes["batch"] == 8


def flood() -> None:
    """Publish a model of two inputs and two outputs, and write a scene for it: arrays and labelled variables."""
    import importlib.util
    from datetime import datetime

    import numpy as np
    import xarray

    from modelstac.catalog import ModelDescription, open_catalog
    from modelstac.catalog.items.writing import write_item

    spec = importlib.util.spec_from_file_location("pairs", Path(__file__).with_name("registry") / "pairs.py")
    assert spec is not None
    assert spec.loader is not None
    pairs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pairs)
    nothing = {"height": 0, "width": 0}
    description = ModelDescription(
        name="flood",
        version="1.0.0",
        variant="onnx",
        title="Flood",
        description="Water and its height from radar and optical images.",
        license="MIT",
        geometry={"type": "Point", "coordinates": [5, 52]},
        start=datetime(2024, 1, 1),
        end=datetime(2024, 1, 2),
        format="onnx",
        framework_version="1.22.0",
        architecture="Linear",
        tasks=("regression",),
        parameters=12,
        artifact=pairs.write_onnx(Path.cwd()),
        halo={"s1": nothing, "s2": nothing},
        **pairs.fields(),
    )
    open_catalog("with-flood").publish(write_item(description))
    values = np.random.default_rng(0).random((4, 64, 48), np.float32)
    names = [*pairs.S1, *pairs.S2]
    place = {"y": np.arange(64) * -10.0, "x": np.arange(48) * 10.0}
    xarray.Dataset({name: (("y", "x"), values[i]) for i, name in enumerate(names)}, place).to_netcdf("scene.nc")
    np.save("s1.npy", np.moveaxis(values[:1], 0, -1)[None])
    np.save("s2.npy", np.moveaxis(values[1:], 0, -1)[None])


def resolve() -> None:
    assert blocks("resolve.md")["onnx"].item.id == "convlstm-knmi-1.0.0-onnx-from-torch"


def catalogs() -> None:
    run("modelstac alias convlstm-knmi champion convlstm-knmi-1.0.0-torch")  # whence the page moves it
    commands("catalogs.md", leave_out=("://",))
    assert Path("models.sqlite").is_file()


def interop() -> None:
    """What the jobs published breaks no rule of the schema."""
    import jsonschema

    found = blocks("reference/interop.md")
    items = list(found["modelstac"].open("catalog").items())
    assert len(items) == 3
    for item in items:
        jsonschema.validate(item.to_dict(transform_hrefs=False), found["schema"])


def forecasts() -> None:
    shutil.copytree("frames", "radar")
    commands("forecasts.md")


def thesis() -> None:
    commands("thesis.md", leave_out=("--preset reference", "--matrix"))


def server() -> None:
    """Serve a file, and let the guides on servers, teams and machines without a network use it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for place in ("catalog", "models.sqlite"):  # whence the page moves it
        run(f"modelstac alias convlstm-knmi champion convlstm-knmi-1.0.0-torch --catalog {place}")
    key = re.findall(r"msk_\S+", run("modelstac keys --catalog models.sqlite add docs"))[0]
    serve = [sys.executable, "-m", "modelstac", "serve", "--catalog", "models.sqlite", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    ELSEWHERE.update({"http://127.0.0.1:8080": address, "https://models.example.org": address, "msk_…": key})
    with Path("server.log").open("w") as log, subprocess.Popen(serve, stdout=log, stderr=log) as server:
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/healthz", timeout=5)
                    break
                time.sleep(0.2)
            write_item("convlstm-knmi", "convlstm-knmi-1.0.0-torch")
            commands("server.md", leave_out=("modelstac serve", "database"))
            commands("team.md", leave_out=("modelstac serve", "database", "keys add"))
            os.environ["MODELSTAC_CATALOG"] = "catalog"
            commands("offline.md")
        finally:
            server.terminate()


def write_item(model: str, old: str) -> None:
    """Write ``item.json`` as its maker has it: its files beside it, not published yet, another version."""
    folder = Path("catalog", model, old).resolve()
    made = json.loads((folder / f"{old}.json").read_text().replace(old, old.replace("1.0.0", "9.0.0")))
    made["properties"]["version"] = "9.0.0"
    made["links"] = [{"rel": "collection", "href": "./collection.json", "type": "application/json"}]
    for asset in made["assets"].values():
        if not asset["href"].startswith(("data:", "/")) and "://" not in asset["href"]:
            asset["href"] = str(folder / asset["href"])
    Path("item.json").write_text(json.dumps(made))


# Scenes.


def landcover() -> None:
    from modelstac.training.scenes import landcover as training

    # Ten times shorter than for a person; notebook 6 trains for long.
    training.train_landcover = functools.partial(training.train_landcover, steps=20, places=2, unseen=1)
    commands("landcover.md")
    for made in ("map.tif", "map.png", "map.parquet", "map.json", "metrics/metrics.png", "demo/landcover.png"):
        assert Path(made).is_file(), made
    assert blocks("landcover.md")["made"].paths[0].endswith("again.tif")
    assert Path("again.tif").read_bytes()[:4] == Path("map.tif").read_bytes()[:4]


def model_pages() -> None:
    commands("model-pages.md", leave_out=("serve",))
    for made in ("demo/catalog/index.html", "demo/catalog/landcover/index.html", "pages/landcover.html"):
        assert Path(made).exists(), made


def maps() -> None:
    run("modelstac data scene . --size 128 --seed 10")
    stack(sorted(Path().glob("S2_32ULC_20240615_B*.tif")), "scene.tif")
    shutil.copytree("demo/catalog", "catalog")
    commands("maps.md", leave_out=("before=", "example.org"))
    assert blocks("maps.md")["found"].plan.tiles == 1


def stack(files: list[Path], target: str) -> None:
    """Write band files of several resolutions as one raster, with the names of the bands and what numbers mean."""
    import rasterio

    with rasterio.open(next(path for path in files if "_B02" in path.name)) as finest:
        profile = finest.profile | {"count": len(files)}
    with rasterio.open(target, "w", **profile) as out:
        for number, path in enumerate(files, 1):
            with rasterio.open(path) as band:
                out.write(band.read(1, out_shape=(out.height, out.width)), number)
            out.set_band_description(number, path.stem.rsplit("_", 1)[1])
        out.scales, out.offsets = [0.0001] * len(files), [-0.1] * len(files)


def evaluate() -> None:
    Path("maps").mkdir()
    run("modelstac data scene scenes/june --size 128 --labels labels/june.tif")
    run("modelstac data scene scenes/july --size 128 --date 2024-07-01 --labels labels/july.tif")
    Path("pairs.csv").write_text("scene,labels\nscenes/june,labels/june.tif\n")
    for month in ("june", "july"):
        run(f"modelstac predict landcover scenes/{month} --output maps/{month}.tif")
    commands("evaluate.md")
    assert {"miou", "kappa"} < blocks("evaluate.md")["scores"].keys()


def kinds() -> None:
    commands("kinds.md", leave_out=("modelstac predict",))
    assert blocks("kinds.md")["boxes"].shape[1] == 4
    commands("kinds.md", leave_out=("modelstac data",))
    for made in ("water.png", "forest-label.tif", "crops.tif"):
        assert Path(made).is_file(), made


# The guides.


def models() -> None:
    """Make what the guides speak of: frames, three variants of a small network, a champion, somebody's own model."""
    import keras
    import numpy as np
    from safetensors.numpy import load_file

    from modelstac.training.jobs.job import TrainJob
    from modelstac.training.spec import ConvLSTMSpec

    run("modelstac data generate frames --frames 72")
    for place in ("radar", "catalog"):
        assert not Path(place).exists()
    shutil.copytree("frames", "radar")
    os.environ["MODELSTAC_CATALOG"] = "catalog"
    spec = ConvLSTMSpec(filters=(3, 2), kernels=(3, 3), frames=3)
    for variant in ("torch", "keras-torch", "keras-tensorflow"):
        job = TrainJob.from_preset("tiny", variant=variant, data="frames", architecture=spec, name="rain")
        fields = job.to_dict()
        fields["fit"]["epochs"] = 1
        fields["preparation"] |= {"rows": [300, 364], "columns": [240, 304]}
        Path("job.json").write_text(json.dumps(fields))
        backend = variant.removeprefix("keras-")
        command = [sys.executable, "-m", "modelstac", "train", "--job", "job.json"]
        subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True)
        if variant == "torch":
            shutil.copytree("catalog", "one")  # for what the guides do with every model of a catalog
    run("modelstac alias rain champion rain-1.0.0-torch")
    assert load_file("catalog/rain/rain-1.0.0-torch/model.safetensors")
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(x)).save("unet.keras")
    radar, optical = (keras.Input((None, None, bands), name=name) for name, bands in (("s1", 2), ("s2", 3)))
    both = keras.layers.Concatenate()([radar, optical])
    outputs = [keras.layers.Conv2D(1, 3, padding="same", name=name)(both) for name in ("mask", "depth")]
    keras.Model([radar, optical], outputs).save("fused.keras")
    np.save("tile.npy", np.random.default_rng(0).random((1, 32, 32, 3), np.float32))


def publish() -> None:
    commands("publish.md", leave_out=("…", "check item.json"))
    assert Path("water.npy").is_file()


def conversions() -> None:
    ELSEWHERE["--matrix"] = "--matrix --catalog one"  # of every source: tests/exporters/test_every_route.py
    run("modelstac export rain-1.0.0-torch")  # which the page speaks of, once all are converted
    commands("conversions.md", leave_out=("crop-", "raw-", "field-", "series-"))
    assert Path("report/conversions.html").is_file()


def signing() -> None:
    commands("signing.md", leave_out=("igstore",))


def cache() -> None:
    commands("cache.md")


def isolated() -> None:
    commands("isolated.md", leave_out=("env create",))


def resolve_guide() -> None:
    commands("resolve.md", leave_out=("example.com", "lock update"))


def data() -> None:
    commands("data.md", leave_out=("rain.zarr", "knmi-rain", "KNMI_API_KEY", "download knmi"))


def pipeline() -> None:
    text = (DOCS / "pipeline.md").read_text("utf-8")
    shown = next(block for block in re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M) if "pipeline.yaml" in block)
    Path("pipeline.yaml").write_text(shown)
    commands("pipeline.md", leave_out=("--jobs 2", "--scheduler", "--cluster"))


PARTS: dict[str, tuple[Callable[[], None], ...]] = {
    "tutorial": (tutorial, readme, predict, forecasts, resolve, thesis, interop, catalogs, server),
    "scenes": (landcover, model_pages, maps, evaluate, kinds),
    "guides": (models, publish, conversions, signing, cache, isolated, resolve_guide, data, pipeline),
}


if __name__ == "__main__":
    seldom_collected()  # as commands do
    outcome = {}
    for step in PARTS[sys.argv[2]]:
        try:
            step()
            outcome[step.__name__] = ""
        except Exception:  # noqa: BLE001 - the test shows whatever it is
            outcome[step.__name__] = traceback.format_exc()
    print(json.dumps({"outcome": outcome, "ran": ran}))
