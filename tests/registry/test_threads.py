"""One model or several in many threads, first imports among them, and processes that were forked off."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pystac
import pytest
import torch
import xarray as xr
from tests.registry.http_server import serving
from tests.registry.test_cache import CONTENT, get
from tests.registry.test_runtimes import WRITERS

import modelstac
from modelstac.registry import Model
from modelstac.registry.files.cache import Cache
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.testing import THREADS, forked

MakeItem = Callable[..., pystac.Item]
Arrays = Mapping[str, np.ndarray]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning", "ignore:.torch.jit:DeprecationWarning")

LOAD = """
    import threading
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np, pystac, modelstac

    paths = sys.argv[1:]
    start = threading.Barrier(8)
    given = np.random.default_rng(1).random((2, 4, 1, 6, 5), np.float32)

    def work(number):
        item = pystac.Item.from_file(paths[number % len(paths)])
        start.wait()
        return float(abs(modelstac.load(item).predict(given) - 3 * given).max())

    with ThreadPoolExecutor(8) as pool:
        answer(apart=max(pool.map(work, range(8))))
"""


def test_threads_that_begin_at_once_import_frameworks_and_load(
    tmp_path: Path, make_item: MakeItem, python: Callable[..., dict[str, object]]
) -> None:
    paths = []
    for form in ("torch-export", "onnx", "openvino"):
        folder = tmp_path / form
        folder.mkdir()
        item = make_item(WRITERS[form](folder), form)
        item.save_object(dest_href=str(folder / "item.json"))
        paths.append(str(folder / "item.json"))
    assert float(str(python(LOAD, *paths)["apart"])) < 1e-5


HALF = """
    sys.path.insert(0, sys.argv[1])
    import threading
    import numpy as np
    from modelstac.registry.publishing.objects.finding import find
    from modelstac.registry.running.arrays import as_named, as_numbers, is_labelled
    from modelstac.registry.runtimes.backends import running_backend

    sys.begun, sys.end = threading.Barrier(7, timeout=60), threading.Event()
    packages = ("torch", "tensorflow", "xarray", "pandas", "polars", "pyarrow")
    threads = [threading.Thread(target=__import__, args=(package,)) for package in packages]
    [thread.start() for thread in threads]
    sys.begun.wait()
    given = np.ones((2, 3))
    same = as_numbers(given, of="x") is given and as_named(given, ["a"], of="x") is given and not is_labelled(given)
    waiting = not sys.end.is_set()
    sys.end.set()
    [thread.join() for thread in threads]

    sys.begun, sys.end = threading.Barrier(2, timeout=60), threading.Event()
    keras = threading.Thread(target=__import__, args=("keras",))
    keras.start()
    sys.begun.wait()
    threading.Timer(0.1, sys.end.set).start()
    answer(same=same, waiting=waiting, backend=running_backend(), found=find(sys.modules["keras"].Model()).__name__)
"""


def test_what_another_thread_is_importing_is_waited_for_or_left_alone(
    tmp_path: Path, python: Callable[..., dict[str, object]]
) -> None:
    slow = "import sys\nsys.begun.wait()\nassert sys.end.wait(60)\n"
    for package in ("torch", "tensorflow", "xarray", "pandas", "polars", "pyarrow"):
        (tmp_path / f"{package}.py").write_text(slow)
    keras = "import types\nModel = type('Model', (), {})\nconfig = types.SimpleNamespace(backend=lambda: 'jax')\n"
    graphs = tmp_path / "keras" / "src" / "models" / "functional.py"
    graphs.parent.mkdir(parents=True)
    graphs.write_text("Functional = type('Functional', (), {})\n")
    (tmp_path / "keras" / "__init__.py").write_text(slow + keras)
    assert python(HALF, tmp_path) == {
        "same": True,
        "waiting": True,
        "backend": "jax",
        "found": "modelstac.registry.publishing.objects.keras",
    }


class Busy:
    """Triples its input, and notes how many callers it had at most."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self.wait, self.inside, self.most = wait, 0, 0

    def __call__(self, arrays: Arrays) -> Arrays:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.wait()
        self.inside -= 1
        return {"y": 3 * arrays["x"]}


