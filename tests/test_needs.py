"""What is left out is one table at the end, and nothing is left out in CI."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.needs import left_out, table

ROOT = Path(__file__).resolve().parents[1]
CASE = """
import pytest
from tests.needs import left_out

@pytest.mark.parametrize("number", range(3))
def test_database(number):
    left_out("a database", "apt-get install database")

def test_here():
    pass
"""


def test_reasons_are_counted_the_most_frequent_first() -> None:
    reasons = ["Skipped: needs a disk: mount one", "Skipped: not on this system", "Skipped: needs a disk: mount one"]
    assert table(reasons) == [
        "tests  left out for want of  what brings it",
        "-----  --------------------  --------------",
        "    2  a disk                mount one",
        "    1  not on this system",
    ]


@pytest.mark.parametrize("ci", [False, True])
def test_a_run_ends_with_the_table_and_ci_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: bool) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    case = tmp_path / "test_case.py"
    case.write_text(CASE)
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "tests.conftest"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, case], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ci:
        assert done.returncode == 1
        assert "3 failed, 1 passed" in done.stdout
    else:
        assert done.returncode == 0, done.stdout
        assert "    3  a database            apt-get install database" in done.stdout.splitlines()


def test_what_is_needed_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs Chromium: apt-get install chromium"):
        left_out("Chromium", "apt-get install chromium")
