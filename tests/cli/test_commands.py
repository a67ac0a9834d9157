import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.items.writing import write_item
from modelstac.registry.running.examples import write_example
from modelstac.training.data.readers.knmi import file_name, write_knmi

Command = Callable[..., subprocess.CompletedProcess[str]]
ID = "damped-1.0.0-onnx"


def refused(done: subprocess.CompletedProcess[str], *parts: str, code: int = 2) -> None:
    """Check the promise of every bad input: one line on stderr, the exit code, nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr


# publish


def test_publish_an_item_with_its_file_beside_it(fresh_command: Command, item_file: Path, tmp_path: Path) -> None:
    done = fresh_command("publish", item_file, "--catalog", tmp_path / "new")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"published {ID}\n", "")
    published = open_catalog(tmp_path / "new").get(ID)
    assert Path(published.assets["model"].href).read_bytes() == (tmp_path / "damped.onnx").read_bytes()
    again = fresh_command("publish", item_file, "--json", MODELSTAC_CATALOG=str(tmp_path / "new"))
    assert json.loads(again.stdout)["id"] == ID


def changed(item_file: Path, change: Callable[[dict[str, object]], object]) -> Path:
    value = json.loads(item_file.read_text())
    change(value)
    item_file.write_text(json.dumps(value))
    return item_file


def test_publish_other_content_under_the_same_id_is_refused(
    modelstac_command: Command, item_file: Path, catalog: Path
) -> None:
    changed(item_file, lambda item: item["properties"].update(title="Another"))
    refused(modelstac_command("publish", item_file, "-c", catalog), ID, "already")


def test_publish_a_file_that_is_not_the_described_one_is_refused(
    modelstac_command: Command, item_file: Path, tmp_path: Path
) -> None:
    with (tmp_path / "damped.onnx").open("ab") as file:
        file.write(b"x")
    refused(modelstac_command("publish", item_file, "-c", tmp_path / "new"), "damped.onnx")
    assert not list((tmp_path / "new").rglob("*.onnx"))


def test_publish_does_not_take_files_from_elsewhere(
    modelstac_command: Command, item_file: Path, tmp_path: Path
) -> None:
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("secret")
    for href in ("../secret.txt", str(secret), secret.as_uri()):
        changed(item_file, lambda item, href=href: item["assets"]["model"].update(href=href))
        refused(modelstac_command("publish", item_file, "-c", tmp_path / "new"), "secret.txt", "beside")
    (tmp_path / "link.onnx").symlink_to(secret)
    changed(item_file, lambda item: item["assets"]["model"].update(href="./link.onnx"))
    refused(modelstac_command("publish", item_file, "-c", tmp_path / "new"), "secret.txt", "beside")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "no JSON"),
        ("[]", "no STAC item"),
        ('{"type": "Collection"}', "'Collection'"),
        ('{"type": "Feature"}', "no STAC item"),
        ('{"type": "Feature", "stac_version": "1.1.0", "id": 3, "properties": [], "assets": 1}', "no STAC item"),
    ],
)
def test_publish_what_is_no_item(modelstac_command: Command, tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "item.json").write_text(text)
    refused(modelstac_command("publish", tmp_path / "item.json", "-c", tmp_path / "new"), "item.json", part)


def test_publish_missing_files(modelstac_command: Command, item_file: Path, tmp_path: Path) -> None:
    refused(modelstac_command("publish", tmp_path / "none.json", "-c", tmp_path / "new"), "none.json")
    (tmp_path / "damped.onnx").unlink()
    refused(modelstac_command("publish", item_file, "-c", tmp_path / "new"), "damped.onnx", "'model'")


def test_publish_invalid_metadata(modelstac_command: Command, item_file: Path, tmp_path: Path) -> None:
    changed(item_file, lambda item: item["properties"].update({"mlm:tasks": ["nowcasting"]}))
    refused(modelstac_command("publish", item_file, "-c", tmp_path / "new"), "tasks")


# search and show


def test_search_prints_a_table(modelstac_command: Command, catalog: Path) -> None:
    done = modelstac_command("search", "--catalog", catalog, "--framework", "ONNX", "--framework-version", ">=1.20,<2")
    assert done.returncode == 0
    header, row = done.stdout.splitlines()
    assert header.split()[:2] == ["ID", "FRAMEWORK"]
    assert row.split()[:3] == [ID, "ONNX", "1.22.0"]
    assert header.index("FRAMEWORK") == row.index("ONNX 1.22.0")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], 1),
        (["--framework-version", ">=2"], 0),
        (["--bbox", "4,50,6,52"], 1),
        (["--bbox", "20,50,22,52"], 0),
        (["--datetime", "2010-08-26"], 1),
        (["--datetime", "2011-01-01/.."], 0),
        (["--task", "regression", "--architecture", "Persistence", "-q", "damped"], 1),
        (["--id", ID, "--id", "other"], 1),
        (["--collection", "other"], 0),
    ],
)
def test_search_json_is_a_feature_collection(
    modelstac_command: Command, catalog: Path, options: list[str], found: int
) -> None:
    done = modelstac_command("search", *options, "--json", "-c", catalog)
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert answer["type"] == "FeatureCollection"
    assert [feature["id"] for feature in answer["features"]] == [ID] * found
    assert pystac.ItemCollection.is_item_collection(answer)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--framework", "PyTroch"], "PyTorch"),
        (["--backend", "tensorflw"], "tensorflow"),
        (["--format", "onx"], "onnx"),
        (["--framework-version", "two"], "two"),
        (["--bbox", "a,b,c,d"], "--bbox"),
        (["--bbox", "1,2,3"], "south"),
        (["--datetime", "yesterday"], "yesterday"),
        (["--limit", "0"], "limit"),
        (["--colour", "blue"], "--help"),
    ],
)
def test_search_that_cannot_be_understood(
    modelstac_command: Command, catalog: Path, options: list[str], part: str
) -> None:
    refused(modelstac_command("search", *options, "-c", catalog), part)


def test_show(modelstac_command: Command, catalog: Path) -> None:
    text = modelstac_command("show", ID, "-c", catalog).stdout
    assert text.startswith(f"{ID}\n")
    assert "frames: float32 (batch any, time 3, variables 1, height any, width any)" in text
    item = json.loads(modelstac_command("show", ID, "--json", "-c", catalog).stdout)
    assert item["id"] == ID
    assert Path(item["assets"]["model"]["href"]).is_file()


def test_self_test(modelstac_command: Command, tmp_path: Path, describe: Callable[..., object], item: object) -> None:
    frames = np.ones((1, 3, 1, 4, 4), np.float32)
    for number, (factor, code, verdict) in enumerate([(0.5, 0, "passed"), (0.6, 1, "FAILED")]):
        (tmp_path / str(number)).mkdir()
        assets = write_example(tmp_path / str(number), {"x": frames}, {"y": frames * np.float32(factor)})
        catalog = open_catalog(tmp_path / f"examples-{number}", create=True)
        catalog.publish(write_item(describe(tmp_path / "damped.onnx", assets=assets)))
        done = modelstac_command("test", ID, "--rehash", "-c", catalog.href)
        assert (done.returncode, done.stdout.split(",")[0]) == (code, f"{ID}: {verdict}")
        found = json.loads(modelstac_command("test", ID, "--json", "-c", catalog.href).stdout)
        assert found["max_absolute"] == pytest.approx(factor - 0.5, abs=1e-6)


def test_self_test_of_an_item_without_example(modelstac_command: Command, catalog: Path) -> None:
    refused(modelstac_command("test", ID, "-c", catalog), "without an example", ID)


@pytest.mark.parametrize("command", [["show"], ["predict", "x.npy"]])
def test_unknown_id_suggests_the_nearest(modelstac_command: Command, catalog: Path, command: list[str]) -> None:
    refused(modelstac_command(command[0], "damped-1.0.0-onx", *command[1:], "-c", catalog), "did you mean", ID)


@pytest.mark.parametrize("command", [["search"], ["show", ID], ["predict", ID, "x.npy"]])
def test_path_that_is_no_catalog(modelstac_command: Command, tmp_path: Path, command: list[str]) -> None:
    refused(modelstac_command(*command, "-c", tmp_path / "nowhere"), "nowhere")
    refused(modelstac_command(*command, "-c", tmp_path / "here"), "here")
    refused(modelstac_command(*command), "MODELSTAC_CATALOG")


# predict


def array_file(tmp_path: Path, shape: tuple[int, ...] = (2, 3, 1, 4, 5)) -> Path:
    np.save(tmp_path / "x.npy", np.random.default_rng(1).random(shape, dtype=np.float32))
    return tmp_path / "x.npy"


def test_predict_an_array(modelstac_command: Command, catalog: Path, tmp_path: Path) -> None:
    source = array_file(tmp_path)
    done = modelstac_command("predict", ID, source, "-o", tmp_path / "y.npy", "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.load(source) / 2)
    assert "[2, 3, 1, 4, 5]" in done.stdout


@pytest.fixture
def radar(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Five generated frames in KNMI's format, the last without measurement in one corner of what the model sees."""
    (tmp_path / "radar").mkdir()
    rates = np.round(np.random.default_rng(2).random((5, 765, 700)) * 100) * 0.12
    first = datetime(2010, 8, 26, tzinfo=UTC)
    for number, rate in enumerate(rates):
        time = first + timedelta(minutes=5 * number)
        seen = rate.copy()
        if number == 4:
            seen[300:302, 240:242] = np.nan
        write_knmi(tmp_path / "radar" / file_name(time), seen, time)
    return tmp_path / "radar", rates


