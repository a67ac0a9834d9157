"""Every runtime keeps the contract: ours, and one that another package adds. All models compute y = 3 x."""

import importlib
import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from tests import prepared
from tests.registry import pairs

import modelstac
from modelstac.catalog.errors import DataError, MissingPackageError, SpecError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry import Model
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.inspecting.folders import pack
from modelstac.registry.runtimes import RUNTIMES
from modelstac.registry.runtimes.onnx import _as_written, choose_providers
from modelstac.registry.runtimes.options import Options
from modelstac.registry.testing import Example, RuntimeContract
from modelstac.registry.trust.policy import TrustPolicy

SHAPE = (4, 1, 6, 5)


def write_onnx(folder: Path, nodes: Sequence[onnx.NodeProto] = (helper.make_node("Mul", ["x", "w"], ["y"]),)) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *SHAPE]) for name in ("x", "y"))
    weights = [numpy_helper.from_array(np.array([3], np.float32), "w")]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_torch(folder: Path) -> Path:
    weight = torch.zeros(1, 1, 3, 3, 3)
    weight[0, 0, 1, 1, 1] = 3
    save_file({"conv.weight": weight, "conv.bias": torch.zeros(1)}, folder / "model.safetensors")
    return folder / "model.safetensors"


class Triple(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * x


def write_torch_export(folder: Path) -> Path:
    dynamic = ({0: torch.export.Dim("batch")},)
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Triple(), (torch.zeros(2, *SHAPE),), dynamic_shapes=dynamic), buffer)
    (folder / "model.pt2").write_bytes(buffer.getvalue())
    return folder / "model.pt2"


def write_saved_model(folder: Path) -> Path:
    tf = pytest.importorskip("tensorflow")

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE))])
        def __call__(self, x: object) -> object:
            return 3 * x

    network = Network()
    tf.saved_model.save(network, str(folder / "saved"), signatures=network.__call__)
    pack(folder / "saved", folder / "model.savedmodel.zip")
    return folder / "model.savedmodel.zip"


