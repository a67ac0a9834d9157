"""Looking after a catalog from the command line: aliases, deprecation, search with all it can do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.testing import NEWER, ONNX, TORCH, Examples

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Return an embedded catalog of items that differ in everything."""
    file = tmp_path / "models.sqlite"
    EmbeddedCatalog(file, create=True).publish_many(Examples(tmp_path / "made").various())
    return file


def test_an_alias_is_set_listed_and_guarded(catalog: Path, modelstac_command: Command) -> None:
    name = ("convlstm-knmi", "champion")
    assert modelstac_command("alias", *name, TORCH, "--expect", "none", "-c", catalog).returncode == 0
    listed = modelstac_command("alias", "convlstm-knmi", "--json", "-c", catalog)
    assert json.loads(listed.stdout) == {"champion": TORCH}
    refused = modelstac_command("alias", *name, NEWER, "--expect", "none", "-c", catalog)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: alias convlstm-knmi@champion points to {TORCH}, not to nothing: "
        "somebody else changed it, look at it again\n"
    )
    assert modelstac_command("alias", *name, NEWER, "--expect", TORCH, "-c", catalog).returncode == 0
    shown = modelstac_command("show", "convlstm-knmi@champion", "-c", catalog)
    assert shown.stdout.splitlines()[0] == NEWER
    assert "champion" in shown.stdout
    assert modelstac_command("alias", *name, "--remove", "-c", catalog).returncode == 0
    assert "did you mean" not in modelstac_command("show", "convlstm-knmi@champion", "-c", catalog).stdout


def test_deprecating_can_be_searched_for_and_undone(catalog: Path, modelstac_command: Command) -> None:
    assert modelstac_command("deprecate", TORCH, "-c", catalog).stdout == f"{TORCH} is deprecated\n"
    found = modelstac_command("search", "--deprecated", "-c", catalog)
    assert [line.split()[0] for line in found.stdout.splitlines()[1:]] == [TORCH]
    assert "DEPRECATED" in modelstac_command("show", TORCH, "-c", catalog).stdout
    assert modelstac_command("deprecate", TORCH, "--undo", "-c", catalog).returncode == 0
    assert modelstac_command("search", "--deprecated", "-c", catalog).stdout == ""


def test_search_pages_sorts_and_filters(catalog: Path, modelstac_command: Command) -> None:
    arguments = ("search", "--json", "--limit", "2", "--sort", "-version", "--field", "version", "-c", catalog)
    first = json.loads(modelstac_command(*arguments).stdout)
    assert (first["numberMatched"], first["numberReturned"]) == (9, 2)
    assert first["features"][0] == {
        "id": "unet-2.1.0-torch",
        "collection": "unet",
        "properties": {"version": "2.1.0"},
    }
    second = json.loads(modelstac_command(*arguments, "--token", first["next"]).stdout)
    assert [f["properties"]["version"] for f in second["features"]] == ["1.10.0", "1.1.0"]
    by_text = modelstac_command("search", "--filter", "interop:parity.passed = true", "-c", catalog)
    by_json = modelstac_command(
        "search", "--filter", '{"op": "like", "args": [{"property": "id"}, "%onnx%"]}', "-c", catalog
    )
    assert by_text.stdout == by_json.stdout
    assert ONNX in by_text.stdout
    bad = modelstac_command("search", "--filter", "interop:parity.passed = ", "-c", catalog)
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: the filter is no CQL2: ")
