"""A scene to a map: pixels a second from files to file, against the bare session on the same tiles in memory.

``python -m benchmarks scenes`` takes a generated scene of 2,000 x 2,000 pixels, ten bands of 10 and 20 m; ``--size
10980`` a whole tile of Sentinel-2, ``--kill 20`` kills and resumes a run at random points and compares the bytes,
``--only bare,scene`` takes some of the rows. Every row is a process of its own, so that its peak of memory is its own;
rows are taken in turn, and ratios are of one run. The model is a U-Net of 9 classes, four levels from 32 filters;
``--filters 64`` takes as many as the original has, so that the model takes four times as long.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
CLASSES = tuple(f"class-{number}" for number in range(9))
LEVELS = 4
MEAN, SPREAD = 1500.0, 900.0
ROWS = ("bare", "scene", "next", "dask", "loop", "terratorch")
PLACE: Any = {"type": "Polygon", "coordinates": [[[5, 50], [10, 50], [10, 55], [5, 55], [5, 50]]]}
ITEM = "unet-1.0.0-onnx"
PARTNER = "MODELSTAC_BENCHMARK_PEER"
"""Python of an environment that has terratorch; without it that row is left out, and the output says so."""


def write_unet(path: Path, first: int) -> None:
    """Write the U-Net as ONNX, with so many filters at full size, and twice as many at each half of it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng, weights, nodes = np.random.default_rng(0), [], []

    def convolution(x: str, name: str, before: int, after: int, kernel: int = 3, *, rectified: bool = True) -> str:
        size = (after, before, kernel, kernel)
        values = rng.normal(0, (2 / (before * kernel * kernel)) ** 0.5, size).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{name}.w"))
        nodes.append(helper.make_node("Conv", [x, f"{name}.w"], [name], pads=[kernel // 2] * 4))
        if rectified:
            nodes.append(helper.make_node("Relu", [name], [f"{name}.r"]))
        return f"{name}.r" if rectified else name

    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    x, before, skipped = "image", len(BANDS), []
    filters = [first << level for level in range(LEVELS)]
    for level, count in enumerate(filters):
        if level:
            nodes.append(helper.make_node("MaxPool", [x], [f"pool{level}"], kernel_shape=[2, 2], strides=[2, 2]))
            x = f"pool{level}"
        x = convolution(convolution(x, f"down{level}a", before, count), f"down{level}b", count, count)
        skipped.append(x)
        before = count
    for level in reversed(range(LEVELS - 1)):
        count = filters[level]
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes.append(helper.make_node("Resize", [x, "", "twice"], [f"large{level}"], **how))
        nodes.append(helper.make_node("Concat", [f"large{level}", skipped[level]], [f"both{level}"], axis=1))
        x = convolution(f"both{level}", f"up{level}a", before + count, count)
        x, before = convolution(x, f"up{level}b", count, count), count
    convolution(x, "scores", before, len(CLASSES), 1, rectified=False)
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count, "height", "width"])]
        for name, count in (("image", len(BANDS)), ("scores", len(CLASSES)))
    ]
    graph = helper.make_graph(nodes, "unet", *sides, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def publish(folder: Path, filters: int) -> None:
    """Publish it, as anybody would: its sizes and halo are measured."""
    import modelstac
    from modelstac.catalog.items.mlm import ZScore
    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.describing.describe import Statement, describe_file

    write_unet(folder / "unet.onnx", filters)
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    said = Statement(
        name="unet", version="1.0.0", tasks=("semantic-segmentation",), architecture="U-Net", license="MIT",
        geometry=PLACE, start=moment, end=moment, input_dims=("batch", "bands", "height", "width"),
        output_dims=("batch", "class", "height", "width"), bands=BANDS,
    )  # fmt: skip
    found = describe_file(folder / "unet.onnx", said)
    [source], [output] = found.inputs, found.outputs
    classes = [{"value": i, "name": name, "description": name} for i, name in enumerate(CLASSES)]
    output = type(output)(**output.model_dump(exclude_none=True) | {"classification:classes": classes})
    source = source.model_copy(update={"value_scaling": (ZScore(mean=MEAN, stddev=SPREAD),)})
    found = found.model_copy(update={"inputs": (source,), "outputs": (output,)})
    modelstac.open(folder / "catalog", create=True).publish(write_item(found))


def scene_item(folder: Path, size: int) -> Path:
    """Generate the scene, unless it is there."""
    from modelstac.training.scenes.generating import generate_scene

    there = sorted((folder / str(size)).glob("*.json"))
    return there[0] if there else generate_scene(folder / str(size), size).item


def loaded(folder: Path, **how: Any) -> Any:
    """Load the model with as many threads as there are processors."""
    import modelstac

    return modelstac.load(ITEM, catalog=folder / "catalog", threads=os.cpu_count(), **how)


def row_bare(folder: Path, item: Path) -> dict[str, float]:
    """Run the bare session on tiles of the plan that lie in memory; as many as there are."""
    from modelstac.registry.scenes.predicting import predict_scene
    from modelstac.registry.scenes.reading.opening import open_source
    from modelstac.registry.scenes.running.preparing import Preparing

    model = loaded(folder)
    plan = predict_scene(model, str(item), dry_run=True).plan
    source = open_source(str(item), model)
    reading = Preparing(model, model.signature.inputs[0], source, None)
    places = [place for group in plan.groups for place in group]
    some = random.Random(0).sample(places, min(8, len(places)))
    tiles = [
        reading.read(plan.rows.positions("image", r), plan.columns.positions("image", c)).values[None] for r, c in some
    ]
    session = model.native
    session.run(["scores"], {"image": tiles[0]})
    began, used = time.perf_counter(), time.process_time()
    for tile in tiles:
        session.run(["scores"], {"image": tile})
    share = plan.tiles / len(tiles)
    found = {"seconds": (time.perf_counter() - began) * share, "cpu_seconds": (time.process_time() - used) * share}
    return found | {"tiles": plan.tiles, "height": plan.tile[0], "width": plan.tile[1]}


def row_scene(folder: Path, item: Path) -> dict[str, float]:
    """Run it end to end: files to a Cloud Optimised GeoTIFF."""
    import modelstac.registry.scenes.writing.write  # noqa: F401 - imports are not counted, of any row
    from modelstac.registry.scenes.predicting import predict_scene

    with loaded(folder, spin=False) as other:
        predict_scene(other, str(item), dry_run=True)
    model = loaded(folder, spin=False)  # as modelstac predict does; anew, so that its trial tile counts
    shutil.rmtree(folder / "map.tif.part", ignore_errors=True)  # of one that was broken off
    return timed(model, item, folder)


def row_next(folder: Path, item: Path) -> dict[str, float]:
    """Run it on a further scene with the model that is loaded: what a pixel costs is known, and its memory is there."""
    model = loaded(folder, spin=False)
    shutil.rmtree(folder / "map.tif.part", ignore_errors=True)
    timed(model, item, folder)
    return timed(model, item, folder)


def timed(model: Any, item: Path, folder: Path) -> dict[str, float]:
    """Make the map, and give how long it took."""
    from modelstac.registry.scenes.predicting import predict_scene

    began, used = time.perf_counter(), time.process_time()
    found = predict_scene(model, str(item), folder / "map.tif")
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - used,
        "tiles": found.plan.tiles,
        "height": found.plan.tile[0],
        "width": found.plan.tile[1],
    }


