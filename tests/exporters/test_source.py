"""The source of a proof is what Keras computes on the shape at hand, not a graph that was traced of it."""

from __future__ import annotations

import json
from pathlib import Path


def test_steps_of_any_number_are_proved_against_keras_itself(keras_process, tmp_path):
    """Traced with an open time, Keras 3.15 repeats a layer over the batch: so it exports, and so it must not pass."""
    program = Path(__file__).with_name("source_process.py")
    printed = keras_process.run("tensorflow", tmp_path, program=program)
    found = json.loads(printed.splitlines()[-1])
    assert found["refused"].startswith(("ConversionError: ", "ParityError: "))
    assert found["apart"] < 1e-6
    assert found["spread"] > 1e-3
