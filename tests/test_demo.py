"""The demo's own rules; the path itself is run whole by ``make demo`` in the gate."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from modelstac import demo
from modelstac.catalog.errors import StorageError


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    kept = tmp_path / "thesis.tex"
    kept.write_text("years of work")
    with pytest.raises(StorageError, match="not empty and holds no earlier demo"):
        demo.make_room(tmp_path)
    assert kept.read_text() == "years of work"


def test_an_earlier_demo_is_replaced(tmp_path):
    out = tmp_path / "demo"
    demo.make_room(out)
    (out / "old").touch()
    demo.make_room(out)
    assert [path.name for path in out.iterdir()] == [demo._MARK]


def test_without_a_network_the_demo_generates_rain_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_DATA_URL", "http://127.0.0.1:9/")  # the discard port: nobody listens
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notes = []
    frames = demo._public_or_generated(tmp_path, notes.append)
    assert len(list(frames.glob("*.h5"))) == 92
    assert "generated rain" in notes[-1].text


def test_a_demo_of_land_cover_takes_no_frames(tmp_path):
    arguments = ["demo", "--landcover", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "modelstac", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--landcover generates its scenes" in done.stderr


def test_a_folder_without_frames_ends_in_one_line(tmp_path):
    (tmp_path / "frames").mkdir()
    arguments = ["demo", "--data", str(tmp_path / "frames"), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "modelstac", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "frames") in done.stderr


def test_steps_run_two_at_a_time_and_keep_their_order():
    together = threading.Barrier(2, timeout=60)

    def step(number):
        together.wait()
        return number * number

    assert demo._in_lanes(step, range(4)) == [0, 1, 4, 9]


def test_a_step_that_fails_says_why_and_ends_the_others(tmp_path, capfd):
    def step(number):
        return demo._modelstac("show", f"no-such-{number}", "--catalog", str(tmp_path / "none"))

    with pytest.raises(demo.DemoError, match="modelstac show failed with exit code 2: see the line above"):
        demo._in_lanes(step, range(2))
    said = capfd.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in said)
    assert 1 <= len(said) <= 2