def test_predict_radar_frames(
    fresh_command: Command, catalog: Path, tmp_path: Path, radar: tuple[Path, np.ndarray]
) -> None:
    folder, rates = radar
    done = fresh_command("predict", ID, folder, "-o", tmp_path / "y.npz", "--json", "-c", catalog)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert (summary["first"], summary["last"]) == ("2010-08-26T00:25Z", "2010-08-26T00:35Z")
    with np.load(tmp_path / "y.npz", allow_pickle=False) as forecast:
        rate, times = forecast["rainfall_rate"], forecast["time"]
        assert list(forecast["source_files"]) == sorted(path.name for path in folder.iterdir())[2:]
        assert forecast["x"].shape == (5,)
    blocks = rates[2:, 300:308, 240:250].reshape(3, 4, 2, 5, 2).mean(axis=(2, 4)) / 2
    assert np.isnan(rate[:, 0, 0]).all()
    rate[:, 0, 0] = blocks[:, 0, 0]
    np.testing.assert_allclose(rate, blocks, atol=1e-4)
    assert list(times.astype(str)) == [f"2010-08-26T00:{m}:00" for m in (25, 30, 35)]


def test_predict_files_are_the_same_as_their_folder(
    modelstac_command: Command, catalog: Path, tmp_path: Path, radar: tuple[Path, np.ndarray]
) -> None:
    files = sorted(radar[0].iterdir(), reverse=True)
    for output, sources in (("a.npy", [radar[0]]), ("b.npy", files)):
        assert modelstac_command("predict", ID, *sources, "-o", tmp_path / output, "-c", catalog).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_predict_with_a_missing_frame(
    modelstac_command: Command, catalog: Path, tmp_path: Path, radar: tuple[Path, np.ndarray]
) -> None:
    sorted(radar[0].iterdir())[3].unlink()
    refused(modelstac_command("predict", ID, radar[0], "-o", tmp_path / "y.npz", "-c", catalog), "00:15", "missing")
    assert not (tmp_path / "y.npz").exists()


