"""A process beside this one that is asked, and told what to make ready."""

from __future__ import annotations

import os
import sys
import time

import pytest

from modelstac.catalog.errors import DataError, WorkerError
from modelstac.catalog.messages import Note
from modelstac.registry.isolated.processes import WorkerProcess

PROGRAM = """
import time
from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Note
from modelstac.registry.isolated.answers import Answers

answers, kept = Answers(), []

def keep(value, seconds=0):
    answers.heard(Note(f"keeping {value}"))
    time.sleep(seconds)
    if value < 0:
        raise DataError(f"{value} is below 0")
    kept.append(value)
    return len(kept)

answers.serve({"keep": keep, "kept": lambda: kept})
"""


@pytest.fixture
def process(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    how = {"environment": environment, "what": "the process that keeps", "failure": WorkerError}
    found = WorkerProcess([sys.executable, "-c", PROGRAM], log=tmp_path / "log", **how)
    yield found
    found.kill()


def test_what_it_was_told_is_done_and_its_answers_are_no_others(process):
    heard = []
    for value in (1, -1, 2):
        process.tell("keep", {"value": value})
    assert process.ask("kept", {}, report=heard.append) == [1, 2]
    assert heard == []
    with pytest.raises(DataError, match="-3 is below 0"):
        process.ask("keep", {"value": -3}, report=heard.append)
    assert process.ask("keep", {"value": 4}, report=heard.append) == 3
    assert heard == [Note("keeping -3"), Note("keeping 4")]


def test_one_that_makes_ready_what_nobody_asked_for_is_ended_at_once(process):
    assert process.ask("kept", {}) == []
    process.tell("keep", {"value": 1, "seconds": 60})
    began = time.monotonic()
    process.close()
    assert not process.alive
    assert time.monotonic() - began < 5  # it is given ten seconds to end by itself otherwise
