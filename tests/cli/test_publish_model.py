"""``modelstac publish FILE`` and the graph of conversions, as a user meets them."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.registry.statements import graph as write_graph

from modelstac.catalog import open_catalog
from modelstac.catalog.items.validation import validate

Command = Callable[..., subprocess.CompletedProcess[str]]
SAID = {
    "--name": "halver",
    "--version": "2.1.0",
    "--task": "regression",
    "--architecture": "Scaling",
    "--license": "CC-BY-4.0",
    "--bbox": "170,-50,-170,-30",
    "--datetime": "2020-01-01/2021-12-31T12:00:00Z",
    "--input-dims": "batch,time,channel,height,width",
    "--output-dims": "batch,time,channel,height,width",
}


def said(**changes: str | None) -> list[str]:
    """All that must be said, with changes by the name of the option; None leaves it out."""
    options = SAID | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return [part for name, value in options.items() if value is not None for part in (name, value)]


@pytest.fixture
def graph(item: object, tmp_path: Path) -> Path:
    """An ONNX file: y = x / 2."""
    return tmp_path / "damped.onnx"


def test_a_model_file_is_published_shown_and_run(modelstac_command: Command, graph: Path, tmp_path: Path) -> None:
    command = ["publish", graph, *said(), "--keyword", "demo", "--from-scratch", "-c", tmp_path / "new"]
    done = modelstac_command(*command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "published halver-2.1.0-onnx\n", "")
    item = open_catalog(tmp_path / "new").get("halver-2.1.0-onnx")
    validate(item)
    assert item.geometry["type"] == "MultiPolygon"  # the box crosses the antimeridian
    assert item.bbox == [170, -50, -170, -30]
    for bbox, found in (("175,-45,-175,-35", True), ("-179,-45,-175,-35", True), ("0,-45,10,-35", False)):
        searched = modelstac_command("search", "--bbox", bbox, "--datetime", "2021-W52", "-c", tmp_path / "new")
        assert (item.id in searched.stdout) == found, bbox
    assert item.properties["end_datetime"] == "2021-12-31T12:00:00Z"
    assert item.properties["mlm:pretrained"] is False
    assert item.properties["mlm:input"][0]["input"]["shape"] == [-1, 3, 1, -1, -1]
    again = modelstac_command(*command, "--json")
    assert json.loads(again.stdout)["id"] == item.id
    np.save(tmp_path / "x.npy", np.full((2, 3, 1, 2, 2), 3, np.float32))
    run = ["predict", item.id, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "-c", tmp_path / "new"]
    assert modelstac_command(*run).returncode == 0
    assert np.load(tmp_path / "y.npy").tolist() == np.full((2, 3, 1, 2, 2), 1.5).tolist()
    made = modelstac_command("export", item.id, "--to", "openvino", "-c", tmp_path / "new")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("published halver-2.1.0-openvino-from-onnx: at most 0.0e+00 ")


def test_what_a_model_is_fed_is_said_and_conversions_say_what_was_allowed(
    modelstac_command: Command, graph: Path, tmp_path: Path
) -> None:
    catalog, example = tmp_path / "new", tmp_path / "tile.npy"
    np.save(example, np.random.default_rng(0).uniform(0, 9000, (1, 3, 1, 8, 8)).astype(np.float32))
    fed = ["--range", "0,10000", "--example", example]
    done = modelstac_command("publish", graph, *said(), *fed, "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    item = open_catalog(catalog).get("halver-2.1.0-onnx")
    validate(item)
    assert item.properties["mlm:input"][0]["interop:range"] == [0, 10000]
    tested = modelstac_command("test", item.id, "-c", catalog)
    assert (tested.returncode, "passed" in tested.stdout) == (0, True)
    made = modelstac_command("export", item.id, "--to", "openvino", "--tolerance", "0.25", "-c", catalog)
    assert (made.returncode, made.stderr) == (0, "")
    assert "asked for in the conversion" in made.stdout
    assert "judged on frames 0 to 10000 (the range that the item declares)" in made.stdout
    result = open_catalog(catalog).get("halver-2.1.0-openvino-from-onnx")
    validate(result)
    parity = result.properties["interop:parity"]
    assert parity["absolute_tolerance"] == 0.25
    assert parity["tolerance_by"] == "asked for in the conversion"
    assert result.properties["mlm:input"][0]["interop:range"] == [0, 10000]
    for command in (["show", result.id], ["test", result.id], ["search", "--parity", "1"]):
        assert "asked for in the conversion" in modelstac_command(*command, "-c", catalog).stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--range", "0"], "write LOWEST,HIGHEST as two numbers, not '0'"),
        (["--range", "0,1", "--range", "0,2"], "has 2 pairs"),
        (["--range", "5,0"], "goes from a lower to a higher number"),
        (["--range", "z=0,1"], "the file has no such input, its inputs are frames"),
        (["--example", "nothing.npy"], "nothing.npy is no example"),
        (["--example", "z=nothing.npy"], "nothing.npy is no example"),
    ],
)
def test_a_range_or_example_that_is_none_is_refused_in_a_line(
    modelstac_command: Command, graph: Path, tmp_path: Path, options: list[str], expected: str
) -> None:
    done = modelstac_command("publish", graph, *said(), *options, "-c", tmp_path / "new")
    assert done.returncode != 0
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """An ONNX file: the sum and the difference of two images."""
    shape: list[int | str | None] = ["N", 2, "h", "w"]
    nodes = [("Add", ["s1", "s2"], ["sum"]), ("Sub", ["s1", "s2"], ["difference"])]
    return write_graph(
        tmp_path / "n.onnx", nodes, [(n, shape) for n in ("s1", "s2")], [(n, shape) for n in ("sum", "difference")]
    )


DIMS = "batch,channel,height,width"
EACH = [f"--{side}-dims={name}={DIMS}" for side, name in (("input", "s1"), ("input", "s2"), ("output", "sum"))]


def test_several_inputs_and_outputs_are_said_by_name(modelstac_command: Command, several: Path, tmp_path: Path) -> None:
    options = [*said(input_dims=None, output_dims=None, task=None), *EACH, f"--output-dims=difference={DIMS}"]
    options += ["--bands", "s2=B04,B08", "--task", "sum=regression", "--task", "difference=regression"]
    done = modelstac_command("publish", several, *options, "-c", tmp_path / "new")
    assert (done.returncode, done.stdout, done.stderr) == (0, "published halver-2.1.0-onnx\n", "")
    item = open_catalog(tmp_path / "new").get("halver-2.1.0-onnx")
    validate(item)
    assert [tensor["name"] for tensor in item.properties["mlm:output"]] == ["sum", "difference"]
    assert item.properties["mlm:input"][1]["interop:bands"] == ["B04", "B08"]
    shown = modelstac_command("show", item.id, "-c", tmp_path / "new").stdout
    assert "s2: float32 (batch any, channel 2, height any, width any)" in shown


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (EACH, ("--output-dims difference=…", "float32 [any, 2, any, any]")),
        (EACH[1:], ("--input-dims s1=…", "--output-dims difference=…")),
        ([*EACH, f"--input-dims={DIMS}"], ("name each", "--input-dims NAME=")),
        ([*EACH, f"--output-dims=diference={DIMS}"], ("no output 'diference'", "did you mean 'difference'")),
        ([f"--input-dims={DIMS}"], ("the file has the inputs s1, s2; say which",)),
    ],
)
def test_which_of_several_is_missing_or_unknown_is_said(
    modelstac_command: Command, several: Path, tmp_path: Path, options: list[str], parts: tuple[str, ...]
) -> None:
    given = [*said(input_dims=None, output_dims=None), *options]
    refused(modelstac_command("publish", several, *given, "-c", tmp_path / "new"), tmp_path, *parts)


def keras_file(path: Path, layer: dict[str, object]) -> Path:
    """A ``.keras`` file with one layer; it is refused before its weights are looked at."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    return path


