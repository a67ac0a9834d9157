"""Looking after a catalog from the command line: aliases, deprecation, search with all it can do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
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


def test_all_items_become_one_table(catalog: Path, modelstac_command: Command, tmp_path: Path) -> None:
    table = tmp_path / "models.parquet"
    done = modelstac_command("index", "--parquet", table, "-c", catalog)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"wrote 9 items to {table}"
    assert pq.read_metadata(table).num_rows == 9
    before = table.read_bytes()
    EmbeddedCatalog(tmp_path / "empty.sqlite", create=True)
    refused = modelstac_command("index", "--parquet", table, "-c", tmp_path / "empty.sqlite")
    assert refused.returncode == 2
    assert "has no items" in refused.stderr
    assert table.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.parquet*")) == ["models.parquet"]
    nowhere = modelstac_command("index", "--parquet", tmp_path / "no" / "x.parquet", "-c", catalog)
    assert nowhere.returncode != 0
    assert nowhere.stderr.startswith("error: cannot write")
    assert "--parquet FILE" in modelstac_command("index", "-c", catalog).stderr


def test_a_copy_goes_on_from_the_last_one(catalog: Path, modelstac_command: Command, tmp_path: Path) -> None:
    copy, state = tmp_path / "copy.sqlite", tmp_path / "state.json"
    first = modelstac_command("sync", catalog, copy, "--state", state)
    assert first.stdout.startswith("copied 9 items, 0 were looked at again"), first.stderr
    EmbeddedCatalog(catalog).delete(ONNX)
    told = modelstac_command("sync", catalog, copy, "--state", state)
    assert told.stdout.splitlines()[1] == f"1 items are gone from {catalog}, 0 were removed; --delete removes them here"
    done = json.loads(modelstac_command("sync", catalog, copy, "--state", state, "--delete", "--json").stdout)
    assert (done["gone"], done["deleted"]) == ([ONNX], [ONNX])
    assert EmbeddedCatalog(copy).find(ONNX) is None
    assert "--delete needs --state FILE" in modelstac_command("sync", catalog, copy, "--delete").stderr
    state.write_text("[")
    assert "is no state of a copy" in modelstac_command("sync", catalog, copy, "--state", state).stderr
