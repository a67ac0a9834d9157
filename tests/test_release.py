"""A release that is not ready is refused before anything is built; CI builds one that is (``make release``)."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "release", tmp_path / "deploy" / "release")
    (tmp_path / "changes").mkdir()
    return tmp_path


def refused(checkout: Path, version: str) -> str:
    done = subprocess.run([checkout / "deploy/release", version], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert not (checkout / "dist").exists()
    return done.stderr


def test_another_version_than_the_projects_is_refused(checkout: Path) -> None:
    assert refused(checkout, "9.9.9").endswith("not 9.9.9\n")


def test_a_release_without_a_day_and_one_with_notes_left_are_refused(checkout: Path) -> None:
    version = next(line for line in (checkout / "CITATION.cff").read_text().splitlines() if line.startswith("version:"))
    version = version.removeprefix("version: ")
    changelog = checkout / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {version} (unreleased)\n")
    assert "## " + version + " (YEAR-MONTH-DAY)" in refused(checkout, version)
    changelog.write_text(f"# Changelog\n\n## {version} (2026-12-01)\n")
    (checkout / "changes" / "a.fixed.md").write_text("A fault less.\n")
    assert refused(checkout, version) == f"release: changes/ holds notes still: towncrier build --version {version}\n"