def row_dask(folder: Path, item: Path) -> dict[str, float]:
    """Run ``model.predict`` on blocks of Dask, and write what comes out."""
    import dask.array as da
    import rasterio
    import xarray as xr

    model = loaded(folder)
    began, used = time.perf_counter(), time.process_time()
    profile, arrays = opened(item)
    alone = threading.Lock()  # handles of GDAL are for one thread at a time

    def block(block_info: Any = None) -> np.ndarray[Any, Any]:
        (_, _), rows, columns = block_info[None]["array-location"]
        with alone:
            return read_window(arrays, slice(*rows), slice(*columns))

    size = profile["height"]
    chunks = tuple(min(1024, size - begin) for begin in range(0, size, 1024))
    bands = da.map_blocks(block, dtype=np.uint16, chunks=((len(BANDS),), chunks, chunks))
    labels = {"bands": list(BANDS)}
    scores = model.predict(xr.DataArray(bands, labels, ("bands", "height", "width")), scaled=False)
    made = scores.argmax("class") if "class" in scores.dims else scores.squeeze().argmax(0)
    with rasterio.open(folder / "dask.tif", "w", **profile) as target:
        for begin in range(0, size, 1024):
            rows = made.isel(height=slice(begin, begin + 1024)).squeeze().values.astype(np.uint8)
            target.write(rows, 1, window=((begin, begin + len(rows)), (0, size)))
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def row_loop(folder: Path, item: Path) -> dict[str, float]:
    """Run a plain loop over windows as people write it: read, scale, run, argmax, write, without a halo."""
    import rasterio

    session = loaded(folder).native
    began, used = time.perf_counter(), time.process_time()
    profile, arrays = opened(item)
    size = profile["height"]
    with rasterio.open(folder / "loop.tif", "w", **profile) as target:
        for top in range(0, size, 1024):
            for left in range(0, size, 1024):
                rows, columns = slice(top, min(top + 1024, size)), slice(left, min(left + 1024, size))
                values = (read_window(arrays, rows, columns).astype(np.float32) - MEAN) / SPREAD
                pad = [(0, -values.shape[1] % 8), (0, -values.shape[2] % 8)]
                values = np.pad(values, [(0, 0), *pad], mode="reflect")
                scores = session.run(["scores"], {"image": values[None].astype(np.float32)})[0][0]
                made = scores.argmax(0).astype(np.uint8)[: rows.stop - top, : columns.stop - left]
                target.write(made, 1, window=((top, rows.stop), (left, columns.stop)))
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def opened(item: Path) -> tuple[dict[str, Any], list[Any]]:
    """Open the band files with rasterio, and say how a map of them is written."""
    import rasterio

    assets = json.loads(item.read_text("utf-8"))["assets"]
    files = [rasterio.open(item.parent / assets[band]["href"]) for band in BANDS]
    finest = max(files, key=lambda file: file.height)
    profile = {"driver": "GTiff", "width": finest.width, "height": finest.height, "count": 1, "dtype": "uint8"}
    more = {"crs": finest.crs, "transform": finest.transform, "tiled": True, "compress": "deflate"}
    return profile | more, files


