"""A run that is killed goes on and gives the same bytes; another one begins anew; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.scenes.scenes_in_memory import Memory
from tests.registry.scenes.small_models import average, classifier

from modelstac.catalog.errors import ConflictError, DataError, ModelStacError, StorageError
from modelstac.catalog.messages import Note
from modelstac.registry.scenes.predicting import part_folder, predict_scene
from modelstac.registry.scenes.running import store as stores
from modelstac.registry.scenes.running.threads import Ahead, Behind

VALUES = np.random.default_rng(2).random((1, 120, 90), np.float32)


class Kept:
    """A sink that keeps the layers."""

    def __call__(self, rasters: Sequence[Any]) -> None:
        self.layers = {r.layer.name: r.read((slice(0, None), slice(0, None))) for r in rasters}


def breaking(after: int) -> Memory:
    count = iter(range(10**6))

    def broken(*_: Any) -> None:
        if next(count) >= after:
            raise KeyboardInterrupt

    return Memory({"image": VALUES}, broken=broken)


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Keep tiles in a known folder: a function has none beside it."""
    monkeypatch.setattr("modelstac.registry.scenes.predicting.part_folder", lambda _: tmp_path / "map.tif.part")
    return Kept()


@pytest.mark.parametrize("halo", [1, "global"])
def test_what_is_done_is_not_done_again(tmp_path: Path, sink: Kept, halo: Any) -> None:
    model = average(halo)
    predict_scene(model, Memory({"image": VALUES}), sink, tile=16, batch=1)
    whole, notes = sink.layers["mean"], []
    with pytest.raises(KeyboardInterrupt):
        predict_scene(model, breaking(43), sink, tile=16, batch=1)
    assert (tmp_path / "map.tif.part").is_dir()
    scene = Memory({"image": VALUES})
    found = predict_scene(model, scene, sink, tile=16, batch=1, report=notes.append)
    np.testing.assert_array_equal(sink.layers["mean"], whole)
    assert found.resumed >= 10
    assert any(isinstance(note, Note) and note.text.startswith("goes on") for note in notes)
    assert scene.reads < found.plan.tiles
    assert not (tmp_path / "map.tif.part").exists()


@pytest.mark.parametrize("damage", ["a line more", "pixels cut off"])
def test_what_was_damaged_is_not_taken_up(tmp_path: Path, sink: Kept, damage: str) -> None:
    model = average()
    predict_scene(model, Memory({"image": VALUES}), sink, tile=16, batch=1)
    whole = sink.layers["mean"]
    with pytest.raises(KeyboardInterrupt):
        predict_scene(model, breaking(43), sink, tile=16, batch=1)
    if damage == "a line more":
        with (tmp_path / "map.tif.part" / "journal").open("a") as file:
            file.write("999999\n")
    else:
        os.truncate(tmp_path / "map.tif.part" / "0.pixels", 100)
    found = predict_scene(model, Memory({"image": VALUES}), sink, tile=16, batch=1)
    np.testing.assert_array_equal(sink.layers["mean"], whole)
    assert bool(found.resumed) == (damage == "a line more")


def test_what_was_masked_before_it_was_broken_off_is_said_too(sink: Kept) -> None:
    def broken(count: int) -> Memory:
        reads = iter(range(10**6))

        def here(_: str, window: Any) -> None:
            if next(reads) >= count:
                raise KeyboardInterrupt
            if window[0].start < 20 and window[1].start < 20:
                raise DataError("cannot read a.tif, rows 0 to 9")

        return Memory({"image": VALUES}, broken=here)

    said: dict[str, Any] = {"tile": 16, "batch": 1, "skip_errors": True}
    whole = predict_scene(average(), broken(10**6), sink, **said)
    with pytest.raises(KeyboardInterrupt):
        predict_scene(average(), broken(43), sink, **said)
    found = predict_scene(average(), broken(10**6), sink, **said)
    assert found.resumed > 9
    assert whole.notes == found.notes == ("masked: cannot read a.tif, rows 0 to 9",)


@pytest.mark.parametrize("changed", ["scene", "model", "option"])
def test_another_run_begins_anew_and_says_so(sink: Kept, changed: str) -> None:
    said: dict[str, Any] = {"tile": 16, "batch": 1}
    model = classifier(bands=1)
    with pytest.raises(KeyboardInterrupt):
        predict_scene(model, breaking(30), sink, **said)
    notes: list[Any] = []
    other = classifier(bands=1, name="another") if changed == "model" else model
    scene = Memory({"image": VALUES}, identity={"name": "other" if changed == "scene" else "memory"})
    found = predict_scene(
        other, scene, sink, report=notes.append, **said | ({"fill": 1.0} if changed == "option" else {})
    )
    assert found.resumed == 0
    assert any(isinstance(note, Note) and f"another {changed}" in note.text for note in notes)


