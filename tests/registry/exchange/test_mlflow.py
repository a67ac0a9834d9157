"""From MLflow and to it: its own server on loopback, which its own client filled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests import mlflow_environment

import modelstac
from modelstac.catalog.errors import NotFoundError, SpecError, StorageError, UntrustedError
from modelstac.cli import main
from modelstac.registry.exchange.mlflow.tracking import Tracking
from modelstac.registry.exchange.places import Elsewhere

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
TABLE = IMAGES.reshape(-1, 3)[:40]
PLACE = {"bbox": (5, 50, 10, 55), "datetime": "2020"}
IMAGE = PLACE | {
    "task": "semantic-segmentation",
    "architecture": "CNN",
    "bands": ("B02", "B03", "B04"),
    "output_dims": ("batch", "height", "width", "class"),
}
FIRST = IMAGE | {
    "name": "land-cover",
    "input_dims": ("batch", "bands", "height", "width"),
    "output_dims": ("batch", "class", "height", "width"),
}


class Server:
    """MLflow, in a process of its own environment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        said = json.loads(self._line())
        self.url: str = said["url"]
        self.runs: dict[str, str] = said["runs"]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "MLflow ended"
        return line

    def ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._line())


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory, _package_index: None) -> Iterator[Server]:
    python = mlflow_environment.make(mlflow_environment.ROOT / ".mlflow")
    program = Path(__file__).with_name("mlflow_process.py")
    folder = tmp_path_factory.mktemp("mlflow")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [python, program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield Server(process)
        finally:
            process.kill()
            process.communicate()


def take(mlflow: Server, uri: str, catalog: Path, **said: Any) -> Any:
    return modelstac.publish(Elsewhere(uri, mlflow.url), catalog=catalog, code=False, **said)


def test_a_registered_model_of_keras(mlflow: Server, tmp_path: Path) -> None:
    uri = "models:/land-cover@champion"
    item = take(mlflow, uri, tmp_path, **IMAGE)
    assert item.id == "land-cover-1.0.0-keras-tensorflow"
    said = item.properties
    assert said["interop:scores"] == {"mIoU": 0.7}
    assert said["mlm:hyperparameters"]["learning_rate"] == "0.1"
    assert said["license"] == "CC-BY-4.0"
    assert (said["interop:backend"], said["interop:backend_version"]) == ("tensorflow", "2.19.1")
    origin = said["interop:origin"]
    assert origin["registry"] == "mlflow"
    assert origin["run"] == mlflow.runs["keras"]
    assert origin["tags"]["team"] == "eo"
    assert origin["signature"]["inputs"][0]["tensor-spec"]["dtype"] == "float32"
    assert origin["files"]["data/model.keras"] == item.assets["model"].extra_fields["file:checksum"].removeprefix(
        "1220"
    )
    theirs = mlflow.ask(what="predict", uri=uri, array=IMAGES.tolist())
    np.testing.assert_allclose(modelstac.load(item.id, catalog=tmp_path).predict(IMAGES), theirs, atol=1e-6)


def test_a_program_of_pytorch_with_its_example(mlflow: Server, tmp_path: Path) -> None:
    item = take(mlflow, f"runs:/{mlflow.runs['pytorch']}", tmp_path, **FIRST)
    assert item.properties["interop:format"] == "torch-export"
    model = modelstac.load(item.id, catalog=tmp_path)
    assert model.self_test().passed  # on the example that was logged
    first = np.moveaxis(IMAGES, -1, 1)
    theirs = mlflow.ask(what="predict", uri=f"runs:/{mlflow.runs['pytorch']}/model", array=first.tolist())
    np.testing.assert_allclose(model.predict(first), theirs, atol=1e-6)


def test_a_graph_of_onnx(mlflow: Server, tmp_path: Path) -> None:
    said = FIRST | {"name": "relu", "output_dims": ("batch", "channel", "height", "width"), "task": "regression"}
    item = take(mlflow, f"runs:/{mlflow.runs['onnx']}/model", tmp_path, **said)
    first = np.moveaxis(IMAGES, -1, 1)
    np.testing.assert_array_equal(modelstac.load(item.id, catalog=tmp_path).predict(first), first)


@pytest.mark.parametrize("flavour", ["sklearn", "xgboost", "lightgbm"])
def test_a_model_of_tables(mlflow: Server, tmp_path: Path, flavour: str) -> None:
    item = take(mlflow, f"runs:/{mlflow.runs[flavour]}", tmp_path, name="water", **PLACE)
    assert item.properties["interop:format"] == "onnx"
    assert item.properties["interop:origin"]["flavour"] == flavour
    assert [band["name"] for band in item.assets["model"].extra_fields["raster:bands"]] == ["B02", "B03", "B04"]
    found = modelstac.load(item.id, catalog=tmp_path).run({"input": TABLE})
    assert len(found["label"]) == len(TABLE)


def test_a_pickle_wants_a_word(mlflow: Server, tmp_path: Path) -> None:
    uri = f"runs:/{mlflow.runs['pickled']}"
    with pytest.raises(UntrustedError, match=r"model\.pth is a pickle.*--trust pickle"):
        take(mlflow, uri, tmp_path, **FIRST)
    array = tmp_path / "example.npy"
    np.save(array, np.moveaxis(IMAGES, -1, 1))
    policy = modelstac.registry.TrustPolicy().trusting("pickle")
    item = take(mlflow, uri, tmp_path / "models", policy=policy, example=array, **FIRST)
    assert item.properties["interop:format"] == "torch-export"


def test_what_is_not_there(mlflow: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="logged no model: log one"):
        take(mlflow, f"runs:/{mlflow.runs['empty']}", tmp_path, name="none", **IMAGE)
    for uri in ("models:/nothing@champion", "models:/land-cover/7", "runs:/0123", "models:/land-cover@challenger"):
        with pytest.raises(NotFoundError) as found:
            take(mlflow, uri, tmp_path, **IMAGE)
        assert "\n" not in str(found.value)
    with pytest.raises(SpecError, match="is no model of MLflow"):
        Tracking(mlflow.url).find("land-cover")
    with pytest.raises(SpecError, match="use an alias: @Production"):
        Tracking(mlflow.url).find("models:/land-cover/Production")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SpecError, match="which MLflow"):
        Tracking()
    with pytest.raises(SpecError, match="is no server: start one over it"):
        Tracking("sqlite:///mlflow.db")
    with pytest.raises(StorageError, match="does not answer"):
        Tracking("http://127.0.0.1:9").find("models:/land-cover@champion")