def model_of(item: pystac.Item, run: Busy, *, parallel: bool) -> Model:
    known = modelstac.load(item)
    return Model(known.item, known.description, Opened(None, run, ("x",), ("y",), parallel=parallel))


def test_a_runtime_that_says_nothing_is_asked_by_one_thread_at_a_time(
    tmp_path: Path, make_item: MakeItem, frames: np.ndarray
) -> None:
    run = Busy(lambda: threading.Event().wait(0.002))
    model = model_of(make_item(WRITERS["onnx"](tmp_path), "onnx"), run, parallel=False)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: model.predict(frames), range(40)))
    assert run.most == 1


def test_blocks_run_at_once_where_the_runtime_takes_several_threads(
    tmp_path: Path, make_item: MakeItem, frames: np.ndarray
) -> None:
    together = threading.Barrier(2, timeout=60)  # broken, and an error, unless two are inside
    model = model_of(make_item(WRITERS["onnx"](tmp_path), "onnx"), Busy(together.wait), parallel=True)
    batch = xr.DataArray(np.concatenate([frames] * 2), dims=model.signature.inputs[0].dim_order).chunk(
        batch=len(frames)
    )
    found = model.predict(batch, scaled=True).compute(scheduler="threads", num_workers=2)
    np.testing.assert_allclose(found, 3 * batch.to_numpy(), rtol=1e-6)


class Triple(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * x


@forks
def test_an_isolated_model_in_threads_and_a_fork_that_leaves_it_alone(
    tmp_path: Path, make_item: MakeItem, frames: np.ndarray
) -> None:
    torch.jit.script(Triple()).save(str(tmp_path / "model.pt"))
    item = make_item(tmp_path / "model.pt", "torch", entrypoint=None)
    del item.properties["interop:variant"]
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.jit.save"
    model = modelstac.load(item, trust="pickle")
    try:
        factors = [1 + n / 480 for n in range(480)]
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda factor: model.predict(frames * np.float32(factor)), factors))
        for factor, one in zip(factors, found, strict=True):
            np.testing.assert_allclose(one, 3 * frames * np.float32(factor), rtol=1e-6)
        pid = model.pid  # type: ignore[attr-defined]
        if hasattr(os, "fork"):
            assert forked(lambda: model.predict(frames)) == "CannotRunError"
            assert forked(model.close) == "answered"
        np.testing.assert_allclose(model.predict(frames), 3 * frames, rtol=1e-6)
        assert model.pid == pid  # type: ignore[attr-defined]
    finally:
        model.close()


@needs_fork
@forks
def test_a_process_forked_after_a_download_says_that_it_cannot_fetch(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        assert get(Cache(tmp_path / "one"), f"{server.url}/ok/m") == CONTENT
        assert forked(lambda: get(Cache(tmp_path / "one"), f"{server.url}/ok/m")) == "answered"  # it is in the cache
        assert forked(lambda: get(Cache(tmp_path / "two"), f"{server.url}/ok/m")) == "CannotRunError"
        assert get(Cache(tmp_path / "three"), f"{server.url}/ok/m") == CONTENT


@needs_fork
@forks
def test_the_line_says_what_to_do(tmp_path: Path, make_item: MakeItem, frames: np.ndarray) -> None:
    model = modelstac.load(make_item(WRITERS["onnx"](tmp_path), "onnx"))
    model.predict(frames)
    told = tmp_path / "told"

    def action() -> None:
        try:
            model.predict(frames)
        except Exception as error:
            told.write_text(str(error))
            raise

    assert forked(action) == "CannotRunError"
    assert "start such processes with multiprocessing's 'spawn' or 'forkserver'" in told.read_text()
    assert "\n" not in told.read_text()
