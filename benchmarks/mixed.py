"""A catalog of 1,000 items as people publish them, 5 % of them odd: read, searched, copied and served.

``python -m benchmarks mixed [ITEMS]``. Items of MLM 1.0 to 1.6, of its first address, of the extensions before it, and
some without checksum or geometry; the odd ones cannot be read, are named, and hide nobody.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from modelstac.catalog import Query, open_catalog
from modelstac.catalog.messages import Message, Note
from modelstac.catalog.sync import sync

ITEMS, REPEATS, ODD = 1000, 30, 20  # one of so many is odd
MLM = "https://stac-extensions.github.io/mlm/v{}/schema.json"
ADDRESSES = (
    *(MLM.format(version) for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.5.1", "1.6.0")),
    "https://crim-ca.github.io/mlm-extension/v1.2.0/schema.json",
    "https://crim-ca.github.io/dlm-extension/v1.0.0/schema.json",
    "https://stac-extensions.github.io/ml-model/v1.0.0/schema.json",
)
FRAMEWORKS = ("pytorch", "PyTorch", "torch", "tensorflow", "ONNX", "scikit-learn")
_SHAPE = {"shape": [-1, 3, 64, 64], "dim_order": ["batch", "channel", "height", "width"], "data_type": "float32"}
_CLASSES = {"shape": [-1, 4], "dim_order": ["batch", "class"], "data_type": "float32"}


def document(number: int) -> dict[str, Any]:
    """Return one of many items, in the form of its version."""
    west, south = float(number % 340 - 170), float(number % 150 - 75)
    box = [west, south, west + 5, south + 4]
    ring = [[box[a], box[b]] for a, b in ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))]
    address = ADDRESSES[number % len(ADDRESSES)]
    legacy = "ml-model" in address
    framework = FRAMEWORKS[number % len(FRAMEWORKS)]
    asset: dict[str, Any] = {
        "href": f"https://example.org/models/{number}.onnx",
        "type": "application/octet-stream",
        "roles": ["ml-model:checkpoint" if legacy else "mlm:model"],
    }
    if not legacy:
        asset["mlm:artifact_type"] = ("onnx", "torch.save", "safetensors.torch.save_file")[number % 3]
    if number % 4:
        asset |= {"file:checksum": f"1220{number:064x}", "file:size": 1000 + number}
    of_mlm = {
        "mlm:name": f"model-{number}",
        "mlm:architecture": ("U-Net", "UNet", "ResNet")[number % 3],
        "mlm:tasks": ["classification"],
        "mlm:framework": framework,
        "mlm:framework_version": f"2.{number % 10}.0",
        "mlm:input": [{"name": "image", "bands": ["B04", "B03", "B02"], "input": _SHAPE}],
        "mlm:output": [{"name": "classes", "tasks": ["classification"], "result": _CLASSES}],
    }
    of_legacy = {"ml-model:type": "ml-model", "ml-model:learning_approach": "supervised"}
    return {
        "type": "Feature",
        "stac_version": "1.0.0" if number % 2 else "1.1.0",
        "stac_extensions": [address],
        "id": f"item-{number}",
        "collection": f"publisher-{number % 7}",
        "geometry": None if number % 11 == 0 else {"type": "Polygon", "coordinates": [ring]},
        **({} if number % 11 == 0 else {"bbox": box}),
        "properties": {"datetime": "2020-06-01T00:00:00Z", "title": f"Model {number}"}
        | (of_legacy if legacy else of_mlm),
        "assets": {"model": asset, "code": {"href": "https://example.org/train.py", "roles": ["code"]}},
        "links": [],
    }


def odd(made: dict[str, Any], kind: int) -> dict[str, Any]:
    """Spoil an item in one of the ways that are found in real catalogs."""
    changes: Sequence[dict[str, Any]] = (
        {"bbox": [3, 54, 7, 50]},
        {"geometry": {}},
        {"properties": made["properties"] | {"datetime": "2020"}},
        {"assets": list(made["assets"].values())},
        {"links": {}},
    )
    return made | changes[kind % len(changes)]


def write(folder: Path, count: int) -> None:
    """Write a static catalog with a collection for each publisher."""
    children: dict[str, list[str]] = {}
    for number in range(count):
        made = document(number)
        made = odd(made, number // ODD) if number % ODD == ODD - 1 else made
        place = folder / made["collection"]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.json").write_text(json.dumps(made), encoding="utf-8")  # the name of no item
        children.setdefault(made["collection"], []).append(f"./{number}.json")
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    for name, items in children.items():
        links = [{"rel": "item", "href": href} for href in items]
        collection = {"type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "links": links}
        collection |= {"license": "other", "extent": extent}
        (folder / name / "collection.json").write_text(json.dumps(collection), encoding="utf-8")
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in children]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "mixed", "description": "Of many publishers"}
    (folder / "catalog.json").write_text(json.dumps(root | {"links": links}), encoding="utf-8")


SEARCHES: dict[str, dict[str, Any]] = {
    "all": {"limit": 100},
    "framework and version": {"framework": "torch", "framework_version": ">=2.3,<2.6", "limit": 100},
    "architecture, band, place": {"architecture": "unet", "bands": "B03", "bbox": (0, 0, 60, 60), "limit": 100},
}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give the median time of some runs in milliseconds, and what came of the last."""
    times, found = [], None
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000, found


def searched(name: str, catalog: Any) -> Iterator[str]:
    for what, fields in SEARCHES.items():
        milliseconds, page = timed(lambda fields=fields: catalog.page(Query(**fields), count=True))
        yield f"| {name}: {what} | {milliseconds:.1f} ms | {page.matched} |"


def served(folder: Path) -> Iterator[str]:
    """Ask a server over the SQLite file."""
    environment = os.environ | {"MODELSTAC_ITEMS": "any", "OMP_NUM_THREADS": "1"}
    program = "from modelstac.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "serve",
        "--catalog",
        str(folder / "mixed.sqlite"),
        "--port",
        str(_free_port()),
    ]
    with (
        (folder / "log").open("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            address = _address(folder / "log", process)
            for what, path in (("all", "/search?limit=100"), ("one item", "/collections/publisher-1/items/item-1")):
                milliseconds, _ = timed(lambda path=path: urllib.request.urlopen(address + path).read())
                yield f"| served: {what} | {milliseconds:.1f} ms | |"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        if match := re.search(r"http://[\w.]+:\d+", log.read_text()):
            return match[0]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text()[-400:]}")


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else ITEMS
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        folder = Path(name)
        write(folder / "static", count)
        print("| what | time | items |\n| --- | --- | --- |")
        began = time.perf_counter()
        static = open_catalog(folder / "static")
        page = static.page(Query(limit=10), count=True)
        first = (time.perf_counter() - began) * 1000
        print(f"| a folder, read for the first time | {first:.0f} ms | {page.matched} |")
        print(f"| named in notes | | {len(page.notes)} of {count // ODD} |")
        print("\n".join(searched("a folder", static)))
        target = open_catalog(folder / "mixed.sqlite", create=True)
        heard: list[Message] = []
        began = time.perf_counter()
        done = sync(static, target, artifacts=False, report=heard.append)
        told = sum(isinstance(message, Note) for message in heard)
        seconds = time.perf_counter() - began
        print(f"| copied into SQLite ({told} notes) | {seconds:.1f} s | {len(done.copied)} |")
        print("\n".join(searched("SQLite", target)))
        print("\n".join(served(folder)))