@pytest.fixture
def command() -> Callable[..., Any]:
    def run(*words: str) -> Any:
        return CliRunner().invoke(main, [*map(str, words)])

    return run


def test_the_commands_there_and_back(
    mlflow: Server, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    catalog = ["--catalog", tmp_path / "models"]
    said = ["--bbox", "5,50,10,55", "--datetime", "2020", "--task", "semantic-segmentation", "--architecture", "CNN"]
    dims = ["--bands", "B02,B03,B04", "--output-dims", "batch,height,width,class"]
    done = command("publish", "--from-mlflow", "models:/land-cover@champion", *said, *dims, *catalog)
    assert done.exit_code == 0, done.output
    assert done.stdout == "published land-cover-1.0.0-keras-tensorflow\n"
    for _ in range(2):  # what was pushed is not pushed again
        done = command("push", "land-cover-1.0.0-keras-tensorflow", "mlflow:shared", *catalog)
        assert done.exit_code == 0, done.output
        assert done.stdout == "pushed land-cover-1.0.0-keras-tensorflow to models:/shared/1\n"
    assert "is there already, as version 1" in done.stderr
    ours = modelstac.load("land-cover-1.0.0-keras-tensorflow", catalog=tmp_path / "models").predict(IMAGES)
    theirs = mlflow.ask(what="predict", uri="models:/shared/1", array=IMAGES.tolist())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    found = mlflow.ask(what="version", name="shared", version="1")
    assert found["metrics"] == {"mIoU": 0.7}
    assert found["params"]["learning_rate"] == "0.1"
    assert found["tags"]["modelstac.item"] == "land-cover-1.0.0-keras-tensorflow"
    assert found["tags"]["license"] == "CC-BY-4.0"
    done = command("publish", "--from-mlflow", "runs:/0123", *said, *dims, *catalog)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["pytorch", "onnx"])
def test_other_formats_are_pushed_and_run_there(mlflow: Server, tmp_path: Path, kind: str) -> None:
    from modelstac.registry.exchange.pushing import push

    item = take(mlflow, f"runs:/{mlflow.runs[kind]}", tmp_path, **FIRST | {"name": f"of-{kind}"})
    uri = push(item.id, f"mlflow:of-{kind}", catalog=tmp_path, tracking_uri=mlflow.url)
    first = np.moveaxis(IMAGES, -1, 1)
    theirs = mlflow.ask(what="predict", uri=uri, array=first.tolist())
    np.testing.assert_allclose(modelstac.load(item.id, catalog=tmp_path).predict(first), theirs, atol=1e-6)
