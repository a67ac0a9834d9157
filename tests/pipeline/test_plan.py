"""A grid becomes jobs; what is wrong with it is said with line and field, before anything runs."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from modelstac.catalog.errors import ModelStacError, NotFoundError, SpecError
from modelstac.jobs.cluster import job_script
from modelstac.jobs.job import check
from modelstac.pipeline.plan import plan
from modelstac.pipeline.spec import load


def jobs_of(path):
    return plan(load(path.read_text(), path), str(path.parent / "catalog"))


def test_a_grid_becomes_jobs_that_need_each_other(grid):
    path = grid(
        ("[torch]", "[torch, keras-tensorflow]"),
        ("presets: [tiny]", "presets: [tiny, reference]"),
        ("seeds: [1]", "seeds: [1, 2]"),
        ("[onnx]", "[onnx, {to: onnx, precision: int8, real_windows: true}]"),
        more="score: true\ndevice: cuda\ntimeout: 2h\n",
    )
    jobs = jobs_of(path)
    check(jobs)
    # Both presets have the same window and see the same frames: one preparation.
    assert Counter(job.kind for job in jobs) == {"prepare": 1, "train": 8, "export": 16, "score": 24}
    named = {job.name: job for job in jobs}
    train = named["train-rain-tiny-2-1.0.0-keras-tensorflow"]
    assert list(train.needs) == ["prepare-tiny"]
    assert train.parameters["job"]["fit"] | {"seed": 2, "epochs": 2} == train.parameters["job"]["fit"]
    assert (train.resources, train.environment, train.timeout) == ({"GPU": 1}, {"MODELSTAC_DEVICE": "cuda"}, 7200)
    export = named["export-rain-tiny-2-1.0.0-onnx-int8-from-keras-tensorflow"]
    assert train.name in export.needs
    assert export.resources == {}  # conversions are compared on CPUs
    score = named["score-rain-tiny-2-1.0.0-onnx-int8-from-keras-tensorflow"]
    assert set(score.needs) == {"prepare-tiny", export.name}
    json.dumps([job.to_dict() for job in jobs])


def test_a_seed_more_leaves_the_keys_of_the_others(grid):
    before = {job.name: job.key for job in jobs_of(grid())}
    after = {job.name: job.key for job in jobs_of(grid(("seeds: [1]", "seeds: [0, 1]"), more="retries: 5\n"))}
    assert after.items() > before.items()


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ([("[tiny]", "[tiny, tinny]")], "", r"pipeline\.yaml line 7, grid\.presets\[1\]: no preset 'tinny'"),
        ([("[torch]", "[jax]")], "", r"line 6, grid\.variants\[0\]: no variant 'jax'"),
        ([("[torch]", "[]")], "", r"line 6, grid\.variants: list should have at least 1 item"),
        ([("[torch]", "torch")], "", r"line 6, grid\.variants: input should be a valid list, not 'torch'"),
        ([("[1]", "[1, 2, 1]")], "", r"line 8, grid\.seeds\[2\]: 1 is there twice"),
        ([("[1]", "[-1]")], "", r"line 8, grid\.seeds: seed must be a whole number from 0"),
        ([("[1]", '["1"]')], "", r"line 8, grid\.seeds\[0\]: input should be a valid integer, not '1'"),
        ([("[onnx]", "[onnix]")], "", r"line 9, grid\.exports\[0\]: .*onnix"),
        (
            [("[onnx]", "[onnx, {to: onnx}]")],
            "",
            r"line 9, grid\.exports\[1\]: two jobs would publish '.*-onnx-fr",
        ),
        ([("[onnx]", "[{precision: int8}]")], "", r"line 9, grid\.exports\[0\]\.to: this field is needed"),
        ([("[onnx]", "[{to: onnx, colour: red}]")], "", r"grid\.exports\[0\]\.colour: there is no such field"),
        ([("-{seed}", ""), ("[1]", "[1, 2]")], "", r"line 3, name: two jobs would publish 'rain-tiny-1\.0\.0-torch'"),
        ([("{seed}", "{seed.__class__}")], "", r"line 3, name: \{seed\.__class__\} is no part of a name"),
        ([("{seed}", "{seed")], "", r"line 3, name: expected '}'"),
        ([("rain-", "r/")], "", r"line 3, name: name 'r/tiny-1'"),
        ([("epochs: 2", "epochs: 0")], "", r"line 12, fit: epochs must be a whole number"),
        ([("epochs: 2", "epoch: 2")], "", r"line 12, fit: fitting has no field 'epoch'"),
        ([("epochs: 2", "seed: 2")], "", r"line 12, fit: seed is an axis of the grid"),
        ([("[3, 3]", "[3, 2]")], "", r"line 10, architecture: kernels must be odd"),
        ([("coarsen: 4", "coarsen: 0")], "", r"line 11, preparation: coarsen is 0"),
        ([("0.7", "noon")], "", r"line 4, first_test: first_test 'noon' is no time"),
        ([], "version: 1.0\n", r"line 13, version: input should be a valid string, not 1\.0"),
        ([], "version: '1.0'\n", r"line 13, version: version '1\.0' must be semantic"),
        ([], "colour: red\n", r"line 13, colour: there is no such field"),
        ([], "timeout: long\n", r"line 13, timeout: write a time as 90s, 30m, 2h or 1d"),
        ([], "retries: -1\n", r"line 13, retries: "),
        ([], "device: tpu\n", r"line 13, device: "),
        ([], "cluster:\n  system: cron\n", r"line 14, cluster\.system: "),
        ([], "cluster:\n  nodes: 2\n", r"line 14, cluster\.nodes: there is no such field"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_field(grid, changes, more, message):
    with pytest.raises(ModelStacError, match=message):
        jobs_of(grid(*changes, more=more))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("grid: {variants: [torch]}\n", SpecError, r"line 1, data: this field is needed"),
        ("data: nowhere\ngrid: {variants: [torch]}\n", NotFoundError, r"line 1, data: no radar frames at .*nowhere"),
        ("scenes: 3\n", SpecError, "line 1, scenes: a mapping with fields is needed, not 3"),
        ("- a\n", SpecError, "line 1: a pipeline is a mapping"),
        ("", SpecError, "line 1: a pipeline is a mapping"),
    ],
)
def test_what_lacks_something_is_refused(tmp_path, text, error, message):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        jobs_of(path)


def test_the_page_on_pipelines_shows_a_grid_that_can_be_planned(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text("utf-8")
    path = tmp_path / "pipeline.yaml"
    path.write_text("".join(re.findall(r"```yaml\n(.*?)```", page, re.S)))
    (tmp_path / "radar").mkdir()
    jobs = jobs_of(path)
    assert Counter(job.kind for job in jobs) == {"prepare": 1, "train": 4, "export": 8, "score": 12}
    script = job_script(load(path.read_text(), path).spec.cluster, tmp_path / "logs")
    assert "#SBATCH --gres=gpu:1" in script
    assert "source ~/venv/bin/activate" in script
