"""Files that are not what they should be: one line that says so, whatever is in them, and never that it is a bug."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from modelstac.catalog import StaticCatalog
from modelstac.catalog.testing import TORCH, Examples
from modelstac.cli import main

NAME = "convlstm-knmi"
ODD: tuple[Any, ...] = (None, [], {}, 1, "x", [None], [["x"]], {"a": None}, 10**30)
DEEP = "[" * 100_000


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run the command line, and return what it says on stderr: nothing, or one line that is no bug's."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert "this is a bug" not in error, (arguments, error)
    assert end.value.code in {0, 2}, (arguments, error)
    if end.value.code:
        assert error.startswith("error: ")
        assert error.count("\n") == 1, error
    return error


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    StaticCatalog(folder / "catalog", create=True).publish_many(Examples(folder / "made").various()[:2])
    return folder


def mutants(document: Any, *places: str) -> Iterator[Any]:
    """Yield a document with something odd, or nothing, in each of some places."""
    for place in places:
        *above, last = [int(part) if part.isdigit() else part for part in place.split("/")]
        for odd in (*ODD, ...):
            changed = copy.deepcopy(document)
            inner = changed
            for part in above:
                inner = inner[part]
            if odd is ...:
                del inner[last]
            else:
                inner[last] = odd
            yield changed


def test_items(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "catalog"
    shutil.copytree(kept / "catalog", catalog)
    path = catalog / NAME / TORCH / f"{TORCH}.json"
    item = json.loads(path.read_text())
    refused = set()
    for number, changed in enumerate(
        mutants(
            item,
            *("id", "bbox", "geometry/type", "links", "links/0/href", "assets/metrics/roles", "properties"),
            *(
                "properties/datetime",
                "properties/mlm:tasks",
                "properties/mlm:input/0/input",
                "properties/interop:scores",
            ),
        )
    ):
        path.write_text(json.dumps(changed))
        commands = [
            ("publish", path, "--catalog", tmp_path / f"into-{number}"),
            ("show", path),
            ("resolve", path),
            ("deprecate", TORCH, "--catalog", catalog),
            ("search", "--catalog", catalog),
        ]
        command = commands[number % len(commands)]
        refused |= {command[0]} if said(capsys, *command) else set()
    assert refused == {"publish", "show", "resolve", "deprecate", "search"}
    for text in (DEEP, "1" * 5000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), ""):
        path.write_text(text)
        for command in ("publish", "show", "resolve"):
            assert "is no" in said(
                capsys, command, path, *(["--catalog", tmp_path / "x"] if command == "publish" else [])
            )


def test_collections_and_the_root(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "catalog"
    new = Examples(tmp_path / "made").item(version="5.0.0")
    document = new.to_dict(include_self_link=False, transform_hrefs=False)
    (tmp_path / "made" / "item.json").write_text(json.dumps(document))
    refused = 0
    for name, places in (
        (f"{NAME}/collection.json", ("id", "extent", "extent/spatial/bbox", "extent/temporal/interval/0", "links")),
        (f"{NAME}/collection.json", ("links/2/href", "summaries", "summaries/version", "interop:aliases")),
        ("catalog.json", ("links", "links/1", "links/1/href", "id", "type")),
    ):
        whole = json.loads((kept / "catalog" / name).read_text())
        whole = whole | ({"interop:aliases": {"champion": TORCH}} if name != "catalog.json" else {})
        for number, changed in enumerate(mutants(whole, *places)):
            shutil.rmtree(catalog, ignore_errors=True)
            shutil.copytree(kept / "catalog", catalog)
            (catalog / name).write_text(json.dumps(changed))
            commands = [
                ("publish", tmp_path / "made" / "item.json", "--catalog", catalog),
                ("show", TORCH, "--catalog", catalog),
                ("alias", NAME, "champion", TORCH, "--catalog", catalog),
                ("search", "--catalog", catalog),
            ]
            refused += bool(said(capsys, *commands[number % len(commands)]))
    assert refused > 20


def test_what_else_is_json_or_toml(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, odd = kept / "catalog", tmp_path / "odd.json"
    for text in (DEEP, "{", "null", "3", "[]", "{}", '{"files": 3}', '{"files": {"a": []}}', '[{"name": 3}]', "[[1]]"):
        odd.write_text(text)
        said(capsys, "keys", "--keys", odd, "list")
        said(capsys, "search", "--catalog", catalog, "--filter", text[:50_000])
        said(capsys, "search", "--catalog", catalog, "--intersects", text[:50_000])
    environments = tmp_path / "odd.toml"
    for text in (
        "environment = 3",
        "[[environment]]",
        "[[environment]]\nname = 3\npackages = []",
        "x = [",
        "[environment]",
    ):
        environments.write_text(text)
        assert said(capsys, "matrix", "--catalog", catalog, "--environments", environments)


@pytest.mark.parametrize("value", ["gone", "text", np.array([]), np.float64("nan"), h5py.Empty("f"), np.array([b"a"])])
def test_radar_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], value: Any) -> None:
    frames = tmp_path / "frames"
    assert not said(capsys, "data", "generate", frames, "--frames", "2")
    first = min(frames.iterdir())
    places = ("geographic:geo_number_rows", "geographic:geo_pixel_size_y", "image1/calibration:calibration_formulas")
    whole = first.read_bytes()
    for place in places:
        path, _, attribute = place.partition(":")
        first.write_bytes(whole)
        with h5py.File(first, "r+") as file:
            del file[path].attrs[attribute]
            if not (isinstance(value, str) and value == "gone"):
                file[path].attrs[attribute] = value
        assert str(first) in said(capsys, "data", "prepare", frames, tmp_path / "store", "--preset", "tiny")
