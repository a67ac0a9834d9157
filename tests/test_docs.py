"""README and docs say what is true: links lead somewhere, commands exist, what is shown runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click import Group
from docs import diagram, hooks, tables

import modelstac
from modelstac.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "references").rglob("*.md")])
SHOWN = re.compile(r"^(?:\$ |    )(?:[A-Z_]+=\S+ )*(modelstac [a-z].*)$", re.M)
COMMANDS = [line for page in PAGES for line in SHOWN.findall(page.read_text("utf-8").replace("\\\n", ""))]
PYTHON = {"PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
ELSEWHERE = {"MODELSTAC_TEST_KILLS", "MODELSTAC_FUZZ", "MODELSTAC_BENCH_ITEMS"}
"""Variables of tests and benchmarks, which are documented where these are."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    dead = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not dead


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands_that_are_shown_exist_with_their_options(line):
    words = shlex.split(re.split(r" \| | {2,}|: ", line)[0], comments=True)[1:]
    command = main
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    shown = {word.split("=")[0] for word in words if re.match(r"--[a-z]|-[a-z]$", word)}
    assert shown <= known | {"--help", "-h"}


@pytest.fixture(scope="module")
def run_pages(tmp_path_factory):
    """Run the tutorial and what other pages show with its catalog; return the error of each, empty where it ran."""
    here = tmp_path_factory.mktemp("pages")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELSTAC_", "KERAS_BACKEND"))}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("docs_process.py"), ROOT / "docs"],
        cwd=here,
        env=clean | PYTHON,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("page", ["tutorial", "readme", "predict", "resolve", "interop", "catalogs"])
def test_what_a_page_shows_runs(run_pages, page):
    assert not run_pages[page], run_pages[page]


def test_the_examples_of_a_runtime_and_a_backend_keep_their_contracts(tmp_path):
    text = (ROOT / "docs" / "extend.md").read_text("utf-8")
    files = dict(re.findall(r'^```\w+ title="([\w.]+)"\n(.*?)^```', text, re.S | re.M))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    # As pip leaves a package: its entry points in a folder of metadata.
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    groups = re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(\w+) = "([\w:]+)"', files["pyproject.toml"])
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {place}\n" for group, name, place in groups))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PYTHON['PYTHONPATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(groups) == 2
    assert "skipped" not in done.stdout


def test_the_diagram_is_that_of_the_imports():
    assert diagram.PICTURE.read_text("utf-8") == diagram.draw(), "run: python -m docs.diagram"


def test_every_setting_is_documented_and_no_other():
    sources = [
        p
        for room in ("catalog", "registry", "training", "exporters", "src/modelstac")
        for p in (ROOT / room).rglob("*.py")
    ]
    known = {name for path in sources for name in re.findall(r'"(MODELSTAC_[A-Z_]+[A-Z])"', path.read_text("utf-8"))}
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    server = set(re.findall(r"`(MODELSTAC_[A-Z_]+)`", tables.server_settings()))
    assert set(re.findall(r"MODELSTAC_[A-Z_]+[A-Z]", page)) == known - server | {"MODELSTAC_CATALOG"}
    assert all(row.count("|") == 4 and row.split("|")[3].strip() for row in tables.server_settings().splitlines())
    for other in PAGES:
        named = set(re.findall(r"MODELSTAC_[A-Z_]+[A-Z]", other.read_text("utf-8")))
        assert named <= known | server | ELSEWHERE, other


def test_what_the_site_takes_from_elsewhere_is_there():
    assert all((ROOT / source).exists() for source in hooks.SHOWN)
    used = {name for page in PAGES for name, _ in hooks._MADE_OF.findall(page.read_text("utf-8"))}
    assert used == hooks.TABLES.keys()
