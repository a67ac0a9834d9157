"""Several events: no window crosses from one to the next, whole ones are held out, and the item says which."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import shapely.geometry

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DataError, NotFoundError, SpecError
from modelstac.catalog.items.geometry import united
from modelstac.catalog.items.validation import validate
from modelstac.catalog.messages import ignore
from modelstac.registry.loading import load
from modelstac.training.data import Preparation, make_windows, read_frames
from modelstac.training.data.events import LEAST_RAIN, SHARED, joined, read_event, wettest_squares
from modelstac.training.data.public import EVENTS, checksums, fetch_event
from modelstac.training.data.synthetic import generate
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.prepared import prepare
from modelstac.training.jobs.train import train

WHOLE = Preparation(rows=None, columns=None, block_metres=2000.0, transform="log")


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Three events of generated rain of other sizes."""
    folder = tmp_path_factory.mktemp("events")
    for seed, shape in enumerate(((40, 44), (49, 38), (36, 36))):
        generate(folder / f"event-{seed}", 12, seed=seed, shape=shape, start=datetime(2020 + seed, 5, 1))
    return folder


def test_a_square_is_where_it_rains_most_of_what_was_measured():
    rate = np.zeros((2, 6, 7), np.float32)
    rate[:, 3, 4] = 9
    rate[0, 3, 5] = np.nan
    ((row, column),) = wettest_squares(rate, 3)
    assert row <= 3 <= row + 2
    assert column <= 4 == column + 2, "what was missing once is not in it"
    with pytest.raises(DataError, match="no 6 x 6 blocks that were measured at all times"):
        wettest_squares(rate, 6)
    with pytest.raises(DataError, match="6 x 7 blocks, 7 x 7 are needed"):
        wettest_squares(rate, 7)


def test_further_squares_are_wet_and_share_little():
    rate = np.full((2, 10, 10), LEAST_RAIN / 2, np.float32)
    rate[:, :5, :5], rate[:, :5, 6:] = 3, 2
    found = wettest_squares(rate, 4, most=9)
    assert 2 < len(found) < 9
    taken = np.zeros((10, 10))
    for row, column in found:
        square = np.s_[row : row + 4, column : column + 4]
        assert rate[0][square].mean() >= LEAST_RAIN
        assert taken[square].sum() <= SHARED * 16
        taken[square] = 1
    assert wettest_squares(np.zeros((2, 9, 9), np.float32), 4, most=9) == [(0, 0)], "a dry event has one"


def test_squares_of_an_event_that_overlap_are_one_outline():
    polygons = [
        {"type": "Polygon", "coordinates": [[[x, 0], [x + 3, 0], [x + 3, 3], [x, 3], [x, 0]]]} for x in (0, 2, 9)
    ]
    found = united(polygons)
    assert shapely.geometry.shape(found).is_valid
    assert len(found["coordinates"]) == 2
    assert shapely.geometry.shape(found).area == 24


def test_no_window_crosses_from_one_event_to_the_next(events):
    parts = [read_event(events / f"event-{number}", WHOLE, 16)[0].windows(2, 3) for number in range(2)]
    whole = joined(parts)
    assert len(whole) == len(parts[0]) + len(parts[1]) == 16
    for index in range(len(whole)):
        times = whole.times(index)
        assert (np.diff(times) == np.timedelta64(5, "m")).all()
        part, at = divmod(index, 8)
        np.testing.assert_array_equal(whole.inputs(index), parts[part].inputs(at))
        np.testing.assert_array_equal(whole.targets(index), parts[part].targets(at))
    with pytest.raises(DataError, match="make no windows of one kind"):
        joined([parts[0], dataclasses.replace(parts[1], step_minutes=10)])


def test_two_events_in_a_folder_are_told(events, tmp_path):
    for number in range(2):
        for path in sorted((events / f"event-{number}").iterdir())[:3]:
            shutil.copy(path, tmp_path)
    frames = [sorted(events.glob(f"event-{n}/*"))[0] for n in (2, 2)]
    assert frames[0] == frames[1]
    generate(tmp_path / "one", 6, seed=1, shape=(36, 36), start=datetime(2021, 5, 1))
    for path in sorted((events / "event-2").iterdir())[:3]:
        shutil.copy(path, tmp_path / "one")
    with pytest.raises(DataError, match="a window across two events is none; keep each event in a folder"):
        make_windows(read_frames(tmp_path / "one"), 2, 3)