def test_predict_on_a_truncated_frame(
    modelstac_command: Command, catalog: Path, tmp_path: Path, radar: tuple[Path, np.ndarray]
) -> None:
    path = sorted(radar[0].iterdir())[4]
    path.write_bytes(path.read_bytes()[:5000])
    refused(modelstac_command("predict", ID, radar[0], "-o", tmp_path / "y.npz", "-c", catalog), path.name)
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda folder: np.save(folder / "x.npy", np.zeros((3, 4, 5), np.float32)), "shape [3, 4, 5]"),
        (lambda folder: np.save(folder / "x.npy", np.zeros((1, 3, 1, 4, 5), np.int16)), "int16"),
        (lambda folder: np.save(folder / "x.npy", np.full((1, 3, 1, 4, 5), np.nan, np.float32)), "NaN"),
        (lambda folder: np.save(folder / "x.npy", np.array([{}]), allow_pickle=True), "x.npy"),
        (lambda folder: (folder / "x.npy").write_bytes(b"nothing"), "x.npy"),
        (lambda folder: (folder / "x.npy").write_bytes(b""), "x.npy"),
        (lambda folder: (folder / "x.npy").mkdir(), "x.npy"),
        (lambda folder: None, "x.npy"),
    ],
)
def test_predict_on_a_wrong_array(
    modelstac_command: Command, catalog: Path, tmp_path: Path, make: Callable[[Path], object], part: str
) -> None:
    make(tmp_path)
    refused(modelstac_command("predict", ID, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "-c", catalog), part)
    assert not (tmp_path / "y.npy").exists()