def test_a_journal_that_was_cut_off_counts_as_far_as_it_goes(tmp_path: Path, sink: Kept) -> None:
    model = average()
    predict_scene(model, Memory({"image": VALUES}), sink, tile=16, batch=1)
    whole = sink.layers["mean"]
    with pytest.raises(KeyboardInterrupt):
        predict_scene(model, breaking(30), sink, tile=16, batch=1)
    journal = tmp_path / "map.tif.part" / stores.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-2])
    predict_scene(model, Memory({"image": VALUES}), sink, tile=16, batch=1)
    np.testing.assert_array_equal(sink.layers["mean"], whole)


def test_nothing_of_others_is_removed(tmp_path: Path, sink: Kept) -> None:
    folder = tmp_path / "map.tif.part"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    predict_scene(average(), Memory({"image": VALUES}), sink)
    assert (folder / "mine.txt").read_text() == "mine"


def test_two_processes_do_not_make_the_same_map(tmp_path: Path, sink: Kept) -> None:
    held = stores.Store(tmp_path / "map.tif.part", {})
    try:
        with pytest.raises(ConflictError, match="another process"):
            predict_scene(average(), Memory({"image": VALUES}), sink)
    finally:
        held.close()


def test_no_room_is_one_line(tmp_path: Path, sink: Kept) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot keep finished tiles") as error:
            predict_scene(average(), Memory({"image": VALUES}), sink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        part_folder(tmp_path / "none" / "map.tif")


def test_a_dry_run_plans_and_times_and_writes_nothing(tmp_path: Path) -> None:
    found = predict_scene(average(), Memory({"image": VALUES}), tmp_path / "map.tif", tile=32, dry_run=True)
    said = json.loads(json.dumps(found.plan.to_json()))
    assert said["tiles"] == found.plan.tiles > 1
    assert said["seconds"] is not None
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from tests.registry.scenes.scenes_in_memory import Memory
    from tests.registry.scenes.small_models import average
    from modelstac.registry.scenes import predicting
    folder = Path(sys.argv[1])
    values = np.random.default_rng(2).random((1, 120, 90), np.float32)
    predicting.part_folder = lambda _: folder / "map.part"
    model = average({halo!r})
    print("ready", flush=True)
    def slow(*_):
        time.sleep(0.004)
    def sink(rasters):
        (folder / "map.npy").write_bytes(rasters[0].read((slice(0, None), slice(0, None))).tobytes())
    predicting.predict_scene(model, Memory({{"image": values}}, broken=slow), sink, tile=16, batch=1)
"""


@pytest.mark.parametrize("halo", [1, "global"])
def test_killed_and_started_again_it_ends_with_the_same_bytes(tmp_path: Path, halo: Any) -> None:
    code = textwrap.dedent(KILLED).format(halo=halo)
    rng, env = np.random.default_rng(11), os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for turn in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if not turn:
            try:
                process.wait(float(rng.uniform(0.05, 0.3)))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
    found = np.frombuffer((tmp_path / "map.npy").read_bytes(), np.float32).reshape(1, 120, 90)
    sink = Kept()
    predict_scene(average(halo), Memory({"image": VALUES}), sink, tile=16, batch=1)
    np.testing.assert_array_equal(found, sink.layers["mean"])
    assert not (tmp_path / "map.part").exists()


def test_an_error_of_a_thread_is_raised_where_its_parts_are_taken() -> None:
    def parts() -> Any:
        yield 1
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"), Ahead(parts()) as ahead:
        assert list(ahead) == [1]

    def take(_part: int) -> None:
        raise DataError("full")

    with pytest.raises(DataError, match="full"), Behind(take) as behind:
        behind.give(1)


@pytest.mark.parametrize(("words", "said"), [({"post": 5}, "not 5"), ({"reading": {"band": "B04"}}, "bands")])
def test_arguments_that_make_no_sense_are_one_line(tmp_path: Path, words: dict[str, Any], said: str) -> None:
    scene: Any = Memory({"image": VALUES}) if "post" in words else tmp_path / "scene.tif"
    with pytest.raises(ModelStacError) as error:
        predict_scene(average(), scene, tmp_path / "map.tif", **words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
