"""A release that is not ready is refused before anything is built; CI builds one that is (``make release``)."""

import shutil
import subprocess
import sys
import tomllib
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


def test_notes_become_the_one_heading_of_their_version(checkout: Path) -> None:
    (checkout / "changes" / "a.fixed.md").write_text("A fault less.\n")
    version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    build = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--date", "2026-12-01"]
    subprocess.run(build, cwd=checkout, check=True, capture_output=True)
    text = (checkout / "CHANGELOG.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == f"## {version} (2026-12-01)"
    assert len({heading.split()[1] for heading in headings}) == len(headings), "a version has one heading"
    assert "- A fault less." in text
