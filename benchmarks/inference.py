"""Inference over HTTP against bare ONNX Runtime in the same run: ``python -m benchmarks inference``.

Bare is a session in this process, called in a loop, and by eight threads at once. The server is a process of its own,
asked over kept connections by the binary protocol: by one client, by Triton's client, and by eight clients at once.
They take turns, in another order each time; what is shown is the median of the turns. Each has the same threads.
"""

from __future__ import annotations

import http.client
import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import onnxruntime
import orjson
import requests
from onnx import TensorProto, helper, numpy_helper
from tests.catalog.server.conftest import serving

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
TURNS, CALLS, CLIENTS, SECONDS = int(os.environ.get("MODELSTAC_BENCH_TURNS", "7")), 200, 8, 3.0
LENGTH = "Inference-Header-Content-Length"
SMALL, LARGE = (1, 12), (1, 4, 128, 128)
Call = Callable[[], Any]


def pixels(path: Path) -> Path:
    """Write a classifier of pixels: twelve bands through two layers."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in (("a", (12, 64)), ("b", (64, 8)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    return _save(path, nodes, weights, ["batch", 12], ["batch", 8])


def convolutions(path: Path) -> Path:
    """Write a segmentation model: four bands through six convolutions of 32 filters."""
    random = np.random.default_rng(0)
    channels = [4, *[32] * 6, 2]
    weights, nodes, last = [], [], "x"
    for number, (before, after) in enumerate(itertools.pairwise(channels)):
        kernel = random.normal(0, (9 * before) ** -0.5, (after, before, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{number}"))
        found = "y" if number == len(channels) - 2 else f"c{number}"
        nodes.append(helper.make_node("Conv", [last, f"w{number}"], [found], pads=[1, 1, 1, 1]))
        if found != "y":
            nodes.append(helper.make_node("Relu", [found], [f"r{number}"]))
        last = f"r{number}"
    grid = ["height", "width"]
    return _save(path, nodes, weights, ["batch", 4, *grid], ["batch", 2, *grid])


def _save(path: Path, nodes: list[Any], weights: list[Any], given: list[Any], found: list[Any]) -> Path:
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", given), ("y", found))
    )
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Client:
    """A kept connection that asks for one model with one tensor."""

    def __init__(self, href: str, name: str, x: np.ndarray) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(href).netloc)
        tensor = {
            "name": "x",
            "datatype": "FP32",
            "shape": list(x.shape),
            "parameters": {"binary_data_size": x.nbytes},
        }
        head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
        self._body = head + x.tobytes()
        self._path = f"/v2/models/{name}/infer"
        self._headers = {LENGTH: str(len(head))}

    def __call__(self) -> np.ndarray:
        self._connection.request("POST", self._path, self._body, self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return np.frombuffer(body, "<f4", offset=int(answer.headers[LENGTH]))


def latency(call: Call) -> float:
    """Return the median milliseconds of a call, one after the other."""
    found = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        call()
        found.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(found)


def throughput(calls: list[Call]) -> float:
    """Return the calls a second of as many threads as there are callers."""
    done, end = [0] * len(calls), time.perf_counter() + SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < end:
            calls[number]()
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


def in_turns(contenders: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(TURNS):
        names = list(contenders)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(contenders[name]())
    return found


def triton_client(href: str, name: str, x: np.ndarray) -> Call:
    import tritonclient.http as triton

    client = triton.InferenceServerClient(urlsplit(href).netloc)
    given = triton.InferInput("x", list(x.shape), "FP32")
    given.set_data_from_numpy(x)
    return lambda: client.infer(name, [given]).as_numpy("y")


def published(path: Path, catalog: Catalog, example: np.ndarray) -> str:
    dims = ("batch", "feature") if example.ndim == 2 else ("batch", "channel", "height", "width")
    item = modelstac.publish(
        path,
        catalog=catalog,
        name=path.stem,
        example=example,
        input_dims=dims,
        output_dims=dims,
        task="regression",
        architecture="Network",
        license="MIT",
        bbox=(5, 50, 10, 55),
        datetime="2020",
    )
    return item.id


def measure(folder: Path) -> None:
    catalog = open_catalog(str(folder / "models.sqlite"), create=True)
    paths = {"pixels": pixels(folder / "pixels.onnx"), "convolutions": convolutions(folder / "convolutions.onnx")}
    random = np.random.default_rng(1)
    given = {name: random.random(shape, np.float32) for name, shape in (("pixels", SMALL), ("convolutions", LARGE))}
    names = {}
    for name, path in paths.items():
        names[name] = published(path, catalog, given[name])
    options = [word for name in names.values() for word in ("--predict", name)]
    with serving(
        folder, "--catalog", catalog.href, *options, MODELSTAC_THREADS=str(THREADS), MODELSTAC_LOG_LEVEL="info"
    ) as server:
        while not requests.get(f"{server.href}/v2/health/ready", timeout=60).ok:
            time.sleep(0.1)
        bare = {name: session(path) for name, path in paths.items()}
        for name, x in given.items():
            expected = bare[name].run(None, {"x": x})[0]
            found = Client(server.href, names[name], x)().reshape(expected.shape)
            np.testing.assert_allclose(found, expected, atol=1e-4)
        small, large = given["pixels"], given["convolutions"]
        run_small, run_large = bare["pixels"].run, bare["convolutions"].run
        times = in_turns(
            {
                "bare": lambda: latency(lambda: run_small(None, {"x": small})),
                "HTTP": lambda: latency(Client(server.href, names["pixels"], small)),
                "HTTP, Triton's client": lambda: latency(triton_client(server.href, names["pixels"], small)),
            }
        )
        print(f"\none client, {SMALL} float32: median ms of {TURNS} turns of {CALLS} calls")
        for name, found in times.items():
            added = statistics.median(a - b for a, b in zip(found, times["bare"], strict=True))
            print(f"  {name:24} {statistics.median(found):8.3f}   on top {added:7.3f}")

        def clients() -> list[Call]:  # anew for each turn: the server closes connections that nobody uses
            return [Client(server.href, names["convolutions"], large) for _ in range(CLIENTS)]

        rates = in_turns(
            {
                "bare": lambda: throughput([lambda: run_large(None, {"x": large})] * CLIENTS),
                "HTTP": lambda: throughput(clients()),
            }
        )
        print(f"{CLIENTS} clients, {LARGE} float32: requests a second, median of {TURNS} turns of {SECONDS:g} s")
        for name, found in rates.items():
            share = statistics.median(a / b for a, b in zip(found, rates["bare"], strict=True))
            print(f"  {name:24} {statistics.median(found):8.1f}   of bare {share:6.2f}")


def main() -> None:
    print(f"Inference over HTTP and bare ONNX Runtime, {THREADS} threads; load of the machine {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))