def read_window(files: list[Any], rows: slice, columns: slice) -> np.ndarray[Any, Any]:
    """Read all bands of a window on the finest grid, by the resampling of GDAL."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    made = np.empty((len(files), rows.stop - rows.start, columns.stop - columns.start), np.uint16)
    finest = max(file.height for file in files)
    for band, file in zip(made, files, strict=True):
        factor = finest // file.height
        window = Window(*(n / factor for n in (columns.start, rows.start, band.shape[1], band.shape[0])))
        file.read(1, window=window, out=band, resampling=Resampling.bilinear)
    return made


def measured(row: str, folder: Path, item: Path) -> dict[str, Any]:
    """Run a row in a process of its own."""
    code = f"from benchmarks.scenes import child; child({row!r}, {str(folder)!r}, {str(item)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": " ".join(done.stderr.split())[-300:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(row: str, folder: str, item: str) -> None:
    """Measure a row here, and print what was found with the peak of memory."""
    from benchmarks.large import memory

    found = globals()[f"row_{row}"](Path(folder), Path(item))
    print(json.dumps({"peak_bytes": memory("VmHWM")} | found), flush=True)


def row_terratorch(folder: Path, item: Path) -> dict[str, float]:
    """Run terratorch's tiled inference in its own environment, on the same U-Net in PyTorch with one read."""
    code = Path(__file__).with_name("scenes_peer.py")
    done = subprocess.run([os.environ[PARTNER], str(code), str(item), str(folder / "unet.onnx")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def kill(folder: Path, item: Path, times: int) -> bool:
    """Kill a run at random moments, so many times, and take it up again until it ends; compare the bytes."""

    def command(output: str) -> list[str]:
        given = [
            "predict",
            ITEM,
            str(item),
            "--output",
            str(folder / output),
            "-c",
            str(folder / "catalog"),
            "--tile",
            "256",
        ]
        return [sys.executable, "-m", "modelstac", *given]

    began = time.perf_counter()
    subprocess.run(command("whole.tif"), check=True, capture_output=True)
    long, rng, killed = time.perf_counter() - began, random.Random(1), 0
    while killed < times:
        process = subprocess.Popen(command("killed.tif"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.15, 0.6) * long)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    subprocess.run(
        command("killed.tif"), check=True, capture_output=True
    )  # also where the last kill came after the map
    whole, again = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("whole.tif", "killed.tif"))
    return whole == again and not (folder / "killed.tif.part").exists()


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scenes", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--kill", type=int, default=0, metavar="TIMES")
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("--folder", type=Path, help="keep the scene and the model here")
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "catalog").exists():
            publish(folder, options.filters)
        item = scene_item(folder, options.size)
        if options.kill:
            same = kill(folder, item, options.kill)
            print(f"Killed {options.kill} times and resumed: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
            return
        rows = [row for row in options.only.split(",") if row != "terratorch" or os.environ.get(PARTNER)]
        found: dict[str, list[dict[str, Any]]] = {row: [] for row in rows}
        for _ in range(options.turns):
            for row in rows:
                found[row].append(measured(row, folder, item))
        show(found, options.size)
        if "terratorch" in options.only and "terratorch" not in rows:
            print(f"terratorch: left out, {PARTNER} names no Python that has it")


def show(found: dict[str, list[dict[str, Any]]], size: int) -> None:
    """Print pixels a second, ratios to the bare session and to Dask's blocks, and peaks of memory."""
    print(f"A scene of {size} x {size} pixels, ten bands, to a map of 9 classes; {os.cpu_count()} processors")
    pixels = size * size
    medians = {
        key: {row: statistics.median(t[key] for t in turns if key in t)
              for row, turns in found.items() if any(key in t for t in turns)}
        for key in ("seconds", "cpu_seconds")
    }  # fmt: skip
    for row, turns in found.items():
        if row not in medians["seconds"]:
            print(f"{row:11} failed: {turns[-1].get('failed')}")
            continue
        told = [f"{pixels / medians['seconds'][row] / 1e6:6.3f} Mpixel/s"]
        for other in ("bare", "dask"):
            ratios = [of[other] / of[row] for of in medians.values() if other in of and row in of]
            if ratios and other != row:
                told.append(f"{ratios[0]:.2f} of {other} ({ratios[-1]:.2f} by processor time)")
        told.append(f"peak {max(t['peak_bytes'] for t in turns if 'peak_bytes' in t) / 1e9:.2f} GB")
        told += ["{tiles} tiles of {height} x {width}".format(**turns[0])] if "tiles" in turns[0] else []
        print(f"{row:11} {'  '.join(told)}")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
