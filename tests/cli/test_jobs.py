"""Jobs from the command line: train, export, and what comes out, run by its id."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelstac.catalog import open_catalog
from modelstac.catalog.items.writing import write_item
from modelstac.training.architectures import convlstm_torch
from modelstac.training.data import Preparation
from modelstac.training.data.readers.knmi import file_name, write_knmi
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.spec import ConvLSTMSpec

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def radar(tmp_path: Path) -> Path:
    """Ten small generated frames in KNMI's format."""
    folder = tmp_path / "radar"
    folder.mkdir()
    random = np.random.default_rng(5)
    for number in range(10):
        time = datetime(2010, 8, 26, tzinfo=UTC) + timedelta(minutes=5 * number)
        write_knmi(folder / file_name(time), random.random((12, 10)) * 5, time)
    return folder


@pytest.fixture
def job(tmp_path: Path, radar: Path) -> Callable[[str], Path]:
    """Return a function that writes the job of a variant, small enough for a test."""

    def write(variant: str) -> Path:
        job = TrainJob(
            variant=variant,
            data=str(radar),
            architecture=ConvLSTMSpec(filters=(2,), kernels=(3,), frames=2),
            fit=FitSpec(epochs=1),
            preparation=Preparation(rows=(0, 8), columns=(0, 8), coarsen=1, scale=10.0),
            name="small",
        )
        (tmp_path / "job.json").write_text(job.to_json())
        return tmp_path / "job.json"

    return write