@pytest.fixture(scope="module")
def job(events):
    found = TrainJob.from_preset(
        "nowcast",
        variant="torch",
        data=events,
        held_out=(str(events / "event-2"),),
        preparation=WHOLE,
    )
    small = dataclasses.replace(found.architecture, filters=(2, 3), frames_in=2, frames_out=3, height=16, width=16)
    data = tuple(str(events / f"event-{number}") for number in range(2))
    return dataclasses.replace(found, architecture=small, data=data, fit=dataclasses.replace(found.fit, epochs=1))


def test_whole_events_are_held_out_and_the_item_says_which(job, tmp_path):
    catalog = open_catalog(tmp_path / "catalog", create=True)
    item = train(job, catalog)
    validate(item)
    said = item.properties["mlm:hyperparameters"]["data"]
    assert [event["name"] for event in said["events"]] == ["event-0", "event-1"]
    assert [event["name"] for event in said["held_out"]] == ["event-2"]
    assert said["windows"] == 16
    assert item.geometry["type"] == "MultiPolygon"
    assert len(item.geometry["coordinates"]) == 1, "both are at one place"
    assert [event["squares"] for event in said["events"]] == [1, 1]
    metrics = json.loads(Path(catalog.get(item.id).assets["metrics"].href).read_text())
    assert set(metrics["events"]) == {"event-2"}
    assert metrics["windows"] == metrics["events"]["event-2"]["windows"] == 8
    assert train(job, catalog).id == item.id, "the same job does nothing twice"
    assert TrainJob.from_json(job.to_json()) == job
    with load(item.id, catalog=catalog) as model:
        assert model.predict(np.zeros((1, 2, 1, 16, 16), np.float32)).shape == (1, 3, 1, 16, 16)


def test_one_event_where_several_are_asked_for_is_refused(job, events, tmp_path):
    catalog = open_catalog(tmp_path / "catalog", create=True)
    with pytest.raises(SpecError, match=r"needs two at least beside those held out, and .*event-0 is one"):
        train(dataclasses.replace(job, data=(job.data[0],)), catalog)
    with pytest.raises(SpecError, match="event-2 is named twice"):
        train(dataclasses.replace(job, data=(*job.data, job.held_out[0])), catalog)
    with pytest.raises(SpecError, match="event-2 is named twice"):
        train(dataclasses.replace(job, data=(*job.data, f"{events}/event-1/../event-2/")), catalog)
    with pytest.raises(SpecError, match="the preset nowcast trains over events"):
        dataclasses.replace(job, held_out=())
    with pytest.raises(SpecError, match="give one of the two"):
        dataclasses.replace(job, first_test=10)


def test_events_in_folders_of_one_name_are_told_apart(job, events, tmp_path):
    for year in ("2020", "2021"):
        shutil.copytree(events / f"event-{int(year) - 2020}", tmp_path / year / "radar")
    held_out = tuple(str(tmp_path / year / "radar") for year in ("2020", "2021"))
    prepared = prepare(
        dataclasses.replace(job, data=(*job.data[:1], str(events / "event-2")), held_out=held_out), ignore
    )
    assert [event.name for event in prepared.events[1]] == ["2020/radar", "2021/radar"]
    assert len(prepared.split(job)[1]) == 2


def test_blocks_are_as_large_as_pixels_allow(events):
    ds = read_frames(events / "event-1")
    prepared = WHOLE.apply(ds)
    assert prepared["rainfall_rate"].shape[1:] == (24, 19), "an odd row is left over"
    assert WHOLE.side(ds) == 2
    with pytest.raises(DataError, match=r"pixels of 1000 x 1000 m make no blocks of 1500 m"):
        dataclasses.replace(WHOLE, block_metres=1500.0).apply(ds)
    with pytest.raises(SpecError, match="no coarsen beside it"):
        dataclasses.replace(WHOLE, coarsen=2)
    assert Preparation.from_dict(WHOLE.to_dict()) == WHOLE


def test_the_public_events_are_pinned():
    assert {event: len(checksums(event)) for event in EVENTS} == {
        "knmi-2010-08-26": 92,
        "fmi-2016-09-28": 40,
        "fmi-2017-05-09": 40,
        "mch-2015-05-15": 40,
        "mch-2016-07-11": 40,
        "mch-2017-01-31": 40,
        "rmi-2021-07-04": 40,
    }
    with pytest.raises(NotFoundError, match="no event 'fmi-2016-09-29' in the public events: did you mean"):
        fetch_event("fmi-2016-09-29")
