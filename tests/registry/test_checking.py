"""Faults of items: each is found, named with its rule, and repaired where that can be known."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.mlm import MLM_SCHEMA_URI
from modelstac.registry.checking.check import check

Command = Callable[..., subprocess.CompletedProcess[str]]
Document = dict[str, Any]
SQUARE = [[3, 50], [7, 50], [7, 54], [3, 54], [3, 50]]
BANDS = ["B04", "B03", "B02"]
LAYOUT = {"shape": [-1, 3, 8, 8], "dim_order": ["batch", "bands", "height", "width"], "data_type": "float32"}
RESULT = {"shape": [-1, 2], "dim_order": ["batch", "class"], "data_type": "float32"}
GOOD: Document = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "stac_extensions": [
        MLM_SCHEMA_URI,
        "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    ],
    "id": "net",
    "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    "bbox": [3, 50, 7, 54],
    "properties": {
        "datetime": "2020-01-01T00:00:00Z",
        "mlm:name": "net",
        "mlm:architecture": "CNN",
        "mlm:tasks": ["classification"],
        "mlm:framework": "PyTorch",
        "mlm:framework_version": "2.7.0",
        "mlm:input": [{"name": "image", "bands": BANDS, "input": LAYOUT}],
        "mlm:output": [{"name": "class", "tasks": ["classification"], "bands": [], "result": RESULT}],
    },
    "links": [],
    "assets": {
        "model": {
            "href": "./net.onnx",
            "roles": ["mlm:model"],
            "mlm:artifact_type": "onnx",
            "raster:bands": [{"name": name} for name in BANDS],
        }
    },
}


@pytest.fixture
def good(tmp_path: Path) -> Document:
    """A document without fault, whose file lies beside it."""
    (tmp_path / "net.onnx").write_bytes(b"weights")
    found = copy.deepcopy(GOOD)
    found["assets"]["model"] |= {"file:checksum": multihash(sha256(tmp_path / "net.onnx")), "file:size": 7}
    return found


def written(document: Document, folder: Path) -> str:
    (folder / "net.json").write_text(json.dumps(document, indent=2))
    return str(folder / "net.json")


def at(document: Document, place: str) -> tuple[Any, str]:
    """Give what holds a field, and its last name."""
    *way, last = place.split("/")
    found: Any = document
    for part in way:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found, last


def test_a_good_item_has_no_fault(good: Document, tmp_path: Path) -> None:
    found = check(written(good, tmp_path))
    assert (found.faults, found.repaired) == ((), good)


INPUT, OUTPUT = "properties/mlm:input/0", "properties/mlm:output/0"
GONE = object()


@pytest.mark.parametrize(
    ("place", "value", "rule", "repaired"),
    [
        ("stac_extensions", ["https://crim-ca.github.io/mlm-extension/v1.2.0/schema.json"], "address", None),
        ("stac_extensions", [], "address", None),
        ("bbox", [3, 54, 7, 50], "bbox", [3, 50, 7, 54]),
        ("bbox", None, "bbox", [3, 50, 7, 54]),
        ("geometry", {}, "geometry", None),
        (
            "geometry",
            {"type": "Polygon", "coordinates": [[[233, 50], [240, 50], [240, 54], [233, 50]]]},
            "geometry",
            {"type": "Polygon", "coordinates": [[[-127, 50], [-120, 50], [-120, 54], [-127, 50]]]},
        ),
        (f"{INPUT}/input/dim_order", ["batch", "channel", "height", "width"], "bands-axis", LAYOUT["dim_order"]),
        (f"{INPUT}/input/dim_order", ["batch", "spectral", "height", "width"], "bands-axis", LAYOUT["dim_order"]),
        (f"{OUTPUT}/classification_classes", [{"value": 0, "name": "a", "color_hint": [0, 9, 255]}], "classes", GONE),
        (
            f"{OUTPUT}/classification:classes",
            [
                {"value": 0, "name": "a", "color_hint": [0, 9, 255]},
                {"value": 1, "description": "b", "color_hint": None},
            ],
            "classes",
            [{"value": 0, "name": "a", "color_hint": "0009FF", "description": "a"}, {"value": 1, "description": "b"}],
        ),
        (f"{INPUT}/bands", [], "bands-axis", []),
        (f"{INPUT}/input/data_type", "float", "data-type", "float32"),
        (f"{INPUT}/input/shape", [None, 3, 8, 8], "shape", [-1, 3, 8, 8]),
        (f"{INPUT}/value_scaling", {"type": "scale", "value": 2}, "scaling", [{"type": "scale", "value": 2}]),
        ("properties/mlm:input", GOOD["properties"]["mlm:input"][0], "list", GOOD["properties"]["mlm:input"]),
        ("properties/mlm:framework_version", "2.7", "semver", "2.7.0"),
        ("properties/mlm:accelerator", "GPU", "accelerator", "cuda"),
        ("properties/mlm:accelerator", "cpu", "accelerator", GONE),
        ("properties/mlm:tasks", ["Scene Classification"], "tasks", ["scene-classification"]),
        ("properties/mlm:name", "lab/net (v1)", "name", "lab-net -v1"),
        ("properties/mlm:name", "m", "name", "m-model"),
        ("properties/mlm:hyperparameters", {}, "hyperparameters", GONE),
        ("properties/mlm:memory-size", 3, "field", GONE),
        ("assets/model/mlm:artifact_type", "torch.onnx.export", "artifact-type", "onnx"),
        ("assets/model/mlm:artifact_type", GONE, "artifact-type", "onnx"),
        ("assets/model/roles", ["data"], "model-role", ["mlm:model", "data"]),
        ("assets/model/mlm:entrypoint", "lab.nets:build", "entrypoint", "lab.nets:build"),
        ("assets/model/file:checksum", GONE, "checksum", None),
        ("assets/model/file:checksum", "1220" + 64 * "0", "checksum", None),
        ("assets/model/raster:bands", GONE, "bands-on-asset", [{"name": name} for name in BANDS]),
        ("assets", [GOOD["assets"]["model"] | {"key": "model"}], "assets", None),
    ],
)
def test_a_fault_is_named_and_repaired(  # noqa: PLR0917 - pytest gives them by name
    good: Document, tmp_path: Path, place: str, value: Any, rule: str, repaired: Any
) -> None:
    holder, name = at(good, place)
    if value is GONE:
        del holder[name]
    else:
        holder[name] = value
    found = check(written(good, tmp_path))
    assert rule in [fault.rule for fault in found.faults]
    assert all(fault.repair is not None for fault in found.faults), [str(fault) for fault in found.faults]
    holder, name = at(found.repaired, place)
    if repaired is GONE:
        assert name not in holder
    elif repaired is not None:
        assert holder[name] == repaired
    assert check(written(found.repaired, tmp_path)).faults == ()


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        (f"{INPUT}/value_scaling", [{"type": "z-score", "mean": 1}], "scaling"),
        (f"{INPUT}/value_scaling", [{"type": "scale", "value": 0}], "scaling"),
        (f"{INPUT}/input/dim_order", ["batch", "bands"], "dim-order"),
        (f"{INPUT}/bands", ["B04"], "bands"),
        ("properties/mlm:accelerator", "abacus", "accelerator"),
        ("properties/mlm:tasks", ["divination"], "tasks"),
        ("properties/mlm:output", None, "list"),
        ("properties/mlm:architecture", None, "schema"),
        ("assets/model/mlm:artifact_type", "my.format", "artifact-type"),
        ("geometry", {"type": "Polygon", "coordinates": [[[233, 50], [7, 50], [7, 54], [233, 50]]]}, "geometry"),
    ],
)
def test_what_only_its_publisher_knows_is_left(
    good: Document, tmp_path: Path, place: str, value: Any, rule: str
) -> None:
    holder, name = at(good, place)
    holder[name] = value
    left = [fault.rule for fault in check(written(good, tmp_path)).faults if fault.repair is None]
    assert rule in left


def test_the_command_tells_repairs_and_ends_with_one(good: Document, tmp_path: Path, capsys: Any) -> None:
    from click.testing import CliRunner

    from modelstac.cli import main

    def command(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["check", *arguments], prog_name="modelstac")
        return done.exit_code, done.output

    good["properties"]["mlm:accelerator"] = "gpu"
    path, fixed = written(good, tmp_path), str(tmp_path / "fixed.json")
    code, printed = command(path, "--fix", fixed)
    assert (code, "[accelerator; MLM 1.5.2; repaired: cuda]" in printed) == (1, True)
    assert command(fixed) == (0, f"{fixed}: no fault\n")
    code, printed = command(path, "--json")
    assert (code, [fault["rule"] for fault in json.loads(printed)["faults"]]) == (1, ["accelerator"])
    code, printed = command(path, "--format", "github")
    line = next(i for i, text in enumerate(Path(path).read_text().splitlines(), 1) if "mlm:accelerator" in text)
    assert printed.startswith(f"::error file={path},line={line},title=accelerator::")
    code, printed = command(str(tmp_path / "gone.json"))
    assert code == 2
    assert printed.startswith("error: no item ")
