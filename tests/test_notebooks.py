"""The notebooks run from first to last cell, and what they show is kept small; ``make notebooks`` writes it anew."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import modelstac

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 250_000
KEEP = "MODELSTAC_KEEP_OUTPUTS"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Return a folder with what the notebooks import; they share the catalog that the first one makes there."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copy(FOLDER / "ready.py", folder)
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Of jupyter's packages: the kernel is another process, whose warnings are its own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_runs(path, here, monkeypatch):
    for name in [name for name in os.environ if name.startswith("MODELSTAC_") and name != KEEP]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(Path(modelstac.__file__).parents[1]))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(here)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"]
    if os.environ.get(KEEP):
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        path.write_text(nbformat.writes(notebook).replace(str(here), "/your/folder") + "\n", "utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_keeps_is_small_and_of_no_machine(path):
    text = path.read_text("utf-8")
    assert len(text) < LARGEST
    assert not re.search(r"/(?:home|root|tmp|work)/|\\\\Users", text)
    cells = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_there_are_six():
    assert len(NOTEBOOKS) == 6
