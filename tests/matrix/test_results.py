"""What was found as tables, pictures and evidence: what is beyond the tolerance is none, and every gap has a reason."""

import pytest

from modelstac.jobs.job import Job
from modelstac.jobs.run import Outcome
from modelstac.matrix.page import write_page
from modelstac.matrix.plan import CELL, MAKING, WRITE
from modelstac.matrix.results import Cell, as_text, cells, evidence, not_had, tables

RAN = {
    "runs": True,
    "agrees": True,
    "compared_with": "writer",
    "windows": 8,
    "note": "",
    "difference": 2e-7,
    "rms": 1e-8,
    "rmse_change": -3e-9,
    "csi_change": 0.0,
    "load_seconds": 1.5,
    "predict_seconds": 0.02,
    "memory_bytes": 150_000_000,
    "packages": ["numpy==2.1.3", "tensorflow-cpu==2.19.1", "six==1.17.0"],
    "python": "3.11",
}
REFUSED = {"runs": False, "reason": "cannot be read by Keras 3.10.0"}


@pytest.fixture
def found():
    return [
        Cell("rain-1.0.0-keras", None, "newer", RAN, measured=True),
        Cell("rain-1.0.0-keras", None, "other", RAN | {"agrees": False, "difference": 3e-2}, measured=True),
        Cell("rain-1.0.0-keras", None, "older", REFUSED, measured=True),
        Cell("rain-1.0.0-keras", None, "oldest", REFUSED, measured=True),
    ]


def test_only_what_agrees_is_evidence_and_it_names_runtimes_as_people_search_for_them(found):
    assert evidence(found) == {
        "rain-1.0.0-keras": [
            {
                "python": "3.11",
                "packages": {"numpy": "2.1.3", "tensorflow": "2.19.1"},
                "compared_with": "writer",
                "windows": 8,
                "max_absolute_difference": 2e-7,
                "root_mean_square_difference": 1e-8,
                "rmse_change": -3e-9,
                "csi_change": 0.0,
            }
        ]
    }


def test_every_cell_is_on_the_page_with_numbers_or_its_reason(found, tmp_path):
    write_page(tmp_path, found, ["Four cells."])
    page = (tmp_path / "matrix.md").read_text()
    assert "| newer | 8 windows | 2.0e-07 | 1.0e-08 | -3.0e-09 | 0.0e+00 | 1.50 | 20.0 | 150 |  |" in page
    assert "| other | 8 windows | 3.0e-02 |" in page
    assert "| beyond the tolerance |" in page
    assert "| older, oldest | – | – | – | – | – | – | – | – | cannot be read by Keras 3.10.0 |" in page
    environments, *_ = tables(found)
    assert ["/".join(row[2:5]) for row in environments.rows] == ["1/1/1", "1/1/0", "1/0/0", "1/0/0"]
    assert all((tmp_path / f"matrix-{name}.png").stat().st_size > 1000 for name in ("difference", "speed", "size"))
    assert "  older   cannot be read" in as_text(found)


def test_where_nothing_runs_there_are_tables_and_no_pictures(found, tmp_path):
    write_page(tmp_path, found[2:], ["Two cells."])
    assert "cannot be read by Keras" in (tmp_path / "matrix.md").read_text()
    assert not list(tmp_path.glob("*.png"))


def test_a_cell_whose_environment_failed_has_that_as_its_reason(tmp_path):
    class Empty:
        def find(self, item_id):
            return None

    making = Job("environment-a", MAKING, {"name": "a"}, str(tmp_path))
    cell = Job("x-in-a", CELL, {"item": "x", "name": "a"}, str(tmp_path), needs={making.name: making.key})
    outcomes = [
        Outcome(making, "failed", reason="an index cannot be reached"),
        Outcome(cell, "skipped", reason="needs environment-a, which failed"),
    ]
    (one,) = cells(outcomes, Empty())
    assert not one.measured
    assert one.found == {"runs": False, "reason": "environment-a an index cannot be reached"}
    writing = Job("w", WRITE, {"name": "a", "format": "onnx", "source": "x"}, str(tmp_path))
    assert not_had(outcomes, [Outcome(writing, "done", result={"reason": "too old"})]) == [
        "a is left out: an index cannot be reached.",
        "a did not write onnx from x: too old.",
    ]
