"""Jobs of the kind `examples.doing`, which their processes can import."""

from pathlib import Path

import pytest

from modelstac.jobs.job import Job


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    """Let this process, and the jobs' own, import the examples."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a job."""

    def job(name, *needs, how=(), value=1, **fields):
        return Job(
            name,
            fields.pop("kind", "examples.doing"),
            {"value": value, "how": list(how), "name": name},
            str(tmp_path / "work"),
            needs={need.name: need.key for need in needs},
            **fields,
        )

    return job


@pytest.fixture
def runs():
    """Return a function that counts how often a job ran."""

    def count(job):
        path = job.folder / "runs.txt"
        return len(path.read_text().splitlines()) if path.exists() else 0

    return count