@pytest.mark.filterwarnings("ignore")
def write_litert(folder: Path) -> Path:
    tf = pytest.importorskip("tensorflow")
    network = tf.function(lambda x: 3 * x, input_signature=[tf.TensorSpec((None, *SHAPE))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    (folder / "model.tflite").write_bytes(converter.convert())
    return folder / "model.tflite"


def write_openvino(folder: Path, graph: Path | None = None) -> Path:
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(graph or write_onnx(folder))  # convert_model writes divisions in another way
    (folder / "ov").mkdir()
    openvino.save_model(model, folder / "ov" / "model.xml", compress_to_fp16=False)
    pack(folder / "ov", folder / "model.openvino.zip")
    return folder / "model.openvino.zip"


WRITERS = {
    "onnx": write_onnx,
    "torch": write_torch,
    "torch-export": write_torch_export,
    "saved-model": write_saved_model,
    "litert": write_litert,
    "openvino": write_openvino,
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
class TestOurs(RuntimeContract):
    @pytest.fixture(scope="class", params=list(WRITERS))
    def written(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
        return request.param, WRITERS[request.param](tmp_path_factory.mktemp(request.param))

    @pytest.fixture
    def policy(self, architecture: str) -> TrustPolicy:
        return TrustPolicy().allowing("smooth_models")

    @pytest.fixture
    def example(
        self, written: tuple[str, Path], tmp_path: Path, make_item: Callable[..., pystac.Item], frames: np.ndarray
    ) -> tuple[pystac.Item, np.ndarray, np.ndarray]:
        form, source = written
        path = tmp_path / source.name  # of its own: a test changes it
        path.write_bytes(source.read_bytes())
        entry = {"entrypoint": "smooth_models:build"} if form == "torch" else {}
        return make_item(path, form, **entry), frames, 3 * frames


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
class TestTwoInputsAndTwoOutputs(RuntimeContract):
    """Whose names the file has in another order than the item."""

    @pytest.fixture(scope="class", params=list(pairs.WRITERS))
    def written(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
        return request.param, pairs.WRITERS[request.param](tmp_path_factory.mktemp(request.param))

    @pytest.fixture
    def policy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrustPolicy:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "pair_models.py").write_text(textwrap.dedent(pairs.ARCHITECTURE))
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.delitem(sys.modules, "pair_models", raising=False)
        return TrustPolicy().allowing("pair_models")

    @pytest.fixture
    def example(self, written: tuple[str, Path], tmp_path: Path, make_item: Callable[..., pystac.Item]) -> Example:
        form, source = written
        path = tmp_path / source.name  # of its own: a test changes it
        path.write_bytes(source.read_bytes())
        entry = {"entrypoint": "pair_models:build"} if form == "torch" else {}
        return make_item(path, form, **pairs.fields(), **entry), *pairs.example()

    def test_names_are_given_with_the_arrays_or_as_arguments(self, model: Model, inputs: dict, outputs: dict) -> None:
        for found in (model.predict(inputs), model.predict(**inputs)):
            assert list(found) == ["mask", "height"]
            np.testing.assert_allclose(found["height"], outputs["height"], atol=1e-5)
        with pytest.raises(DataError, match=r"the inputs s1, s2: give arrays by name, \{'s1': …\}"):
            model.predict(inputs["s1"])
        with pytest.raises(DataError, match="needs the input s2; found s1"):
            model.predict(s1=inputs["s1"])
        with pytest.raises(DataError, match=r"no input 's_1'.*did you mean 's1'"):
            model.predict(s_1=inputs["s1"], s2=inputs["s2"])
        with pytest.raises(DataError, match="by position and by name"):
            model.predict(inputs, s2=inputs["s2"])

    def test_a_shared_axis_of_other_lengths_is_one_line(self, model: Model, inputs: dict) -> None:
        with pytest.raises(DataError, match=r"'batch' go together; found batch 2 of 's1', batch 1 of 's2'"):
            model.predict(inputs | {"s2": inputs["s2"][:1]})
        with pytest.raises(DataError) as raised:  # the item does not say that heights go together: the framework does
            model.predict(inputs | {"s2": inputs["s2"][:, :3]})
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_keras_keeps_the_contract_too(backend: str) -> None:
    """In a process of its own, as Keras' backend is one for life."""
    program = Path(__file__).with_name("keras_contract.py")
    variables = {"KERAS_BACKEND": backend, "PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
    done = prepared.run(
        ["-c", "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))", "-q", "-p", "no:cacheprovider", program],
        environment=os.environ | variables | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        folder=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "28 passed" in done.stdout


def test_tensorflow_and_the_triton_of_pytorch_are_kept_apart(tmp_path: Path) -> None:
    """Real ones of these versions end the process; this one, which says that it is of such a version, does the same."""
    info = tmp_path / "packages" / "triton-3.9.0.dist-info"
    (info.parent / "triton").mkdir(parents=True)
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: triton\nVersion: 3.9.0\n")
    ends = "import os, sys\nif 'tensorflow' in sys.modules:\n    os._exit(134)\n"
    (info.parent / "triton" / "__init__.py").write_text(ends)
    x = torch.ones(1, 2)
    program = torch.export.export(torch.nn.Linear(2, 1), (x,))
    said = {"name": "line", "task": "regression", "architecture": "Linear", "license": "MIT"}
    axes = {"input_dims": ["batch", "feature"], "output_dims": ["batch", "value"]}
    place = {"bbox": [5, 50, 8, 53], "datetime": "2024-06-15"}
    item = modelstac.publish(program, example=x, catalog=tmp_path / "catalog", **said, **axes, **place)
    code = (
        f"import sys, numpy, modelstac; sys.path.insert(0, {str(info.parent)!r}); import tensorflow; "
        f"m = modelstac.load({item.id!r}, catalog={str(tmp_path / 'catalog')!r}); "
        "print(m.predict(numpy.ones((1, 2), 'float32')), sys.modules['triton'])"
    )
    variables = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
    done = prepared.run(["-c", code], environment=os.environ | variables | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "None"


RUNTIME = '''
    """A model that is a number in JSON, by which the input is multiplied."""
    import json
    from modelstac.catalog.errors import DataError, InvalidItemError
    from modelstac.registry.runtimes.opened import Opened

    def load(artifact, description, policy, options):
        try:
            factor = float(json.loads(artifact.data)["factor"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidItemError(f"{artifact.path} is no factor: publish the model anew") from error
        run = lambda arrays: {"scaled": (arrays["values"] * factor).astype("float32")}
        return Opened(factor, run, ("values",), ("scaled",))
'''
FORMAT = """
    from modelstac.catalog.items.formats import Format
    FORMAT = Format("factor", "Factors", "factor.dump", "application/json; framework=factors", ".json")
"""
ENTRY_POINTS = """
    [modelstac.formats]
    factor = tiny_formats:FORMAT
    [modelstac.runtimes]
    factor = tiny_runtime
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip leaves it: modules, and a dist-info folder with entry points."""
    site = tmp_path / "site-packages"
    info = site / "tiny_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tiny_runtime.py").write_text(textwrap.dedent(RUNTIME))
    (site / "tiny_formats.py").write_text(textwrap.dedent(FORMAT))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(textwrap.dedent(ENTRY_POINTS))
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    for name in ("tiny_runtime", "tiny_formats"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return site


class TestAnotherPackages(RuntimeContract):
    @pytest.fixture
    def example(
        self, installed: Path, tmp_path: Path, make_item: Callable[..., pystac.Item], frames: np.ndarray
    ) -> tuple[pystac.Item, np.ndarray, np.ndarray]:
        (tmp_path / "model.json").write_text(json.dumps({"factor": 3, "comment": "x" * 100}))
        return make_item(tmp_path / "model.json", "factor"), frames, 3 * frames


def test_another_packages_runtime_is_imported_only_when_it_loads(
    installed: Path, tmp_path: Path, make_item: Callable[..., pystac.Item]
) -> None:
    (tmp_path / "model.json").write_text('{"factor": 3}')
    item = make_item(tmp_path / "model.json", "factor")
    assert modelstac.resolve(item).item.properties["mlm:framework"] == "Factors"
    assert "tiny_runtime" not in sys.modules
    modelstac.load(item)
    assert "tiny_runtime" in sys.modules


def test_threads_reach_the_runtime(
    tmp_path: Path, make_item: Callable[..., pystac.Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = make_item(write_onnx(tmp_path), "onnx")
    assert modelstac.load(item).native.get_session_options().intra_op_num_threads == 0
    assert modelstac.load(item, threads=1).native.get_session_options().intra_op_num_threads == 1
    monkeypatch.setenv("MODELSTAC_THREADS", "2")
    assert modelstac.load(item).native.get_session_options().intra_op_num_threads == 2
    compiled = modelstac.load(make_item(write_openvino(tmp_path), "openvino")).native
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2


def divide_in(body: str) -> list[onnx.NodeProto]:
    """Make the nodes of ``floor(x / 0.3)``: in a loop that runs once, in both branches of a condition, or plainly."""
    by = helper.make_node("Constant", [], ["by"], value_float=0.3)
    nodes = [by, helper.make_node("Div", ["x", "by"], ["q"]), helper.make_node("Floor", ["q"], ["out"])]
    there = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", *SHAPE])
    if body == "If":
        branch = helper.make_graph(nodes, "branch", [], [there])
        true = helper.make_node("Greater", ["size", "none"], ["true"])
        size = [helper.make_node("Size", ["x"], ["size"]), helper.make_node("Constant", [], ["none"], value_int=0)]
        return [*size, true, helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=branch)]
    if body == "Loop":
        flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("on", "still")]
        number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
        state = helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", *SHAPE])
        again = helper.make_node("Identity", ["on"], ["still"])
        nodes[1] = helper.make_node("Div", ["state", "by"], ["q"])
        loop = helper.make_graph([*nodes, again], "body", [number, flags[0], state], [flags[1], there])
        once = helper.make_node("Constant", [], ["once"], value_int=1)
        return [once, helper.make_node("Loop", ["once", "", "x"], ["y"], body=loop)]
    return [*nodes, helper.make_node("Identity", ["out"], ["y"])]


@pytest.mark.parametrize("body", ["", "If", "Loop"])
def test_openvino_divides_as_numpy_does(body: str, tmp_path: Path, make_item: Callable[..., pystac.Item]) -> None:
    graph = write_onnx(tmp_path, divide_in(body))
    x = (np.arange(1200) / 10).reshape(-1, *SHAPE).astype(np.float32)
    model = modelstac.load(make_item(write_openvino(tmp_path, graph), "openvino"))
    np.testing.assert_array_equal(model.predict(x), np.floor(x / np.float32(0.3)))


@pytest.mark.parametrize("threads", [0, -1, True])
def test_threads_without_sense(threads: int) -> None:
    with pytest.raises(SpecError, match="from 1"):
        Options.of(threads)


def test_threads_of_the_environment_without_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_THREADS", "many")
    with pytest.raises(SpecError, match="MODELSTAC_THREADS is 'many'"):
        Options.of()


def test_waiting_threads_sleep_where_the_environment_says_so(
    tmp_path: Path, make_item: Callable[..., pystac.Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = make_item(write_onnx(tmp_path), "onnx")
    entry = "session.intra_op.allow_spinning"
    assert modelstac.load(item).native.get_session_options().get_session_config_entry(entry) == "1"
    monkeypatch.setenv("MODELSTAC_SPIN", "0")
    assert modelstac.load(item).native.get_session_options().get_session_config_entry(entry) == "0"
    beside = Artifact("it", Path("m.onnx"), b"", "")
    assert _as_written(Options.of(), beside).get_session_config_entry(entry) == "0", "a proof's session, too"
    monkeypatch.setenv("MODELSTAC_SPIN", "no")
    with pytest.raises(SpecError, match="MODELSTAC_SPIN is 'no'"):
        Options.of()


def test_a_device_that_is_not_there_is_an_error_and_no_fallback(
    tmp_path: Path, make_item: Callable[..., pystac.Item]
) -> None:
    item = make_item(write_onnx(tmp_path), "onnx")
    with pytest.raises(MissingPackageError, match="CoreMLExecutionProvider"):
        modelstac.load(item, device="macos-arm")
    with pytest.raises(SpecError, match="no device 'abacus'"):
        modelstac.load(item, device="abacus")
    assert modelstac.load(item).native.get_providers() == ["CPUExecutionProvider"]


def test_providers_by_device() -> None:
    there = ["CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("cpu", there, item_id="x") == ["CPUExecutionProvider"]
    assert choose_providers("cuda", there, item_id="x") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("auto", there, item_id="x") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("auto", there[2:], item_id="x") == ["CPUExecutionProvider"]


FRAMEWORKS = {
    *("ai_edge_litert", "h5py", "keras", "onnx", "onnxruntime", "openvino", "safetensors", "tensorflow", "torch"),
    *("pystac", "pydantic", "sklearn", "xarray"),  # ours need them, and an environment of a model has none
}


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_runtime_needs_the_packages_that_it_names_and_no_other(form: str) -> None:
    """As in a model's own environment, where a module that it shares with another runtime must not ask for one."""
    entry = RUNTIMES[FORMATS[form].artifact_type]
    brought = {"keras": {"tensorflow"}}.get(form, set())
    absent = sorted(FRAMEWORKS - set(entry.packages) - brought)
    ours = Path(modelstac.__file__).parent
    code = (
        "import importlib, runpy, sys; from pathlib import Path\n"
        f"runpy.run_path({str(ours / 'registry/isolated/worker.py')!r})['stand_in'](Path({str(ours)!r}))\n"
        f"sys.modules.update(dict.fromkeys({absent}))\n"
        f"importlib.import_module({entry.module!r})\n"
        "import os; os._exit(0)"  # taking a framework apart takes seconds
    )
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