def test_predict_on_a_changed_artifact(modelstac_command: Command, catalog: Path, tmp_path: Path) -> None:
    path = Path(open_catalog(catalog).get(ID).assets["model"].href)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    refused(modelstac_command("predict", ID, array_file(tmp_path), "-c", catalog), str(path), "sha256")


def test_predict_on_an_empty_folder(modelstac_command: Command, catalog: Path, tmp_path: Path) -> None:
    refused(modelstac_command("predict", ID, tmp_path / "here", "-c", catalog), "no radar files")
    refused(modelstac_command("predict", ID, tmp_path / "none", "-c", catalog), "none")


@pytest.mark.parametrize("output", ["y.txt", "none/y.npy"])
def test_predict_into_what_cannot_be_written(
    modelstac_command: Command, catalog: Path, tmp_path: Path, output: str
) -> None:
    refused(modelstac_command("predict", ID, array_file(tmp_path), "-o", tmp_path / output, "-c", catalog), "y.")


def test_resolve_and_other_names_of_an_item(modelstac_command, catalog, item_file, here):
    done = modelstac_command("resolve", "damped>=1,<2", "--catalog", catalog)
    assert (done.returncode, done.stdout) == (0, "damped-1.0.0-onnx\n")
    done = modelstac_command("resolve", "damped", "--explain", "--catalog", catalog)
    assert done.stdout == "damped-1.0.0-onnx: compatible, the format carries its own version\n"
    done = modelstac_command("resolve", item_file, "--explain", "--json")
    assert json.loads(done.stdout)["item"] == "damped-1.0.0-onnx"
    done = modelstac_command("resolve", "damped", "--framework", "torch", "--catalog", catalog)
    assert done.returncode == 2
    assert "nothing fits framework=torch" in done.stderr
    for command in (("show", "damped>=1"), ("show", item_file)):
        assert "damped-1.0.0-onnx" in modelstac_command(*command, "--catalog", catalog).stdout
    np.save(here / "frames.npy", np.ones((1, 3, 1, 4, 4), np.float32))
    for what in ("damped", item_file):
        done = modelstac_command("predict", what, "frames.npy", "--json", "--catalog", catalog)
        assert (json.loads(done.stdout)["item"], json.loads(done.stdout)["mean"]) == ("damped-1.0.0-onnx", 0.5)