CUSTOM = {"module": "mypackage.layers", "class_name": "Attention2D", "config": {"name": "attention"}}
LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "scale"}}


@pytest.mark.parametrize(
    ("layer", "parts"),
    [(CUSTOM, ("mypackage.layers.Attention2D", "'attention'")), (LAMBDA, ("keras.layers.Lambda", "'scale'"))],
)
def test_custom_layers_are_named(
    modelstac_command: Command, tmp_path: Path, layer: dict[str, object], parts: tuple[str, ...]
) -> None:
    path = keras_file(tmp_path / "model.keras", layer)
    done = modelstac_command("publish", path, *said(), "-c", tmp_path / "new")
    refused(done, tmp_path, *parts)


def refused(done: subprocess.CompletedProcess[str], tmp_path: Path, *parts: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (dict.fromkeys(("name", "task", "license", "datetime", "bbox"), None), ("--name", "--task", "--datetime")),
        ({"output_dims": None}, ("--output-dims", "float32 [any, 3, 1, any, any]")),
        ({"input_dims": "batch,time"}, ("names 2 axes", "name 5")),
        ({"input_dims": "batch,time,bands,height,width"}, ("'bands'",)),
        ({"task": "nowcasting"}, ("tasks",)),
        ({"bbox": "5,50,10"}, ("WEST,SOUTH,EAST,NORTH",)),
        ({"bbox": "5,50,10,95"}, ("95",)),
        ({"datetime": "noon"}, ("START/END",)),
        ({"datetime": "2021-01-01/2020-01-01"}, ("before start",)),
        ({"version": "one"}, ("semantic",)),
        ({"backend": "torch"}, ("--backend-version",)),
    ],
)
def test_what_only_the_publisher_knows_is_asked_for(
    modelstac_command: Command, graph: Path, tmp_path: Path, changes: dict[str, str | None], parts: tuple[str, ...]
) -> None:
    refused(modelstac_command("publish", graph, *said(**changes), "-c", tmp_path / "new"), tmp_path, *parts)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("model.pt", b"", ("pickle", "torch.export.save")),
        ("model.txt", b"", ("no model file", ".onnx")),
        ("model.onnx", b"nothing of the kind", ("no ONNX file",)),
        ("model.pt2", b"nothing of the kind", ("no zip archive",)),
        ("gone.onnx", None, ("no model file", "check the path")),
    ],
)
def test_what_is_no_model_file_is_refused(
    modelstac_command: Command, tmp_path: Path, name: str, content: bytes | None, parts: tuple[str, ...]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(modelstac_command("publish", tmp_path / name, *said(), "-c", tmp_path / "new"), tmp_path, *parts)


def test_an_item_needs_no_options(modelstac_command: Command, item_file: Path, tmp_path: Path) -> None:
    done = modelstac_command("publish", item_file, "--name", "other", "-c", tmp_path / "new")
    refused(done, tmp_path, "says all by itself")


def test_the_graph_of_conversions_is_printed(modelstac_command: Command) -> None:
    done = modelstac_command("export", "--routes")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "saved-model -> onnx 2 any architecture by the framework's own exporter" in lines
    assert "keras-torch -> onnx 1 ConvLSTM only rebuilt from the architecture and the weights" in lines
    assert any(line.startswith("onnx -> litert – any architecture not here: no public converter") for line in lines)
    rows = json.loads(modelstac_command("export", "--routes", "--json").stdout)
    assert len(rows) == len(lines)
    (row,) = (r for r in rows if (r["source"], r["target"], r["architecture"]) == ("saved-model", "onnx", None))
    assert row == {
        "source": "saved-model",
        "target": "onnx",
        "method": "by the framework's own exporter",
        "cost": 2,
        "architecture": None,
        "backend": None,
        "unavailable": None,
    }


def test_the_graph_says_which_extra_a_conversion_lacks(fresh_command: Command, here: Path) -> None:
    """In a process that sees no tf2onnx, because a finder that comes first says so."""
    (here / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'tf2onnx' else found(name, *rest)\n"
    )
    from tests.cli.conftest import SOURCE

    done = fresh_command("export", "--routes", "--json", PYTHONPATH=f"{here}:{SOURCE}")
    (row,) = (
        r
        for r in json.loads(done.stdout)
        if (r["source"], r["target"], r["architecture"]) == ("saved-model", "onnx", None)
    )
    assert row["unavailable"] == "tf2onnx is not installed: pip install 'modelstac[converters]'"


@pytest.mark.parametrize(
    ("period", "ends"),
    [
        ("2020-01-01/2020-12-31", ("2020-01-01T00:00:00Z", "2020-12-31T23:59:59.999999Z")),
        ("20200605", ("2020-06-05T00:00:00Z", "2020-06-05T23:59:59.999999Z")),
        ("2020-W23", ("2020-06-01T00:00:00Z", "2020-06-07T23:59:59.999999Z")),
        ("2020-06/2020", ("2020-06-01T00:00:00Z", "2020-12-31T23:59:59.999999Z")),
    ],
)
def test_a_day_as_an_end_is_its_whole_day(
    modelstac_command: Command, graph: Path, tmp_path: Path, period: str, ends: tuple[str, str]
) -> None:
    done = modelstac_command("publish", graph, *said(datetime=period), "-c", tmp_path / "new", "--json")
    properties = json.loads(done.stdout)["properties"]
    assert (properties["start_datetime"], properties["end_datetime"]) == ends


@pytest.mark.parametrize("bbox", ["170,-50,190,-30", "0,10,1,-10", "0,0,1", "a,b,c,d"])
def test_what_is_no_box_is_refused(modelstac_command: Command, graph: Path, tmp_path: Path, bbox: str) -> None:
    done = modelstac_command("publish", graph, *said(bbox=bbox), "-c", tmp_path / "new")
    assert done.returncode == 2
    assert bbox in done.stderr or "degrees" in done.stderr
    assert not (tmp_path / "new").exists()
