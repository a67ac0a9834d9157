"""Models in an environment and a process of their own: a small one, of ONNX Runtime and NumPy alone, made by uv."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
import xarray as xr
from onnx import TensorProto, helper, numpy_helper
from tests.registry import pairs

import modelstac
from modelstac.catalog.errors import (
    DataError,
    DownloadError,
    IntegrityError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    SpecError,
    UntrustedError,
    WorkerError,
)
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import file_fields
from modelstac.catalog.messages import Finished, Started
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.requirements import derive, parse

MakeItem = Callable[..., pystac.Item]
needs_index = pytest.mark.usefixtures("_package_index")


def write_slow(path: Path) -> Path:
    """Multiply by three, after as many rounds as the first input says: a large number takes hours."""
    layout = ["batch", 4, 1, 6, 5]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
    scalar = {name: helper.make_tensor_value_info(name, kind, []) for name, kind in
              (("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("go_on", TensorProto.BOOL),
               ("a", TensorProto.FLOAT), ("b", TensorProto.FLOAT))}  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Cos", ["a"], ["b"])],
        "body",
        [scalar["i"], scalar["go"], scalar["a"]],
        [scalar["go_on"], scalar["b"]],
    )
    nodes = [
        helper.make_node("ReduceMax", ["frames"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Loop", ["rounds", "true", "zero"], ["last"], body=body),
        helper.make_node("Mul", ["last", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "w"], ["factor"]),
        helper.make_node("Mul", ["frames", "factor"], ["forecast"]),
    ]
    values = {"w": np.float32(3), "zero": np.float32(0), "true": np.bool_(True)}
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environments of this file's tests; what uv downloads is kept in its cache of this run."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def item(tmp_path: Path, make_item: MakeItem, root: Path, monkeypatch: pytest.MonkeyPatch) -> pystac.Item:
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(root))
    return make_item(write_slow(tmp_path / "model.onnx"), "onnx")


@needs_index
def test_it_looks_like_any_other_model(item, frames):
    heard = []
    with modelstac.load(item, isolated=True, report=heard.append) as model, modelstac.load(item) as near:
        assert model.signature == near.signature
        expected = near.predict(frames)
        for batch in (frames, frames[:1], np.concatenate([frames] * 5)):  # the shared memory grows, and is used again
            np.testing.assert_array_equal(model.predict(batch), batch * 3)
        np.testing.assert_array_equal(model.predict(frames), expected)
        np.testing.assert_array_equal(model.run_exactly({"frames": frames})["forecast"], frames * 3)
        with pytest.raises(DataError, match="use that layout"):
            model.predict(frames[0])
        with pytest.raises(ModelStacError, match="is in another process"):
            _ = model.native
        names = {package.partition("==")[0] for package in model.environment.packages}
        pid = model._runner.pid
    assert {"onnxruntime", "numpy"} <= names
    assert not names & {"pystac", "pydantic", "modelstac", "obstore", "onnx"}
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ModelStacError, match="was closed"):
        model.predict(frames)
    assert {type(message) for message in heard} >= {Started, Finished}


@needs_index
def test_several_inputs_and_outputs_go_by_name(tmp_path, make_item, root, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(root))
    item = make_item(pairs.write_onnx(tmp_path), "onnx", **pairs.fields())
    with modelstac.load(item, isolated=True) as model:
        for batch in (2, 5, 1):  # outputs are larger and smaller than what is shared for them
            inputs, outputs = pairs.example(batch)
            found = model.predict(dict(reversed(inputs.items())))
            assert list(found) == ["mask", "height"]
            for name, array in outputs.items():
                np.testing.assert_allclose(found[name], array, atol=1e-5)
        with pytest.raises(DataError, match="needs the input s2; found s1"):
            model.predict(s1=inputs["s1"])
        dims = ("batch", "y", "x", "band")
        labelled = {name: xr.DataArray(array, dims=dims).chunk(y=-1) for name, array in inputs.items()}
        np.testing.assert_allclose(model.predict(labelled)["mask"].compute(), outputs["mask"], atol=1e-5)
    other = make_item(pairs.write_onnx(tmp_path), "onnx", **pairs.fields())
    other.properties["mlm:output"][0]["name"] = "water"
    with pytest.raises(InvalidItemError, match="calls its outputs height, mask, its item water, height"):
        modelstac.load(other, isolated=True)


@needs_index
def test_a_process_without_the_framework_runs_it_when_it_may(item, frames, tmp_path, python, root):
    item.save_object(include_self_link=False, dest_href=str(tmp_path / "item.json"))
    np.save(tmp_path / "frames.npy", frames)
    code = """
        sys.modules["onnxruntime"] = None  # as if it were not installed
        import numpy as np, os, pystac, modelstac
        item, frames = pystac.Item.from_file(sys.argv[1]), np.load(sys.argv[2])
        try:
            modelstac.load(item)
        except modelstac.ModelStacError as error:
            offered = str(error)
        os.environ["MODELSTAC_ISOLATED"] = "auto"
        heard = []
        with modelstac.load(item, report=heard.append) as model:
            equal = bool((model.predict(frames) == frames * 3).all())
        answer(offered=offered, equal=equal, notes=[m.text for m in heard if hasattr(m, "text")])
    """
    found = python(code, tmp_path / "item.json", tmp_path / "frames.npy", MODELSTAC_ENVIRONMENTS=str(root))
    assert found["equal"]
    assert "modelstac[onnx]" in found["offered"]
    assert "isolated=True" in found["offered"]
    assert any("so it runs isolated" in note for note in found["notes"])


@needs_index
def test_a_worker_that_was_killed_is_started_again(item, frames):
    with modelstac.load(item, isolated=True) as model:
        first = model._runner.pid
        os.kill(first, signal.SIGKILL)
        np.testing.assert_array_equal(model.predict(frames), frames * 3)
        assert model._runner.pid not in {None, first}


@needs_index
def test_a_worker_that_hangs_is_ended_and_started_once(item, frames, monkeypatch):
    monkeypatch.setenv("MODELSTAC_WORKER_TIMEOUT", "3")
    with modelstac.load(item, isolated=True) as model:
        with pytest.raises(WorkerError, match=r"did not answer for 3 s.*started again.*MODELSTAC_WORKER_TIMEOUT"):
            model.predict(frames + 1e12)
        np.testing.assert_array_equal(model.predict(frames), frames * 3)  # and a third


@needs_index
def test_the_worker_sees_no_secrets_and_calls_nobody(item, frames, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("DO_NOT_TRACK", "yes")
    with modelstac.load(item, isolated=True) as model:
        model.predict(frames)
        seen = Path(f"/proc/{model._runner.pid}/environ").read_bytes()
        modules = Path(f"/proc/{model._runner.pid}/maps").read_text()
    assert b"s3cret" not in seen
    assert {b"ORT_DISABLE_TELEMETRY=1", b"DO_NOT_TRACK=yes"} <= set(seen.split(b"\0"))
    assert b"HOME=" + str(Path.home()).encode() + b"\0" not in seen
    assert str(model.environment.folder) in modules
    site = str(Path(np.__file__).parents[1])
    assert site not in modules


@needs_index
def test_threads_and_device_reach_the_worker(item, frames):
    tasks = {}
    for threads in (1, 4):
        with modelstac.load(item, isolated=True, threads=threads) as model:
            np.testing.assert_array_equal(model.predict(frames), frames * 3)
            process = Path(f"/proc/{model._runner.pid}")
            tasks[threads] = len(list((process / "task").iterdir()))
            variables = (process / "environ").read_bytes().split(b"\0")
        assert f"OMP_NUM_THREADS={threads}".encode() in variables  # which PyTorch and TensorFlow go by
    assert tasks[4] >= tasks[1] + 3  # of ONNX Runtime; those of NumPy depend on the machine
    with pytest.raises(ModelStacError, match="no device 'abacus' is known to ONNX Runtime"):
        modelstac.load(item, isolated=True, device="abacus")


@needs_index
def test_nothing_is_left_in_shared_memory(item, frames):
    with modelstac.load(item, isolated=True) as model:
        model.predict(frames)
        lines = Path("/proc/self/maps").read_text().splitlines()
        mapped = {Path(line.split()[-1]) for line in lines if " /dev/shm/psm_" in line}
        assert any(path.exists() for path in mapped)
        os.kill(model._runner.pid, signal.SIGKILL)
    assert not [path for path in mapped if path.exists()]


@needs_index
def test_an_environment_is_found_again_without_network_and_without_uv(item, frames, monkeypatch):
    modelstac.load(item, isolated=True).close()
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", "/nonexistent")
    with modelstac.load(item, isolated=True) as model:
        np.testing.assert_array_equal(model.predict(frames), frames * 3)


def test_no_network(item, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"running 'smooth-1.0.0-onnx' isolated.*(onnxruntime|numpy)"):
        modelstac.load(item, isolated=True)
    assert not [path for path in (tmp_path / "none").iterdir() if path.suffix not in {".lock"}]


def test_an_unreachable_index(item, tmp_path, monkeypatch):
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "none"))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://user:s3cret@127.0.0.1:{closed.getsockname()[1]}/simple")
        with pytest.raises(DownloadError, match="index cannot be reached") as caught:
            modelstac.load(item, isolated=True)
    assert "s3cret" not in str(caught.value)


def test_no_uv(item, tmp_path):
    code = "import sys; sys.modules['uv'] = None\nfrom modelstac.registry.isolated.uv import find_uv\nfind_uv('x')"
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("x needs uv, which is not installed: pip install uv")


HASH = "--hash=sha256:" + "0" * 64
GOOD = f"# python 3.11\nnumpy==2.1.3 {HASH}\nonnxruntime==1.22.0 \\\n    {HASH}\n"


def test_requirements_are_read():
    found = parse(GOOD, source="x")
    assert found.locked
    assert [(pin.name, pin.version) for pin in found.pins] == [("numpy", "2.1.3"), ("onnxruntime", "1.22.0")]
    assert parse(str(found), source="x") == found
    assert parse(GOOD.replace("numpy", "NumPy"), source="x").digest == found.digest


@pytest.mark.parametrize(
    "line",
    [
        "evil==1.0 " + HASH,
        "numpy @ https://evil.example/numpy.whl",
        "https://evil.example/numpy.whl",
        "./numpy.whl",
        "-e .",
        "-r other.txt",
        "--index-url https://evil.example/simple",
        "--extra-index-url=https://evil.example/simple",
        "--find-links .",
        "--trusted-host evil.example",
        f"h5py==3.16.0 {HASH} --index-url https://evil.example/simple",
        f"h5py==3.16.0 {HASH} ; python_version > '3'",
        f"h5py[evil]==3.16.0 {HASH}",
        f"h5py>=3.0 {HASH}",
        f"h5py==3.* {HASH}",
        f"h5py===3.16.0 {HASH}",
        "h5py==3.16.0 --hash=md5:" + "0" * 32,
        "h5py==3.16.0",  # the others have hashes
        "h5py",
        f"keras==3.10.0 {HASH}",  # known holes
        f"torch==2.5.1 {HASH}",
        f"nvidia-evil==1.0 {HASH}",
        f"h5py==3.16.0 {HASH} \\\n--index-url https://evil.example/simple",
    ],
)
def test_what_an_item_may_not_ask_for(line, tmp_path, item, monkeypatch):
    path = tmp_path / "requirements.txt"
    path.write_text(f"{GOOD}{line}\n")
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "none"))
    with pytest.raises(UntrustedError, match=r"asset 'requirements' of item 'smooth-1.0.0-onnx'"):
        modelstac.load(with_requirements(item, path), isolated=True)
    assert not (tmp_path / "none").exists()


def with_requirements(item: pystac.Item, path: Path) -> pystac.Item:
    item.add_asset(
        "requirements", pystac.Asset(str(path), media_type="text/plain", extra_fields=file_fields(path, None, None))
    )
    return item


def test_what_the_loader_trusts_is_allowed():
    text = f"{GOOD}evil==1.0 {HASH}\nkeras==3.10.0 {HASH}\n"
    policy = modelstac.registry.TrustPolicy().allowing_packages("evil", "keras==3.10.0")
    assert len(parse(text, source="x", trusted=policy.packages).pins) == 4


@needs_index
def test_a_file_that_is_not_the_published_one(item, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "none"))
    path = tmp_path / "requirements.txt"
    path.write_text(f"# python {sys.version_info.major}.{sys.version_info.minor}\nnumpy==2.1.3 {HASH}\n")
    with pytest.raises(IntegrityError, match="Hash mismatch"):
        modelstac.load(with_requirements(item, path), isolated=True)


@pytest.mark.parametrize(("text", "error"), [("# python 3.9\n", SpecError), ("# python 3.99\n", NotFoundError)])
def test_a_python_that_is_not_to_be_had(text, error, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    requirements = parse(f"{text}numpy==2.1.3 {HASH}", source="x")
    with pytest.raises(error, match=requirements.python):
        Environments(tmp_path).provide(requirements, purpose="running it")


@pytest.mark.parametrize("version", ["2.19.1 --index-url x", "2.19.1\n--index-url x", "x @ https://evil"])
def test_a_version_in_the_item_is_a_version(version, make_item, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"")
    item = make_item(tmp_path / "model.keras", "keras", backend="tensorflow", backend_version="2.19.1")
    item.properties["interop:backend_version"] = version
    with pytest.raises(InvalidItemError, match="as the version of tensorflow"):
        derive(read_item(item), item_id=item.id, trusted=("keras==1.2.3",))


@needs_index
def test_environments_are_pruned_but_not_under_a_worker(item):
    environments = Environments()
    with modelstac.load(item, isolated=True) as model:
        removed, busy = environments.prune()
        assert model.environment.digest in {entry.digest for entry in busy}
        assert not removed
    assert environments.prune(unused_days=1) == ([], [])
