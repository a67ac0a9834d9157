"""A catalog of 1,000 items as people publish them, 5 % of them odd: read, searched, copied and served.

``python -m benchmarks mixed [ITEMS]``. Items of MLM 1.0 to 1.6, of its first address, of the extensions before it, and
some without checksum or geometry; the odd ones cannot be read, are named, and hide nobody. Beside each time stands what
it may take at most, of 1,000 items on two cores that do nothing else, and the time of the processor where the work is
done in this process: a busy machine makes the first longer, not the second.
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
from urllib.parse import quote

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


LIMITS = {"a folder": 50.0, "SQLite": 4.0, "served": 7.0, "whole process": 150.0}
"""Milliseconds of a search: 250 and 150 requests a second, and a search as a command."""
FIRST_LIMIT, COPY_LIMIT = 1000.0, 4.0  # of a folder's first reading, milliseconds; of copying an item, milliseconds

SEARCHES: dict[str, dict[str, Any]] = {
    "all": {"limit": 100},
    "framework and version": {"framework": "torch", "framework_version": ">=2.3,<2.6", "limit": 100},
    "architecture, band, place": {"architecture": "unet", "bands": "B03", "bbox": (0, 0, 60, 60), "limit": 100},
    "a band that none has": {"bands": "B99", "limit": 100},
}


def timed(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, float, Any]:
    """Give the median time of some runs and of the processor in milliseconds, and what came of the last."""
    times, computed, found = [], [], None
    for _ in range(repeats):
        began, before = time.perf_counter(), time.process_time()
        found = work()
        times.append(time.perf_counter() - began)
        computed.append(time.process_time() - before)
    return statistics.median(times) * 1000, statistics.median(computed) * 1000, found


def row(what: str, milliseconds: float, limit: float, items: object = "", computed: float | None = None) -> str:
    """Write a row: what it took, what it may take, and the time of the processor."""
    processor = "" if computed is None else f"{computed:.1f} ms"
    return f"| {what} | {milliseconds:.1f} ms | {limit:g} ms | {processor} | {items} |"


def searched(name: str, catalog: Any) -> Iterator[str]:
    for what, fields in SEARCHES.items():
        milliseconds, computed, page = timed(lambda fields=fields: catalog.page(Query(**fields), count=True))
        yield row(f"{name}: {what}", milliseconds, LIMITS[name], page.matched, computed)


def commanded(place: Path) -> str:
    """Search by the command, a process each time."""
    command = [sys.executable, "-m", "modelstac", "search", "--framework", "torch", "--limit", "10", "--json"]

    def search() -> int:
        done = subprocess.run([*command, "--catalog", str(place)], capture_output=True, check=True)
        return len(json.loads(done.stdout)["features"])

    milliseconds, _, count = timed(search, 5)
    return row("whole process: modelstac search --framework torch", milliseconds, LIMITS["whole process"], count)


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
            wanted = "&filter-lang=cql2-text&filter=" + quote(
                "\"mlm:framework\"='torch' AND A_CONTAINS(bands, ('B03'))"
            )
            for what, path in (
                ("all", "/search?limit=100"),
                ("framework and band", f"/search?limit=10{wanted}"),
                ("one item", "/collections/publisher-1/items/item-1"),
            ):
                milliseconds, _, answer = timed(lambda path=path: urllib.request.urlopen(address + path).read())
                found = json.loads(answer)
                yield row(f"served: {what}", milliseconds, LIMITS["served"], len(found.get("features", [found])))
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
        print("| what | time | at most | processor | items |\n| --- | --- | --- | --- | --- |")
        began = time.perf_counter()
        static = open_catalog(folder / "static")
        page = static.page(Query(limit=10), count=True)
        first = (time.perf_counter() - began) * 1000
        print(row("a folder, read for the first time", first, FIRST_LIMIT, page.matched))
        print(f"| named in notes | | | | {len(page.notes)} of {count // ODD} |")
        print("\n".join(searched("a folder", static)))
        target = open_catalog(folder / "mixed.sqlite", create=True)
        heard: list[Message] = []
        began, before = time.perf_counter(), time.process_time()
        done = sync(static, target, artifacts=False, report=heard.append)
        told = sum(isinstance(message, Note) for message in heard)
        seconds, computed = time.perf_counter() - began, time.process_time() - before
        what = f"copied into SQLite, {told} notes"
        print(row(what, seconds * 1000, COPY_LIMIT * count, len(done.copied), computed * 1000))
        print("\n".join(searched("SQLite", target)))
        print(commanded(folder / "mixed.sqlite"))
        print("\n".join(served(folder)))