@pytest.mark.parametrize("variant", ["keras-tensorflow", "torch"])
def test_train_then_predict(
    fresh_command: Command, job: Callable[[str], Path], radar: Path, tmp_path: Path, variant: str
) -> None:
    catalog, item_id = tmp_path / "trained", f"small-1.0.0-{variant}"
    # The job says which backend it needs, whatever the environment prefers.
    done = fresh_command("train", "--job", job(variant), "-c", catalog, KERAS_BACKEND="torch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"published {item_id}\n")
    assert "rmse_mm_h" in done.stdout
    again = fresh_command("train", "--job", job(variant), "-c", catalog, "--json")
    assert again.stderr == f"note: {item_id} was published by this job before: nothing to do\n"
    assert json.loads(again.stdout)["id"] == item_id
    forecast = fresh_command("predict", item_id, radar, "-o", tmp_path / "y.npz", "-c", catalog)
    assert (forecast.returncode, forecast.stderr) == (0, "")
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert file["rainfall_rate"].shape == (2, 8, 8)
        assert np.isfinite(file["rainfall_rate"]).all()
        assert file["time"].astype(str).tolist() == ["2010-08-26T00:50:00", "2010-08-26T00:55:00"]


def test_train_leaves_checkpoints_and_logs(fresh_command: Command, radar: Path, tmp_path: Path) -> None:
    places = ["--checkpoints", tmp_path / "checkpoints", "--tensorboard", tmp_path / "logs"]
    small = ConvLSTMSpec(filters=(2,), kernels=(3,), frames=2)
    fit = FitSpec(epochs=1, augmentation=("flips",), loss="masked_csi")
    job = TrainJob("torch", str(radar), small, fit, Preparation(rows=(0, 8), columns=(0, 8), coarsen=1, scale=10.0))
    (tmp_path / "job.json").write_text(job.to_json())
    done = fresh_command(
        "train", "--job", tmp_path / "job.json", "--checkpoint-every", "1steps", *places, "-c", tmp_path / "catalog"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "checkpoints").exists()  # the run is done
    assert len(list((tmp_path / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--checkpoint-every", "often", "frames"], "'often' is neither minutes (5m) nor steps (200steps)"),
        (["--patience", "2", "frames"], "patience needs windows to watch"),
        ([], "radar frames"),
        (["nowhere"], "nowhere"),
        (["RADAR", "--variant", "keras"], "keras-tensorflow"),
        (["RADAR", "--preset", "tinny"], "'tiny'"),
        (["RADAR", "--epochs", "0"], "epochs"),
        (["RADAR", "--version", "one"], "1.0.0"),
        (["RADAR", "--first-test", "noon"], "noon"),
        (["RADAR"], "rows"),
        (["RADAR", "--job", "job.json"], "--job"),
        (["--job", "job.json"], "job.json"),
    ],
)
def test_train_that_cannot_be_done(
    modelstac_command: Command, radar: Path, tmp_path: Path, arguments: list[str], part: str
) -> None:
    arguments = [str(radar) if argument == "RADAR" else argument for argument in arguments]
    done = modelstac_command("train", *arguments, "-c", tmp_path / "trained")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert not list(tmp_path.glob("trained/**/*.json"))


@pytest.fixture
def convlstm(tmp_path: Path, describe: Callable[..., object]) -> Path:
    """A catalog with a ConvLSTM in PyTorch, ``rain-1.0.0-torch``."""
    spec = ConvLSTMSpec(filters=(3, 2), kernels=(3, 1), frames=3, height=6, width=5)
    torch.manual_seed(1)
    save_file(convlstm_torch.build(spec).state_dict(), tmp_path / "rain.safetensors")
    description = describe(
        tmp_path / "rain.safetensors",
        name="rain",
        variant="torch",
        format="torch",
        framework_version="2.13.0",
        architecture="ConvLSTM",
        entrypoint="modelstac.training.architectures.convlstm_torch:build",
        hyperparameters={"architecture": spec.to_dict()},
        parameters=spec.parameters,
    )
    open_catalog(tmp_path / "models", create=True).publish(write_item(description))
    return tmp_path / "models"


def test_export_publishes_what_computes_the_same(modelstac_command: Command, convlstm: Path, tmp_path: Path) -> None:
    done = modelstac_command("export", "rain-1.0.0-torch", "-c", convlstm)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("published rain-1.0.0-onnx-from-torch: at most ")
    np.save(tmp_path / "x.npy", np.random.default_rng(3).random((1, 3, 1, 6, 5), dtype=np.float32))
    for variant in ("torch", "onnx-from-torch"):
        output = tmp_path / f"{variant}.npy"
        arguments = ["predict", f"rain-1.0.0-{variant}", tmp_path / "x.npy", "-o", output, "-c", convlstm]
        assert modelstac_command(*arguments).returncode == 0
    np.testing.assert_allclose(np.load(tmp_path / "torch.npy"), np.load(tmp_path / "onnx-from-torch.npy"), atol=1e-6)
    again = modelstac_command("export", "rain-1.0.0-torch", "--json", "-c", convlstm)
    assert again.returncode == 0
    assert json.loads(again.stdout)["properties"]["interop:parity"]["passed"]
    page = modelstac_command("show", "rain-1.0.0-onnx-from-torch", "-c", convlstm).stdout
    assert "torch -> onnx" in page
    assert "derived from    rain-1.0.0-torch\n" in page


# TensorFlow's converter to LiteRT, and what PyTorch's tracer calls, speak of their own future.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_export_matrix_writes_a_table_of_every_conversion(
    modelstac_command: Command, convlstm: Path, tmp_path: Path
) -> None:
    done = modelstac_command("export", "--matrix", "-c", convlstm, "--out", tmp_path / "report", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    source, *conversions = rows
    assert (source["item_id"], source["route"]) == ("rain-1.0.0-torch", [])
    formats = {"keras-tensorflow", "keras-torch", "torch-export", "onnx", "saved-model", "litert", "openvino"}
    assert {row["target"] for row in conversions} == formats
    for row in conversions:
        assert row["error"] is None
        assert (row["route"][0], row["route"][-1]) == ("torch", row["target"])
        assert 0 <= row["difference"] <= 1e-5
        assert row["latency"] > 0
        assert row["seconds"] > 0
        assert row["size"] == row_size(convlstm, row["item_id"])
    text = (tmp_path / "report" / "conversions.md").read_text()
    page = (tmp_path / "report" / "conversions.html").read_text()
    for head in ("route", "time s", "size kB", "largest difference", "latency ms"):
        assert head in text.splitlines()[4]
        assert f">{head}</th>" in page
    assert len([line for line in text.splitlines() if line.startswith("| rain")]) == len(rows)
    assert text.count("torch → onnx → openvino") == page.count("torch → onnx → openvino") == 1


def row_size(catalog: Path, item_id: str) -> int:
    """Return the bytes of the file itself."""
    return Path(open_catalog(catalog).get(item_id).assets["model"].href).stat().st_size


def test_export_scores_both_on_real_frames(
    modelstac_command: Command, job: Callable[[str], Path], radar: Path, tmp_path: Path
) -> None:
    catalog = tmp_path / "trained"
    assert modelstac_command("train", "--job", job("torch"), "-c", catalog).returncode == 0
    arguments = ["export", "small-1.0.0-torch", "--precision", "int8", "-c", catalog, "--data"]
    done = modelstac_command(*arguments, radar)
    assert done.returncode == 0
    (said,) = done.stderr.splitlines()  # int8 takes its scale from the whole batch, and that is said
    assert re.fullmatch(r"note: the result of a sample moves by \S+ with the others of its batch, .*", said)
    first, second = done.stdout.splitlines()
    assert first.startswith("published small-1.0.0-onnx-int8-from-torch: at most ")
    assert second.startswith("on real windows the RMSE changes by ")
    shown = json.loads(modelstac_command("show", "small-1.0.0-onnx-int8-from-torch", "--json", "-c", catalog).stdout)
    parity = shown["properties"]["interop:parity"]
    report = json.loads(Path(shown["assets"]["parity"]["href"]).read_text())
    assert report["data"]["windows"] == 7  # ten frames, two in and two out
    assert report["data"]["first_frame"] == "2010-08-26T00:00:00Z"
    assert sum(case["case"].startswith("window from ") for case in report["cases"]) == 7
    task = report["task"]
    assert task["source"]["rmse"] > 0
    assert set(task["change"]) >= {"rmse", "mae", "csi_0.5", "csi_1", "csi_2"}
    assert task["change"]["rmse"] == task["converted"]["rmse"] - task["source"]["rmse"] == parity["rmse_change"] != 0
    assert abs(parity["rmse_change"]) < 0.05 * task["source"]["rmse"]
    # The same frames at another place are the same job; other frames are another one.
    moved = radar.rename(tmp_path / "elsewhere")
    assert "nothing to do" in modelstac_command(*arguments, moved).stderr
    sorted(moved.iterdir())[-1].unlink()
    refused = modelstac_command(*arguments, moved)
    assert refused.returncode != 0
    assert "made by another job" in refused.stderr
    plain = modelstac_command("search", "--precision", "int8", "-c", catalog)
    assert plain.stdout.splitlines()[1].startswith("small-1.0.0-onnx-int8-from-torch")


@pytest.mark.parametrize(
    ("arguments", "part", "code"),
    [
        (["rain-1.0.0-toch"], "rain-1.0.0-torch", 2),
        (["rain-1.0.0-torch", "--to", "onx"], "onnx", 2),
        (["rain-1.0.0-torch", "--to", "torch"], "torch", 1),
        (["rain-1.0.0-torch", "--seed", "-1"], "seed", 2),
        (["rain-1.0.0-torch", "--precision", "fp8"], "choose one of fp16, fp32, int8", 2),
        (["rain-1.0.0-torch", "--precision", "fp16", "--to", "openvino"], "ONNX graphs only", 2),
        (["rain-1.0.0-torch", "--data", "."], "no preparation of radar frames", 2),
    ],
)
def test_export_that_cannot_be_done(
    modelstac_command: Command, convlstm: Path, arguments: list[str], part: str, code: int
) -> None:
    done = modelstac_command("export", *arguments, "-c", convlstm)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
