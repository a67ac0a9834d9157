"""Which requests run together, in what order, and what is told to whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from tests.registry.serving.conftest import MakeItem, share, slow, sums, times

import modelstac
from modelstac.catalog.errors import DataError
from modelstac.catalog.items.provenance import Parity
from modelstac.registry import Model
from modelstac.registry.running.batch import BatchAxes
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.serving.batching import Batcher
from modelstac.registry.serving.served import Served, may_run_together
from modelstac.registry.serving.settings import InferenceSettings

Arrays = Mapping[str, np.ndarray]
SETTINGS = InferenceSettings(max_batch=4)


class Held:
    """Doubles its input once it may, and notes how many samples each run had."""

    def __init__(self) -> None:
        self.may, self.runs = threading.Event(), list[int]()

    def __call__(self, arrays: Arrays) -> Arrays:
        self.may.wait(10)
        self.runs.append(len(arrays["x"]))
        if (arrays["x"] == 13).any():
            raise RuntimeError("thirteen")
        return {"y": 2 * arrays["x"]}


@pytest.fixture
def held(tmp_path: Path, make_item: MakeItem) -> tuple[Held, Model]:
    known, run = modelstac.load(times(tmp_path, make_item, 2)), Held()
    return run, Model(known.item, known.description, Opened(None, run, ("x",), ("y",), parallel=True))


async def never() -> None:
    await asyncio.Event().wait()


def asked(
    model: Model, run: Held, *given: np.ndarray, gone: Callable[[], Awaitable[Any]] = never, most: int = 4
) -> list[Any]:
    """Ask for all at once, one of which is held until all wait, and return what each got."""

    async def ask() -> list[Any]:
        batcher = Batcher(model, BatchAxes.of(model.signature, most), 1)
        tasks = [asyncio.create_task(batcher.run({"x": x}, gone)) for x in given]
        await asyncio.sleep(0.05)
        run.may.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
        return found

    return asyncio.run(ask())


def of(*rows: float) -> np.ndarray:
    return np.array([[row, row] for row in rows], np.float32)


def test_what_waits_runs_together_up_to_the_largest_batch(held: tuple[Held, Model]) -> None:
    run, model = held
    given = [of(1), of(2), of(3, 4), of(5), of(6), of(7, 8, 9, 10, 11)]
    for x, found in zip(given, asked(model, run, *given), strict=True):
        np.testing.assert_array_equal(found["y"], 2 * x)
        assert found["y"].base is None, "nobody holds the results of others"
    assert run.runs == [1, 4, 1, 5]  # more than the largest batch in one request runs as it came


def test_one_that_is_refused_or_fails_does_so_alone(held: tuple[Held, Model]) -> None:
    run, model = held
    given = [of(1), of(np.nan), of(2), of(13), np.zeros((1, 3), np.float32), of(3).astype(np.float64)]
    found = asked(model, run, *given)
    for place in (0, 2, 5):
        np.testing.assert_array_equal(found[place]["y"], 2 * given[place])
    for place, words in ((1, "NaN"), (3, "thirteen"), (4, "feature")):
        assert isinstance(found[place], DataError)
        assert words in str(found[place])


def test_a_batch_of_one_runs_each_by_itself(held: tuple[Held, Model]) -> None:
    run, model = held
    asked(model, run, of(1), of(2), of(3), most=1)
    assert run.runs == [1, 1, 1]


def test_who_goes_away_while_waiting_is_not_run(held: tuple[Held, Model]) -> None:
    run, model = held

    async def at_once() -> None:
        return None

    first, *others = asked(model, run, of(1), of(2), of(3), gone=at_once)
    np.testing.assert_array_equal(first["y"], of(2))
    assert [type(one) for one in others] == [ClientDisconnect, ClientDisconnect]
    assert run.runs == [1]


def test_whether_samples_are_apart_is_tried(tmp_path: Path, make_item: MakeItem) -> None:
    assert may_run_together(modelstac.load(times(tmp_path, make_item, 2)), SETTINGS)
    assert not may_run_together(modelstac.load(share(tmp_path, make_item)), SETTINGS)
    assert may_run_together(modelstac.load(slow(tmp_path, make_item)), SETTINGS)
    assert not may_run_together(modelstac.load(sums(tmp_path, make_item)), SETTINGS)


def test_an_item_that_says_it_moves_is_believed_and_one_that_says_it_does_not_is_tried(
    tmp_path: Path, make_item: MakeItem
) -> None:
    differences = ("max_absolute_difference", "max_relative_difference", "root_mean_square_difference")
    numbers = dict.fromkeys((*differences, "absolute_tolerance", "relative_tolerance"), 0.0)
    for item, said in ((share(tmp_path, make_item), 0.0), (times(tmp_path, make_item, 2), 0.5)):
        model = modelstac.load(item)
        parity = Parity(source="x", cases=1, passed=True, batch_difference=said, **numbers)
        model.description = model.description.model_copy(update={"parity": parity})
        assert not may_run_together(model, SETTINGS)


def test_results_are_counted_before_they_are_made(tmp_path: Path, make_item: MakeItem) -> None:
    async def served() -> int:
        model = modelstac.load(times(tmp_path, make_item, 2))
        return Served(model, SETTINGS, together=True).bytes_of({"x": np.zeros((5, 2), np.float32)})

    assert asyncio.run(served()) == 5 * 2 * 4
