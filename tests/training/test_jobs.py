"""Training jobs end in a published item whose model computes what its scores say."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DataError, ItemExistsError, NotFoundError, SpecError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Finished, Measured, Note, Started
from modelstac.registry.loading import load
from modelstac.registry.running.examples import read_example
from modelstac.training.data import Preparation, read_frames
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob, data_digest
from modelstac.training.jobs.recipes import ARCHITECTURES, RECIPES
from modelstac.training.jobs.train import train
from modelstac.training.scoring.held_out import evaluate
from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.variants.variant import VARIANTS

_spec = importlib.util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
keras_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_process)

ARCHITECTURE = ConvLSTMSpec(filters=(3, 2), kernels=(3, 3), frames=5, height=64, width=64)
PREPARATION = Preparation(rows=None, columns=None, coarsen=4, scale=10.0)
FIT = FitSpec(epochs=2, batch_size=4)


@pytest.fixture
def job(rain_folder):
    return TrainJob("torch", str(rain_folder), ARCHITECTURE, FIT, PREPARATION, name="rain", first_test=0.7)


@pytest.fixture(scope="module")
def trained(rain_folder, tmp_path_factory):
    catalog = open_catalog(tmp_path_factory.mktemp("catalog"), create=True)
    job = TrainJob(
        "torch",
        str(rain_folder),
        ARCHITECTURE,
        FIT,
        PREPARATION,
        name="rain",
        first_test=0.7,
        data_href="https://example.com/rain",
    )
    messages = []
    return job, catalog, train(job, catalog, report=messages.append), messages


def scores_of(item, catalog, job):
    """Score the published model as anybody may load it."""
    ds = job.preparation.apply(read_frames(job.data))
    _, windows = job.split(ds)
    with load(item, catalog=catalog) as model:
        channel = model.signature.inputs[0].dim_order.index("variables")

        def forecast(values):
            return model.predict(np.expand_dims(values, channel)).squeeze(channel)

        return evaluate(forecast, windows, job.preparation).summary()


def test_the_item_says_what_was_trained(trained):
    job, catalog, item, messages = trained
    description = read_item(catalog.get("rain-1.0.0-torch"))
    spec = dataclasses.replace(ARCHITECTURE, height=12, width=10)
    assert item.id == description.id == job.item_id
    assert ConvLSTMSpec.from_dict(description.hyperparameters["architecture"]) == spec
    assert FitSpec.from_dict(description.hyperparameters["fit"]) == FIT
    assert Preparation.from_dict(description.hyperparameters["preparation"]) == PREPARATION
    assert description.parameters == spec.parameters
    assert description.inputs[0].input.dim_order == ("batch", "time", "variables", "height", "width")
    (scaling,), outwards = description.inputs[0].value_scaling, description.outputs[0].post_processing_function
    assert (scaling.expression, outwards["expression"]) == ("clip(x, 0, 10) / 10", "x * 10")
    means = [f"{description.scores[name]:.4g} mm/h" for name in ("rmse_mm_h", "persistence_rmse_mm_h")]
    assert "On 3 windows held out later its root mean square error is" in description.description
    assert [mean in description.description for mean in means] == [True, True]
    assert "nowcasting" in description.keywords
    assert description.tasks == ("regression",)
    assert description.sources[0].href == "https://example.com/rain"
    assert (description.start.isoformat(), description.end.isoformat()) == (
        "2010-08-25T23:55:00+00:00",  # the first frame of 40 is the rain of the five minutes before midnight
        "2010-08-26T02:15:00+00:00",  # frames 0 to 27 are for training
    )
    assert Started("train rain-1.0.0-torch") in messages
    assert Finished("train rain-1.0.0-torch") in messages


def test_the_published_model_has_the_published_scores(trained):
    job, catalog, item, _ = trained
    published = read_item(item).scores
    found = scores_of(item, catalog, job)
    assert set(published) == set(found)
    assert {"rmse_mm_h", "persistence_rmse_mm_h", "mae_mm_h", "csi_0.5_mm_h"} <= set(published)
    for name, value in found.items():
        assert published[name] == pytest.approx(value, rel=1e-5), name


def test_the_weights_file_carries_the_specification(trained):
    _, catalog, item, _ = trained
    path = catalog.get(item.id).assets["model"].href
    with safe_open(path, "np") as file:
        spec = ConvLSTMSpec.from_dict(json.loads(file.metadata()["modelstac.spec"]))
    assert spec == dataclasses.replace(ARCHITECTURE, height=12, width=10)


def test_history_metrics_and_thumbnail_lie_beside_the_model(trained):
    _, catalog, item, _ = trained
    assets = {key: Path(asset.href) for key, asset in catalog.get(item.id).assets.items()}
    rows = list(csv.DictReader(assets["history"].read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert len(json.loads(assets["history-json"].read_text())) == 2
    metrics = json.loads(assets["metrics"].read_text())
    assert metrics["windows"] == 3
    assert metrics["model"]["lead_minutes"] == metrics["persistence"]["lead_minutes"] == [5, 10, 15, 20, 25]
    pins = assets["requirements"].read_text().splitlines()[1:]
    assert {pin.partition("==")[0] for pin in pins} == {"numpy", "safetensors", "torch"}
    assert f"torch=={version('torch').partition('+')[0]}" in pins
    assert assets["thumbnail"].read_bytes().startswith(b"\x89PNG")
    assert assets["skill"].read_bytes().startswith(b"\x89PNG")
    # Three windows that share frames and 12 x 10 pixels of one rain say nothing about chance.
    assert "they are no draws of chance" in metrics["confidence"]["none"]


def test_the_published_example_is_what_the_model_gives(trained):
    _, catalog, item, _ = trained
    with load(item, catalog=catalog) as model:
        assert model.self_test().passed
        inputs = read_example(catalog.get(item.id))[0]["frames"]
        assert inputs.shape == (1, 5, 1, 12, 10)
        assert inputs.max() > 0


def test_the_same_job_is_not_run_again(trained):
    job, catalog, item, _ = trained
    messages = []
    again = train(job, catalog, report=messages.append)
    assert again.to_dict() == catalog.get(item.id).to_dict()
    assert any(isinstance(message, Note) and "nothing to do" in message.text for message in messages)
    assert Started("train rain-1.0.0-torch") not in messages


def test_the_same_data_elsewhere_are_the_same_job(trained, rain_folder, tmp_path):
    job, catalog, item, _ = trained
    for file in rain_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert train(dataclasses.replace(job, data=str(tmp_path)), catalog).properties == item.properties


def test_another_job_may_not_take_the_id(trained):
    job, catalog, _, _ = trained
    other = dataclasses.replace(job, fit=dataclasses.replace(FIT, seed=1))
    with pytest.raises(ItemExistsError, match=r"'rain-1.0.0-torch' is there already.* train it as a new version"):
        train(other, catalog)


def test_the_same_job_in_another_catalog_gives_the_same_bytes(trained, tmp_path):
    job, catalog, item, _ = trained
    again = train(job, open_catalog(tmp_path, create=True))
    for key in ("model", "history", "metrics"):
        assert Path(again.assets[key].href).read_bytes() == Path(catalog.get(item.id).assets[key].href).read_bytes()


@pytest.mark.parametrize("backend", keras_process.BACKENDS)
def test_keras_variants(backend, trained, tmp_path):
    job, _, torch_item, _ = trained
    keras_job = dataclasses.replace(job, variant=f"keras-{backend}")
    (tmp_path / "job.json").write_text(keras_job.to_json())
    program = Path(__file__).with_name("train_process.py")
    output = keras_process.run(backend, tmp_path / "job.json", tmp_path / "catalog", program=program)
    found = json.loads(output.splitlines()[-1])
    assert found["id"] == f"rain-1.0.0-keras-{backend}"
    assert any("nothing to do" in note for note in found["notes"])
    assert found["tensorflow"] is (backend == "tensorflow")  # Keras on PyTorch imports it, unless it is told not to
    item = open_catalog(tmp_path / "catalog").get(found["id"])
    description = read_item(item)
    assert (description.backend, description.framework) == (backend, "Keras")
    assert description.inputs[0].input.shape == (-1, 5, 12, 10, 1)
    # From the same start by the same steps on the same data: only rounding differs between the variants.
    for name, value in torch_item.properties["interop:scores"].items():
        assert found["scores"][name] == pytest.approx(value, rel=0.02, abs=0.01), name


def test_a_keras_variant_in_a_process_with_another_backend_is_refused(trained, tmp_path):
    job, *_ = trained
    (tmp_path / "job.json").write_text(dataclasses.replace(job, variant="keras-tensorflow").to_json())
    program = tmp_path / "program.py"
    train_process = Path(__file__).with_name("train_process.py")
    program.write_text(f"import runpy, keras\nrunpy.run_path({str(train_process)!r}, run_name='__main__')\n")
    output = keras_process.run("torch", tmp_path / "job.json", tmp_path / "catalog", program=program)
    error = json.loads(output.splitlines()[-1])["error"]
    assert error.startswith("BackendError: training the variant 'keras-tensorflow' needs Keras on tensorflow")


def test_training_and_scoring_share_no_frame(job):
    windows, test_windows = job.split(PREPARATION.apply(read_frames(job.data)))
    assert windows.times(len(windows) - 1)[-1] < test_windows.times(0)[0]


def test_by_default_the_last_window_is_held_out(job):
    ds = PREPARATION.apply(read_frames(job.data))
    windows, test_windows = dataclasses.replace(job, first_test=None).split(ds)
    assert len(test_windows) == 1
    assert len(windows) == 40 - 10 - 10 + 1


@pytest.mark.parametrize(
    ("first_test", "frames", "message"),
    [
        (None, 19, "need at least 20 frames, 10 each.* there are 19"),
        (35, 40, "leaves 5 of 40 frames for scoring, and one window needs 10"),
        (0.1, 40, "leaves 4 of 40 frames for training, and one window needs 10"),
        ("2010-08-26T00:20", 40, "leaves 4 of 40 frames for training"),
        (40, 40, "no frame on one side"),
    ],
)
def test_too_few_frames_are_said_before_training(job, first_test, frames, message, tmp_path):
    files = tuple(str(path) for path in sorted(Path(job.data).iterdir())[:frames])
    short = dataclasses.replace(job, data=files, first_test=first_test)
    messages = []
    with pytest.raises(DataError, match=message) as error:
        train(short, open_catalog(tmp_path, create=True), report=messages.append)
    assert "\n" not in str(error.value)
    assert not any(isinstance(m, Started) and m.task.startswith("train") for m in messages)
    assert not list(tmp_path.iterdir())  # nothing half written


def test_json_and_back(job):
    text = job.to_json()
    assert TrainJob.from_json(text) == job
    assert TrainJob.from_json(text).to_json() == text
    files = dataclasses.replace(job, data=("a.h5", "b.h5"), first_test="2010-08-26T04:40", preset="tiny")
    assert TrainJob.from_json(files.to_json()) == files


def test_the_digest_depends_on_everything_but_the_path(job):
    ds = PREPARATION.apply(read_frames(job.data))
    digest = data_digest(ds)
    assert job.digest(digest) == dataclasses.replace(job, data="elsewhere").digest(digest)
    changes = {"variant": "keras-torch", "fit": FitSpec(seed=9), "name": "other", "first_test": 0.5}
    others = {dataclasses.replace(job, **{name: value}).digest(digest) for name, value in changes.items()}
    ds["rainfall_rate"].values[3, 2, 1] += 1
    assert len({job.digest(digest), job.digest(data_digest(ds)), *others}) == 6


def test_every_preset_has_a_recipe():
    assert set(RECIPES) == set(ARCHITECTURES)
    tiny = TrainJob.from_preset("tiny", variant="torch", data="folder", version="2.0.0")
    assert (tiny.architecture, tiny.preset, tiny.item_id) == (PRESETS["tiny"], "tiny", "convlstm-knmi-2.0.0-torch")
    thesis = {name: PRESETS[name] for name in ("reference", "thesis-pytorch", "demetrakopoulos")}
    assert {spec.cell_activation for spec in thesis.values()} == {"linear", "tanh", "leaky_relu"}
    assert {spec.parameters for spec in thesis.values()} == {1_965_761}
    with pytest.raises(NotFoundError, match="no preset 'huge'"):
        TrainJob.from_preset("huge", variant="torch", data="folder")


def test_the_reference_recipe_gives_the_published_grid():
    _, preparation = RECIPES["reference"]
    (top, bottom), (left, right) = preparation.rows, preparation.columns
    reference = PRESETS["reference"]
    assert ((bottom - top) // 2, (right - left) // 2) == (reference.height, reference.width)
    assert top <= 220
    assert bottom >= 636
    assert left <= 160
    assert right >= 578


def test_variants_have_the_adapter_functions():
    import importlib

    for variant in VARIANTS.values():
        if variant.backend is None:  # the Keras adapter would fix this process's backend
            module = importlib.import_module(variant.module)
            assert module is variant.framework()
            assert set(module.versions()) == {"framework_version"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "jax"}, "no variant 'jax' can be trained: choose one of keras-tensorflow, keras-torch, torch"),
        ({"data": ""}, "data must be a folder"),
        ({"data": 5}, "data must be a folder"),
        ({"name": "no/slash"}, "name 'no/slash'"),
        ({"version": "1.0"}, "version '1.0' must be semantic"),
        ({"license": ""}, "license must be an SPDX"),
        ({"first_test": "noon"}, "first_test 'noon' is no time"),
        ({"first_test": True}, "first_test must be an index"),
        ({"architecture": {"filters": [2]}}, "needs the field 'kernels'"),
        ({"architecture": []}, "architecture of a training job is a JSON object"),
        ({"fit": {"epochs": 0}}, "epochs must be"),
        ({"preparation": {"coarsen": 0}}, "coarsen is 0"),
        ({"epochs": 3}, "no field 'epochs'"),
    ],
)
def test_nonsense_is_refused(job, fields, message):
    with pytest.raises(SpecError, match=message):
        TrainJob.from_json(json.dumps(json.loads(job.to_json()) | fields))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is a JSON object"), ("[]", "not list"), ('{"variant": "torch"}', "needs the field 'data'")],
)
def test_what_is_no_job_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        TrainJob.from_json(text)


def test_a_job_that_was_stopped_goes_on_and_leaves_no_checkpoint_behind(job, trained, tmp_path):
    catalog = open_catalog(tmp_path / "catalog", create=True)
    place = Checkpoints(tmp_path / "checkpoints", steps=1)

    def stop(message):
        if isinstance(message, Measured) and message.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job, catalog, checkpoints=place, report=stop)
    assert place.path.is_file()
    other = dataclasses.replace(job, name="other", fit=dataclasses.replace(FIT, seed=1))
    with pytest.raises(SpecError, match=r"checkpoint\.npz is the checkpoint of another run"):
        train(other, catalog, checkpoints=place)
    messages = []
    item = train(job, catalog, checkpoints=place, report=messages.append)
    assert Note(f"going on after step 4, from {place.path}") in messages
    assert not place.folder.exists()
    undisturbed = trained[2]
    assert item.properties["interop:scores"] == undisturbed.properties["interop:scores"]
    assert Path(item.assets["history"].href).read_text() == Path(undisturbed.assets["history"].href).read_text()
