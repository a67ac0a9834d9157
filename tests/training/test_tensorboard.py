"""TensorBoard's own reader finds what was measured."""

from __future__ import annotations

import pytest

from modelstac.catalog.errors import StorageError
from modelstac.catalog.messages import Measured, Note
from modelstac.training.fitting.tensorboard import tensorboard


def test_what_is_measured_is_logged_and_everything_passed_on(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    passed = []
    messages = [Measured("train", step, {"loss": 1 / step}) for step in (1, 2, 4)] + [Note("read me")]
    with tensorboard(tmp_path / "logs", passed.append) as report:
        for message in messages:
            report(message)
    assert passed == messages
    events = accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1.0), (2, 0.5), (4, 0.25)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write TensorBoard logs into"), tensorboard(tmp_path / "file"):
        pass
