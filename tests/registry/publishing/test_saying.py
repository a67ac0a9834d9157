"""What can be said of a model: classes, scaling, seasons, scores, a file of all; and what makes no sense, in a line."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from modelstac.catalog.errors import DataError, ModelStacError, NotFoundError, SpecError
from modelstac.registry.publishing.beside import read_card, read_scores
from modelstac.registry.publishing.classes import read_classes
from modelstac.registry.publishing.code import commit_of
from modelstac.registry.publishing.fitting import read_examples
from modelstac.registry.publishing.saying import FIELDS, Said, check_names
from modelstac.registry.publishing.scaling import check_scaling, read_scaling
from modelstac.registry.publishing.seasons import read_months
from modelstac.registry.publishing.values import check_values, read_hyperparameters
from modelstac.registry.publishing.written import TEMPLATE, read_file, values_of
from modelstac.registry.running.values.scaling import scale

BANDS = ("B02", "B03", "B04")


@pytest.mark.parametrize(
    "said",
    [
        ["water", "land use"],
        {0: "water", 1: "land use"},
        {"water": 0, "land use": 1},
        [{"name": "water"}, {"name": "land use"}],
        {"water": {"value": 0}, "land use": {"value": 1}},
    ],
)
def test_classes_are_said_in_several_ways(said: Any) -> None:
    found = [(one["value"], one["name"], one["description"]) for one in read_classes(said)]
    assert found == [(0, "water", "water"), (1, "land-use", "land use")]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("#1f77b4", "1F77B4"), ("abc", "AABBCC"), ("Blue", "0000FF"), ([31, 119, 180], "1F77B4"), ((0, 0, 0), "000000")],
)
def test_colours_become_six_digits(said: Any, expected: str) -> None:
    assert read_classes({"water": {"color": said}})[0]["color_hint"] == expected


def test_a_class_may_say_that_it_is_nothing() -> None:
    found = read_classes(["water", {"name": "none", "value": 255, "nodata": True}, {"name": "land", "nodata": False}])
    assert [one.get("nodata") for one in found] == [None, True, None]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([], "empty"),
        ([{"name": "none", "nodata": 255}], "true says that it stands for nothing"),
        ("water", "a list or a mapping"),
        (["water", "water"], "the name 'water'"),
        ([{"name": "a", "value": 1}, {"name": "b", "value": 1}], "the value 1"),
        ([{"name": "a", "colr": "red"}], "no field 'colr'"),
        ([{"value": 1}], "no name"),
        ([3], "class 3"),
        ({"water": "#12345"}, "colour '#12345'"),
        ({"water": [0, 0, 256]}, "which is none"),
        ({"water": "blau"}, "which is none"),
    ],
)
def test_what_are_no_classes_is_said(said: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_classes(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (10, lambda x: x / 10),
        ("x / 10 - 1", lambda x: x / 10 - 1),
        ({"type": "min-max", "minimum": 2, "maximum": 4}, lambda x: (x - 2) / 2),
        ([1, 2, 4], lambda x: x / np.array([1, 2, 4], np.float32)),
        ({"B03": 2, "B02": 1, "B04": 4}, lambda x: x / np.array([1, 2, 4], np.float32)),
        (
            [[{"type": "clip", "minimum": 1, "maximum": 3}, {"type": "offset", "value": 1}]],
            lambda x: np.clip(x, 1, 3) - 1,
        ),
        (
            [["x - 1", 2], [{"type": "clip-max", "maximum": 2}, "x * x"], 1],
            lambda x: np.stack([(x[..., 0] - 1) / 2, np.minimum(x[..., 1], 2) ** 2, x[..., 2]], -1),
        ),
    ],
)
def test_scaling_is_one_or_one_a_band_or_chains(said: Any, expected: Any) -> None:
    x = np.random.default_rng(0).uniform(0, 5, (2, 4, 4, 3)).astype(np.float32)
    steps = [step.model_dump() for step in read_scaling(said, BANDS, 3, of="image")]
    found = scale(x, steps, ("batch", "height", "width", "bands"), of="image")
    np.testing.assert_allclose(found, expected(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([1, 2], "2 entries for 3 bands"),
        ({"B02": 1, "B03": 1, "B4": 1}, "did you mean 'B04'"),
        ({"B02": 1, "B03": 1}, "nothing of B04"),
        ({"type": "zscore", "mean": 0}, "did you mean 'z-score'"),
        ({"type": "z-score", "mean": 0}, "lacks stddev"),
        ({"type": "z-score", "mean": 0, "stddev": 0}, "divide by zero"),
        ("__import__('os')", "no arithmetic"),
        (0, "divide by zero"),
        ([[], [], []], "empty chain"),
        (None, "is None"),
    ],
)
def test_what_is_no_scaling_is_said(said: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_scaling(said, BANDS, 3, of="image")


@pytest.mark.parametrize(
    ("said", "latitude", "months"),
    [
        ("Jun-Aug", 50, (6, 7, 8)),
        ("JJA", 0, (6, 7, 8)),
        ("summer", 50, (6, 7, 8)),
        ("summer", -30, (1, 2, 12)),
        ("nov-2", 50, (1, 2, 11, 12)),
        ([6, "July"], 50, (6, 7)),
        (5, 50, (5,)),
    ],
)
def test_seasons_are_months(said: Any, latitude: float, months: tuple[int, ...]) -> None:
    assert read_months(said, latitude=latitude) == months


@pytest.mark.parametrize(("said", "reason"), [("13", "is none"), ("summer", "near the equator"), ({}, "is none")])
def test_what_is_no_season_is_said(said: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_months(said, latitude=0)


def test_numbers_of_frameworks_are_numbers() -> None:
    """Means and deviations of bands come from arrays, and one list of each is one step for each band."""
    expected = read_scaling([{"type": "z-score", "mean": m, "stddev": 2} for m in (1, 2)], ["a", "b"], 2, of="x")
    single = [{"type": "z-score", "mean": np.float32(mean), "stddev": np.int64(2)} for mean in (1, 2)]
    for said in (single, {"type": "z-score", "mean": np.array([1, 2], "float32"), "stddev": 2},
                 {"type": "z-score", "mean": torch.tensor([1.0, 2.0]), "stddev": [2, 2]}):  # fmt: skip
        with values_of(said, Path(), texts=True) as plain:
            check_scaling(plain)
            assert read_scaling(plain, ["a", "b"], 2, of="x") == expected
    with pytest.raises(SpecError, match=r"lists of other lengths \(minimum 1, maximum 2\)"):
        check_scaling({"type": "min-max", "minimum": [0], "maximum": [1, 2]})
    with pytest.raises(SpecError, match="2 entries for 3 bands"):
        read_scaling({"type": "min-max", "minimum": 0, "maximum": [1, 2]}, ["a", "b", "c"], 3, of="x")


def test_hyperparameters_name_classes_and_functions_and_no_place_in_memory() -> None:
    """So that two runs of a script say the same."""
    said = {"optimiser": torch.optim.AdamW, "loss": torch.nn.CrossEntropyLoss(), "scale": math.sqrt, "own": object()}
    assert read_hyperparameters(said, Path()) == {
        "optimiser": "torch.optim.adamw.AdamW",
        "loss": "CrossEntropyLoss()",
        "scale": "math.sqrt",
        "own": "builtins.object",
    }


def test_hyperparameters_are_what_json_has() -> None:
    """Boosted trees have ``missing=nan`` among their parameters."""
    said = {
        "missing": math.nan,
        "limits": (-math.inf, np.inf),
        "rate": np.float32(0.5),
        "kind": torch.float32,
        "n": None,
    }
    written = {"missing": "NaN", "limits": ["-Infinity", "Infinity"], "rate": 0.5, "kind": "torch.float32", "n": None}
    found = read_hyperparameters(said, Path())
    assert found == written
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"a_b": 1, "a": {"b": 2}}, "'a_b' is there twice"),
        ({"": 1}, "'' is no name"),
        ({"x": 10**400}, "'x' is 1000.*no number"),
        ({"x": np.array([1, 2])}, "no number"),
    ],
)
def test_scores_have_a_name_and_a_number_each(said: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_scores(said, Path())
    assert read_scores({"a": np.array([0.5]), "b": torch.tensor([1.0])}, Path()) == {"a": 0.5, "b": 1}


def test_scores_are_flat_and_finite(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"mIoU": 0.7, "IoU": {"water": 0.9}}')
    assert read_scores("m.json", tmp_path) == {"mIoU": 0.7, "IoU_water": 0.9}
    assert read_scores({"a": np.float32(0.5)}, tmp_path) == {"a": 0.5}
    for wrong in ({"a": "good"}, {"a": float("nan")}, {}, [1]):
        with pytest.raises(SpecError, match="metrics"):
            read_scores(wrong, tmp_path)


def test_a_card_is_text_or_its_file_without_what_no_browser_shows(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Card\n")
    assert read_card("README.md", tmp_path) == "# Card\n"
    assert read_card("# A card", tmp_path) == "# A card"


def test_the_template_holds_every_field_and_is_read_as_it_is(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines()[3:]]
    assert set(yaml.safe_load("\n".join(lines))) >= set(FIELDS) - {"geometry", "scaling"}
    (tmp_path / "model.yaml").write_text(TEMPLATE)
    assert read_file(tmp_path / "model.yaml").values["version"] == "1.0.0"
    assert tuple(get_type_hints(Said)) == FIELDS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nlicence: MIT\n", "line 2, licence: 'licence' is nothing that can .* did you mean 'license'"),
        ("name: a\n\nversion: 1.0\n", "line 3, version: version is a text, not 1.0: write '1.0' in quotes"),
        ("name: a\nname: b\n", "line 2: the field 'name' is there twice"),
        ("classes:\n- name: a\n  name: b\n", "line 3: the field 'name' is there twice"),
        ("name: [a\n", "line 2 is no YAML"),
        ("- name\n", "no mapping of fields"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(SpecError, match=reason) as raised:
        read_file(tmp_path / "model.yaml")
    assert "cannot be read" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: x\n", "line 2, name: name 'x' is none: 3 to 100 letters"),
        ("version: '1.0'\n", "line 2, version: version '1.0' is no semantic version"),
        ("task:\n- regression\n- segmenting\n", r"line 4, task\[1\]: .* did you mean 'segmentation'"),
        ("bbox: [5, 50, 10]\n", "line 2, bbox: bbox .* is no box: write WEST,SOUTH,EAST,NORTH"),
        ("geometry: {type: Point}\n", "line 2, geometry: "),
        ("datetime: 2021/2020\n", "line 2, datetime: datetime has its end 2020-12-31 before start 2021-01-01"),
        ("season: [Jun, Hay]\n", r"line 2, season\[1\]: season 'Hay' is none: write months"),
        ("input_dims:\n  s1: [batch, Height]\n", r"line 3, input_dims.s1\[1\]: .* 'Height': lower-case letters"),
        ("bands:\n- B02\n- B03\n- B02\n", r"line 5, bands\[2\]: bands names 'B02' twice"),
        ("bands: [1, 2]\n", r"line 2, bands\[0\]: bands are words"),
        ("classes:\n- {name: a}\n- name: b\n  color: blau\n", r"line 5, classes\[1\].color: .* '#1F77B4'"),
        ("classes:\n- a\n- a\n", r"line 4, classes\[1\]: two classes have the name 'a'"),
        ("classes:\n  0: a\n  1: {colr: red}\n", r"line 4, classes\[1\]"),
        ("classes:\n- {name: a,\n   value: one}\n", r"line 4, classes\[0\].value: .* whole number"),
        ("classes:\n  mask:\n  - a\n  - {name: b, color: x}\n", r"line 5, classes.mask\[1\].color: "),
        ("scaling:\n- {type: scale, value: 2}\n- type: zscore\n", r"line 4, scaling\[1\].type: .* 'z-score'"),
        ("scaling:\n  B02: 1\n  B03: {typ: scale, value: 2}\n", "line 4, scaling.B03: scaling has the type None"),
        (
            "scaling: [[{type: scale, value: 1},\n  import os]]\n",
            r"line 3, scaling\[0\]\[1\]: .* write arithmetic of x",
        ),
        ("resize: bigger\n", "line 2, resize: resize 'bigger' is none of MLM's"),
        ("units: {B02: [1]}\n", "line 2, units.B02: units are texts"),
        ("metrics:\n  mIoU: 0.7\n  IoU:\n    water: good\n", "line 5, metrics.IoU.water: .* no number"),
        ("metrics_table: gone.csv\n", "line 2, metrics_table: there is no file"),
        ("thumbnail: map.pdf\n", "line 2, thumbnail: this is a picture .*, not 'map.pdf'"),
        ("card: gone.md\n", "line 2, card: card: there is no file"),
        ("hyperparameters:\n  learning rate: 1\n", "line 3, hyperparameters.learning rate: .* letters"),
        ("author:\n- Ada\n- {nam: Bob}\n", r"line 4, author\[1\].nam: author has no field 'nam'"),
        ("doi: abc\n", "line 2, doi: doi 'abc' is none: write it as 10"),
        ("pretrained: 'no'\n", "line 2, pretrained: this is true or false, not 'no'"),
        ("training_data: [a, {b: c}]\n", r"line 2, training_data\[1\]: this is an id, a URL or a file"),
        ("variant: My Model\n", "line 2, variant: variant 'My Model' is none"),
        ("backend: theano\n", "line 2, backend: backend 'theano' is none of Keras"),
        ("entrypoint: build\n", "line 2, entrypoint: entrypoint 'build' is no function"),
        ("origin: {name: a}\n", "line 2, origin: origin has a registry"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_field(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "model.yaml").write_text("# said\n" + text)
    document = read_file(tmp_path / "model.yaml")
    with pytest.raises(ModelStacError, match=f"model.yaml {reason}") as found, document.explaining():
        check_values(document.values, tmp_path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("classes", "- a\n- {name: b, color: blau}\n", r"said.yaml line 2, \[1\].color: class 'b'"),
        ("scaling", "B02: 1\nB03: {type: scale}\n", "said.yaml line 2, B03: scaling: .* 'scale' lacks value"),
        ("metrics", "mIoU: 0.7\nOA: high\n", "said.yaml line 2, OA: metrics: 'OA' is 'high', no number"),
        ("hyperparameters", "a: 1\nb c: 1\n", "said.yaml line 2, b c: "),
        ("units", "B02: '1'\nB03: [1]\n", "said.yaml line 2, B03: units are texts"),
    ],
)
def test_a_file_of_values_is_named_instead_of_the_file_that_names_it(
    tmp_path: Path, field: str, text: str, reason: str
) -> None:
    (tmp_path / "said.yaml").write_text(text)
    (tmp_path / "model.yaml").write_text(f"{field}: said.yaml\n")
    document = read_file(tmp_path / "model.yaml")
    with pytest.raises(SpecError, match=f"^[^ ]*{reason}"), document.explaining():
        check_values(document.values, tmp_path)


def test_files_that_a_training_makes_may_be_there_later(tmp_path: Path) -> None:
    said = {"card": "later.md", "metrics_picture": "later.png", "classes": "later.yaml"}
    check_values(said, tmp_path, later=True)
    for name, value in said.items():
        with pytest.raises(NotFoundError):
            check_values({name: value}, tmp_path)


def test_the_commit_of_a_script_is_found_without_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "a" / "train.py"
    script.parent.mkdir()
    script.write_text("pass\n")
    assert commit_of(script) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    remote = ["remote", "add", "origin", "https://me:secret@example.org/repo.git"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "Train"], remote):
        subprocess.run([*git, *command], check=True)
    found = commit_of(script)
    assert found is not None
    assert len(found.pop("commit")) == 40
    assert found == {"path": "a/train.py", "repository": "https://example.org/repo.git", "changed": False}
    script.write_text("fail\n")
    assert (commit_of(script) or {})["changed"] is True
    monkeypatch.chdir(tmp_path)
    assert (commit_of(Path("a/train.py")) or {})["changed"] is True
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.py").symlink_to(script)
    subprocess.run(["git", "-C", str(tmp_path / "elsewhere"), "init", "-q"], check=True)
    assert (commit_of(tmp_path / "elsewhere" / "linked.py") or {})["path"] == "a/train.py"
    for command in (["add", "a"], ["commit", "-qm", "Mend"]):
        subprocess.run([*git, *command], check=True)
    assert (commit_of(script) or {})["changed"] is False
    (tmp_path / "layers.py").write_text("# is loaded, and not committed")
    assert (commit_of(script) or {})["changed"] is False
    assert (commit_of(script, [tmp_path / "layers.py", Path(os.__file__)]) or {})["changed"] is True


def test_examples_are_arrays_labels_batches_and_loaders(tmp_path: Path) -> None:
    x = np.zeros((2, 3, 4, 4), np.float32)
    np.save(tmp_path / "x.npy", x)
    labelled = xr.DataArray(x[0], dims=("band", "y", "x"), coords={"band": list(BANDS)}, attrs={"units": "1"})
    for said in (x, (x, 1), [x, x], [[x, x], 1], {"image": x}, "x.npy", iter([(x, x)]), xr.DataArray(x), {"other": x}):
        found = read_examples(said, ["image"], folder=tmp_path)["image"]
        assert found.array.shape == x.shape
    found = read_examples(labelled, ["image"], folder=tmp_path)["image"]
    assert (found.dims, found.bands, found.units["B02"]) == (("bands", "y", "x"), BANDS, "1")
    dataset = xr.Dataset(dict.fromkeys(BANDS, (("y", "x"), x[0, 0])))
    assert read_examples(dataset, ["image"], folder=tmp_path)["image"].bands == BANDS
    both = read_examples(((x, x[:1]), 1), ["s1", "s2"], folder=tmp_path)
    assert [one.array.shape[0] for one in both.values()] == [2, 1]


@pytest.mark.parametrize(
    ("said", "names", "reason"),
    [
        ("gone.npy", ["image"], "gone.npy is no example"),
        (np.array(["a"]), ["image"], "give an array of numbers"),
        (np.zeros(0), ["image"], "give an array of numbers"),
        (object(), ["image"], "give an array of numbers"),
        (np.zeros(3), ["a", "b"], "give a mapping by name"),
        ({"c": np.zeros(3)}, ["a", "b"], "the inputs are a, b"),
        ((np.zeros(3),), ["a", "b"], "1 arrays"),
        (iter([]), ["a"], "without a batch"),
    ],
)
def test_what_is_no_example_is_said(said: Any, names: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_examples(said, names, folder=Path())


def test_what_is_no_field_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'license'"):
        check_names({"licence": "MIT"})
