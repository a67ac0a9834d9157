"""Callbacks: the best epoch is published at the end of ``fit``, and a failure costs no training."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import modelstac
from modelstac.catalog.errors import InvalidItemError, SpecError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, as it saves
SAID: dict[str, Any] = {
    "name": "net",
    "license": "MIT",
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "task": "semantic-segmentation",
    "bands": ("B02", "B03", "B04"),
    "classes": ("water", "land"),
}
X = np.random.default_rng(0).uniform(0, 1, (8, 8, 8, 3)).astype(np.float32)
Y = (X[..., 0] > 0.5).astype(int)


class Worse(keras.callbacks.Callback):  # type: ignore[misc,unused-ignore]
    """Spoil the weights after the first epoch, and remember what they were in it."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.first = [array.copy() for array in self.model.get_weights()]
        self.model.set_weights([array * 0 + np.array([50, -50]) for array in self.model.get_weights()])


def trained(*callbacks: Any) -> Any:
    entry = keras.Input((None, None, 3))
    net = keras.Model(entry, keras.layers.Conv2D(2, 1, activation="softmax")(entry))
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(X, Y, validation_split=0.25, epochs=2, verbose=0, shuffle=False, callbacks=list(callbacks))
    return net


def test_the_best_epoch_of_keras_is_published_and_the_model_stays_as_it_was(tmp_path: Path) -> None:
    worse = Worse()
    publisher = modelstac.ModelstacPublisher(catalog=tmp_path, architecture="CNN", example=X[:1], **SAID)
    net = trained(publisher, worse)
    assert publisher.error is None
    assert publisher.item is not None
    found = modelstac.load(publisher.item.id, catalog=tmp_path).native.get_weights()
    np.testing.assert_allclose(found[0], worse.first[0])
    assert not np.allclose(net.get_weights()[0], found[0])
    assert publisher.item.properties["interop:scores"]["loss"] < 5


def test_what_cannot_be_published_costs_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = SAID | {"classes": ("water", "land", "ice")}
    publisher = modelstac.ModelstacPublisher(catalog=tmp_path, architecture="CNN", **said)
    trained(publisher)
    assert isinstance(publisher.error, SpecError)
    assert "there are 3 classes" in caplog.text


def test_another_training_does_not_publish_the_weights_of_the_one_before(tmp_path: Path) -> None:
    """As folds of a cross-validation are trained, one after the other, with one callback."""
    publisher = modelstac.ModelstacPublisher(catalog=tmp_path, architecture="CNN", example=X[:1], **SAID)
    trained(publisher)
    publisher._best = -1.0  # the first was better than any epoch of the second
    publisher._said["version"] = "2.0.0"
    second = Worse()
    trained(publisher, second)
    assert publisher.item is not None
    assert publisher.item.id.startswith("net-2.0.0-keras")
    found = modelstac.load(publisher.item.id, catalog=tmp_path).native.get_weights()
    np.testing.assert_allclose(found[0], second.first[0])


@pytest.mark.parametrize(
    ("monitor", "mode", "epoch"),
    [
        ("val_dice_loss", None, 1),
        ("val_psnr", None, 2),
        ("val_mean_iou", None, 2),
        ("val_rmse", None, 1),
        ("val_quality", "max", 2),
        (None, None, 1),
    ],
)
def test_the_best_epoch_is_lowest_or_highest_as_its_score_says(monitor: Any, mode: Any, epoch: int) -> None:
    """A loss made of a score is a loss."""
    publisher = modelstac.ModelstacPublisher(monitor=monitor, mode=mode, **SAID)
    for number, value in ((1, 0.3), (2, 0.6), (3, 0.4)):
        publisher._keep({monitor or "val/loss": value, "loss": -value}, lambda number=number: number)  # type: ignore[misc]
    assert publisher._weights == epoch


def test_no_error_at_all_costs_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publisher = modelstac.ModelstacPublisher(catalog=tmp_path, **SAID)
    publisher.publish = lambda *_, **__: 1 / 0  # type: ignore[method-assign,assignment]
    trained(publisher)
    assert isinstance(publisher.error, ZeroDivisionError)
    assert "trained and not published" in caplog.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"license": None}, "published with license"),
        ({"license": "MIT OR Apache-2.0"}, "license 'MIT OR Apache-2.0' is none that STAC knows: write one of SPDX"),
        ({"alias": "1.0.0"}, "alias '1.0.0' is none: a letter"),
        ({"clases": ["a"]}, "did you mean 'classes'"),
        ({"name": "a b"}, "name 'a b' is none"),
        ({"bbox": None}, "published with bbox"),
        ({"mode": "best"}, "'min' or 'max'"),
        ({"monitor": "val_quality"}, "'val_quality' does not tell which is best: say mode='min' or mode='max'"),
    ],
)
def test_what_is_missing_is_said_before_the_training(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises((SpecError, InvalidItemError), match=reason):
        modelstac.ModelstacPublisher(**SAID | changes)


def test_a_module_of_lightning_is_published_with_a_batch_as_its_example(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    import torch

    class Net(lightning.LightningModule):  # type: ignore[misc,name-defined,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 2, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layer(image).softmax(1)  # type: ignore[no-any-return]

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return torch.nn.functional.nll_loss(self(batch[0]).log(), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val/loss", torch.nn.functional.nll_loss(self(batch[0]).log(), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    data = torch.utils.data.TensorDataset(torch.tensor(X).permute(0, 3, 1, 2), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(data, 4)
    publisher = modelstac.ModelstacPublisher(catalog=tmp_path, **SAID)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_epochs=1, callbacks=[publisher], **quiet)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Lightning, about workers
        trainer.fit(Net(), loader, loader)
    assert publisher.error is None
    assert publisher.item is not None
    assert publisher.item.properties["interop:scores"].keys() == {"loss"}
    assert modelstac.load(publisher.item.id, catalog=tmp_path).self_test().passed


@pytest.mark.usefixtures("_package_index")
def test_what_a_run_of_mlflow_logged_is_published(tmp_path: Path) -> None:
    """In an environment of MLflow's own, whose package disagrees with those of the tests."""
    from tests import mlflow_environment

    python = mlflow_environment.make(mlflow_environment.ROOT / ".mlflow")
    program = Path(__file__).with_name("mlflow_run_process.py")
    paths = os.pathsep.join(map(str, (mlflow_environment.ROOT / "src", mlflow_environment.ROOT)))
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
    quiet |= {"MLFLOW_ALLOW_FILE_STORE": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [python, program],
        cwd=tmp_path,
        env=os.environ | quiet | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scores"] == {"accuracy": 0.9}
    assert found["trees"] == "3"
    assert found["tag"] == found["item"] == "net-1.0.0-onnx"
    model = modelstac.load(found["item"], catalog=tmp_path / "models")
    assert model.self_test().passed
    table = np.load(tmp_path / "table.npy")
    np.testing.assert_array_equal(model.predict(table)["label"].ravel(), np.load(tmp_path / "labels.npy"))
