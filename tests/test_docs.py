"""README and docs say what is true: links lead somewhere, commands exist, and the quick start runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click import Group

from modelstac.catalog import open_catalog
from modelstac.cli import main
from modelstac.exporters.jobs import ExportJob, export
from modelstac.training.data import synthetic
from modelstac.training.fit import FitSpec
from modelstac.training.jobs import TrainJob, train

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "references").rglob("*.md")])
COMMANDS = [line for page in PAGES for line in re.findall(r"^\$ (modelstac .*)$", page.read_text("utf-8"), re.M)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    dead = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not dead


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands_that_are_shown_exist_with_their_options(line):
    words = shlex.split(line.split(" | ")[0], comments=True)[1:]
    command = main
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    shown = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert shown <= known | {"--help", "-h"}


def test_the_quick_start_in_python_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert len(blocks) == 1
    catalog = open_catalog(tmp_path / ".demo" / "catalog", create=True)
    synthetic.generate(tmp_path / "frames", 72)
    job = TrainJob.from_preset("tiny", variant="torch", data=tmp_path / "frames", fit=FitSpec(epochs=1, batch_size=1))
    item = train(job, catalog)
    exported = export(ExportJob(source=item.id, target="onnx"), catalog)
    script = blocks[0] + "\nimport json\nprint(json.dumps([forecast.shape, float(forecast.max())]))\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith(item.id) for line in lines)
    assert exported.id in blocks[0]
    shape, largest = json.loads(lines[-1])
    assert shape == [1, 18, 1, 64, 64]
    assert 0 < largest <= 1
