"""`modelstac.load` from a warm cache against the framework's own load of the same file, and against peers.

Each pair takes turns in one process, and the medians are compared: at most 1.05 times the framework's own load plus
5 ms. The files are fetched over HTTP once, so that what is measured is a cache hit. Keras runs in a process of its own
for each backend. MLflow and the Hugging Face cache run in an environment that uv makes for them, as their pins differ
from ours; without uv or a network they are left out, and the table says so.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pystac

from modelstac.catalog import open_catalog
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.testing import example_fields
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

SPEC = ConvLSTMSpec(filters=(64, 64, 64, 64), kernels=(7, 5, 3, 1), frames=18, height=64, width=64)
"""The reference architecture: about two million parameters, 8 MB."""
CASES = ("onnx", "torch", "keras-tensorflow", "keras-torch")
TURNS = 15
PACKAGES = {"tensorflow": "tensorflow-cpu", "torch": "torch"}
FACTOR, EXTRA = 1.05, 0.005
PEERS = ("mlflow==3.17.0", "huggingface_hub", "onnx==1.22.0", "onnxruntime==1.31.0", "pip")


def write(case: str, folder: Path) -> tuple[Path, Callable[[], Any], dict[str, Any]]:
    """Write the model file, and return it with the framework's own load of it and the fields of its item."""
    weights = initial_weights(SPEC, seed=0)
    path = folder / f"model{FORMATS[case.partition('-')[0]].suffix}"
    if case == "onnx":
        import onnx
        import onnxruntime

        from modelstac.exporters.converters import convlstm_onnx

        order = ("batch", "time", "variables", "height", "width")
        onnx.save(convlstm_onnx.build(SPEC, weights, dim_order=order), path)
        fields = {"format": "onnx", "framework_version": onnx.__version__}
        return path, lambda: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), fields
    if case == "torch":
        import torch
        from safetensors.torch import load_file, save_file

        from modelstac.training.architectures import convlstm_torch

        net = convlstm_torch.build(SPEC)
        convlstm_torch.set_weights(net, weights)
        save_file(net.state_dict(), path)

        def plain() -> torch.nn.Module:
            with torch.device("meta"):
                made = convlstm_torch.build(SPEC)
            made.load_state_dict(load_file(path), assign=True)
            return made.eval()

        fields = {"format": "torch", "framework_version": torch.__version__}
        return path, plain, fields | {"entrypoint": "modelstac.training.architectures.convlstm_torch:build"}
    import keras

    from modelstac.training.architectures import convlstm_keras

    model = convlstm_keras.build(SPEC)
    convlstm_keras.set_weights(model, weights)
    model.save(path)
    backend = {"backend": keras.config.backend(), "backend_version": version(PACKAGES[keras.config.backend()])}
    fields = {"format": "keras", "framework_version": keras.__version__, **backend}
    return path, lambda: keras.saving.load_model(path, compile=False), fields


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def publish(path: Path, fields: dict[str, Any], url: str, folder: Path) -> pystac.Item:
    """Publish the model in an embedded catalog, with the file elsewhere."""
    metrics = folder / "metrics.json"
    metrics.write_text("{}")
    known = example_fields(path, metrics) | {"entrypoint": None, "variant": "bench"}
    description = ModelDescription(**known | {"hyperparameters": {"architecture": SPEC.to_dict()}} | fields)
    item = write_item(description)
    item.assets["model"].href = f"{url}/{path.name}"
    catalog = open_catalog(str(folder / "models.sqlite"), create=True)
    return catalog.publish(item)


def medians(runs: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Take turns, each time in the other order, and give the median seconds of each, and of its processor time."""
    times: dict[str, list[float]] = {name: [] for run in runs for name in (run, f"{run} cpu")}
    for turn in range(turns + 1):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            began, used = time.perf_counter(), time.process_time()
            runs[name]()
            times[name].append(time.perf_counter() - began)
            times[f"{name} cpu"].append(time.process_time() - used)
    return {name: statistics.median(found[1:]) for name, found in times.items()}  # the first turn warms up


def measure(case: str, turns: int = TURNS) -> dict[str, float]:
    """Measure one format in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MODELSTAC_CACHE"] = str(folder / "cache")
        path, plain, fields = write(case, folder)
        with served(folder) as url:
            import modelstac

            item = publish(path, fields, url, folder)
            catalog = modelstac.open(str(folder / "models.sqlite"))
            modelstac.load(item.id, catalog=catalog)
            time.sleep(2.1)  # then the file is old enough to be stamped
            modelstac.load(item.id, catalog=catalog, rehash=True)
            return medians({"own": plain, "modelstac": lambda: modelstac.load(item.id, catalog=catalog)}, turns)


def in_environment(packages: Sequence[str], program: Path, *arguments: object) -> dict[str, float] | str:
    """Run a program of a peer in an environment that uv makes; return what it prints as JSON, or why there is none."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        return "uv is not installed"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [uv, "run", "--quiet", "--no-project", "--python", python]
    command += [word for package in packages for word in ("--with", package)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "python", str(program), *map(str, arguments)],
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def peers(turns: int = TURNS) -> dict[str, float] | str:
    """Measure MLflow's registry and the Hugging Face cache on the ONNX file, in an environment of their own."""
    with tempfile.TemporaryDirectory() as name:
        path, _, _ = write("onnx", Path(name))
        return in_environment(PEERS, Path(__file__).with_name("loading_peers.py"), path, turns)


def main() -> None:
    print(f"Load of {SPEC.parameters:,} parameters, warm cache, medians of {TURNS} paired turns")
    print(f"(target: at most {FACTOR} times the framework's own load plus {EXTRA * 1e3:.0f} ms)")
    print("(processor time tells more than time where other programs run)\n")
    columns = "".join(
        f"{kind:>12}{'modelstac.load':>16}{'ratio':>8}{'target':>10}" for kind in ("own load", "processor")
    )
    print(f"{'':18}{columns}")
    for case in CASES:
        backend = {"KERAS_BACKEND": case.partition("-")[2], "TF_CPP_MIN_LOG_LEVEL": "3"} if "-" in case else {}
        code = f"import json; from benchmarks.loading import measure; print(json.dumps(measure({case!r})))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | backend, stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        line = f"{case:18}"
        for kind in ("", " cpu"):
            own, ours = found[f"own{kind}"], found[f"modelstac{kind}"]
            verdict = "met" if ours <= FACTOR * own + EXTRA else "MISSED"
            line += f"{own * 1e3:9.1f} ms{ours * 1e3:13.1f} ms{ours / own:8.2f}{verdict:>10}"
        print(line, flush=True)
    found = peers()
    if isinstance(found, str):
        print(f"\npeers are left out: {found}")
    else:
        print("\nPeers on the ONNX file")
        for name, seconds in found.items():
            print(f"{name:34}{seconds * 1e3:9.2f} ms")


if __name__ == "__main__":
    main()
